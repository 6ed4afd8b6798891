// Keeps a session open: connects, greets, and after an end waits and connects again. Where a session is to be left
// for a better one, that is opened first.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { questions } from './demand.ts'
import { LoquicError, toError } from './error.ts'
import { SESSION_LASTING_MS } from './limits.ts'
import type { Dial } from './link.ts'
import { type End, Session } from './session.ts'
import { sleep, Wake } from './sync.ts'
import type { TokenReason } from './token.ts'
import { Code } from './wire/code.ts'

const CLIENT = 'loquic-web/0.1.0'

/** Fresh tokens that are tried before a refusal is final. */
const REJECTED_MAX = 3

/** How long nothing must have come before a session ends without another one in its place. */
const SILENT_MS_MAX = 6_000

/** A session that takes the place of another one, and what happens to that. */
interface Next {
  session: Session
  leave: () => void
}

export class Supervisor {
  readonly #core: Core
  readonly #wake = new Wake()
  #generation = 0
  #previous: string | null = null
  /** Attempts since a session that lasted. */
  #attempt = 0
  /** Failed attempts to overtake this session. */
  #overtakes = 0
  /** Tokens refused in a row. */
  #rejected = 0
  #reason: TokenReason = 'connect'
  #paused = false
  /** The next wait is none. */
  #hurry = false
  #attempting: AbortController | undefined

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
    this.#attempting?.abort()
    this.#wake.wake()
    this.#session()?.sayGoodbye()
    this.#session()?.link.close()
  }

  /** Also called for pages that were never put away. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#skipWait()
  }

  /**
   * The network may be another one: tries at once instead of at the end of the wait, and asks whether it still is
   * there.
   */
  hurry(): void {
    this.#session()?.probe()
    if (this.#core.state.value.type !== 'online') this.#skipWait()
  }

  /** Leaves the session there is, and opens the next one at once. */
  reconnect(): void {
    this.#skipWait()
    const session = this.#session()
    session?.sayGoodbye()
    session?.end(new LoquicError('disconnected', 'it was closed'))
  }

  #skipWait(): void {
    this.#hurry = true
    this.#attempting?.abort()
    this.#wake.wake()
  }

  #session(): Session | undefined {
    return this.#core.closed === undefined ? this.#core.session() : undefined
  }

  /** One session, and those that take its place without a break. */
  async #attend(): Promise<End> {
    this.#attempting = new AbortController()
    let session: Session
    try {
      session = await this.#connect({ signal: AbortSignal.any([this.#attempting.signal, this.#core.closing]) })
    } catch (failure) {
      const error = toError(failure)
      return { error, delayMs: error.retryAfterMs ?? 0 }
    } finally {
      this.#attempting = undefined
    }
    for (;;) {
      if (this.#core.closed !== undefined || this.#paused) {
        session.link.close()
        return { error: this.#core.closed ?? new LoquicError('disconnected', 'the page is hidden away'), delayMs: 0 }
      }
      const start = performance.now()
      this.#adopt(session)
      const next = await this.#follow(session)
      if (performance.now() - start >= SESSION_LASTING_MS) this.#attempt = 0
      if (!('session' in next)) {
        this.#core.setSession(undefined)
        return next
      }
      session = next.session
      queueMicrotask(next.leave)
    }
  }

  /** From here on everything new is begun in this session. */
  #adopt(session: Session): void {
    const { session: id, node, principal, limits } = session.welcome
    const { transport, why } = session.link
    const last = this.#core.principal
    if (last !== undefined && (last.user !== principal.user || last.tenant !== principal.tenant)) {
      this.#core.known.forgetMarks()
    }
    this.#core.principal = principal
    this.#core.offersMarks = true
    this.#core.payloadBytesMax = limits.payload_bytes_max
    this.#core.state.set({ type: 'online', session: id, node, principal, transport, why })
    session.events = {
      handleMarked: (room, offset) => this.#core.known.handleMark(room, offset),
      handleExpiring: () => void this.#refresh(session).catch(() => {}),
      handleRtt: (ms) => {
        if (this.#session() === session) this.#core.setRtt(ms)
      },
    }
    this.#overtakes = 0
    this.#core.setSession(session)
  }

  async #follow(session: Session): Promise<Next | End> {
    const attempt = new AbortController()
    const signal = AbortSignal.any([attempt.signal, this.#core.closing])
    try {
      return await Promise.race([session.run(), this.#replace(session, signal)])
    } finally {
      attempt.abort()
    }
  }

  /** Opens another session as soon as there is a reason to. Never resolves if there is none. */
  async #replace(session: Session, signal: AbortSignal): Promise<Next> {
    const wake = new Wake()
    const stops = [session.silent, session.leaving].map((state) => state.subscribe(() => wake.wake()))
    signal.addEventListener('abort', () => wake.wake())
    let next: Next | undefined
    while (next === undefined && !signal.aborted) {
      wake.reset()
      if (session.silent.value) next = await this.#overtake(session, signal)
      else if (session.nodes !== undefined && session.nodes.length > 0) {
        next = await this.#move(session, session.nodes, signal)
        if (next === undefined) break
      } else await wake.wait()
    }
    for (const stop of stops) stop()
    // The session's own end is what the caller waits for now.
    return next ?? new Promise<never>(() => {})
  }

  /** The server is silent here: tries beside it, another transport first, until it answers again or gives up. */
  async #overtake(session: Session, signal: AbortSignal): Promise<Next | undefined> {
    const back = new AbortController()
    signal.addEventListener('abort', () => back.abort(), { once: true })
    const stop = session.silent.subscribe((silent) => {
      if (!silent) back.abort()
    })
    const silence = new LoquicError('timed_out', 'the server is silent')
    const avoid = session.link.transport
    this.#core.log('session: silent', { transport: avoid })
    try {
      const next = await this.#connect({ signal: AbortSignal.any([signal, back.signal]), avoid })
      if (!signal.aborted && !back.signal.aborted) return { session: next, leave: () => session.end(silence) }
      next.link.close()
    } catch (failure) {
      const error = toError(failure)
      this.#core.log('session: no other connection', { error: error.message })
      if (back.signal.aborted || signal.aborted) return undefined
      // It may be only a moment without a network: the session is given up when it is certainly gone.
      if (error.kind === 'refused') session.end(error)
      else if (session.silentMs >= SILENT_MS_MAX) session.end(silence)
      else await sleep(delay(this.#core.backoff, this.#overtakes++, 0, Math.random()), back.signal).catch(() => {})
    } finally {
      stop()
    }
    return undefined
  }

  /** The server has named other nodes: opens a session there, and then leaves this one. */
  async #move(session: Session, nodes: readonly string[], signal: AbortSignal): Promise<Next | undefined> {
    for (const url of nodes) {
      try {
        const next = await this.#connect({ signal, url })
        if (!signal.aborted) return { session: next, leave: () => session.retire() }
        next.link.close()
      } catch (failure) {
        this.#core.log('session: no other node', { url, error: toError(failure).message })
      }
      if (signal.aborted) return undefined
    }
    session.retire()
    return undefined
  }

  async #connect(dial: Dial): Promise<Session> {
    const auth = await this.#core.identity.auth(this.#reason, dial.signal)
    dial.signal.throwIfAborted()
    const link = await this.#core.connect(dial)
    this.#core.log(`link: ${link.transport}`, { why: link.why })
    if (dial.signal.aborted) {
      link.close()
      dial.signal.throwIfAborted()
    }
    const hello = { versions: [1], auth, client: CLIENT, previous: this.#previous }
    const session = await Session.greet(link, hello, this.#generation + 1)
    this.#generation = session.generation
    this.#rejected = 0
    this.#hurry = false
    this.#reason = 'connect'
    this.#previous = session.welcome.session
    return session
  }

  /** The token of a session is about to expire. Whatever fails here, the next session begins with a new one. */
  async #refresh(session: Session): Promise<void> {
    if (!this.#core.offersRefresh) return
    const { refresh } = await questions.get(this.#core)
    await refresh(this.#core, session)
  }

  /** Whether another attempt makes no sense. */
  #isFinal(error: LoquicError): boolean {
    if (error.kind !== 'refused') return error.kind === 'invalid'
    if (error.code === Code.not_offered && !this.#core.offersRefresh) return false
    if (!error.is('reauthenticate')) return error.is('fix_request')
    this.#reason = error.code === Code.token_expired ? 'expired' : 'refused'
    return this.#core.identity.token === undefined || ++this.#rejected > REJECTED_MAX
  }

  async #wait(error: LoquicError, floorMs: number): Promise<void> {
    const isSignedOut = error.kind === 'signed_out'
    // Whoever signs in again begins anew.
    if (isSignedOut) [this.#reason, this.#rejected] = ['connect', 0]
    const delayMs = this.#hurry ? 0 : delay(this.#core.backoff, this.#attempt++, floorMs, Math.random())
    const until = performance.now() + delayMs
    if (isSignedOut) this.#core.state.set({ type: 'signed-out' })
    else if (delayMs > 0) this.#core.state.set({ type: 'waiting', error, delayMs })
    while (this.#core.closed === undefined && !this.#hurry) {
      this.#wake.reset()
      if (this.#paused && this.#core.state.value.type !== 'paused') this.#core.state.set({ type: 'paused' })
      const left = until - performance.now()
      const rests = this.#paused || isSignedOut
      if (!rests && left <= 0) break
      await this.#wake.wait(rests ? undefined : left)
    }
    this.#hurry = false
  }
}
