// What a room tells the application.

import { invalid } from './error.ts'
import type { Member, Presence } from './presence.ts'
import type { SchemaIssue } from './schema.ts'
import type { GapReason } from './wire/join.ts'
import type { Position } from './wire/position.ts'
import type { Format, WireRecord } from './wire/record.ts'

/** One thing that happened in a room; `type` says which. */
export type RoomEvent<T = unknown> =
  /** A record, in the order of the log, each once. */
  | { type: 'record'; record: Message<T> }
  /** A record whose value the room's schema does not take. */
  | { type: 'invalid'; record: Message; issues: readonly SchemaIssue[] }
  /** The offsets `from` to `to` will not come. */
  | { type: 'gap'; from: number; to: number; reason: GapReason }
  /** Everything up to `head` has come; what follows is live. */
  | { type: 'caught-up'; head: number }
  /** What was taken behind `validTo` is not in the log, and must be discarded. */
  | { type: 'reset'; epoch: number; validTo: number; head: number }
  /** Something that is true for a moment: the newest value of a sender's slot. `sender` is a session. */
  | { type: 'ephemeral'; sender: string; slot: number; value: unknown }
  /** Who is there has changed: `changes` are those who have, with 0 sessions for who has left. */
  | { type: 'presence'; presence: Presence; changes: readonly Member[] }
  /** The user's read mark has moved, here or in another session. */
  | { type: 'marked'; offset: number }

/** The sorts of events, for `room.on`. */
export type RoomEventType = RoomEvent['type']

/** One record of a room. */
export class Message<T = unknown> {
  declare readonly offset: number
  /** Where to resume behind it: `{from: {type: 'after', position}}`. */
  readonly position: Position
  /** When it was appended. */
  declare readonly time: number
  declare readonly sender: string
  /** 0 is a message; from 32 on the application's own. */
  declare readonly kind: number
  declare readonly flags: number
  /** An earlier record that this one is about. */
  declare readonly refers: number | null
  /** With `id` this is what the publisher knows its publish by; see `Ack`. */
  declare readonly producer: string
  declare readonly id: number
  declare readonly format: Format
  declare readonly payload: Uint8Array
  #value: { value: T } | undefined

  /** @internal */
  constructor(record: WireRecord, epoch: number) {
    Object.assign(this, record)
    this.position = { epoch, offset: record.offset }
  }

  /** Whether the content was removed. The record stays in its place. */
  get redacted(): boolean {
    return (this.flags & REDACTED) !== 0
  }

  /**
   * The payload as what it says it is: a string, what the JSON stands for, or bytes; with a schema, what the schema
   * made of it. Without one nobody has checked that it is a `T`: whoever may publish may publish anything. JSON that
   * does not
   * parse comes as the text it is. What was redacted, and a deletion, has no value: `undefined`.
   */
  get value(): T {
    this.#value ??= { value: (this.#isEmpty ? undefined : decodeValue(this.format, this.payload)) as T }
    return this.#value.value
  }

  /** @internal Puts what a schema made of the value in its place. */
  replace(value: T): void {
    this.#value = { value }
  }

  get #isEmpty(): boolean {
    return this.redacted || this.kind === Kind.delete
  }
}

/** The kinds of records that have a meaning for everybody; those from 32 on are the application's own. */
export const Kind = { message: 0, edit: 1, delete: 2, reaction: 3, receipt: 4, system: 5 } as const

/** Flag of a record whose content was removed. */
const REDACTED = 2

export function decodeValue(format: Format, payload: Uint8Array): unknown {
  if (format === 'bytes') return payload
  const text = new TextDecoder().decode(payload)
  if (format === 'text') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** As the format says; without one a string becomes text, bytes stay bytes, and everything else becomes JSON. */
export function encodeValue(value: unknown, wanted?: Format): { format: Format; payload: Uint8Array } {
  const isBytes = value instanceof Uint8Array
  const format = wanted ?? (isBytes ? 'bytes' : typeof value === 'string' ? 'text' : 'json')
  if (format === 'bytes') {
    if (isBytes) return { format, payload: value.slice() }
    throw invalid('the value must be a Uint8Array')
  }
  const text = format === 'json' ? JSON.stringify(value) : value
  if (typeof text !== 'string') throw invalid(`the value must be ${format === 'json' ? 'JSON' : 'a string'}`)
  return { format, payload: new TextEncoder().encode(text) }
}
