// The client, for the application.

import { BACKOFF, type Backoff } from './backoff.ts'
import { Core, type Debug } from './core.ts'
import { questions } from './demand.ts'
import { invalid, messageOf } from './error.ts'
import { asIs, Feed } from './feed.ts'
import { DRAIN_MS_DEFAULT } from './limits.ts'
import type { Connect } from './link.ts'
import { Outboxes } from './outboxes.ts'
import type { RoomStatus } from './peek.ts'
import { Room, type RoomOptions } from './room.ts'
import type { ClientState, Status } from './status.ts'
import { browserStore, type Store } from './store.ts'
import { Supervisor } from './supervisor.ts'
import { type GetToken, identity } from './token.ts'
import { type BrowserTransport, type Dialer, dialer } from './transport.ts'
import { RoomWatch, type Watch, type Watched } from './watch.ts'
import { Code } from './wire/code.ts'
import type { Principal } from './wire/control.ts'
import { PEEK_ROOMS_MAX } from './wire/limits.ts'
import { checkRoom } from './wire/name.ts'

/** How to reach a server, and as whom. */
export interface ClientOptions {
  /** Where the server's HTTP is: `/v1/info` there says the rest. */
  url: string
  /** Who one is, where nobody vouches for it. Servers must be told to accept this. */
  name?: string
  /** Which transports may be used; `auto` for all, the best first. Default: auto. */
  transports?: 'auto' | readonly BrowserTransport[]
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
  store?: false | Store
  backoff?: Partial<Backoff>
  /** In place of the network: the mock server of `@loquic/client/testing` has one. */
  connect?: Connect
}

/** How to close: whether to wait until everything published has its answer, at most so many milliseconds. */
export interface CloseOptions {
  drain?: boolean | number
}

/** Connects, and stays connected until `close`. */
export function createClient(options: ClientOptions): Client {
  return new Client(options)
}

/** A connection that is kept up, and the rooms behind it. Made by `createClient`. */
export class Client {
  readonly #core: Core
  readonly #outboxes: Outboxes
  readonly #supervisor: Supervisor
  readonly #unlisten: () => void

  /** @internal Use `createClient`. */
  constructor(options: ClientOptions) {
    const { url, name, getToken, store } = options
    const { transports = 'auto' } = options
    const dial = dialer(url, transports === 'auto' ? ['webtransport', 'websocket'] : transports)
    const connect = options.connect ?? dial.connect
    this.#core = new Core(connect, identity(name, getToken), { ...BACKOFF, ...options.backoff }, logger(options.debug))
    this.#outboxes = new Outboxes(this.#core, url, store === false ? undefined : (store ?? browserStore()))
    // Anonymous users are all of one tenant, so whose outbox it is is known before the first session.
    if (name !== undefined) this.#outboxes.setOwner({ tenant: 'main', user: name })
    this.#core.state.subscribe((state) => {
      if (state.type !== 'online') return
      this.#outboxes.setOwner(state.principal)
      // Here before they are needed: later there may be no network, or a newer release without these files.
      questions.load().catch((error) => this.#core.log('client: not loaded', { error: messageOf(error) }))
    })
    this.#supervisor = new Supervisor(this.#core)
    this.#unlisten = listen(this.#supervisor, dial)
    void this.#supervisor.run()
  }

  /** Where it is: the same object until something changes. */
  get state(): ClientState {
    return this.#core.state.value
  }

  /** Calls `listener` at each change of `state` or `currentStatus`; the result ends that. */
  subscribe(listener: (state: ClientState) => void): () => void {
    return this.#core.status.subscribe(() => listener(this.state))
  }

  /** A room; it is joined when its events are read. Throws if the name is not one. */
  room<T = unknown>(name: string, options: RoomOptions<T> = {}): Room<T> {
    checkRoomName(name)
    return new Room<T>(this.#core, this.#outboxes, name, options)
  }

  /** Who the last session was; `undefined` before the first. */
  get principal(): Principal | undefined {
    return this.#core.principal
  }

  /** What `status` gives last: the same object until something changes. */
  get currentStatus(): Status {
    return this.#core.status.value
  }

  /** The status now and each time it changes; a slow reader gets the newest. Ends when the client is closed. */
  status(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<Status> {
    const feed = new Feed<Status>(() => stop(), options.signal, asIs)
    const stop = this.#core.status.subscribe((status) => {
      feed.push('', status)
      if (status.state === 'closed') feed.end()
    })
    feed.push('', this.currentStatus)
    if (this.#core.closed !== undefined) feed.end()
    if (options.signal?.aborted) stop()
    return feed
  }

  /** Follows the heads of rooms without joining them. */
  watch(rooms: Watched, options: { signal?: AbortSignal } = {}): Watch {
    return new RoomWatch(this.#core, rooms, options.signal)
  }

  /** What is known of these rooms, at most 100, in this order; `null` for one that is not there for this user. */
  async peek(rooms: readonly string[], options: { signal?: AbortSignal } = {}): Promise<(RoomStatus | null)[]> {
    if (rooms.length > PEEK_ROOMS_MAX) throw invalid(`at most ${PEEK_ROOMS_MAX} rooms at once, not ${rooms.length}`)
    for (const room of rooms) checkRoomName(room)
    return (await questions.get(this.#core, options.signal)).peek(this.#core, rooms, options.signal)
  }

  /** Leaves the session there is and opens the next one at once; also after a `null` of `getToken`. */
  reconnect(): void {
    this.#supervisor.reconnect()
  }

  /**
   * Ends everything. Reading ends quietly; publishes without an answer are rejected with `closed`: they may be in the
   * log, and those in the store are sent by the next page. With `drain` it waits for their answers before.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const { drain = false } = options
    if (drain !== false && this.#core.closed === undefined) {
      await this.#outboxes.drained(drain === true ? DRAIN_MS_DEFAULT : drain)
    }
    this.#unlisten()
    this.#core.close()
  }

  /** `await using client = createClient(…)`: drains and closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close({ drain: true })
  }
}

function checkRoomName(name: string): void {
  const problem = checkRoom(name)
  if (problem !== undefined) throw invalid(problem, Code.bad_name)
}

function logger(debug: boolean | Debug | undefined): Debug {
  if (typeof debug === 'function') return debug
  return debug === true ? (line, details) => console.debug('loquic', line, details ?? '') : () => {}
}

/** What a browser tells of the page and the network. There may be no browser. */
function listen(supervisor: Supervisor, dial: Dialer): () => void {
  const network = () => {
    dial.forget()
    supervisor.hurry()
  }
  const { document, navigator } = globalThis as { document?: Document; navigator?: { connection?: EventTarget } }
  const events: [EventTarget | undefined, string, () => void][] = [
    // Firefox keeps connections of pages that were navigated away from; what is shown again starts anew.
    [globalThis, 'pagehide', () => supervisor.pause()],
    [globalThis, 'pageshow', () => supervisor.resume()],
    [globalThis, 'online', network],
    [navigator?.connection, 'change', network],
    // A laptop that was opened: whether the connection has outlived the night is found out at once.
    [document, 'visibilitychange', () => document?.visibilityState === 'visible' && supervisor.hurry()],
  ]
  for (const [target, name, listener] of events) target?.addEventListener?.(name, listener)
  return () => {
    for (const [target, name, listener] of events) target?.removeEventListener?.(name, listener)
  }
}
