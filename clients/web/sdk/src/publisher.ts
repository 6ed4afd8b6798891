// The task behind the publishes of one producer in one room: moves the outbox over one publish stream after the other.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { type LoquicError, refused, toError } from './error.ts'
import { STALLS_AT_ONCE, STREAM_IDLE_MS_MAX, WRITE_BYTES } from './limits.ts'
import { type Entry, Outbox, type Pause, type Shelf } from './outbox.ts'
import type { Session } from './session.ts'
import { ended, FrameStream } from './stream.ts'
import { pause, Wake } from './sync.ts'
import { action, Code, defaultDelay } from './wire/code.ts'
import type { Frame } from './wire/frame.ts'

/** Why work on a stream ended: nothing was left to do, or the session is to be left. */
type Stop = 'idle' | 'leaving'

export class Publisher {
  readonly room: string
  readonly producer: string
  readonly outbox: Outbox
  readonly #core: Core
  readonly #onChange: () => void
  /** What is adopted gets nothing more to send. */
  readonly #idleMs: number
  readonly #wake = new Wake()
  #failed: LoquicError | undefined
  #running: Promise<void> | undefined
  #attempt = 0
  /** An answer has come since the last look. */
  #answered = false
  /** When sending goes on after a `Nack`. */
  #resumeAt = 0

  constructor(
    core: Core,
    room: string,
    producer: string,
    shelf: Shelf,
    onChange: () => void,
    adopted?: Entry[],
  ) {
    this.#core = core
    this.room = room
    this.producer = producer
    this.outbox = new Outbox(shelf, adopted, () => this.#wake.wake())
    this.#idleMs = adopted === undefined ? STREAM_IDLE_MS_MAX : 0
    this.#onChange = onChange
  }

  /** For good: a newer page publishes under this producer. */
  get failed(): LoquicError | undefined {
    return this.#failed
  }

  /** There is something to send. Resolves when everything has its answer, or nothing more will come of it. */
  start(): Promise<void> {
    this.#wake.wake()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const stop = this.#core.onChange(() => this.#wake.wake())
    try {
      while (!this.outbox.isEmpty && this.#failed === undefined) {
        this.#wake.reset()
        const session = this.#core.session()
        if (session === undefined || session.leaving.value) await this.#wake.wait()
        else await this.#attend(session)
      }
    } catch (error) {
      // The client is closed. What is on the shelf stays there for the next page.
      this.#fail(toError(error), true)
    } finally {
      stop()
    }
  }

  #fail(error: LoquicError, keep: boolean): void {
    this.outbox.giveUp((entry) => entry.settle({ error }), keep)
    this.#onChange()
  }

