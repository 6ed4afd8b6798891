// Pages that come and go, with a storage and locks in memory.

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type Client, type Connect, createClient, type Locks, type Storage } from '../src/index.ts'
import '../src/adoption.ts'
import { MockServer } from '../src/testing/index.ts'

/** As local storage is: a call is done when it returns. */
class MemoryStorage implements Storage {
  readonly items = new Map<string, string>()
  full = false

  put(key: string, value: string): void {
    if (this.full) throw new DOMException('the quota has been exceeded', 'QuotaExceededError')
    this.items.set(key, value)
  }

  remove(key: string): void {
    this.items.delete(key)
  }

  entries(prefix: string): [string, string][] {
    return [...this.items].filter(([key]) => key.startsWith(prefix))
  }
}

/** `navigator.locks` of all pages; a page that dies gives its locks back without a word. */
class MemoryLocks {
  readonly #tails = new Map<string, Promise<void>>()

  page(): { locks: Locks; die: () => void } {
    let die = () => {}
    const dead = new Promise<void>((resolve) => {
      die = resolve
    })
    const request: Locks['request'] = async (name, { signal }, hold) => {
      const turn = this.#tails.get(name) ?? Promise.resolve()
      const over = turn.then(async () => {
        if (!signal.aborted) await Promise.race([hold(), dead])
      })
      this.#tails.set(name, over)
      await over
    }
    return { locks: { request }, die }
  }
}

let server: MockServer
let storage: MemoryStorage
let locks: MemoryLocks
const pages: (() => void)[] = []

beforeEach(() => {
  vi.useFakeTimers()
  server = new MockServer()
  storage = new MemoryStorage()
  locks = new MemoryLocks()
})

afterEach(() => {
  for (const kill of pages.splice(0)) kill()
  vi.useRealTimers()
})

/** A page; `kill` is what a reload does to it: no code of it runs any more, and its locks are free. */
function page(name = 'ada'): { client: Client; kill: () => void } {
  const { locks: mine, die } = locks.page()
  const frozen = new MemoryStorage()
  let alive = true
  const mineUntilDeath = new Proxy(storage, {
    get: (_, property) => {
      const of = alive ? storage : frozen
      const found = Reflect.get(of, property) as unknown
      return typeof found === 'function' ? found.bind(of) : found
    },
  })
  const connect: Connect = async (dial) => {
    if (!alive) return new Promise<never>(() => {})
    return server.connect(dial)
  }
  const client = createClient({ url: 'http://test', name, connect, store: { storage: mineUntilDeath, locks: mine } })
  const kill = () => {
    alive = false
    server.cut()
    void client.close()
    die()
  }
  pages.push(kill)
  return { client, kill }
}

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

/** A promise of a page that may die. */
const ignore = (promise: Promise<unknown>) => void promise.catch(() => {})

it('what a page leaves behind is shown and sent by the next one, once', async () => {
  server.down = 'away'
  const first = page()
  for (const text of ['a', 'b', 'c']) ignore(first.client.room('r').publish(text))
  await settle()
  first.kill()
  const second = page()
  const room = second.client.room('r')
  await settle()
  expect(room.outbox.map(({ value }) => value)).toEqual(['a', 'b', 'c'])
  server.down = undefined
  await settle(20_000)
  expect(server.texts('r')).toEqual(['a', 'b', 'c'])
  expect(room.outbox).toEqual([])
  expect(storage.items.size).toBe(0)
})

it('what had got in before the reload is not appended again', async () => {
  const first = page()
  const room = first.client.room('r')
  ignore(room.publish('a'))
  await settle()
  // Appended, but the page dies before the answers arrive.
  server.onPublish = ({ payload }) => {
    if (new TextDecoder().decode(payload) === 'b') queueMicrotask(first.kill)
    return undefined
  }
  ignore(room.publish('b'))
  ignore(room.publish('c'))
  await settle()
  server.onPublish = () => undefined
  page()
  await settle(20_000)
  expect(server.texts('r')).toEqual(['a', 'b', 'c'])
  expect(storage.items.size).toBe(0)
})

it('a page that lives keeps its own; another one waits until it is gone', async () => {
  server.onPublish = () => 2001
  const first = page()
  ignore(first.client.room('r').publish('a'))
  await settle()
  const second = page()
  await settle(1_000)
  expect(second.client.room('r').outbox).toEqual([])
  expect(new Set(server.framesOf('Open').map(({ producer }) => producer)).size).toBe(1)
  server.onPublish = () => undefined
  first.kill()
  await settle(20_000)
  expect(server.texts('r')).toEqual(['a'])
  expect(new Set(server.framesOf('Open').map(({ producer }) => producer)).size).toBe(1)
})

it('somebody else on the same machine sees and sends none of it', async () => {
  server.down = 'away'
  const first = page('ada')
  ignore(first.client.room('r').publish('secret'))
  await settle()
  first.kill()
  server.down = undefined
  const other = page('bob')
  await settle(20_000)
  expect(other.client.room('r').outbox).toEqual([])
  expect(server.texts('r')).toEqual([])
  expect(storage.items.size).toBe(1)
})

it('a publish that the storage does not take is not sent', async () => {
  const { client } = page()
  storage.full = true
  await expect(client.room('r').publish('a')).rejects.toMatchObject({ kind: 'store' })
  storage.full = false
  await client.room('r').publish('b')
  expect(server.texts('r')).toEqual(['b'])
})

it('bytes survive, and what nobody can read is thrown away', async () => {
  server.down = 'away'
  const first = page()
  ignore(first.client.room('r').publish(new Uint8Array([0, 128, 255])))
  await settle()
  const [key] = storage.items.keys()
  storage.put(`${key}9`, 'not JSON')
  first.kill()
  server.down = undefined
  page()
  await settle(20_000)
  expect(server.room('r').records.map(({ payload }) => [...payload])).toEqual([[0, 128, 255]])
  expect(storage.items.size).toBe(0)
})
