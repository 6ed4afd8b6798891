// The client, for the application.

import { BACKOFF, type Backoff } from './backoff.ts'
import { Core, type Identity } from './core.ts'
import { invalid } from './error.ts'
import type { Connect } from './link.ts'
import { Outboxes } from './outboxes.ts'
import { Room, type RoomOptions } from './room.ts'
import type { ClientState } from './status.ts'
import { browserStore, type Locks, type Storage } from './store.ts'
import { Supervisor } from './supervisor.ts'
import { webTransport } from './webtransport.ts'
import { Code } from './wire/code.ts'
import { checkRoom, checkUser } from './wire/name.ts'

export interface ClientOptions {
  /** Where the server's HTTP is: `/v1/info` there says the rest. */
  url: string
  /** Who one is, where nobody vouches for it. Servers must be told to accept this. */
  name?: string
  /** Who one is, by a token; asked for each connection. One of `name` and `getToken` is needed. */
  getToken?: () => Promise<string>
  /**
   * Where publishes without an answer are kept, so that a reload loses none. Default: the browser's local storage and
   * locks; `false` for nowhere.
   */
  store?: false | { storage: Storage; locks: Locks }
  backoff?: Partial<Backoff>
  /** In place of WebTransport; for tests. */
  connect?: Connect
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
  room<T = unknown>(name: string, options: RoomOptions = {}): Room<T> {
    const problem = checkRoom(name)
    if (problem !== undefined) throw invalid(problem, Code.bad_name)
    return new Room<T>(this.#core, this.#outboxes, name, options)
  }

  /**
   * Ends everything. Reading ends quietly; publishes without an answer are rejected with `closed`: they may be in the
   * log, and those in the store are sent by the next page.
   */
  close(): void {
    this.#unlisten()
    this.#core.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function identity(name: string | undefined, getToken: (() => Promise<string>) | undefined): Identity {
  if (getToken !== undefined) {
    return { auth: async () => ({ type: 'bearer', token: await getToken() }), isFreshEachTime: true }
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
