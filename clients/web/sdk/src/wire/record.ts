// One entry of a room's log, and the publish that becomes one.

import { bytes, choice, option, struct, tag, u8, u64, type Value } from './coding.ts'
import { user } from './name.ts'

const format = choice('bytes', 'text', 'json')

export const record = struct({
  offset: u64,
  time: u64,
  kind: u8,
  format,
  flags: u8,
  sender: user,
  producer: tag,
  id: u64,
  refers: option(u64),
  payload: bytes,
})

export const publish = struct({ id: u64, kind: u8, format, flags: u8, refers: option(u64), payload: bytes })

/** What a payload is. */
export type Format = 'bytes' | 'text' | 'json'
export type WireRecord = Value<typeof record>
export type Publish = Value<typeof publish>
