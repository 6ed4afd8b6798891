// What has come in a room and has not been taken by one of its readers. Bounded by the credit.

import type { RoomEvent } from './event.ts'

/** One event, shared by the readers that have not taken it. */
export interface Item<T> {
  event: RoomEvent<T>
  /** What it cost of the credit. */
  bytes: number
  /** Everything up to this offset is taken once this is. */
  offset?: number | undefined
  readers: number
}

/** One `for await` over a room's events. */
export class Inbox<T> implements AsyncIterableIterator<RoomEvent<T>> {
  readonly #items: Item<T>[] = []
  readonly #onTaken: (item: Item<T>) => void
  readonly #onLeave: () => void
  readonly #waiting: Waiting<IteratorResult<RoomEvent<T>>>[] = []
  #ended: { error: unknown } | undefined

  constructor(onTaken: (item: Item<T>) => void, onLeave: () => void) {
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

  /** Puts something that only counts now in the place of what it replaces and was not taken: it never piles up. */
  pushNewest(event: Volatile<T>): void {
    for (const item of this.#items) {
      const merged = merge(item.event, event)
      if (merged === undefined) continue
      item.event = merged
      return
    }
    this.push({ event, bytes: 0, readers: 1 })
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
    if (item.readers === 0) this.#onTaken(item)
  }
}

/** An event of which only the newest counts. */
export type Volatile<T> = Extract<RoomEvent<T>, { type: 'ephemeral' | 'presence' | 'marked' }>

/**
 * What is left of `old` and `now` when nobody has seen `old`; `undefined` if they have nothing to do with each other.
 */
function merge<T>(old: RoomEvent<T>, now: Volatile<T>): RoomEvent<T> | undefined {
  if (old.type === 'ephemeral' && now.type === 'ephemeral') {
    return old.sender === now.sender && old.slot === now.slot ? now : undefined
  }
  if (old.type === 'presence' && now.type === 'presence') {
    const changes = new Map([...old.changes, ...now.changes].map(({ user, sessions }) => [user, sessions]))
    return { ...now, changes: [...changes].map(([user, sessions]) => ({ user, sessions })) }
  }
  return old.type === 'marked' && now.type === 'marked' ? now : undefined
}

interface Waiting<R> {
  resolve: (result: R) => void
  reject: (error: unknown) => void
}

const DONE = { done: true, value: undefined } as const
