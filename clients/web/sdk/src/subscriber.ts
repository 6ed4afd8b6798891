// The task behind one room that is read: joins it in one session after the other and hands over what comes.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { LoquicError, refused, toError } from './error.ts'
import { Ephemerals } from './ephemerals.ts'
import { decodeValue, type RoomEvent } from './event.ts'
import { Inbox, type Volatile } from './inbox.ts'
import { CREDIT_BYTES_DEFAULT } from './limits.ts'
import { Roster } from './presence.ts'
import type { RoomOptions } from './room.ts'
import { check, needsCheck, type StandardSchemaV1 } from './schema.ts'
import type { Session } from './session.ts'
import { ended, FrameStream } from './stream.ts'
import { Credit, Subscription } from './subscription.ts'
import { pause, State, Wake } from './sync.ts'
import { Code } from './wire/code.ts'
import type { Body } from './wire/frame.ts'
import type { Ephemeral, WirePresence } from './wire/join.ts'
import type { Position } from './wire/position.ts'

/** Where a room is, by `type`. */
export type RoomState =
  /** Nobody reads it. */
  | { type: 'idle' }
  /** Waits for a session, for a place in it, or for the server. */
  | { type: 'joining' }
  | { type: 'joined'; epoch: number; head: number; floor: number }
  /** For good. */
  | { type: 'failed'; error: LoquicError }

export class Subscriber<T> {
  readonly state = new State<RoomState>({ type: 'idle' })
  readonly ephemerals = new Ephemerals()
  readonly roster: Roster
  /** Set when `taken` has changed. */
  readonly taking = new State(0)
  readonly #core: Core
  readonly #room: string
  readonly #schema: StandardSchemaV1<unknown, T> | undefined
  readonly #subscription: Subscription<T>
  readonly #inboxes = new Set<Inbox<T>>()
  readonly #wake = new Wake()
  #stream: FrameStream | undefined
  /** A record that is being looked at by an asynchronous schema: what comes next has to wait for it. */
  #checking: Promise<unknown> | undefined
  /** A mark was said on this stream: that the server knows none is no reason to stay out of the room. */
  #hasMarked = false
  #taken: number | undefined
  #mark: number | null | undefined
  #credit: Credit | undefined
  #running = false
  #attempt = 0

  constructor(core: Core, room: string, options: RoomOptions<T>) {
    const { from = { type: 'live' }, mode = 'all', presence = 'none', schema } = options
    this.#core = core
    this.#room = room
    this.#schema = schema
    this.roster = new Roster(presence)
    this.#subscription = new Subscription<T>(room, from, mode, presence)
    core.known.changed.subscribe((changed) => {
      if (changed === room) this.#handleKnown()
    })
  }

  /** The last offset that every reader has taken, or that reading began behind. */
  get taken(): number | undefined {
    return this.#taken
  }

  /** Writes on the join stream; `false` if the room is not joined at the moment. */
  send<N extends 'Mark' | 'Ephemeral'>(name: N, body: Body<N>): boolean {
    const stream = this.state.value.type === 'joined' ? this.#stream : undefined
    if (stream !== undefined && name === 'Mark') this.#hasMarked = true
    stream?.write(name, body).catch(() => {})
    return stream !== undefined
  }

