// What the tasks of one client share.

import type { Backoff } from './backoff.ts'
import { LoquicError } from './error.ts'
import { Known } from './known.ts'
import type { Connect } from './link.ts'
import type { Session } from './session.ts'
import { type ClientState, initialStatus, type Status, statusOf } from './status.ts'
import { State, unlessAborted } from './sync.ts'
import type { Identity } from './token.ts'
import type { Principal } from './wire/control.ts'
import { PAYLOAD_BYTES_MAX_HARD } from './wire/limits.ts'

/** Takes a line of the debug log. Never payloads, never tokens. */
export type Debug = (line: string, details?: Readonly<Record<string, unknown>>) => void

export class Core {
  readonly connect: Connect
  readonly identity: Identity
  readonly backoff: Backoff
  readonly log: Debug
  readonly state = new State<ClientState>({ type: 'connecting' })
  readonly status = new State<Status>(initialStatus())
  readonly known = new Known()
  /** What the last session said; the protocol's maximum before the first. */
  payloadBytesMax = PAYLOAD_BYTES_MAX_HARD
  /** The server keeps read marks, as far as it has not said otherwise in this session. */
  offersMarks = true
  /** The server takes new tokens inside a session, as far as it has not said otherwise. */
  offersRefresh = true
  /** Who the last session was. */
  principal: Principal | undefined
  #session: Session | undefined
  #closed: LoquicError | undefined
  readonly #ending = new AbortController()
  readonly #changed = new State<undefined>(undefined)

  constructor(connect: Connect, identity: Identity, backoff: Backoff, log: Debug) {
    this.connect = connect
    this.identity = identity
    this.backoff = backoff
    this.log = log
    this.state.subscribe((state) => {
      const { type, ...details } = state
      log(`client: ${type}`, details)
      this.status.set(statusOf(state, this.status.value))
    })
  }

  /** Aborted once the client is closed. */
  get closing(): AbortSignal {
    return this.#ending.signal
  }

  get closed(): LoquicError | undefined {
    return this.#closed
  }

  /** The session there is, if there is one. Throws once the client is closed. */
  session(): Session | undefined {
    if (this.#closed !== undefined) throw this.#closed
    return this.#session?.over.value ? undefined : this.#session
  }

  /** A session that new things may be begun in; rejects when the client is closed or `signal` aborts. */
  nextSession(signal?: AbortSignal): Promise<Session> {
    return unlessAborted(signal, (resolve, reject) => {
      const look = () => {
        try {
          const session = this.session()
          if (session !== undefined && !session.leaving.value) resolve(session)
        } catch (error) {
          reject(error)
        }
      }
      const stop = this.onChange(look)
      queueMicrotask(look)
      return stop
    })
  }

  setSession(session: Session | undefined): void {
    this.#session = session
    this.#changed.set(undefined)
  }

  /** Whether a stream of this session should move to a newer one. */
  isSuperseded(session: Session): boolean {
    return this.#session !== undefined && this.#session !== session && !this.#session.over.value
  }

  setRtt(rttMs: number): void {
    this.status.set({ ...this.status.value, rttMs })
  }

  /** Calls `listener` when `session` may give another answer; the result ends that. */
  onChange(listener: () => void): () => void {
    return this.#changed.subscribe(listener)
  }

  /** Ends everything, once. `error` is missing if it was asked for. */
  close(error?: LoquicError): void {
    if (this.#closed !== undefined) return
    this.#closed = error ?? new LoquicError('closed', 'the client is closed')
    this.#session?.sayGoodbye()
    this.#session?.end(this.#closed)
    this.#ending.abort(this.#closed)
    this.state.set({ type: 'closed', error })
    this.#changed.set(undefined)
  }
}
