// Values that replace each other, for readers of which each goes at its own pace: the newest for each key, in the order
// in which the keys changed. Bounded by the number of keys.

/** One reader. */
export class Feed<V> implements AsyncIterableIterator<V> {
  readonly #held = new Map<string, V>()
  readonly #waiting: ((result: IteratorResult<V>) => void)[] = []
  readonly #onLeave: () => void
  #ended = false
  #failure: { error: unknown } | undefined

  constructor(onLeave: (feed: Feed<V>) => void, signal?: AbortSignal) {
    this.#onLeave = () => onLeave(this)
    if (signal?.aborted) this.end()
    signal?.addEventListener('abort', () => void this.return(), { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<V>> {
    for (const [key, value] of this.#held) {
      this.#held.delete(key)
      return { done: false, value }
    }
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure.error
    if (this.#ended) return { done: true, value: undefined }
    return new Promise<IteratorResult<V>>((resolve) => this.#waiting.push(resolve)).then((result) => {
      // A failure wakes with an end, and is told by the next look.
      return result.done ? this.next() : result
    })
  }

  async return(): Promise<IteratorResult<V>> {
    this.#held.clear()
    this.end()
    this.#onLeave()
    return { done: true, value: undefined }
  }

  push(key: string, value: V): void {
    if (this.#ended) return
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) return waiting({ done: false, value })
    this.#held.delete(key)
    this.#held.set(key, value)
  }

  /** No more comes; with an `error` the reader is told once. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    if (error !== undefined) this.#failure = { error }
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined })
  }
}
