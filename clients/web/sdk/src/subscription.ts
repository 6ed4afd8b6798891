// Where a reader is in a room: the position to resume from, what is a duplicate, and how much more the server may send.
// Pure: frames go in, events come out.

import { protocol } from './error.ts'
import { Message, type RoomEvent } from './event.ts'
import type { Body, Frame } from './wire/frame.ts'
import type { From, Join, Joined, Mode, PresenceWanted } from './wire/join.ts'
import { CREDIT_BYTES_MIN } from './wire/limits.ts'
import type { Position } from './wire/position.ts'

/**
 * One subscription over all the streams that carry it, one after the other.
 *
 * Invariant: everything up to `position` has been handed out or reported missing, and nothing behind it.
 */
export class Subscription<T> {
  readonly #room: string
  readonly #start: From
  readonly #mode: Mode
  readonly #presence: PresenceWanted
  #position: Position | undefined
  #joined: Joined | undefined
  /** Nothing has come behind a `Reset`: what is not held any more need not be announced there. */
  #isReset = false

  constructor(room: string, start: From, mode: Mode, presence: PresenceWanted = 'none') {
    this.#room = room
    this.#start = start
    this.#mode = mode
    this.#presence = presence
    this.#position = start.type === 'after' ? start.position : undefined
  }

  /** The first frame of the next stream. */
  join(credit: number): Join {
    this.#joined = undefined
    this.#isReset = false
    const from: From = this.#position === undefined ? this.#start : { type: 'after', position: this.#position }
    return { room: this.#room, from, mode: this.#mode, credit, presence: this.#presence }
  }

  /** What the server said when it let us in, on this stream. */
  get joined(): Joined | undefined {
    return this.#joined
  }

  get position(): Position | undefined {
    return this.#position
  }

  /** Takes a frame of the stream; the events come in order. */
  handle(frame: Frame): RoomEvent<T>[] {
    switch (frame.name) {
      case 'Joined':
        return this.#handleJoined(frame.body)
      case 'Record': {
        const gap = this.#gapBehindReset(frame.body.offset)
        const isNew = this.#advance(frame.body.offset, frame.body.offset)
        return isNew ? [...gap, { type: 'record', record: new Message<T>(frame.body, this.#epoch()) }] : []
      }
      case 'Gap': {
        const from = Math.max(frame.body.from, (this.#position?.offset ?? 0) + 1)
        if (frame.body.to < frame.body.from) throw protocol('a Gap ends before it begins')
        return this.#advance(frame.body.from, frame.body.to) ? [{ type: 'gap', ...frame.body, from }] : []
      }
      case 'Reset':
        return this.#handleReset(frame.body)
      case 'CaughtUp': {
        // Nothing is held up to the head that has not come, so a later resume starts there, also where no record came.
        const { head } = frame.body
        this.#position = { epoch: this.#epoch(), offset: Math.max(head, this.#position?.offset ?? 0) }
        return [{ type: 'caught-up', head }]
      }
      default:
        return []
    }
  }

  /**
   * A position is kept in the epoch it was seen in until the first frame in the new one: a `Reset` may still be on its
   * way, and the old offset in the new epoch would name records that were never seen.
   */
  #handleJoined(joined: Joined): [] {
    if (this.#joined !== undefined) throw protocol('a second Joined')
    if (this.#position === undefined && this.#start.type === 'live') {
      this.#position = { epoch: joined.epoch, offset: joined.head }
    }
    this.#joined = joined
    return []
  }

  #handleReset(reset: Body<'Reset'>): RoomEvent<T>[] {
    if (this.#joined === undefined) throw protocol('a frame before Joined')
    this.#joined = { ...this.#joined, epoch: reset.epoch }
    this.#position = { epoch: reset.epoch, offset: reset.valid_to }
    this.#isReset = true
    return [{ type: 'reset', epoch: reset.epoch, validTo: reset.valid_to, head: reset.head }]
  }

  /** Behind a `Reset` the server may go on at the floor without a word. The application gets one. */
  #gapBehindReset(offset: number): RoomEvent<T>[] {
    const from = (this.#position?.offset ?? 0) + 1
    if (!this.#isReset || offset <= from) return []
    this.#advance(from, offset - 1)
    return [{ type: 'gap', from, to: offset - 1, reason: 'retention' }]
  }

  /** Moves over `from` to `to`; `false` if all of that was known before. */
  #advance(from: number, to: number): boolean {
    const epoch = this.#epoch()
    if (this.#position !== undefined) {
      if (to <= this.#position.offset) return false
      if (from > this.#position.offset + 1) throw protocol(`offset ${from} came after ${this.#position.offset}`)
    }
    this.#position = { epoch, offset: to }
    this.#isReset = false
    return true
  }

  #epoch(): number {
    if (this.#joined === undefined) throw protocol('a frame before Joined')
    return this.#joined.epoch
  }
}

/**
 * The bytes of records that may be on their way to the application.
 *
 * Invariant: what the server may still send, `queued` and `taken` make up `window` together.
 */
export class Credit {
  readonly #window: number
  /** Come, but not taken by the application. */
  #queued = 0
  /** Taken, but not yet granted again. */
  #taken = 0

  constructor(window: number) {
    this.#window = Math.max(Math.floor(window), CREDIT_WINDOW_MIN)
  }

  /** What the next stream is opened with; `undefined` while the application has too much that it has not taken. */
  join(): number | undefined {
    const free = this.#window - this.#queued
    if (free < CREDIT_BYTES_MIN) return undefined
    this.#taken = 0
    return free
  }

  queue(bytes: number): void {
    this.#queued += bytes
  }

  /** The application has taken this. */
  take(bytes: number): void {
    this.#queued -= bytes
    this.#taken += bytes
  }

  /** What to grant now: one frame for half a window and not one for each record; 0 for nothing. */
  grant(): number {
    if (this.#taken < this.#window / 2) return 0
    const granted = this.#taken
    this.#taken = 0
    return granted
  }
}

/** While less than half is granted again, the other half must hold the largest record, or both sides wait for ever. */
export const CREDIT_WINDOW_MIN = 2 * CREDIT_BYTES_MIN
