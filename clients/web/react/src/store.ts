// One room for all components that show it: reads it while somebody looks, and says what to show.

import type {
  Ack,
  Client,
  LoquicError,
  PublishOptions,
  Publishing,
  Room,
  RoomEvent,
  RoomOptions,
  RoomState,
} from '@loquic/client'
import { PAGE_RECORDS } from './limits.ts'
import { Live } from './live.ts'
import { type Pending, PendingList } from './pending.ts'
import { type Gap, type Reset, type RoomRecord, Timeline } from './timeline.ts'
import { Typing } from './typing.ts'

/** What there is to show of a room. A new object with each change. */
export interface Shown<T> {
  /** Ascending by offset. */
  records: readonly RoomRecord<T>[]
  /** Own publishes that are not among the records yet; they belong below them. */
  pending: readonly Pending<T>[]
  /** What is missing between the records. */
  gaps: readonly Gap[]
  /** Losses of the server that this list has taken part in. */
  resets: readonly Reset[]
  /** Own deletions on their way: the offsets of what they delete. */
  deleting: ReadonlySet<number>
  state: RoomState
  /** The head at the last time when everything had come; `undefined` before the first, and while catching up. */
  caughtUp: number | undefined
}

/** Reading backwards. A new object with each change. */
export interface HistoryState {
  state: 'idle' | 'loading' | 'failed'
  error: Error | undefined
  /** Whether there is something before the first record that is shown. */
  hasOlder: boolean
}

export class RoomStore<T = unknown> {
  readonly room: Room<T>
  readonly shown: Live<Shown<T>>
  readonly history = new Live<HistoryState>({ state: 'idle', error: undefined, hasOlder: false }, () => {})
  readonly typing: Typing
  readonly #timeline = new Timeline<T>()
  readonly #pending = new PendingList<T>()
  readonly #onLook: (isLookedAt: boolean) => void
  #deleting = new Set<number>()
  #older: Promise<void> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #changed = true
  #lag: number | undefined

