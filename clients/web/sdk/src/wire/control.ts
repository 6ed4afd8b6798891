// Frames of the control stream.

import { choice, id, list, option, struct, text, u16, u32, u64, type Value, variants } from './coding.ts'
import { PEEK_ROOMS_MAX, TOKEN_BYTES_MAX } from './limits.ts'
import { room, tenant, user } from './name.ts'

const auth = variants({
  anonymous: struct({ name: user }),
  bearer: struct({ token: text(TOKEN_BYTES_MAX) }),
})
const principal = struct({ tenant, user })
const limits = struct({ rooms_max: u32, reads_max: u32, publish_max: u32, payload_bytes_max: u32 })
const status = struct({ epoch: u64, head: u64, floor: u64, mark: option(u64) })

export const hello = struct({ versions: list(u16), auth, client: text(), previous: option(id) })
export const welcome = struct({
  version: u16,
  session: id,
  node: text(),
  principal,
  limits,
  ping_interval: u32,
  expires_at: option(u64),
  server_time: u64,
  nodes: list(text()),
})
export const refused = struct({ code: u16, message: text(), retry_after: u32 })
export const refresh = struct({ token: text(TOKEN_BYTES_MAX) })
export const refreshed = struct({ expires_at: option(u64) })
export const expiring = struct({ at: u64 })
export const ping = struct({ token: u64 })
export const pong = struct({ token: u64, server_time: u64 })
export const peek = struct({ rooms: list(room, PEEK_ROOMS_MAX) })
export const peeked = struct({ rooms: list(option(status)) })
export const marked = struct({ room, offset: u64 })
export const goaway = struct({
  reason: choice('shutdown', 'rebalance'),
  deadline: u32,
  delay: u32,
  nodes: list(text()),
})
export const closing = struct({ code: u16, reason: text() })

export type Auth = Value<typeof auth>
export type Goaway = Value<typeof goaway>
export type Hello = Value<typeof hello>
/** Who a session is. */
export interface Principal {
  tenant: string
  user: string
}
export type Welcome = Value<typeof welcome>
