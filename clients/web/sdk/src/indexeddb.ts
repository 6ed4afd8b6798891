// A store in IndexedDB: for more than local storage holds, and for calls that never block the page. An entry of its
// own, `@loquic/client/indexeddb`.
//
// Changes of one turn go into one transaction, in their order; transactions that write to the same store run one after
// the other. So what is durable is always all changes up to some moment.

import type { Storage, Store } from './store.ts'

/** How to keep publishes in IndexedDB. */
export interface IndexedDbOptions {
  /** Of the database. Default: loquic. */
  name?: string
  /** `strict`: what is stored has reached the disk, also if the power fails. Default: relaxed. */
  durability?: 'relaxed' | 'strict'
}

/** A change that waits for its transaction. */
interface Change {
  key: string
  /** Nothing for a key that is forgotten. */
  value: string | undefined
  resolve: () => void
  reject: (error: unknown) => void
}

/**
 * A store for `createClient`; `undefined` where there is no IndexedDB or no Web Locks. `stored` of a publish resolves
 * when its transaction is complete, and nothing is sent before.
 */
export function indexedDbStore(options: IndexedDbOptions = {}): Store | undefined {
  const { indexedDB, navigator } = globalThis
  const locks = navigator?.locks
  return indexedDB && locks ? { storage: new IndexedDbStorage(indexedDB, options), locks } : undefined
}

/** Items by key in one object store. The database is opened when it is needed, and again after a failure. */
export class IndexedDbStorage implements Storage {
  readonly #factory: IDBFactory
  readonly #name: string
  readonly #durability: 'relaxed' | 'strict'
  #database: Promise<IDBDatabase> | undefined
  #changes: Change[] = []

  constructor(factory: IDBFactory, { name = 'loquic', durability = 'relaxed' }: IndexedDbOptions = {}) {
    this.#factory = factory
    this.#name = name
    this.#durability = durability
  }

  put(key: string, value: string): Promise<void> {
    return this.#change(key, value)
  }

  remove(key: string): void {
    // What stays although it should not is sent again, and recognised.
    this.#change(key, undefined).catch(() => {})
  }

  async entries(prefix: string): Promise<[string, string][]> {
    // What was changed just now is seen.
    await this.#write()
    const database = await this.#open()
    const store = database.transaction(ITEMS).objectStore(ITEMS)
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`)
    const [keys, values] = [store.getAllKeys(range), store.getAll(range)]
    await finished(values)
    return keys.result.map((key, index) => [key as string, values.result[index] as string])
  }

  #change(key: string, value: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#changes.push({ key, value, resolve, reject })
      if (this.#changes.length === 1) queueMicrotask(() => void this.#write())
    })
  }

  async #write(): Promise<void> {
    let changes: Change[] = []
    try {
      const database = await this.#open()
      changes = this.#changes.splice(0)
      if (changes.length === 0) return
      const transaction = database.transaction(ITEMS, 'readwrite', { durability: this.#durability })
      const store = transaction.objectStore(ITEMS)
      for (const { key, value } of changes) {
        if (value === undefined) store.delete(key)
        else store.put(value, key)
      }
      await completed(transaction)
      for (const { resolve } of changes) resolve()
    } catch (error) {
      for (const { reject } of [...changes, ...this.#changes.splice(0)]) reject(error)
    }
  }

  #open(): Promise<IDBDatabase> {
    this.#database ??= this.#connect().catch((error: unknown) => {
      this.#database = undefined
      throw error
    })
    return this.#database
  }

  async #connect(): Promise<IDBDatabase> {
    const request = this.#factory.open(this.#name, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(ITEMS)
    await finished(request)
    const database = request.result
    const forget = () => {
      this.#database = undefined
    }
    database.onclose = forget
    // A later version of this package, in another tab, must not wait for this one.
    database.onversionchange = () => {
      forget()
      database.close()
    }
    return database
  }
}

function finished(request: IDBRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error ?? new Error('a request to IndexedDB has failed'))
  })
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('a transaction of IndexedDB was aborted'))
  })
}

const ITEMS = 'items'
