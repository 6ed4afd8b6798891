// Reading a room's log without joining it.

import type { Message } from './event.ts'
import type { SchemaIssue } from './schema.ts'
import type { GapReason } from './wire/join.ts'

/** Which records to read. Without `before`, `after` and `at`: the newest. */
export interface HistoryOptions {
  /** Only records below this offset; the last of them, if `after` is missing. */
  before?: number
  /** Only records above this offset, the first of them. */
  after?: number
  /** The first records from this time on, in milliseconds since 1970. */
  at?: number
  /** At most this many records, 1 to 1,000. Default 100. */
  limit?: number
  signal?: AbortSignal
}

/** Records of a room, always ascending. */
export interface HistoryPage<T = unknown> {
  records: Message<T>[]
  /** Records whose value the room's schema does not take. */
  invalid: { record: Message; issues: readonly SchemaIssue[] }[]
  /** Offsets in the range that are not held any more. */
  gaps: { from: number; to: number; reason: GapReason }[]
  /** The epoch that is being written. */
  epoch: number
  /** The newest offset of the room. */
  head: number
  /** The oldest offset held. */
  floor: number
  /** Whether there is another page: `before` the first offset of this one, or `after` the last when reading forward. */
  more: boolean
}
