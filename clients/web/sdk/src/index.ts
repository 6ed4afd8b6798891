// Loquic in the browser: rooms that are ordered, durable logs, over WebTransport.

export type { Backoff } from './backoff.ts'
export { Client, type ClientOptions, createClient } from './client.ts'
export { type ErrorKind, LoquicError } from './error.ts'
export { Message, type RoomEvent } from './event.ts'
export type { Connect, Link, Stream } from './link.ts'
export type { Ack, PublishOptions, Room, RoomOptions, Unacknowledged } from './room.ts'
export type { ClientState } from './status.ts'
export type { Locks, Storage } from './store.ts'
export type { RoomState } from './subscriber.ts'
export { action, Code, codeName } from './wire/code.ts'
export type { From, GapReason, Mode } from './wire/join.ts'
export { formatPosition, type Position, parsePosition } from './wire/position.ts'