  /** `onLook`: told when somebody begins to look, and when nobody does any more. */
  constructor(client: Client, room: Room<T>, onLook: (isLookedAt: boolean) => void) {
    this.room = room
    this.#onLook = onLook
    this.typing = new Typing(client, room)
    this.shown = new Live<Shown<T>>(this.#show(), (_, signal) => this.#run(signal))
  }

  readonly publish = (value: T, options?: PublishOptions): Publishing => {
    const publishing = this.room.publish(value, options)
    publishing.then(
      (ack) => this.#handleAck(value, ack),
      (error: LoquicError | Error) => {
        // Who takes a publish back does not want to see it any more, and a client that is closed keeps what it has.
        const isKept = 'kind' in error && error.kind === 'closed'
        if (!options?.signal?.aborted && !isKept) this.#pending.handleFailure(value, error)
        this.#touch()
      },
    )
    this.#touch()
    return publishing
  }

  readonly remove = async (offset: number): Promise<Ack> => {
    this.#setDeleting(offset, true)
    try {
      return await this.room.deleteMessage(offset)
    } finally {
      this.#setDeleting(offset, false)
    }
  }

  readonly retry = (key: string): void => {
    const value = this.#pending.takeFailure(key)
    // It fails where the first one did: in the list.
    if (value !== undefined) this.publish(value).catch(() => {})
  }

  readonly discard = (key: string): void => {
    this.#pending.takeFailure(key)
    this.#touch()
  }

  /** Reads the page before what is shown; one at a time. */
  readonly loadOlder = (limit = PAGE_RECORDS): Promise<void> => {
    this.#older ??= this.#loadOlder(limit).finally(() => {
      this.#older = undefined
    })
    return this.#older
  }

  async #loadOlder(limit: number): Promise<void> {
    if (!this.#timeline.hasOlder) return
    this.history.set({ ...this.history.get(), state: 'loading', error: undefined })
    try {
      const epochs = this.#timeline.resets.length
      const page = await this.room.history({ before: this.#timeline.first, limit })
      // What was read before a loss may not be in the log any more.
      if (epochs === this.#timeline.resets.length) this.#timeline.addOlder(page)
      this.history.set({ state: 'idle', error: undefined, hasOlder: this.#timeline.hasOlder })
    } catch (error) {
      this.history.set({ ...this.history.get(), state: 'failed', error: toError(error) })
    }
    this.#changed = true
    this.#flush()
  }

  #run(signal: AbortSignal): void {
    const unsubscribe = this.room.subscribe(() => this.#touch())
    signal.addEventListener('abort', () => {
      unsubscribe()
      clearTimeout(this.#timer)
      this.typing.clear()
      this.#onLook(false)
    })
    this.#onLook(true)
    void this.#read(signal)
    this.#touch()
  }

  async #read(signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.room.events({ signal })) this.#handle(event)
    } catch {
      // `room.state` says why the room was left.
    }
    this.#touch()
  }

  #handle(event: RoomEvent<T>): void {
    if (event.type === 'ephemeral') return this.typing.handle(event)
    if (event.type === 'record') {
      this.#pending.handleRecord(event.record.producer, event.record.id)
      this.typing.handleRecord(event.record.sender)
    }
    if (event.type === 'reset') this.#pending.handleReset(event.validTo)
    if (this.#timeline.handle(event)) this.#changed = true
    this.#touch()
  }

  #handleAck(value: T, ack: Ack): void {
    this.#pending.handleAck(value, ack, ack.offset <= this.#timeline.last)
    this.#touch()
  }

  #setDeleting(offset: number, isDeleting: boolean): void {
    this.#deleting = new Set(this.#deleting)
    if (isDeleting) this.#deleting.add(offset)
    else this.#deleting.delete(offset)
    this.#touch()
  }

  /** Something has changed. Bursts become one change: a room that catches up brings thousands of records a second. */
  #touch(): void {
    this.#timer ??= setTimeout(() => this.#flush(), 0)
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const [shown, { lag }] = [this.#show(), this.room]
    // The room also says what is not shown here, such as marks: a list need not be drawn again for that.
    if (lag !== this.#lag || !isSame(shown, this.shown.get())) this.shown.set(shown)
    this.#lag = lag
    const { hasOlder } = this.#timeline
    if (this.history.get().hasOlder !== hasOlder) this.history.set({ ...this.history.get(), hasOlder })
  }

  #show(): Shown<T> {
    const { gaps, resets, caughtUp } = this.#timeline
    const records = this.#changed ? [...this.#timeline.records] : this.shown.get().records
    this.#changed = false
    const before: readonly Pending<T>[] = this.shown?.get().pending ?? []
    const listed = this.#pending.list(this.room.outbox)
    const isSettled = listed.length === before.length && listed.every((own, at) => isSame(own, before[at]))
    const pending = isSettled ? before : listed
    return { records, pending, gaps, resets, caughtUp, deleting: this.#deleting, state: this.room.state }
  }
}

/** A client's rooms. What a store holds is the application's to say, and one name is one type to it. */
const STORES = new WeakMap<Client, Map<string, unknown>>()
const BY_ROOM = new WeakMap<object, unknown>()

/**
 * The store of a room: one for each client and name, so that all components see the same. Rendering may be thrown away
 * by React, so this only makes what costs nothing until somebody looks.
 */
export function storeOf<T>(client: Client, name: string, options: RoomOptions<T>): RoomStore<T> {
  const stores = STORES.get(client) ?? new Map<string, unknown>()
  STORES.set(client, stores)
  const { mode = 'all', presence = 'none', format = '' } = options
  // Not `from` and the schema: they are often made anew with each render, and a room goes on where it is.
  const key = [name, mode, presence, format].join('\n')
  const found = stores.get(key)
  if (found !== undefined) return found as RoomStore<T>
  const room = client.room<T>(name, options)
  const store: RoomStore<T> = new RoomStore<T>(client, room, (isLookedAt) => {
    // React may show again what it had hidden, without rendering it.
    if (isLookedAt) stores.set(key, store)
    else if (stores.get(key) === store) stores.delete(key)
  })
  stores.set(key, store)
  BY_ROOM.set(room, store)
  return store
}

/** The store of a room that `useRoom` gave. */
export function storeOfRoom<T>(room: Room<T>): RoomStore<T> {
  const store = BY_ROOM.get(room)
  if (store === undefined) throw new Error(`the room ${room.name} does not come from useRoom`)
  return store as RoomStore<T>
}

/** Of two objects with the same keys. */
function isSame<S extends object>(one: S, other: S | undefined): boolean {
  if (other === undefined) return false
  return (Object.keys(one) as (keyof S)[]).every((key) => Object.is(one[key], other[key]))
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
