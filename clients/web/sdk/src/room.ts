// One room, for the application.

import type { Core } from './core.ts'
import { invalid, LoquicError, refused } from './error.ts'
import { decodeValue, encodeValue, type RoomEvent, type RoomEventType } from './event.ts'
import { OUTBOX_BYTES_MAX, OUTBOX_COUNT_MAX } from './limits.ts'
import type { Entry, Outcome } from './outbox.ts'
import type { Outboxes } from './outboxes.ts'
import type { HistoryOptions, HistoryPage } from './history.ts'
import type { MembersOptions, MembersPage, Presence } from './presence.ts'
import type { Publisher } from './publisher.ts'
import { type Ack, type PublishOptions, type Publishing, publishing, type Unacknowledged } from './publishing.ts'
import type { StandardSchemaV1 } from './schema.ts'
import { type RoomState, Subscriber } from './subscriber.ts'
import { Code } from './wire/code.ts'
import { encodeDatagram } from './wire/frame.ts'
import type { From, Mode, PresenceWanted } from './wire/join.ts'
import { DATAGRAM_BYTES_MAX } from './wire/limits.ts'
import type { Position } from './wire/position.ts'
import type { Format } from './wire/record.ts'

/** How to be in a room. */
export interface RoomOptions<T = unknown> {
  /** Where reading begins. Default: live. */
  from?: From
  /** `all`: a slow reader lags, and every record comes. `latest`: it skips ahead, and a gap says so. Default: all. */
  mode?: Mode
  /** Whether to be told who is there: not at all, how many, or who. Default: none. */
  presence?: PresenceWanted
  /**
   * What values must be, by any library with Standard Schema. What comes and is not that is an `invalid` event; what is
   * published and is not that is rejected, unless the schema is asynchronous.
   */
  schema?: StandardSchemaV1<unknown, T>
  /** What values are sent as. Default: a string as text, a `Uint8Array` as bytes, anything else as JSON. */
  format?: Format
}

export class Room<T = unknown> {
  readonly name: string
  readonly #core: Core
  readonly #outboxes: Outboxes
  readonly #subscriber: Subscriber<T>

  /** Made by `client.room`. */
  constructor(core: Core, outboxes: Outboxes, name: string, options: RoomOptions<T>) {
    this.name = name
    this.#core = core
    this.#outboxes = outboxes
    this.#subscriber = new Subscriber<T>(core, name, options.from ?? { type: 'live' }, options.mode ?? 'all')
  }

