// Outboxes that outlive a page. One item for each publish, written before it is sent and removed by its final answer.
//
// A page publishes under a producer of its own and holds a Web Lock on it for as long as it lives. What a page leaves
// behind is adopted, under its producer and ids, by the next page that gets the lock: so nothing is sent by two.

import { LoquicError } from './error.ts'
import { type Entry, NO_SHELF, type Shelf } from './outbox.ts'
import type { Principal } from './wire/control.ts'
import type { Format } from './wire/record.ts'

/** What is needed of `localStorage`. Calls must be done when they return. */
export interface Storage {
  readonly length: number
  /** The key of the item in this place. */
  key(index: number): string | null
  /** What is kept under a key. */
  getItem(key: string): string | null
  /** Keeps something, or throws when there is no space. */
  setItem(key: string, value: string): void
  /** Forgets what is kept under a key. */
  removeItem(key: string): void
}

/** What is needed of `navigator.locks`: runs `hold` with the lock, waiting for it; `signal` ends the wait. */
export interface Locks {
  /** As in the browser; the lock is held until the promise of `hold` settles. */
  request(name: string, options: { signal: AbortSignal }, hold: () => Promise<void>): Promise<unknown>
}

/** The publishes that one producer has left in one room. */
export interface Remains {
  room: string
  entries: Entry[]
  shelf: Shelf
}

interface Item {
  id: number
  kind: number
  format: Format
  flags: number
  refers: number | null
  /** Text and JSON as they are, bytes as base64. */
  payload: string
}

/** What one user has published through one URL and has no answer to. Somebody else's is never seen. */
export class Store {
  readonly #storage: Storage
  readonly #prefix: string

  constructor(storage: Storage, url: string, { tenant, user }: Principal) {
    this.#storage = storage
    this.#prefix = `loquic/1/${[url, tenant, user].map(encodeURIComponent).join('/')}/`
  }

  shelf(producer: string, room: string): Shelf {
    const key = ({ seq }: Entry) => `${this.#prefix}${producer}/${encodeURIComponent(room)}/${seq}`
    return {
      put: (entry) => {
        try {
          this.#storage.setItem(key(entry), JSON.stringify(toItem(entry)))
        } catch (error) {
          throw new LoquicError('store', `the browser's storage does not take the publish: ${String(error)}`)
        }
      },
      remove: (entry) => this.#storage.removeItem(key(entry)),
    }
  }

  /** Everybody who has left something. */
  producers(): string[] {
    return [...new Set(this.#keys().map(([producer]) => producer))]
  }

  /** What a producer has left, in order. An item that cannot be read is removed: nobody ever will. */
  load(producer: string): Remains[] {
    const rooms = new Map<string, Entry[]>()
    for (const [owner, room, seq] of this.#keys()) {
      if (owner !== producer) continue
      const key = `${this.#prefix}${owner}/${encodeURIComponent(room)}/${seq}`
      const entry = fromItem(this.#storage.getItem(key), seq)
      if (entry === undefined) this.#storage.removeItem(key)
      else rooms.set(room, [...(rooms.get(room) ?? []), entry])
    }
    return [...rooms].map(([room, entries]) => {
      entries.sort((a, b) => a.seq - b.seq)
      return { room, entries, shelf: this.shelf(producer, room) }
    })
  }

  #keys(): [producer: string, room: string, seq: number][] {
    const found: [string, string, number][] = []
    for (let index = 0; index < this.#storage.length; index++) {
      const key = this.#storage.key(index)
      if (!key?.startsWith(this.#prefix)) continue
      const [producer, room, seq] = key.slice(this.#prefix.length).split('/')
      if (producer && room && seq) found.push([producer, decodeURIComponent(room), Number(seq)])
    }
    return found
  }
}

/** The lock that whoever sends for a producer holds. */
export function lockName(producer: string): string {
  return `loquic/producer/${producer}`
}

/** The shelf of a page without storage. */
export function shelfOf(store: Store | undefined, producer: string, room: string): Shelf {
  return store?.shelf(producer, room) ?? NO_SHELF
}

/** What this browser offers; `undefined` where one of both is missing or forbidden. */
export function browserStore(): { storage: Storage; locks: Locks } | undefined {
  try {
    const { localStorage: storage, navigator } = globalThis
    const locks = navigator?.locks
    return storage && locks ? { storage, locks } : undefined
  } catch {
    // A page whose storage is blocked may not even look.
    return undefined
  }
}

function toItem({ id, message }: Entry): Item {
  const { kind, format, flags, refers, payload } = message
  const isText = format !== 'bytes'
  const stored = isText ? new TextDecoder().decode(payload) : btoa(latin1(payload))
  return { id, kind, format, flags, refers, payload: stored }
}

function fromItem(text: string | null, seq: number): Entry | undefined {
  if (text === null) return undefined
  try {
    const { id, kind, format, flags, refers, payload } = JSON.parse(text) as Item
    const bytes =
      format === 'bytes'
        ? Uint8Array.from(atob(payload), (char) => char.charCodeAt(0))
        : new TextEncoder().encode(payload)
    const message = { kind, format, flags, refers, payload: bytes }
    // Nobody waits for it any more; whether it was sent is not known.
    return { seq, id, message, inDoubt: true, resolved: false, settle: () => {} }
  } catch {
    return undefined
  }
}

/** One character for each byte; piece by piece, since a call takes only so many arguments. */
function latin1(bytes: Uint8Array): string {
  let out = ''
  for (let at = 0; at < bytes.length; at += 4096) out += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return out
}
