// The task behind one room that is read: joins it in one session after the other and hands over what comes.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { LoquicError, refused, toError } from './error.ts'
import { Ephemerals } from './ephemerals.ts'
import { decodeValue, type RoomEvent } from './event.ts'
import { Inbox } from './inbox.ts'
import { CREDIT_BYTES_DEFAULT } from './limits.ts'
import type { Session } from './session.ts'
import { ended, FrameStream } from './stream.ts'
import { Credit, Subscription } from './subscription.ts'
import { State, Wake } from './sync.ts'
import { Code } from './wire/code.ts'
import type { Ephemeral, From, Mode } from './wire/join.ts'
import type { Position } from './wire/position.ts'

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
  readonly #core: Core
  readonly #subscription: Subscription<T>
  readonly #inboxes = new Set<Inbox<T>>()
  readonly #wake = new Wake()
  #credit: Credit | undefined
  #running = false
  #attempt = 0

  constructor(core: Core, room: string, from: From, mode: Mode) {
    this.#core = core
    this.#subscription = new Subscription<T>(room, from, mode)
  }

  get position(): Position | undefined {
    return this.#subscription.position
  }

  /** Begins to read. What other readers were given before does not come again. */
  read(): Inbox<T> {
    const inbox = new Inbox<T>(
      (bytes) => this.#handleTaken(bytes),
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

  async #run(): Promise<void> {
    this.#running = true
    const stop = this.#core.onChange(() => this.#wake.wake())
    try {
      await this.#work()
      this.state.set({ type: 'idle' })
    } catch (failure) {
      const error = toError(failure)
      const quiet = error.kind === 'closed'
      if (!quiet) this.state.set({ type: 'failed', error })
      else this.state.set({ type: 'idle' })
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
      if (session === undefined) {
        this.state.set({ type: 'joining' })
        await this.#wake.wait()
        continue
      }
      try {
        await this.#attend(session)
      } catch (failure) {
        const error = toError(failure)
        session.endIfBroken(error)
        if (isFinal(error)) throw error
        if (!session.over.value) await this.#pause(session, error)
      }
    }
  }

  /** Stays in the room while somebody reads. */
  async #attend(session: Session): Promise<void> {
    this.state.set({ type: 'joining' })
    const leave = await session.rooms.take()
    let stream: FrameStream | undefined
    const stopWatching = session.over.subscribe(() => this.#wake.wake())
    try {
      const credit = await this.#joinCredit(session)
      if (credit === undefined || session.over.value) return
      stream = await FrameStream.open(session.link, 'Join', this.#subscription.join(credit))
      await this.#follow(session, stream)
      stream.finish()
    } catch (error) {
      stream?.abort()
      throw error
    } finally {
      stopWatching()
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
      if (this.#inboxes.size === 0) return
      if (session.over.value) throw ended('join')
      const bytes = this.#credit?.grant() ?? 0
      if (bytes > 0) await stream.write('Credit', { bytes })
      else await this.#wake.wait()
    }
  }

  /** Reads for as long as the stream lasts; it never returns. */
  async #receive(session: Session, stream: FrameStream): Promise<never> {
    for (;;) {
      const frame = await stream.next()
      if (frame === undefined) throw ended('join')
      if (frame.name === 'Refused') throw refused(frame.body.code, frame.body.message, frame.body.retry_after)
      if (frame.name === 'Left') throw refused(frame.body.code)
      if (frame.name === 'Ephemeral') {
        this.#handleEphemeral(frame.body)
        continue
      }
      const events = this.#subscription.handle(frame)
      this.#push(events, frame.name === 'Record' ? frame.size : 0)
      if (frame.name === 'Joined') this.#handleJoined(session, frame.body.handle)
    }
  }

  #handleJoined(session: Session, handle: number): void {
    this.#attempt = 0
    const takers = session.handles.get(handle) ?? new Set()
    session.handles.set(handle, takers.add(this.#handleEphemeral))
    const { joined } = this.#subscription
    if (joined !== undefined) this.state.set({ type: 'joined', ...joined })
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
    const event: RoomEvent<T> = { type: 'ephemeral', sender, slot, value: decodeValue('json', payload) }
    for (const inbox of this.#inboxes) inbox.pushEphemeral({ event, bytes: 0, readers: 1 })
  }

  #push(events: RoomEvent<T>[], bytes: number): void {
    this.#credit?.queue(bytes)
    if (events.length === 0 || this.#inboxes.size === 0) this.#handleTaken(bytes)
    events.forEach((event, index) => {
      // The record is the last of the events that its frame caused.
      const item = { event, bytes: index === events.length - 1 ? bytes : 0, readers: this.#inboxes.size }
      for (const inbox of [...this.#inboxes]) inbox.push(item)
    })
  }

  #handleTaken(bytes: number): void {
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
    const until = performance.now() + delay(this.#core.backoff, this.#attempt++, error.retryAfterMs ?? 0, Math.random())
    for (;;) {
      this.#wake.reset()
      const left = until - performance.now()
      if (left <= 0 || session.over.value || this.#inboxes.size === 0) return
      await this.#wake.wait(left)
    }
  }
}

function isFinal(error: LoquicError): boolean {
  // One stream too many is a matter of time: the server has not yet seen the end of another one.
  if (error.kind === 'refused' && error.code === Code.too_many_streams) return false
  return error.kind === 'protocol' || error.kind === 'closed' || error.is('fix_request') || error.is('reauthenticate')
}
