// The heads of many rooms, without joining them: what unread counts are made of. What the application holds; the work
// is in `watching.ts`, which is loaded when it is needed.

import type { Core } from './core.ts'
import { questions } from './demand.ts'
import { toError } from './error.ts'
import { asIs, Feed } from './feed.ts'
import { onAbort } from './sync.ts'

/** Which rooms: a list of at most 1,024, or all whose name begins with `prefix`. */
export type Watched = { rooms: readonly string[] } | { prefix: string }

/** The newest that is known of a room. */
export interface WatchEvent {
  room: string
  epoch: number
  head: number
  /** How far the user has read; `undefined` if that is not known yet, `null` if they never have. */
  mark: number | null | undefined
}

/** What `client.watch` gives: iterate it, or listen. It goes on until `close`, over all reconnects. */
export interface Watch extends AsyncIterable<WatchEvent> {
  /** Calls `listener` for each event; the result ends that. */
  on(listener: (event: WatchEvent) => void): () => void
  /** Ends it for good; iterating ends quietly. */
  close(): void
}

/** One watch. Readers that fall behind get the newest of each room. */
export class RoomWatch implements Watch {
  readonly #ending = new AbortController()
  readonly #feeds = new Set<Feed<WatchEvent>>()
  readonly #listeners = new Set<(event: WatchEvent) => void>()
  readonly #newest = new Map<string, WatchEvent>()
  #ended: { error: unknown } | undefined

  constructor(core: Core, what: Watched, signal: AbortSignal | undefined) {
    onAbort(signal, () => this.close())
    onAbort(core.closing, () => this.close())
    void this.#run(core, what)
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<WatchEvent> {
    const feed = new Feed<WatchEvent>((gone) => this.#feeds.delete(gone), undefined, asIs)
    this.#feeds.add(feed)
    for (const event of this.#newest.values()) feed.push(event.room, event)
    if (this.#ended !== undefined) feed.end(this.#ended.error)
    return feed
  }

  on(listener: (event: WatchEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    this.#end(undefined)
  }

  #end(error: unknown): void {
    this.#ended ??= { error }
    this.#ending.abort()
    for (const feed of this.#feeds) feed.end(error)
  }

  async #run(core: Core, what: Watched): Promise<void> {
    const { signal } = this.#ending
    try {
      const { attend } = await questions.get(core, signal)
      await attend(core, what, this.#newest, (event) => this.#push(event), signal)
    } catch (error) {
      // Refused for good, or closed.
      if (!signal.aborted) this.#end(toError(error))
    }
  }

  #push(event: WatchEvent): void {
    for (const feed of this.#feeds) feed.push(event.room, event)
    for (const listener of [...this.#listeners]) listener(event)
  }
}
