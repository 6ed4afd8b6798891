// One room, for the application.

import type { Core } from './core.ts'
import { questions } from './demand.ts'
import { invalid, LoquicError, refused } from './error.ts'
import { decodeValue, encodeValue, Kind, type RoomEvent, type RoomEventType } from './event.ts'
import type { HistoryOptions, HistoryPage } from './history.ts'
import { unread } from './known.ts'
import { OUTBOX_BYTES_MAX, OUTBOX_COUNT_MAX } from './limits.ts'
import type { Marker } from './marker.ts'
import type { MembersOptions, MembersPage } from './members.ts'
import type { Entry, Outcome } from './outbox.ts'
import type { Outboxes } from './outboxes.ts'
import type { Presence } from './presence.ts'
import type { Publisher } from './publisher.ts'
import { type Ack, type PublishOptions, type Publishing, publishing, type Unacknowledged } from './publishing.ts'
import { needsCheck, type StandardSchemaV1 } from './schema.ts'
import { type RoomState, Subscriber } from './subscriber.ts'
import { deferred, onAbort } from './sync.ts'
import { Code } from './wire/code.ts'
import { encodeDatagram } from './wire/frame.ts'
import type { From, Mode, PresenceWanted } from './wire/join.ts'
import { DATAGRAM_BYTES_MAX } from './wire/limits.ts'
import type { Position } from './wire/position.ts'
import type { Format, Publish } from './wire/record.ts'

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

/** A room, of values `T`: to publish into, to read from, and to ask. Made by `client.room`. */
export class Room<T = unknown> {
  readonly name: string
  readonly #core: Core
  readonly #outboxes: Outboxes
  readonly #options: RoomOptions<T>
  readonly #subscriber: Subscriber<T>
  /** Made with the first mark. */
  #marker: Promise<Marker> | undefined
  readonly #listeners = new Map<RoomEventType, Set<(event: RoomEvent<T>) => void>>()
  #pump: AsyncIterableIterator<RoomEvent<T>> | undefined

