// One room, for the application.

import type { Core } from './core.ts'
import { invalid, LoquicError, refused } from './error.ts'
import { decodeValue, encodeValue, type RoomEvent } from './event.ts'
import { OUTBOX_BYTES_MAX, OUTBOX_COUNT_MAX } from './limits.ts'
import type { Entry, Outcome } from './outbox.ts'
import type { Outboxes } from './outboxes.ts'
import type { Publishing } from './publishing.ts'
import { type RoomState, Subscriber } from './subscriber.ts'
import { Code } from './wire/code.ts'
import { encodeDatagram } from './wire/frame.ts'
import type { From, Mode } from './wire/join.ts'
import { DATAGRAM_BYTES_MAX } from './wire/limits.ts'
import type { Position } from './wire/position.ts'
import type { Duplicate } from './wire/publish.ts'

export interface RoomOptions {
  /** Where reading begins. Default: live. */
  from?: From
  /** `all`: a slow reader lags, and every record comes. `latest`: it skips ahead, and a gap says so. Default: all. */
  mode?: Mode
}

export interface PublishOptions {
  /**
   * Gives up waiting. What was not sent yet is taken back; what was sent may be in the log, and goes on to be sent
   * until it has its answer.
   */
  signal?: AbortSignal
  /** 0, or 32 to 255 for the application's own. */
  kind?: number
  /** An earlier record that this one is about. */
  refers?: number
}

/** A publish is in the log, as safely as the room promises. */
export interface Ack {
  position: Position
  offset: number
  time: number
  /** `yes`: an earlier attempt had got in; the position is that one's. `trimmed`: and is not held any more. */
  duplicate: Duplicate
  /** The record of it has the same two. */
  producer: string
  id: number
}

/** A publish without an answer. */
export interface Unacknowledged<T = unknown> {
  /** The record of it will have the same two. `id` may change until there is an answer. */
  producer: string
  id: number
  /** Stays the same for as long as the publish waits, over reloads too. */
  key: string
  value: T
  /** `waiting` to be sent, or `sent` and waiting for its answer. */
  state: 'waiting' | 'sent'
}

export class Room<T = unknown> {
  readonly name: string
  readonly #core: Core
  readonly #outboxes: Outboxes
  readonly #subscriber: Subscriber<T>

  /** Made by `client.room`. */
  constructor(core: Core, outboxes: Outboxes, name: string, options: RoomOptions) {
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

  /** Resolves when the value is in the log. It is sent over all reconnects, and with a store over reloads too. */
  publish(value: T, options: PublishOptions = {}): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const { signal, kind = 0, refers = null } = options
      if (signal?.aborted) throw signal.reason
      if (this.#core.closed !== undefined) throw this.#core.closed
      const { format, payload } = encodeValue(value)
      const publishing = this.#outboxes.of(this.name)
      this.#check(publishing, payload, kind)
      const entry = publishing.outbox.push({ kind, format, flags: 0, refers, payload }, (outcome) => {
        signal?.removeEventListener('abort', abort)
        settle(publishing, entry, outcome, resolve, reject)
      })
      const abort = () => {
        publishing.outbox.withdraw(entry)
        this.#outboxes.changed.set(undefined)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#outboxes.changed.set(undefined)
      void publishing.start()
    })
  }

  /**
   * Tells those who read the room now, and nobody later: who is typing, where a cursor is. The newest value of a slot
   * counts; it may be lost, and a server may not offer it. `false` if the room is not joined at the moment.
   */
  sendEphemeral(value: unknown, options: { slot?: number } = {}): boolean {
    const { slot = 0 } = options
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

  #check({ outbox }: Publishing, payload: Uint8Array, kind: number): void {
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
  { producer }: Publishing,
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
