// The client, for the application.

import { BACKOFF, type Backoff } from './backoff.ts'
import { Core, type Identity } from './core.ts'
import { invalid } from './error.ts'
import type { Connect } from './link.ts'
import { Outboxes } from './outboxes.ts'
import { Room, type RoomOptions } from './room.ts'
import type { ClientState, Status } from './status.ts'
import { browserStore, type Locks, type Storage } from './store.ts'
import { Supervisor } from './supervisor.ts'
import type { Watch, Watched } from './watch.ts'
import { webTransport } from './webtransport.ts'
import { Code } from './wire/code.ts'
import type { Principal } from './wire/control.ts'
import { checkRoom, checkUser } from './wire/name.ts'

export interface ClientOptions {
  /** Where the server's HTTP is: `/v1/info` there says the rest. */
  url: string
  /** Who one is, where nobody vouches for it. Servers must be told to accept this. */
  name?: string
  /** Which transports may be used; `auto` for all, the best first. Default: auto. */
  transports?: 'auto' | readonly ('webtransport' | 'websocket')[]
  /**
   * Who one is, by a token. Asked before each connection and before a token expires. `null` signs out: the client stays
   * away until `reconnect`. One of `name` and `getToken` is needed.
   */
  getToken?: GetToken
  /** Told what happens, line by line, without payloads and tokens; `true` for `console.debug`. */
  debug?: boolean | Debug
  /**
   * Where publishes without an answer are kept, so that a reload loses none. Default: the browser's local storage and
   * locks; `false` for nowhere.
   */
  store?: false | { storage: Storage; locks: Locks }
  backoff?: Partial<Backoff>
  /** In place of the network: the mock server of `@loquic/client/testing` has one. */
  connect?: Connect
}

/** Why a token is asked for. `refused`: the server did not take the last one. */
export type TokenReason = 'connect' | 'expiring' | 'expired' | 'refused'

/** Gets a token from wherever tokens are made. */
export type GetToken = (reason: TokenReason, options: { signal: AbortSignal }) => Promise<string | null>

/** Takes a line of the debug log. */
export type Debug = (line: string, details?: Readonly<Record<string, unknown>>) => void

/** How to close: whether to wait until everything published has its answer, at most so many milliseconds. */
export interface CloseOptions {
  drain?: boolean | number
}

/** What is known of a room without joining it. */
export interface RoomStatus {
  room: string
  epoch: number
  head: number
  floor: number
  /** How far the user has read; `null` if they never have. */
  mark: number | null
}

/** Connects, and stays connected until `close`. */
export function createClient(options: ClientOptions): Client {
  return new Client(options)
}

export class Client {
  readonly #core: Core
  readonly #outboxes: Outboxes
  readonly #unlisten: () => void

  /** Use `createClient`. */
  constructor(options: ClientOptions) {
    const { url, name, getToken, store } = options
    const connect = options.connect ?? webTransport(url)
    this.#core = new Core(connect, identity(name, getToken), { ...BACKOFF, ...options.backoff })
    this.#outboxes = new Outboxes(this.#core, url, store === false ? undefined : (store ?? browserStore()))
    // Anonymous users are all of one tenant, so whose outbox it is is known before the first session.
    if (name !== undefined) this.#outboxes.setOwner({ tenant: 'main', user: name })
    this.#core.state.subscribe((state) => {
      if (state.type === 'online') this.#outboxes.setOwner(state.principal)
    })
    const supervisor = new Supervisor(this.#core)
    this.#unlisten = listen(supervisor)
    void supervisor.run()
  }

  get state(): ClientState {
    return this.#core.state.value
  }

  /** Calls `listener` at each change of `state`; the result ends that. */
  subscribe(listener: (state: ClientState) => void): () => void {
    return this.#core.state.subscribe(listener)
  }

  /** A room; it is joined when its events are read. Throws if the name is not one. */
  room<T = unknown>(name: string, options: RoomOptions<T> = {}): Room<T> {
    const problem = checkRoom(name)
    if (problem !== undefined) throw invalid(problem, Code.bad_name)
    return new Room<T>(this.#core, this.#outboxes, name, options)
  }

  /** Who the last session was; `undefined` before the first. */
  get principal(): Principal | undefined {
    return undefined
  }

  /** What `status` gives last: the same object until something changes. */
  get currentStatus(): Status {
    throw new Error('not yet')
  }

  /** The status now and each time it changes; a slow reader gets the newest. */
  status(_options: { signal?: AbortSignal } = {}): AsyncIterableIterator<Status> {
    throw new Error('not yet')
  }

  /** Follows the heads of rooms without joining them. */
  watch(_rooms: Watched, _options: { signal?: AbortSignal } = {}): Watch {
    throw new Error('not yet')
  }

  /** What is known of these rooms, in this order; `null` for one that is not there for this user. */
  peek(_rooms: readonly string[], _options: { signal?: AbortSignal } = {}): Promise<(RoomStatus | null)[]> {
    throw new Error('not yet')
  }

  /** Leaves the session there is and opens the next one at once; also after a `null` of `getToken`. */
  reconnect(): void {
    throw new Error('not yet')
  }

  /**
   * Ends everything. Reading ends quietly; publishes without an answer are rejected with `closed`: they may be in the
   * log, and those in the store are sent by the next page. With `drain` it waits for their answers before.
   */
  async close(_options: CloseOptions = {}): Promise<void> {
    this.#unlisten()
    this.#core.close()
  }

  /** `await using client = createClient(…)`: drains and closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close({ drain: true })
  }
}

function identity(name: string | undefined, getToken: GetToken | undefined): Identity {
  if (getToken !== undefined) {
    const auth = async () => {
      const token = await getToken('connect', { signal: new AbortController().signal })
      return { type: 'bearer' as const, token: token ?? '' }
    }
    return { auth, isFreshEachTime: true }
  }
  const problem = name === undefined ? 'a client needs a name or a token' : checkUser(name)
  if (name === undefined || problem !== undefined) throw invalid(problem ?? '', Code.bad_name)
  return { auth: async () => ({ type: 'anonymous', name }), isFreshEachTime: false }
}

/** What a browser tells of the page and the network. There may be no browser. */
function listen(supervisor: Supervisor): () => void {
  if (typeof globalThis.addEventListener !== 'function') return () => {}
  const events: [string, () => void][] = [
    // Firefox keeps connections of pages that were navigated away from; what is shown again starts anew.
    ['pagehide', () => supervisor.pause()],
    ['pageshow', () => supervisor.resume()],
    ['online', () => supervisor.hurry()],
  ]
  for (const [name, listener] of events) globalThis.addEventListener(name, listener)
  return () => {
    for (const [name, listener] of events) globalThis.removeEventListener(name, listener)
  }
}
