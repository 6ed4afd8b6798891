// Frames of a join stream.

import { bool, bytes, choice, id, list, struct, u8, u16, u32, u64, type Value, variants } from './coding.ts'
import { room, user } from './name.ts'
import { type Position, position } from './position.ts'

const nothing = struct({})

const from = variants({
  live: nothing,
  oldest: nothing,
  at_offset: struct({ offset: u64 }),
  after: struct({ position }),
  last: struct({ count: u64 }),
  at_time: struct({ time: u64 }),
})

export const join = struct({
  room,
  from,
  mode: choice('all', 'latest'),
  credit: u64,
  presence: choice('none', 'count', 'changes'),
})
export const joined = struct({ handle: u32, epoch: u64, head: u64, floor: u64 })
export const gap = struct({ from: u64, to: u64, reason: choice('retention', 'skipped', 'lost') })
export const reset = struct({ epoch: u64, valid_to: u64, head: u64 })
export const caughtUp = struct({ head: u64 })
/** On a stream a frame; as a datagram this body alone. */
export const ephemeral = struct({ handle: u32, sender: id, slot: u8, stamp: u64, payload: bytes })
export const member = struct({ user, sessions: u32 })
export const presence = struct({ count: u64, snapshot: bool, members: list(member) })
export const left = struct({ code: u16 })
export const credit = struct({ bytes: u64 })
export const mark = struct({ offset: u64 })

export type Ephemeral = Value<typeof ephemeral>
export type Join = Value<typeof join>
export type Joined = Value<typeof joined>
/**
 * Where a reader starts: `at_offset` inclusive, `after` a position, `last` so many records, `at_time` in milliseconds.
 */
export type From =
  | { type: 'live' }
  | { type: 'oldest' }
  | { type: 'at_offset'; offset: number }
  | { type: 'after'; position: Position }
  | { type: 'last'; count: number }
  | { type: 'at_time'; time: number }
/** What happens to a reader that is too slow: it lags, or it skips ahead. */
export type Mode = 'all' | 'latest'
/** How much to be told of who is there: nothing, how many, or who comes and goes. */
export type PresenceWanted = 'none' | 'count' | 'changes'
export type WirePresence = Value<typeof presence>
/** A user in a room, with the number of their sessions. */
export interface Member {
  user: string
  sessions: number
}
/** Why offsets will not come: too old, skipped by mode `latest`, or not readable any more. */
export type GapReason = 'retention' | 'skipped' | 'lost'