  /** @internal Made by `client.room`. */
  constructor(core: Core, outboxes: Outboxes, name: string, options: RoomOptions<T>) {
    this.name = name
    this.#core = core
    this.#outboxes = outboxes
    this.#options = options
    this.#subscriber = new Subscriber<T>(core, name, options)
    this.#subscriber.state.subscribe(({ type }) => {
      if (type === 'joined') this.#marker?.then((marker) => marker.say()).catch(() => {})
    })
  }

  /**
   * What happens in the room, in order. The room is joined while at least one of these is being read, over all
   * reconnects; the slowest reader holds the server back. What one reader was given does not come to a later one.
   */
  events(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<RoomEvent<T>> {
    const inbox = this.#subscriber.read()
    onAbort(options.signal, () => void inbox.return())
    return inbox
  }

  /**
   * Publishes. The result is a promise of the answer: it resolves when the value is in the log, and is sent over all
   * reconnects, with a store over reloads too. A full outbox rejects at once, and nothing is ever dropped.
   */
  publish(value: T, options: PublishOptions = {}): Publishing {
    const { signal, kind = Kind.message, refers = null } = options
    try {
      return this.#push({ ...this.#encode(value, options), kind, flags: 0, refers }, signal)
    } catch (error) {
      return rejected(error)
    }
  }

  /** Publishes all of these, in order. If the outbox cannot hold them all, none is taken and all are rejected. */
  publishBatch(values: readonly T[], options: PublishOptions = {}): Publishing[] {
    let problem: unknown
    try {
      const payloads = values.map((value) => this.#encode(value, options).payload)
      this.#checkSpace(payloads)
    } catch (error) {
      problem = error
    }
    return values.map((value) => (problem === undefined ? this.publish(value, options) : rejected(problem)))
  }

  /**
   * Removes the content of one's own message. Its offset stays; others get a record of kind 2 that refers to it, and
   * the message without its value from then on.
   */
  deleteMessage(offset: number, { signal }: { signal?: AbortSignal } = {}): Publishing {
    const payload = new Uint8Array(0)
    return this.#push({ kind: Kind.delete, format: 'bytes', flags: 0, refers: offset, payload }, signal)
  }

  /** Calls `listener` for each event of this type, and joins the room for it; the result ends that. */
  on<K extends RoomEventType>(type: K, listener: (event: Extract<RoomEvent<T>, { type: K }>) => void): () => void {
    // Only events of this type are put into this set.
    const call = listener as (event: RoomEvent<T>) => void
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(call))
    if (this.#pump === undefined) void this.#dispatch()
    return () => {
      listeners.delete(call)
      if ([...this.#listeners.values()].every(({ size }) => size === 0)) void this.#pump?.return?.()
    }
  }

  /** A page of the log. It is asked for again in the next session until it is there, or `signal` gives it up. */
  async history(options: HistoryOptions = {}): Promise<HistoryPage<T>> {
    const { readPage } = await questions.get(this.#core, options.signal)
    const { next: _, ...page } = await readPage(this.#core, this.name, this.#options.schema, options)
    return page
  }

  /** One page after the other: backward from `before` or the head, forward from `after` or `at`. */
  async *historyPages(options: HistoryOptions = {}): AsyncIterableIterator<HistoryPage<T>> {
    const { readPages } = await questions.get(this.#core, options.signal)
    yield* readPages(this.#core, this.name, this.#options.schema, options)
  }

  /** A page of who is there, whether the room is joined or not. */
  async members(options: MembersOptions = {}): Promise<MembersPage> {
    const { readMembers } = await questions.get(this.#core, options.signal)
    return readMembers(this.#core, this.name, options)
  }

  /**
   * The user has read up to here. Marks only move forward, and all of the user's sessions are told. The promise need
   * not be looked at; it rejects with code `not_offered` once it is known that the server keeps no marks.
   */
  markRead(offset: number): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw invalid(`${offset} is not an offset`)
    this.#core.known.handleMark(this.name, offset)
    this.#marker ??= this.#makeMarker()
    const said = this.#marker.then((marker) => marker.mark(offset))
    said.catch(() => {})
    return said
  }

  async #makeMarker(): Promise<Marker> {
    try {
      const { Marker } = await questions.get(this.#core)
      return new Marker(this.#core, this.name, this.#subscriber)
    } catch (error) {
      this.#marker = undefined
      throw error
    }
  }

  /** The newest offset that is known of; `undefined` before the first is. */
  get head(): number | undefined {
    const facts = this.#core.known.of(this.name)
    return facts === undefined || facts.epoch === 0 ? undefined : facts.head
  }

  /** How many records are behind the last one that was taken, as far as the head is known. */
  get lag(): number | undefined {
    const { head } = this
    const { taken } = this.#subscriber
    return head === undefined || taken === undefined ? undefined : Math.max(0, head - taken)
  }

  /** How far the user has read: `null` if they never have or nobody keeps it, `undefined` until it is known. */
  get mark(): number | null | undefined {
    if (!this.#core.offersMarks) return null
    return this.#core.known.of(this.name)?.mark
  }

  /** How many records are behind the user's read mark; `undefined` until mark and head are known. */
  get unread(): number | undefined {
    return this.#core.offersMarks ? unread(this.#core.known.of(this.name)) : undefined
  }

  /** Who is there, if `presence` was asked for and the room is joined. */
  get presence(): Presence | undefined {
    return this.#subscriber.roster.presence
  }

  /** Ends all reading of this room. It can be read again. */
  close(): void {
    for (const listeners of this.#listeners.values()) listeners.clear()
    this.#subscriber.close()
  }

  /** One reader for all listeners, as long as there are some. */
  async #dispatch(): Promise<void> {
    const pump = this.events()
    this.#pump = pump
    try {
      for await (const event of pump) {
        for (const listener of [...(this.#listeners.get(event.type) ?? [])]) listener(event)
      }
    } catch (error) {
      // The room's state says it; an error of a listener is the application's, and ends nothing else.
      if (error instanceof LoquicError) return
      queueMicrotask(() => {
        throw error
      })
    } finally {
      if (this.#pump === pump) this.#pump = undefined
    }
  }

  /** The value as what is sent; throws what is wrong with it. */
  #encode(value: T, options: PublishOptions): { format: Format; payload: Uint8Array } {
    const { kind = Kind.message } = options
    if (!Number.isInteger(kind) || kind < 0 || kind > 255) throw invalid(`${kind} is not a kind of record`)
    const { schema } = this.#options
    if (needsCheck(schema, { value, kind, redacted: false })) {
      const result = schema['~standard'].validate(value)
      if (!(result instanceof Promise) && result.issues !== undefined) {
        const issues = result.issues.map(({ message }) => message).join('; ')
        throw invalid(`the value is not of the room's schema: ${issues}`)
      }
    }
    const encoded = encodeValue(value, options.format ?? this.#options.format)
    const { length } = encoded.payload
    const max = this.#core.payloadBytesMax
    if (length <= max) return encoded
    throw invalid(`the value has ${length} bytes, the server takes at most ${max}`, Code.payload_too_large)
  }

  #checkSpace(payloads: Uint8Array[]): void {
    const { outbox } = this.#outboxes.of(this.name)
    const bytes = payloads.reduce((sum, { length }) => sum + length, outbox.bytes)
    if (outbox.count + payloads.length <= OUTBOX_COUNT_MAX && bytes <= OUTBOX_BYTES_MAX) return
    throw new LoquicError('outbox_full', 'too much is waiting for its answer', Code.overloaded)
  }

  /** Into the outbox, and on its way. */
  #push(message: Omit<Publish, 'id'>, signal: AbortSignal | undefined): Publishing {
    try {
      signal?.throwIfAborted()
      if (this.#core.closed !== undefined) throw this.#core.closed
      this.#checkSpace([message.payload])
      return this.#enqueue(message, signal)
    } catch (error) {
      return rejected(error)
    }
  }

  #enqueue(message: Omit<Publish, 'id'>, signal: AbortSignal | undefined): Publishing {
    const publisher = this.#outboxes.of(this.name)
    const { promise, resolve, reject } = deferred<Ack>()
    let unlisten = () => {}
    const entry = publisher.outbox.push(message, (outcome) => {
      unlisten()
      this.#settle(publisher, entry, outcome, resolve, reject)
    })
    unlisten = onAbort(signal, () => {
      publisher.outbox.withdraw(entry)
      this.#outboxes.changed.set(undefined)
      reject(signal?.reason)
    })
    this.#outboxes.changed.set(undefined)
    void publisher.start()
    return publishing(promise, Promise.resolve(entry.stored), `${publisher.producer}/${entry.seq}`)
  }

  #settle(
    { producer }: Publisher,
    { id }: Entry,
    outcome: Outcome,
    resolve: (ack: Ack) => void,
    reject: (error: LoquicError) => void,
  ): void {
    if ('error' in outcome) return reject(outcome.error)
    if ('code' in outcome) return reject(refused(outcome.code))
    const { position, time, duplicate } = outcome.receipt
    if (duplicate === 'no') this.#core.known.handleHead(this.name, position.epoch, position.offset)
    resolve({ position, offset: position.offset, time, duplicate, producer: producer.slice(0, TAG_LENGTH), id })
  }

  /**
   * Tells those who read the room now, and nobody later: who is typing, where a cursor is. The newest value of a slot
   * (0 to 255) counts. It may be lost. `false` if the room is not joined at the moment.
   */
  sendEphemeral(slot: number, value: unknown): boolean {
    if (!Number.isInteger(slot) || slot < 0 || slot > 255) throw invalid(`${slot} is not a slot`)
    const { payload } = encodeValue(value, 'json')
    const { handle } = this.#subscriber
    const session = this.#core.session()
    if (handle === undefined || session === undefined) return false
    const stamp = this.#subscriber.ephemerals.stamp(slot, Date.now())
    const ephemeral = { handle, sender: NOBODY, slot, stamp, payload }
    const datagram = encodeDatagram(ephemeral)
    if (datagram.length > DATAGRAM_BYTES_MAX) {
      const size = `an ephemeral has ${datagram.length} bytes, its maximum is ${DATAGRAM_BYTES_MAX}`
      throw invalid(size, Code.payload_too_large)
    }
    if (datagram.length > session.link.datagramBytesMax) return this.#subscriber.send('Ephemeral', ephemeral)
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

  /** Where it is: the same object until something changes. */
  get state(): RoomState {
    return this.#subscriber.state.value
  }

  /** Behind everything that was handed out; `undefined` before the first. */
  get position(): Position | undefined {
    return this.#subscriber.position
  }

  /** Calls `listener` when anything that this room's properties say may have changed; the result ends that. */
  subscribe(listener: () => void): () => void {
    const ifThis = (room: string) => {
      if (room === this.name) listener()
    }
    const stops = [
      this.#subscriber.state.subscribe(listener),
      this.#subscriber.taking.subscribe(listener),
      this.#outboxes.changed.subscribe(listener),
      this.#core.known.changed.subscribe(ifThis),
    ]
    return () => stops.forEach((stop) => stop())
  }
}

function rejected(error: unknown): Publishing {
  const never = Promise.reject<Ack>(error)
  return publishing(never, never.then(() => {}), '')
}

/** A record carries the first 4 bytes of its producer, in hexadecimal. */
const TAG_LENGTH = 8

/** Zeros; the server fills in who it is. */
const NOBODY = '00'.repeat(16)
