// Frames of a watch stream and of a read stream.

import { bool, list, struct, text, u32, u64, variants } from './coding.ts'
import { room } from './name.ts'

const what = variants({ rooms: struct({ rooms: list(room) }), prefix: struct({ prefix: text() }) })

export const watch = struct({ what })
export const head = struct({ room, epoch: u64, head: u64 })

const range = variants({
  after: struct({ offset: u64 }),
  before: struct({ offset: u64 }),
  between: struct({ after: u64, before: u64 }),
  newest: struct({}),
  since: struct({ time: u64 }),
})

export const read = struct({ room, range, limit: u32 })
export const readHead = struct({ epoch: u64, floor: u64, head: u64 })
export const readEnd = struct({ first: u64, last: u64, more: bool })
