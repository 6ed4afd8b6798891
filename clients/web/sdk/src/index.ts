// Loquic in the browser: rooms that are ordered, durable logs.

export type { Backoff } from './backoff.ts'
export {
  Client,
  type ClientOptions,
  type CloseOptions,
  createClient,
} from './client.ts'
export type { Debug } from './core.ts'
export { type ErrorKind, LoquicError } from './error.ts'
export { Kind, Message, type RoomEvent, type RoomEventType } from './event.ts'
export type { HistoryOptions, HistoryPage } from './history.ts'
export type { Connect, Dial, Link, Stream, TransportName } from './link.ts'
export type { MembersOptions, MembersPage } from './members.ts'
export type { RoomStatus } from './peek.ts'
export type { Member, Presence } from './presence.ts'
export type { Ack, Publishing, PublishOptions, Unacknowledged } from './publishing.ts'
export type { Room, RoomOptions } from './room.ts'
export type { SchemaIssue, SchemaResult, StandardSchemaV1 } from './schema.ts'
export type { ClientState, Status } from './status.ts'
export type { Locks, Storage, Store } from './store.ts'
export type { RoomState } from './subscriber.ts'
export type { GetToken, TokenReason } from './token.ts'
export type { BrowserTransport } from './transport.ts'
export type { Watch, Watched, WatchEvent } from './watch.ts'
export { type Action, action, Code, codeName } from './wire/code.ts'
export type { Principal } from './wire/control.ts'
export type { From, GapReason, Mode, PresenceWanted } from './wire/join.ts'
export { formatPosition, type Position, parsePosition } from './wire/position.ts'
export type { Duplicate } from './wire/publish.ts'
export type { Format } from './wire/record.ts'