  /**
   * What happens in the room, in order. The room is joined while at least one of these is being read, over all
   * reconnects; the slowest reader holds the server back. What one reader was given does not come to a later one.
   */
  events(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<RoomEvent<T>> {
    const inbox = this.#subscriber.read()
    const { signal } = options
    if (signal?.aborted) void inbox.return()
    signal?.addEventListener('abort', () => void inbox.return(), { once: true })
    return inbox
  }

  /**
   * Publishes. The result is a promise of the answer: it resolves when the value is in the log, and is sent over all
   * reconnects, with a store over reloads too. A full outbox rejects at once, and nothing is ever dropped.
   */
  publish(value: T, options: PublishOptions = {}): Publishing {
    const taken = this.#take(value, options)
    return publishing(taken.acked, taken.stored, taken.key)
  }

  /** Publishes all of these, in order, or none if the outbox cannot hold them all. */
  publishBatch(values: readonly T[], options: PublishOptions = {}): Publishing[] {
    return values.map((value) => this.publish(value, options))
  }

  /** Removes the content of one's own message; its offset stays. Others see a record of kind 2 that refers to it. */
  deleteMessage(_offset: number, _options: { signal?: AbortSignal } = {}): Publishing {
    throw new Error('not yet')
  }

  /** Calls `listener` for each event of this type, and joins the room for it; the result ends that. */
  on<K extends RoomEventType>(_type: K, _listener: (event: Extract<RoomEvent<T>, { type: K }>) => void): () => void {
    throw new Error('not yet')
  }

  /** A page of the log. It is asked for again in the next session until it is there, or `signal` gives it up. */
  history(_options: HistoryOptions = {}): Promise<HistoryPage<T>> {
    throw new Error('not yet')
  }

  /** One page after the other: backward from `before` or the head, forward from `after` or `at`. */
  historyPages(_options: HistoryOptions = {}): AsyncIterableIterator<HistoryPage<T>> {
    throw new Error('not yet')
  }

  /** A page of who is there, whether the room is joined or not. */
  members(_options: MembersOptions = {}): Promise<MembersPage> {
    throw new Error('not yet')
  }

  /** The user has read up to here. Marks only move forward, and all of the user's sessions are told. */
  markRead(_offset: number): void {
    throw new Error('not yet')
  }

  /** The newest offset that is known of; `undefined` before the first is. */
  get head(): number | undefined {
    return undefined
  }

  /** How many records are behind the last one that was taken, as far as the head is known. */
  get lag(): number | undefined {
    return undefined
  }

  /** How many records are behind the user's read mark; `undefined` until mark and head are known. */
  get unread(): number | undefined {
    return undefined
  }

  /** Who is there, if `presence` was asked for and the room is joined. */
  get presence(): Presence | undefined {
    return undefined
  }

  /** Ends all reading of this room. It can be read again. */
  close(): void {
    throw new Error('not yet')
  }

  #take(value: T, options: PublishOptions): { acked: Promise<Ack>; stored: Promise<void>; key: string } {
    let key = ''
    const acked = new Promise<Ack>((resolve, reject) => {
      const { signal, kind = 0, refers = null } = options
      if (signal?.aborted) throw signal.reason
      if (this.#core.closed !== undefined) throw this.#core.closed
      const { format, payload } = encodeValue(value)
      const publisher = this.#outboxes.of(this.name)
      this.#check(publisher, payload, kind)
      const entry = publisher.outbox.push({ kind, format, flags: 0, refers, payload }, (outcome) => {
        signal?.removeEventListener('abort', abort)
        settle(publisher, entry, outcome, resolve, reject)
      })
      key = `${publisher.producer}/${entry.seq}`
      const abort = () => {
        publisher.outbox.withdraw(entry)
        this.#outboxes.changed.set(undefined)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#outboxes.changed.set(undefined)
      void publisher.start()
    })
    const stored = key === '' ? acked.then(() => {}) : Promise.resolve()
    return { acked, stored, key }
  }

  /**
   * Tells those who read the room now, and nobody later: who is typing, where a cursor is. The newest value of a slot
   * counts; it may be lost, and a server may not offer it. `false` if the room is not joined at the moment.
   */
  sendEphemeral(slot: number, value: unknown): boolean {
    const payload = new TextEncoder().encode(JSON.stringify(value))
    const { handle } = this.#subscriber
    const session = this.#core.session()
    if (handle === undefined || session === undefined) return false
    const stamp = this.#subscriber.ephemerals.stamp(slot, Date.now())
    const datagram = encodeDatagram({ handle, sender: NOBODY, slot, stamp, payload })
    if (datagram.length > DATAGRAM_BYTES_MAX) {
      const size = `an ephemeral has ${datagram.length} bytes, its maximum is ${DATAGRAM_BYTES_MAX}`
      throw invalid(size, Code.payload_too_large)
    }
    session.link.sendDatagram(datagram)
    return true
  }

  /** What was published into this room, by this page and by those it has adopted, and has no answer. Oldest first. */
  get outbox(): Unacknowledged<T>[] {
    return this.#outboxes.in(this.name).flatMap(({ producer, outbox }) =>
      outbox.entries.map(({ seq, id, message, inDoubt }) => ({
        producer: producer.slice(0, TAG_LENGTH),
        id,
        key: `${producer}/${seq}`,
        kind: message.kind,
        refers: message.refers,
        value: decodeValue(message.format, message.payload) as T,
        state: inDoubt ? ('sent' as const) : ('waiting' as const),
      })),
    )
  }

  get state(): RoomState {
    return this.#subscriber.state.value
  }

  /** Behind everything that was handed out; `undefined` before the first. */
  get position(): Position | undefined {
    return this.#subscriber.position
  }

  /** Calls `listener` when `state` or `outbox` may have changed; the result ends that. */
  subscribe(listener: () => void): () => void {
    const stops = [this.#subscriber.state.subscribe(listener), this.#outboxes.changed.subscribe(listener)]
    return () => stops.forEach((stop) => stop())
  }

  #check({ outbox }: Publisher, payload: Uint8Array, kind: number): void {
    if (!Number.isInteger(kind) || kind < 0 || kind > 255) throw invalid(`${kind} is not a kind of record`)
    const max = this.#core.payloadBytesMax
    if (payload.length > max) {
      throw invalid(`the value has ${payload.length} bytes, the server takes at most ${max}`, Code.payload_too_large)
    }
    if (outbox.count >= OUTBOX_COUNT_MAX || outbox.bytes + payload.length > OUTBOX_BYTES_MAX) {
      throw new LoquicError('outbox_full', 'too much is waiting for its answer', Code.overloaded)
    }
  }
}

function settle(
  { producer }: Publisher,
  { id }: Entry,
  outcome: Outcome,
  resolve: (ack: Ack) => void,
  reject: (error: LoquicError) => void,
): void {
  if ('error' in outcome) return reject(outcome.error)
  if ('code' in outcome) return reject(refused(outcome.code))
  const { position, time, duplicate } = outcome.receipt
  resolve({ position, offset: position.offset, time, duplicate, producer: producer.slice(0, TAG_LENGTH), id })
}

/** A record carries the first 4 bytes of its producer, in hexadecimal. */
const TAG_LENGTH = 8

/** Zeros; the server fills in who it is. */
const NOBODY = '00'.repeat(16)
