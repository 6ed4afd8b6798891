// One publish, for the application: a promise of its answer that also tells when it is kept.

import type { Duplicate } from './wire/publish.ts'
import type { Position } from './wire/position.ts'
import type { Format } from './wire/record.ts'

/** How to publish. */
export interface PublishOptions {
  /**
   * Gives up waiting. What was not sent yet is taken back; what was sent may be in the log, and goes on to be sent
   * until it has its answer.
   */
  signal?: AbortSignal
  /** 0 for a message (the default), or 32 to 255 for the application's own. */
  kind?: number
  /** The offset of an earlier record that this one is about. */
  refers?: number
  /** In place of the room's format. */
  format?: Format
}

/** A publish is in the log, as safely as the room promises. */
export interface Ack {
  position: Position
  offset: number
  /** When it was appended, in milliseconds since 1970. */
  time: number
  /** `yes`: an earlier attempt had got in; the position is that one's. `trimmed`: and is not held any more. */
  duplicate: Duplicate
  /** The record of it has the same two. */
  producer: string
  id: number
}

/** A publish on its way: a promise of its `Ack`, which rejects with a `LoquicError`. */
export interface Publishing extends Promise<Ack> {
  /** Resolves once it outlives a reload, or at once where nothing is kept; rejects if it was not taken at all. */
  readonly stored: Promise<void>
  /** The same promise as this one, by name. */
  readonly acked: Promise<Ack>
  /** Its `key` in `room.outbox`; empty if it was not taken. */
  readonly key: string
}

/** A publish without an answer, as `room.outbox` has it. */
export interface Unacknowledged<T = unknown> {
  /** The record of it will have the same two. `id` may change until there is an answer. */
  producer: string
  id: number
  /** Stays the same for as long as the publish waits, over reloads too. */
  key: string
  kind: number
  refers: number | null
  value: T
  /** `waiting` to be sent, or `sent` and waiting for its answer. */
  state: 'waiting' | 'sent'
}

/** Puts the promises together. A failure is the publish's own: nobody has to look at the others. */
export function publishing(acked: Promise<Ack>, stored: Promise<void>, key: string): Publishing {
  stored.catch(() => {})
  return Object.assign(acked, { stored, acked, key })
}
