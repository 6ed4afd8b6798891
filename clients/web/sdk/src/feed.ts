// Values that replace each other, for readers of which each goes at its own pace: the newest for each key, in the order
// in which the keys changed. Bounded by the number of keys.

/** One reader. */
export class Feed<V> implements AsyncIterableIterator<V> {
  readonly #held = new Map<string, V>()
  readonly #waiting: (() => void)[] = []
  readonly #onLeave: () => void
  #ended = false
  #error: unknown

  constructor(onLeave: (feed: Feed<V>) => void, signal?: AbortSignal) {
    this.#onLeave = () => onLeave(this)
    if (signal?.aborted) this.end()
    signal?.addEventListener('abort', () => void this.return(), { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<V>> {
    for (;;) {
      for (const [key, value] of this.#held) {
        this.#held.delete(key)
        return { done: false, value }
      }
      const error = this.#error
      this.#error = undefined
      if (error !== undefined) throw error
      if (this.#ended) return { done: true, value: undefined }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async return(): Promise<IteratorResult<V>> {
    this.#held.clear()
    this.end()
    this.#onLeave()
    return { done: true, value: undefined }
  }

  push(key: string, value: V): void {
    if (this.#ended) return
    this.#held.delete(key)
    this.#held.set(key, value)
    this.#waiting.shift()?.()
  }

  /** No more comes; with an `error` the reader is told once. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
