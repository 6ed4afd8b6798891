// Frames of a who stream: one page of who is in a room.

import { bool, list, option, struct, u32, u64 } from './coding.ts'
import { member } from './join.ts'
import { room, user } from './name.ts'

export const who = struct({ room, after: option(user), limit: u32 })
export const members = struct({ count: u64, members: list(member), more: bool })