  /** Ends all reading. */
  close(): void {
    for (const inbox of [...this.#inboxes]) void inbox.return()
  }

  get position(): Position | undefined {
    return this.#subscription.position
  }

  /** Begins to read. What other readers were given before does not come again. */
  read(): Inbox<T> {
    const inbox = new Inbox<T>(
      (item) => this.#handleTaken(item.bytes, item.offset),
      () => {
        this.#inboxes.delete(inbox)
        this.#wake.wake()
      },
    )
    if (this.state.value.type === 'failed') inbox.end(this.state.value.error)
    else this.#inboxes.add(inbox)
    if (!this.#running) void this.#run()
    return inbox
  }

  #set(state: RoomState): void {
    if (state.type === 'idle' || state.type === 'failed') this.roster.clear()
    if (state.type === 'joining' && this.state.value.type === 'joining') return
    const { type, ...details } = state
    this.#core.log(`room ${this.#room}: ${type}`, details)
    this.state.set(state)
  }

  async #run(): Promise<void> {
    this.#running = true
    const stop = this.#core.onChange(() => this.#wake.wake())
    try {
      await this.#work()
      this.#set({ type: 'idle' })
    } catch (failure) {
      const error = toError(failure)
      const quiet = error.kind === 'closed'
      this.#set(quiet ? { type: 'idle' } : { type: 'failed', error })
      for (const inbox of this.#inboxes) inbox.end(quiet ? undefined : error)
      this.#inboxes.clear()
    } finally {
      stop()
      this.#running = false
    }
  }

  /** Returns when nobody reads any more, throws why the room is left for good. */
  async #work(): Promise<void> {
    while (this.#inboxes.size > 0) {
      this.#wake.reset()
      const session = this.#core.session()
      if (session === undefined || session.leaving.value) {
        this.#set({ type: 'joining' })
        await this.#wake.wait()
        continue
      }
      try {
        await this.#attend(session)
      } catch (failure) {
        const error = toError(failure)
        session.endIfBroken(error)
        if (this.#hasMarked && error.code === Code.not_offered) this.#core.offersMarks = false
        else if (isFinal(error)) throw error
        if (!session.over.value) await this.#pause(session, error)
      }
    }
  }

  /** Stays in the room while somebody reads. */
  async #attend(session: Session): Promise<void> {
    this.#set({ type: 'joining' })
    const leave = await session.rooms.take()
    await this.#checking
    let stream: FrameStream | undefined
    const stopWatching = session.over.subscribe(() => this.#wake.wake())
    try {
      const credit = await this.#joinCredit(session)
      if (credit === undefined || session.over.value) return
      session.await(this)
      stream = await FrameStream.open(session.link, 'Join', this.#subscription.join(credit))
      this.#stream = stream
      this.#hasMarked = false
      await this.#follow(session, stream)
      stream.finish()
    } catch (error) {
      stream?.abort()
      throw error
    } finally {
      stopWatching()
      session.settle(this)
      this.#stream = undefined
      this.#detach(session)
      leave()
    }
  }

  async #follow(session: Session, stream: FrameStream): Promise<void> {
    let failure: unknown
    this.#receive(session, stream).catch((error) => {
      failure = error
      this.#wake.wake()
    })
    for (;;) {
      this.#wake.reset()
      if (failure !== undefined) throw failure
      if (this.#inboxes.size === 0 || this.#core.isSuperseded(session)) return
      if (session.over.value) throw ended('the join')
      const bytes = this.#credit?.grant() ?? 0
      if (bytes > 0) await stream.write('Credit', { bytes })
      else await this.#wake.wait()
    }
  }

  /** Reads for as long as the stream lasts; it never returns. */
  async #receive(session: Session, stream: FrameStream): Promise<never> {
    for (;;) {
      const frame = await stream.expect()
      // What still comes on a stream that was left comes again on the next one.
      if (this.#stream !== stream) throw ended('the join')
      if (frame.name === 'Left') throw refused(frame.body.code)
      if (frame.name === 'Ephemeral') {
        this.#handleEphemeral(frame.body)
        continue
      }
      if (frame.name === 'Presence') {
        this.#handlePresence(frame.body)
        continue
      }
      const events = this.#subscription.handle(frame)
      this.#handleHead(events)
      const checked = events.some((event) => event.type === 'record' && needsCheck(this.#schema, event.record))
      if (checked) await this.#check(events)
      this.#push(events, frame.name === 'Record' ? frame.size : 0)
      if (frame.name === 'Joined') this.#handleJoined(session, frame.body.handle)
      if (frame.name === 'CaughtUp') session.settle(this)
    }
  }

  #handleJoined(session: Session, handle: number): void {
    this.#attempt = 0
    const takers = session.handles.get(handle) ?? new Set()
    session.handles.set(handle, takers.add(this.#handleEphemeral))
    const { joined } = this.#subscription
    if (joined === undefined) return
    const { epoch, head, floor } = joined
    this.#taken ??= this.#subscription.position?.offset
    this.#core.known.handleHead(this.#room, epoch, head, floor)
    this.#set({ type: 'joined', epoch, head, floor })
    // How far the user has read comes with it; a server that does not know says none.
    session.peek([this.#room]).then(
      ([found]) => this.#core.known.handleMark(this.#room, found?.mark ?? null),
      () => {},
    )
  }

  #detach(session: Session): void {
    for (const takers of session.handles.values()) takers.delete(this.#handleEphemeral)
  }

  /** The room's number in this session, while it is joined. */
  get handle(): number | undefined {
    return this.state.value.type === 'joined' ? this.#subscription.joined?.handle : undefined
  }

  readonly #handleEphemeral = (ephemeral: Ephemeral): void => {
    if (!this.ephemerals.handle(ephemeral)) return
    const { sender, slot, payload } = ephemeral
    this.#tell({ type: 'ephemeral', sender, slot, value: decodeValue('json', payload) })
  }

  #handlePresence(frame: WirePresence): void {
    const changes = this.roster.handle(frame)
    const { presence } = this.roster
    if (presence === undefined) return
    this.#tell({ type: 'presence', presence, changes })
    this.state.set(this.state.value)
  }

  #handleKnown(): void {
    const mark = this.#core.known.of(this.#room)?.mark
    const isNews = typeof mark === 'number' && mark !== this.#mark
    this.#mark = mark
    if (isNews) this.#tell({ type: 'marked', offset: mark })
  }

  #tell(event: Volatile<T>): void {
    for (const inbox of [...this.#inboxes]) inbox.pushNewest(event)
  }

  #handleHead(events: RoomEvent<T>[]): void {
    const epoch = this.#subscription.joined?.epoch ?? 0
    for (const event of events) {
      if (event.type === 'record') this.#core.known.handleHead(this.#room, epoch, event.record.offset)
      if (event.type === 'caught-up' || event.type === 'reset') {
        this.#core.known.handleHead(this.#room, epoch, event.head)
      }
    }
  }

  /** Puts what the schema does not take in another event. */
  async #check(events: RoomEvent<T>[]): Promise<void> {
    const work = events.map(async (event, index) => {
      if (event.type !== 'record') return
      const issues = await check(this.#schema, event.record)
      if (issues !== undefined) events[index] = { type: 'invalid', record: event.record, issues }
    })
    this.#checking = Promise.all(work)
    await this.#checking
    this.#checking = undefined
  }

  #push(events: RoomEvent<T>[], bytes: number): void {
    this.#credit?.queue(bytes)
    if (events.length === 0 || this.#inboxes.size === 0) this.#handleTaken(bytes, undefined)
    events.forEach((event, index) => {
      // The record is the last of the events that its frame caused.
      const cost = index === events.length - 1 ? bytes : 0
      const item = { event, bytes: cost, offset: endOf(event), readers: this.#inboxes.size }
      for (const inbox of [...this.#inboxes]) inbox.push(item, item)
    })
  }

  #handleTaken(bytes: number, offset: number | undefined): void {
    if (offset !== undefined && offset !== this.#taken) {
      this.#taken = offset
      this.taking.set(offset)
    }
    if (bytes === 0) return
    this.#credit?.take(bytes)
    this.#wake.wake()
  }

  /** What to join with, as soon as the application has taken enough; `undefined` if there is no use any more. */
  async #joinCredit(session: Session): Promise<number | undefined> {
    this.#credit ??= new Credit(Math.min(CREDIT_BYTES_DEFAULT, session.creditShare))
    for (;;) {
      this.#wake.reset()
      if (session.over.value || this.#inboxes.size === 0) return undefined
      const credit = this.#credit.join()
      if (credit !== undefined) return credit
      await this.#wake.wait()
    }
  }

  async #pause(session: Session, error: LoquicError): Promise<void> {
    const ms = delay(this.#core.backoff, this.#attempt++, error.retryAfterMs ?? 0, Math.random())
    await pause(this.#wake, ms, () => session.over.value || this.#inboxes.size === 0)
  }
}

function isFinal(error: LoquicError): boolean {
  // One stream too many is a matter of time: the server has not yet seen the end of another one.
  if (error.kind === 'refused' && error.code === Code.too_many_streams) return false
  return error.kind === 'protocol' || error.kind === 'closed' || error.is('fix_request') || error.is('reauthenticate')
}

/** Where the log stands once this event is taken. */
function endOf<T>(event: RoomEvent<T>): number | undefined {
  switch (event.type) {
    case 'record':
    case 'invalid':
      return event.record.offset
    case 'gap':
      return event.to
    case 'reset':
      return event.validTo
    case 'caught-up':
      return event.head
    default:
      return undefined
  }
}
