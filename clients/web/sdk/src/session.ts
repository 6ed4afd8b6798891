// One session: the greeting, and the control stream for as long as it lasts.

import { disconnected, LoquicError, protocol, refused, toError } from './error.ts'
import { ANSWER_MS_MAX, CREDIT_BYTES_SUM, WATCHES_MAX } from './limits.ts'
import type { Link } from './link.ts'
import { Liveness } from './liveness.ts'
import { ended, FrameStream } from './stream.ts'
import { CREDIT_WINDOW_MIN } from './subscription.ts'
import { type Deferred, deferred, Places, State, Wake, within } from './sync.ts'
import { Code } from './wire/code.ts'
import type { Goaway, Hello, Welcome } from './wire/control.ts'
import { type Body, decodeDatagram, type Frame, type FrameName } from './wire/frame.ts'
import type { Ephemeral } from './wire/join.ts'

/** How a session ended, and what the server asked for the next one. */
export interface End {
  error: LoquicError
  delayMs: number
}

/** What a session tells whoever has opened it. */
export interface SessionEvents {
  handleMarked(room: string, offset: number): void
  handleExpiring(at: number): void
  handleRtt(ms: number): void
}

/** The status of a room, as `Peeked` has it. */
export type Peeked = Body<'Peeked'>['rooms'][number]

export class Session {
  readonly link: Link
  readonly welcome: Welcome
  /** Counts the sessions of a client. */
  readonly generation: number
  readonly rooms: Places
  readonly watches: Places
  readonly reads: Places
  readonly publishes: Places
  /** The most that one room's window of credit may be. */
  readonly creditShare: number
  /** The server has asked to go: nothing new is begun here. */
  readonly leaving = new State(false)
  /** Answers are due and nothing comes: another connection is needed, unless something comes after all. */
  readonly silent = new State(false)
  /** Streams look here before they blame the server for an end. */
  readonly over = new State(false)
  /** Who takes the ephemerals of a room, by the server's number for it. */
  readonly handles = new Map<number, Set<(ephemeral: Ephemeral) => void>>()
  events: SessionEvents | undefined
  readonly #control: FrameStream
  readonly #liveness: Liveness
  readonly #wake = new Wake()
  readonly #awaiting = new Set<object>()
  #heardAt = performance.now()
  readonly #peeks: Deferred<Peeked[]>[] = []
  #refresh: Deferred<void> | undefined
  #end: End | undefined
  #goaway: Goaway | undefined
  #leaveAt: number | undefined
  #isRetired = false

