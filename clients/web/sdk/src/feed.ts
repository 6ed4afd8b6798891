// Values for readers of which each goes at its own pace: a value takes the place of one with the same key that was not
// taken. Where keys are few, that is the bound.

import { onAbort } from './sync.ts'

/** One reader. */
export class Feed<V, O = V> implements AsyncIterableIterator<O> {
  readonly #held = new Map<unknown, V>()
  readonly #waiting: (() => void)[] = []
  readonly #onLeave: () => void
  readonly #take: (value: V) => O
  #ended = false
  #error: unknown

  /** `take` is called for each value once it is handed out, or given up. */
  constructor(onLeave: (feed: Feed<V, O>) => void, signal: AbortSignal | undefined, take: (value: V) => O) {
    this.#onLeave = () => onLeave(this)
    this.#take = take
    onAbort(signal, () => void this.return())
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<O>> {
    for (;;) {
      for (const [key, value] of this.#held) {
        this.#held.delete(key)
        return { done: false, value: this.#take(value) }
      }
      const error = this.#error
      this.#error = undefined
      if (error !== undefined) throw error
      if (this.#ended) return { done: true, value: undefined }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Called by the end of a `for await`. */
  async return(): Promise<IteratorResult<O>> {
    for (const value of this.#held.values()) this.#take(value)
    this.#held.clear()
    this.end()
    this.#onLeave()
    return { done: true, value: undefined }
  }

  /** What has this key and was not taken. */
  held(key: unknown): V | undefined {
    return this.#held.get(key)
  }

  push(key: unknown, value: V): void {
    if (this.#ended) return
    this.#held.set(key, value)
    this.#waiting.shift()?.()
  }

  /** No more comes behind what is here; with an `error` the reader is told once. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** Hands values out as they are. */
export const asIs = <V>(value: V): V => value