  async #attend(session: Session): Promise<void> {
    const leave = await session.publishes.take()
    const wake = () => this.#wake.wake()
    const unwatch = [
      session.over.subscribe(wake),
      session.leaving.subscribe(wake),
      session.publishes.waiting.subscribe(wake),
    ]
    try {
      if (!session.over.value) await this.#stream(session)
    } catch (failure) {
      await this.#handleFailure(session, toError(failure))
    } finally {
      for (const stop of unwatch) stop()
      this.outbox.handleDisconnected()
      leave()
      this.#onChange()
    }
  }

  async #handleFailure(session: Session, error: LoquicError): Promise<void> {
    session.endIfBroken(error)
    if (error.code === Code.fenced) {
      // Whoever has fenced this producer has its shelf too.
      this.#failed = error
      return this.#fail(error, true)
    }
    if (session.over.value) return
    // One stream too many is a matter of time: the server has not yet seen the end of another one.
    if (error.kind === 'refused' && error.is('fix_request') && error.code !== Code.too_many_streams) {
      this.#fail(error, false)
    }
    const ms = delay(this.#core.backoff, this.#attempt++, error.retryAfterMs ?? 0, Math.random())
    await pause(this.#wake, ms, () => session.over.value)
  }

  async #stream(session: Session): Promise<Stop> {
    session.await(this)
    const stream = await FrameStream.open(session.link, 'Open', { room: this.room, producer: this.producer })
    try {
      const { last_id, in_flight_max } = await stream.answer('Opened')
      this.outbox.handleOpened(last_id, in_flight_max)
      this.#attempt = 0
      this.#resumeAt = 0
      return await this.#send(session, stream)
    } finally {
      session.settle(this)
      stream.finish()
    }
  }

  /** Both directions, until nothing is left to do. Only this loop writes. */
  async #send(session: Session, stream: FrameStream): Promise<Stop> {
    let failure: unknown
    this.#receive(stream).catch((error) => {
      failure = error
      this.#wake.wake()
    })
    let idleAt = Number.POSITIVE_INFINITY
    let doubtAt = Number.POSITIVE_INFINITY
    for (;;) {
      this.#wake.reset()
      if (failure !== undefined) throw failure
      if (session.over.value) throw ended('the publish')
      const now = performance.now()
      // Answers usually take no time: where they do not come, somebody should look at the connection.
      if (this.outbox.inFlight === 0) {
        session.settle(this)
        doubtAt = Number.POSITIVE_INFINITY
      } else if (doubtAt === Number.POSITIVE_INFINITY || this.#answered || now >= doubtAt) {
        session.await(this)
        doubtAt = now + DOUBT_MS
      }
      this.#answered = false
      const leaving = session.leaving.value
      const bytes = leaving || now < this.#resumeAt ? undefined : this.outbox.fill(WRITE_BYTES)
      if (bytes !== undefined) {
        idleAt = Number.POSITIVE_INFINITY
        this.#onChange()
        // A server that refuses stops reading, and says why on the other half.
        await stream.writeBytes(bytes).catch((error) => this.#refusal(error, () => failure))
        continue
      }
      if (this.outbox.inFlight === 0 && leaving) return 'leaving'
      if (this.outbox.isEmpty) {
        idleAt = Math.min(idleAt, now + this.#idleMs)
        if (now >= idleAt || session.publishes.waiting.value > 0) return 'idle'
      }
      const resumeAt = now < this.#resumeAt ? this.#resumeAt : Number.POSITIVE_INFINITY
      await this.#wake.wait(Math.min(idleAt, doubtAt, resumeAt) - now)
    }
  }

  async #refusal(error: unknown, reason: () => unknown): Promise<never> {
    this.#wake.reset()
    if (reason() === undefined) await this.#wake.wait(REASON_MS_MAX)
    throw reason() ?? error
  }

  async #receive(stream: FrameStream): Promise<never> {
    for (;;) {
      const frame = await stream.expect()
      const pause = this.#handle(frame)
      this.#answered = true
      if (pause !== undefined) this.#resumeAt = performance.now() + this.#delay(pause)
      this.#onChange()
      this.#wake.wake()
    }
  }

  #handle(frame: Frame): Pause | undefined {
    switch (frame.name) {
      case 'Ack':
        return this.outbox.handleAck(frame.body)
      case 'AckRun':
        return this.outbox.handleAckRun(frame.body)
      case 'Nack':
        if (frame.body.code === Code.fenced) throw refused(Code.fenced)
        return this.outbox.handleNack(frame.body)
      default:
        return undefined
    }
  }

  /** How long to wait after going back. What was decided about one publish is no reason to hold up the others. */
  #delay({ code, retryAfterMs, stalls }: Pause): number {
    const what = action(code)
    if ((what === 'retry_now' || what === 'fix_request') && stalls < STALLS_AT_ONCE) return retryAfterMs
    return delay(this.#core.backoff, stalls, retryAfterMs || defaultDelay(code), Math.random())
  }
}

/** A publish whose answer is late, although the server lives, is a reason to doubt again only after this. */
const DOUBT_MS = 1_000

/** How long the reason for a refusal may take behind the refusal. */
const REASON_MS_MAX = 1_000