  private constructor(link: Link, control: FrameStream, welcome: Welcome, generation: number, rttMs: number) {
    this.link = link
    this.#control = control
    this.welcome = welcome
    this.generation = generation
    const { rooms_max, reads_max, publish_max } = welcome.limits
    this.creditShare = Math.max(CREDIT_BYTES_SUM / Math.max(rooms_max, 1), CREDIT_WINDOW_MIN)
    this.rooms = new Places(Math.max(1, Math.min(rooms_max, Math.floor(CREDIT_BYTES_SUM / this.creditShare))))
    this.watches = new Places(WATCHES_MAX)
    this.reads = new Places(Math.max(reads_max, 1))
    this.publishes = new Places(Math.max(publish_max, 1))
    this.publishes.waiting.subscribe(() => this.#wake.wake())
    this.#liveness = new Liveness(welcome.ping_interval, rttMs, performance.now())
    link.onBytes = () => this.#handleBytes()
    link.onDatagram = (bytes) => this.#handleDatagram(bytes)
  }

  /** Says hello and waits for the answer. */
  static async greet(link: Link, hello: Hello, generation: number): Promise<Session> {
    const start = performance.now()
    const greeting = async () => {
      const control = await FrameStream.open(link, 'Hello', hello)
      const frame = await control.next()
      if (frame === undefined) throw ended('the control')
      if (frame.name !== 'Welcome') throw endOf(frame) ?? protocol(`${frame.name} in place of Welcome`)
      return new Session(link, control, frame.body, generation, performance.now() - start)
    }
    try {
      return await within(ANSWER_MS_MAX, greeting(), () => new LoquicError('timed_out', 'no answer'))
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
      if (step.do === 'ping') this.#say('Ping', { token: step.token })
      else {
        if (step.do === 'give_up' && !this.silent.value) this.silent.set(true)
        await this.#wake.wait(Math.min(step.do === 'wait' ? step.ms : Number.POSITIVE_INFINITY, this.#leave()))
      }
    }
    this.over.set(true)
    this.link.close()
    for (const { reject } of this.#peeks.splice(0)) reject(ended('the control'))
    this.#refresh?.reject(this.#end.error)
    return this.#end
  }

  /** What is known of these rooms. Answers come in the order of the questions. */
  async peek(rooms: string[]): Promise<Peeked[]> {
    const answer = deferred<Peeked[]>()
    this.#say('Peek', { rooms })
    this.#peeks.push(answer)
    return answer.promise
  }

  /** Shows a new token; resolves when the server has taken it, rejects when the session ends before. */
  async refresh(token: string): Promise<void> {
    const answer = deferred<void>()
    this.#say('Refresh', { token })
    this.#refresh = answer
    return answer.promise
  }

  /** Something hints that the connection is gone: finds out at once. */
  probe(): void {
    this.#liveness.probe(performance.now())
    this.#wake.wake()
  }

  /** `who` has sent something that is answered soon: until then silence is suspicious. */
  await(who: object): void {
    this.#awaiting.add(who)
    this.#liveness.await(performance.now())
    this.#wake.wake()
  }

  /** `who` has its answer. */
  settle(who: object): void {
    this.#awaiting.delete(who)
    if (this.#awaiting.size === 0) this.#liveness.settle()
  }

  /** How long nothing has come. */
  get silentMs(): number {
    return performance.now() - this.#heardAt
  }

  /** Where the server wants its clients to go; `undefined` unless it has asked. */
  get nodes(): readonly string[] | undefined {
    return this.#goaway?.nodes
  }

  /** The next session is there, or none will be: this one ends when its publishes have their answers. */
  retire(): void {
    this.#isRetired = true
    this.leaving.set(true)
    this.#wake.wake()
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

  #say<N extends FrameName>(name: N, body: Body<N>): void {
    if (this.over.value) throw ended('the control')
    this.#control.write(name, body).catch((error) => this.end(error))
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const frame = await this.#control.next()
        if (frame === undefined) throw ended('the control')
        this.#handle(frame)
      }
    } catch (error) {
      this.end(error)
    }
  }

  #handle(frame: Frame): void {
    const error = endOf(frame)
    if (error !== undefined) throw error
    switch (frame.name) {
      case 'Pong': {
        const rtt = this.#liveness.handlePong(frame.body.token, performance.now())
        if (rtt !== undefined) this.events?.handleRtt(rtt)
        break
      }
      case 'Peeked': {
        const question = this.#peeks.shift()
        if (question === undefined) throw protocol('an answer too many')
        question.resolve(frame.body.rooms)
        break
      }
      case 'Marked':
        this.events?.handleMarked(frame.body.room, frame.body.offset)
        break
      case 'Expiring':
        this.events?.handleExpiring(frame.body.at)
        break
      case 'Refreshed':
        this.#refresh?.resolve()
        this.#refresh = undefined
        break
      case 'Goaway':
        if (this.#goaway !== undefined) break
        this.#goaway = frame.body
        this.#leaveAt = performance.now() + frame.body.deadline
        this.leaving.set(true)
        break
    }
    this.#wake.wake()
  }

  /**
   * Once it is time to go: leaves when all publishes have their answer. Where the server names other nodes, the next
   * session is opened first. Returns how long that may take.
   */
  #leave(): number {
    if (this.#goaway === undefined && !this.#isRetired) return Number.POSITIVE_INFINITY
    const goaway = this.#goaway
    this.#leaveAt ??= performance.now() + RETIRED_MS_MAX
    const left = this.#leaveAt - performance.now()
    const isWaiting = this.publishes.taken > 0 || (!this.#isRetired && (goaway?.nodes.length ?? 0) > 0)
    if (left > 0 && isWaiting) return left
    this.end(refused(Code.draining, '', goaway?.delay), goaway?.delay ?? 0)
    return 0
  }

  #handleBytes(): void {
    this.#heardAt = performance.now()
    this.#liveness.handleBytes(this.#heardAt)
    if (this.silent.value) this.silent.set(false)
  }

  #handleDatagram(bytes: Uint8Array): void {
    this.#handleBytes()
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

/** How long a session that was replaced may go on for the answers to its publishes. */
const RETIRED_MS_MAX = 10_000
