// Frames of a publish stream; `Publish` itself is beside the record that it becomes.

import { choice, id, struct, u16, u32, u64, type Value } from './coding.ts'
import { room } from './name.ts'
import { position } from './position.ts'

export const open = struct({ room, producer: id })
export const opened = struct({ last_id: u64, in_flight_max: u32 })
export const ack = struct({ id: u64, position, time: u64, duplicate: choice('no', 'yes', 'trimmed') })
export const ackRun = struct({ epoch: u64, first_id: u64, count: u32, first_offset: u64, time: u64 })
export const nack = struct({ id: u64, code: u16, expected: u64, retry_after: u32 })

export type WireAck = Value<typeof ack>
export type AckRun = Value<typeof ackRun>
/** Whether an earlier attempt of the same publish was in the log before. */
export type Duplicate = 'no' | 'yes' | 'trimmed'
export type Nack = Value<typeof nack>
