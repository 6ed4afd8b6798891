// One session: the greeting, and the control stream for as long as it lasts.

import { disconnected, LoquicError, protocol, refused, toError } from './error.ts'
import { ANSWER_MS_MAX, CREDIT_BYTES_SUM } from './limits.ts'
import type { Link } from './link.ts'
import { Liveness } from './liveness.ts'
import { ended, FrameStream } from './stream.ts'
import { CREDIT_WINDOW_MIN } from './subscription.ts'
import { Places, State, Wake, within } from './sync.ts'
import { Code } from './wire/code.ts'
import type { Goaway, Hello, Welcome } from './wire/control.ts'
import { decodeDatagram, type Frame } from './wire/frame.ts'
import type { Ephemeral } from './wire/join.ts'

/** How a session ended, and what the server asked for the next one. */
export interface End {
  error: LoquicError
  delayMs: number
}

export class Session {
  readonly link: Link
  readonly welcome: Welcome
  /** Counts the sessions of a client. */
  readonly generation: number
  readonly rooms: Places
  readonly publishes: Places
  /** The most that one room's window of credit may be. */
  readonly creditShare: number
  /** The server has asked to go: nothing new is published here. */
  readonly leaving = new State(false)
  /** Streams look here before they blame the server for an end. */
  readonly over = new State(false)
  /** Who takes the ephemerals of a room, by the server's number for it. */
  readonly handles = new Map<number, Set<(ephemeral: Ephemeral) => void>>()
  readonly #control: FrameStream
  readonly #liveness: Liveness
  readonly #wake = new Wake()
  #end: End | undefined
  #goaway: { goaway: Goaway; at: number } | undefined

  private constructor(link: Link, control: FrameStream, welcome: Welcome, generation: number) {
    this.link = link
    this.#control = control
    this.welcome = welcome
    this.generation = generation
    const { rooms_max, publish_max } = welcome.limits
    this.creditShare = Math.max(CREDIT_BYTES_SUM / Math.max(rooms_max, 1), CREDIT_WINDOW_MIN)
    this.rooms = new Places(Math.max(1, Math.min(rooms_max, Math.floor(CREDIT_BYTES_SUM / this.creditShare))))
    this.publishes = new Places(Math.max(publish_max, 1))
    this.publishes.waiting.subscribe(() => this.#wake.wake())
    this.#liveness = new Liveness(welcome.ping_interval, performance.now())
    link.onDatagram = (bytes) => this.#handleDatagram(bytes)
  }

  /** Says hello and waits for the answer. */
  static async greet(link: Link, hello: Hello, generation: number): Promise<Session> {
    const greeting = async () => {
      const control = await FrameStream.open(link, 'Hello', hello)
      const frame = await control.next()
      if (frame === undefined) throw disconnected('no answer to Hello')
      if (frame.name !== 'Welcome') throw endOf(frame) ?? protocol('the answer to Hello is not Welcome')
      return new Session(link, control, frame.body, generation)
    }
    try {
      return await within(ANSWER_MS_MAX, greeting(), () => new LoquicError('timed_out', 'the server does not answer'))
    } catch (error) {
      link.close()
      throw toError(error)
    }
  }

  /** Runs until the session is over, and closes the connection. */
  async run(): Promise<End> {
    void this.link.closed.then((reason) => this.end(disconnected(reason)))
    void this.#read()
    while (this.#end === undefined) {
      this.#wake.reset()
      const step = this.#liveness.poll(performance.now())
      if (step.do === 'give_up') this.end(new LoquicError('timed_out', 'the server is silent'))
      else if (step.do === 'ping') this.#control.write('Ping', { token: step.token }).catch((error) => this.end(error))
      else await this.#wake.wait(Math.min(step.ms, this.#leave()))
    }
    this.over.set(true)
    this.link.close()
    return this.#end
  }

  /** Ends the session; the first reason counts. */
  end(error: unknown, delayMs?: number): void {
    const reason = toError(error)
    this.#end ??= { error: reason, delayMs: delayMs ?? reason.retryAfterMs ?? 0 }
    this.#wake.wake()
  }

  /** A peer that breaks the protocol is not talked to any further; the next connection may go better. */
  endIfBroken(error: LoquicError): void {
    if (error.kind === 'protocol') this.end(error)
  }

  /** Says that the client goes. Waits for nothing. */
  sayGoodbye(): void {
    this.#control.finish()
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const frame = await this.#control.next()
        if (frame === undefined) throw ended('control')
        this.#handle(frame)
      }
    } catch (error) {
      this.end(error)
    }
  }

  #handle(frame: Frame): void {
    const error = endOf(frame)
    if (error !== undefined) throw error
    if (frame.name === 'Pong') this.#liveness.handlePong(performance.now())
    if (frame.name === 'Goaway' && this.#goaway === undefined) {
      this.#goaway = { goaway: frame.body, at: performance.now() + frame.body.deadline }
      this.leaving.set(true)
    }
    this.#wake.wake()
  }

  /** Once the server has asked to go: leaves when all publishes have their answer. Returns how long that may take. */
  #leave(): number {
    if (this.#goaway === undefined) return Number.POSITIVE_INFINITY
    const { goaway, at } = this.#goaway
    const left = at - performance.now()
    if (left > 0 && this.publishes.taken > 0) return left
    this.end(refused(Code.draining, '', goaway.delay), goaway.delay)
    return 0
  }

  #handleDatagram(bytes: Uint8Array): void {
    let ephemeral: Ephemeral
    try {
      ephemeral = decodeDatagram(bytes)
    } catch {
      return
    }
    for (const take of this.handles.get(ephemeral.handle) ?? []) take(ephemeral)
  }
}

function endOf(frame: Frame): LoquicError | undefined {
  if (frame.name === 'Closing') return refused(frame.body.code, frame.body.reason)
  if (frame.name === 'Refused') return refused(frame.body.code, frame.body.message, frame.body.retry_after)
  return undefined
}
