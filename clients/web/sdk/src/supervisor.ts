// Keeps a session open: connects, greets, and after an end waits and connects again.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { type LoquicError, toError } from './error.ts'
import { SESSION_LASTING_MS } from './limits.ts'
import { type End, Session } from './session.ts'
import { Wake } from './sync.ts'

const CLIENT = 'loquic-web/0.1.0'

/** Fresh tokens that are tried before a refusal is final. */
const REJECTED_MAX = 3

export class Supervisor {
  readonly #core: Core
  readonly #wake = new Wake()
  #generation = 0
  #previous: string | null = null
  /** Attempts since a session that lasted. */
  #attempt = 0
  /** Tokens refused in a row. */
  #rejected = 0
  #paused = false
  #hurry = false

  constructor(core: Core) {
    this.#core = core
    core.closing.addEventListener('abort', () => this.#wake.wake())
  }

  async run(): Promise<void> {
    while (this.#core.closed === undefined) {
      this.#core.state.set({ type: 'connecting' })
      const { error, delayMs } = await this.#attend()
      if (this.#core.closed !== undefined) return
      if (this.#isFinal(error)) return this.#core.close(error)
      await this.#wait(error, delayMs)
    }
  }

  /** Ends the session until `resume`: a page that is put away must not hold a connection that nobody serves. */
  pause(): void {
    this.#paused = true
    this.#session()?.sayGoodbye()
    this.#session()?.link.close()
  }

  resume(): void {
    this.#paused = false
    this.hurry()
  }

  /** Something has changed for the better: tries at once instead of at the end of the wait. */
  hurry(): void {
    this.#hurry = true
    this.#wake.wake()
  }

  #session(): Session | undefined {
    return this.#core.closed === undefined ? this.#core.session() : undefined
  }

  /** One session, from the attempt to connect to its end. */
  async #attend(): Promise<End> {
    let session: Session
    try {
      session = await this.#connect()
    } catch (failure) {
      const error = toError(failure)
      return { error, delayMs: error.retryAfterMs ?? 0 }
    }
    if (this.#core.closed !== undefined) {
      session.link.close()
      return { error: this.#core.closed, delayMs: 0 }
    }
    const start = performance.now()
    const { session: id, node, principal, limits } = session.welcome
    this.#core.payloadBytesMax = limits.payload_bytes_max
    const { transport, why } = session.link
    this.#core.state.set({ type: 'online', session: id, node, principal, transport, why })
    this.#core.setSession(session)
    const end = await session.run()
    this.#core.setSession(undefined)
    if (performance.now() - start >= SESSION_LASTING_MS) this.#attempt = 0
    return end
  }

  async #connect(): Promise<Session> {
    const auth = await this.#core.identity.auth()
    const link = await this.#core.connect({ signal: this.#core.closing })
    const hello = { versions: [1], auth, client: CLIENT, previous: this.#previous }
    const session = await Session.greet(link, hello, this.#generation + 1)
    this.#generation = session.generation
    this.#rejected = 0
    this.#previous = session.welcome.session
    return session
  }

  /** Whether another attempt makes no sense. */
  #isFinal(error: LoquicError): boolean {
    if (error.kind !== 'refused') return error.kind === 'invalid'
    if (!error.is('reauthenticate')) return error.is('fix_request')
    return !this.#core.identity.isFreshEachTime || ++this.#rejected > REJECTED_MAX
  }

  async #wait(error: LoquicError, floorMs: number): Promise<void> {
    const delayMs = delay(this.#core.backoff, this.#attempt++, floorMs, Math.random())
    const until = performance.now() + delayMs
    this.#hurry = false
    this.#core.state.set(this.#paused ? { type: 'paused' } : { type: 'waiting', error, delayMs })
    while (this.#core.closed === undefined) {
      this.#wake.reset()
      const left = until - performance.now()
      if (!this.#paused && (left <= 0 || this.#hurry)) return
      await this.#wake.wait(this.#paused ? undefined : left)
    }
  }
}
