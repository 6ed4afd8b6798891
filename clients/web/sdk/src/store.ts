// Outboxes that outlive a page. One item for each publish, kept before it is sent and removed by its final answer.
//
// A page publishes under a producer of its own and holds a Web Lock on it for as long as it lives. What a page leaves
// behind is adopted, under its producer and ids, by the next page that gets the lock: so nothing is sent by two. See
// `adoption.ts`.

import { LoquicError, messageOf } from './error.ts'
import type { Entry, Shelf } from './outbox.ts'
import type { Principal } from './wire/control.ts'
import { toHex } from './wire/coding.ts'

/**
 * Keeps items by key. Local storage is one, and `@loquic/client/indexeddb` another. Changes must come into effect in
 * the order of the calls.
 */
export interface Storage {
  /**
   * Keeps something, in place of what is there. Is done when it returns, or when its promise resolves: nothing is sent
   * before. Throws or rejects when it cannot, for example for want of space.
   */
  put(key: string, value: string): void | Promise<void>
  /** Forgets what is kept under a key, at once or later. */
  remove(key: string): void
  /** What all pages have kept under keys that begin with this, in any order. */
  entries(prefix: string): [key: string, value: string][] | Promise<[key: string, value: string][]>
}

/** What is needed of `navigator.locks`: runs `hold` with the lock, waiting for it; `signal` ends the wait. */
export interface Locks {
  /** As in the browser; the lock is held until the promise of `hold` settles. */
  request(name: string, options: { signal: AbortSignal }, hold: () => Promise<void>): Promise<unknown>
}

/** Where publishes are kept, and what guards them. */
export interface Store {
  storage: Storage
  locks: Locks
}

/** Under this is what one user has published through one URL and has no answer to. Somebody else's is never seen. */
export function prefixOf(url: string, { tenant, user }: Principal): string {
  return `loquic/1/${[url, tenant, user].map(encodeURIComponent).join('/')}/`
}

/** Where a producer's publishes into one room are kept. */
export function shelfOf(storage: Storage, prefix: string, producer: string, room: string): Shelf {
  const key = ({ seq }: Entry) => `${prefix}${producer}/${encodeURIComponent(room)}/${seq}`
  const fail = (error: unknown) => {
    throw new LoquicError('store', `the browser does not store the publish: ${messageOf(error)}`)
  }
  return {
    put: (entry) => {
      try {
        return storage.put(key(entry), toItem(entry))?.catch(fail)
      } catch (error) {
        return fail(error)
      }
    },
    remove: (entry) => storage.remove(key(entry)),
  }
}

/** What this browser offers; `undefined` where local storage or locks are missing or forbidden. */
export function browserStore(): Store | undefined {
  try {
    const { localStorage, navigator } = globalThis
    const locks = navigator?.locks
    return localStorage && locks ? { storage: inLocalStorage(localStorage), locks } : undefined
  } catch {
    // A page whose storage is blocked may not even look.
    return undefined
  }
}

function inLocalStorage(storage: globalThis.Storage): Storage {
  return {
    put: (key, value) => storage.setItem(key, value),
    remove: (key) => storage.removeItem(key),
    entries: (prefix) => Object.entries(storage).filter(([key]) => key.startsWith(prefix)),
  }
}

/** Text and JSON are kept as they are, bytes in hexadecimal. */
function toItem({ id, message }: Entry): string {
  const { format, payload } = message
  const kept = format === 'bytes' ? toHex(payload) : new TextDecoder().decode(payload)
  return JSON.stringify({ ...message, id, payload: kept })
}
