// What has come in a room and has not been taken by one of its readers. Bounded by the credit.

import type { RoomEvent } from './event.ts'

/** One event, shared by the readers that have not taken it. */
export interface Item<T> {
  event: RoomEvent<T>
  /** What it cost of the credit. */
  bytes: number
  readers: number
}

/** One `for await` over a room's events. */
export class Inbox<T> implements AsyncIterableIterator<RoomEvent<T>> {
  readonly #items: Item<T>[] = []
  readonly #onTaken: (bytes: number) => void
  readonly #onLeave: () => void
  readonly #waiting: Waiting<IteratorResult<RoomEvent<T>>>[] = []
  #ended: { error: unknown } | undefined

  constructor(onTaken: (bytes: number) => void, onLeave: () => void) {
    this.#onTaken = onTaken
    this.#onLeave = onLeave
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<RoomEvent<T>>> {
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#take(item)
      return Promise.resolve({ done: false, value: item.event })
    }
    if (this.#ended !== undefined) {
      // An error is told once; behind it is the end.
      const { error } = this.#ended
      this.#ended = { error: undefined }
      return error === undefined ? Promise.resolve(DONE) : Promise.reject(error)
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Called by the end of a `for await`. What was not taken is given up. */
  return(): Promise<IteratorResult<RoomEvent<T>>> {
    for (const item of this.#items.splice(0)) this.#take(item)
    this.end(undefined)
    this.#onLeave()
    return Promise.resolve(DONE)
  }

  push(item: Item<T>): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) {
      this.#items.push(item)
      return
    }
    this.#take(item)
    waiting.resolve({ done: false, value: item.event })
  }

  /** Puts the newest value of an ephemeral in the place of one that was not taken, so that they never pile up. */
  pushEphemeral(item: Item<T>): void {
    const { event } = item
    const old = this.#items.find(
      ({ event: held }) =>
        event.type === 'ephemeral' &&
        held.type === 'ephemeral' &&
        held.sender === event.sender &&
        held.slot === event.slot,
    )
    if (old === undefined) this.push(item)
    else old.event = event
  }

  /** No more comes behind what is here. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error === undefined) resolve(DONE)
      else reject(error)
    }
  }

  #take(item: Item<T>): void {
    item.readers--
    if (item.readers === 0) this.#onTaken(item.bytes)
  }
}

interface Waiting<R> {
  resolve: (result: R) => void
  reject: (error: unknown) => void
}

const DONE = { done: true, value: undefined } as const
