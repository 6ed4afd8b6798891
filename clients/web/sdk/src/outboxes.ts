// All outboxes of one client: one for each room it publishes to, and those it has adopted from pages that are gone.

import type { Core } from './core.ts'
import { LoquicError, messageOf } from './error.ts'
import { Publisher } from './publisher.ts'
import { NO_SHELF } from './outbox.ts'
import { prefixOf, shelfOf, type Store } from './store.ts'
import { sleep, State } from './sync.ts'
import type { Principal } from './wire/control.ts'
import { toHex } from './wire/coding.ts'

export class Outboxes {
  /** The producer of this page: a new one for each life of a page, so its ids begin at 1. */
  readonly producer = toHex(crypto.getRandomValues(new Uint8Array(16)))
  /** Set whenever something about a publish has changed. */
  readonly changed = new State<undefined>(undefined)
  readonly #core: Core
  readonly #url: string
  readonly #store: Store | undefined
  readonly #own = new Map<string, Publisher>()
  readonly #adopted = new Set<Publisher>()
  readonly #waitingFor = new Set<string>()
  #owner: Principal | undefined

  constructor(core: Core, url: string, store: Store | undefined) {
    this.#core = core
    this.#url = url
    this.#store = store
    if (store === undefined) return
    // Nobody else knows the name yet, so this never waits.
    const closed = new Promise<void>((resolve) => core.closing.addEventListener('abort', () => resolve()))
    void this.#hold(this.producer, () => closed)
  }

  /**
   * Whose publishes these are. Said before the first publish where the user is known beforehand, and by each session.
   * A session of somebody else ends the client: nothing may be sent in their name.
   */
  setOwner(owner: Principal): void {
    const known = this.#owner
    if (known !== undefined && (known.user !== owner.user || known.tenant !== owner.tenant)) {
      return this.#core.close(new LoquicError('invalid', `the session is of ${owner.user}, not of ${known.user}`))
    }
    this.#owner = owner
    if (this.#store !== undefined) void this.#adopt(this.#store, prefixOf(this.#url, owner))
  }

  /** What this page publishes into a room. */
  of(room: string): Publisher {
    const found = this.#own.get(room)
    if (found !== undefined && found.failed === undefined) return found
    const prefix = this.#owner && prefixOf(this.#url, this.#owner)
    const shelf = this.#store && prefix ? shelfOf(this.#store.storage, prefix, this.producer, room) : NO_SHELF
    const made = new Publisher(this.#core, room, this.producer, shelf, () => this.changed.set(undefined))
    this.#own.set(room, made)
    return made
  }

  /** Everything about a room that has no answer yet, the oldest first. */
  in(room: string): Publisher[] {
    const own = this.#own.get(room)
    return [...[...this.#adopted].filter((publisher) => publisher.room === room), ...(own ? [own] : [])]
  }

  /** Waits until everything has its answer, or so long. */
  async drained(ms: number): Promise<void> {
    const isIdle = () => [...this.#own.values(), ...this.#adopted].every(({ outbox }) => outbox.isEmpty)
    const idle = this.changed.until(() => isIdle() || undefined)
    await Promise.race([idle, sleep(ms, this.#core.closing).catch(() => {})])
  }

  /** Looks for what others have left; sends it once the page that has left it is certainly gone. */
  async #adopt({ storage }: Store, prefix: string): Promise<void> {
    // What cannot be read now the next session looks for again.
    const items = await Promise.resolve(storage.entries(prefix)).catch(() => [])
    for (const [key] of items) {
      const [producer = ''] = key.slice(prefix.length).split('/')
      if (producer === this.producer || this.#waitingFor.has(producer)) continue
      this.#waitingFor.add(producer)
      const work = async () => {
        const { adopt } = await import('./adoption.ts')
        await adopt(this.#core, storage, prefix, producer, this.#adopted, () => this.changed.set(undefined))
      }
      void this.#hold(producer, work).then(() => this.#waitingFor.delete(producer))
    }
  }

  async #hold(producer: string, work: () => Promise<void>): Promise<void> {
    try {
      await this.#store?.locks.request(`loquic/producer/${producer}`, { signal: this.#core.closing }, work)
    } catch (error) {
      // The client was closed while it waited, or the browser gives no locks here: then nothing is adopted.
      if (this.#core.closed === undefined) console.warn('loquic: cannot lock', messageOf(error))
    }
  }
}
