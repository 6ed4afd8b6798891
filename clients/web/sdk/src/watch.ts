// The heads of many rooms, without joining them: what unread counts are made of.

import { ask } from './ask.ts'
import type { Core } from './core.ts'
import { toError } from './error.ts'
import { asIs, Feed } from './feed.ts'
import type { Session } from './session.ts'
import { FrameStream } from './stream.ts'
import { PEEK_ROOMS_MAX } from './wire/limits.ts'

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
  readonly #core: Core
  readonly #what: Watched
  readonly #ending = new AbortController()
  readonly #feeds = new Set<Feed<WatchEvent>>()
  readonly #listeners = new Set<(event: WatchEvent) => void>()
  readonly #newest = new Map<string, WatchEvent>()
  /** Rooms whose marks are about to be asked for. */
  readonly #unasked = new Set<string>()
  #ended: { error: unknown } | undefined

  constructor(core: Core, what: Watched, signal: AbortSignal | undefined) {
    this.#core = core
    this.#what = what
    const stop = core.known.changed.subscribe((room) => this.#handleKnown(room))
    this.#ending.signal.addEventListener('abort', stop)
    if (signal?.aborted) this.close()
    signal?.addEventListener('abort', () => this.close(), { once: true })
    core.closing.addEventListener('abort', () => this.close(), { once: true })
    void this.#run()
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

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        await ask(this.#core, signal, (session) => this.#attend(session, signal))
      } catch (error) {
        // Refused for good, or closed.
        if (!signal.aborted) this.#end(toError(error))
      }
    }
  }

  /** Watches in one session until that is over or superseded. */
  async #attend(session: Session, signal: AbortSignal): Promise<void> {
    const leave = await session.watches.take(signal)
    const what = 'rooms' in this.#what ? { type: 'rooms' as const, rooms: [...this.#what.rooms] } : this.#what
    const stream = await FrameStream.open(session.link, 'Watch', {
      what: 'prefix' in what ? { type: 'prefix', prefix: what.prefix } : what,
    })
    const move = () => {
      if (signal.aborted || this.#core.isSuperseded(session)) stream.abort()
    }
    const stop = this.#core.onChange(move)
    signal.addEventListener('abort', move)
    try {
      for (;;) {
        const { room, epoch, head } = await stream.answer('Head')
        const isNew = !this.#newest.has(room)
        this.#core.known.handleHead(room, epoch, head)
        this.#push(room)
        if (isNew) void this.#ask(session, room)
      }
    } catch (error) {
      if (this.#core.isSuperseded(session)) return
      throw error
    } finally {
      stop()
      signal.removeEventListener('abort', move)
      leave()
    }
  }

  /** Asks how far the user has read in rooms that are seen for the first time, many at once. */
  async #ask(session: Session, room: string): Promise<void> {
    this.#unasked.add(room)
    if (this.#unasked.size > 1) return
    await Promise.resolve()
    const rooms = [...this.#unasked]
    this.#unasked.clear()
    for (let at = 0; at < rooms.length; at += PEEK_ROOMS_MAX) {
      const some = rooms.slice(at, at + PEEK_ROOMS_MAX)
      const found = await session.peek(some).catch(() => [])
      found.forEach((status, index) => this.#core.known.handleMark(some[index] ?? '', status?.mark ?? null))
    }
  }

  #handleKnown(room: string): void {
    if (this.#newest.has(room)) this.#push(room)
  }

  #push(room: string): void {
    const facts = this.#core.known.of(room)
    const old = this.#newest.get(room)
    if (facts === undefined) return
    const { epoch, head, mark } = facts
    if (old?.epoch === epoch && old.head === head && old.mark === mark) return
    const event = { room, epoch, head, mark }
    this.#newest.set(room, event)
    for (const feed of this.#feeds) feed.push(room, event)
    for (const listener of [...this.#listeners]) listener(event)
  }
}
