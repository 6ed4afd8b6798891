// Pages that come and go, with their publishes in IndexedDB. Real time: the database has its own.

import { IDBFactory, IDBKeyRange } from 'fake-indexeddb'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { IndexedDbStorage, indexedDbStore } from '../src/indexeddb.ts'
import { type Client, createClient, type Locks } from '../src/index.ts'
import { MockServer } from '../src/testing/index.ts'

let server: MockServer
let factory: IDBFactory
const clients: Client[] = []

/** One queue for each name, as with Web Locks. */
function memoryLocks(): Locks {
  const tails = new Map<string, Promise<void>>()
  return {
    request: async (name, { signal }, hold) => {
      const over = (tails.get(name) ?? Promise.resolve()).then(() => (signal.aborted ? undefined : hold()))
      tails.set(name, over)
      await over
    },
  }
}

let locks: Locks

beforeEach(() => {
  vi.stubGlobal('IDBKeyRange', IDBKeyRange)
  server = new MockServer()
  factory = new IDBFactory()
  locks = memoryLocks()
})

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  vi.unstubAllGlobals()
})

function page(name = 'ada', storage = new IndexedDbStorage(factory)): Client {
  const client = createClient({ url: 'http://test', connect: server.connect, name, store: { storage, locks } })
  clients.push(client)
  return client
}

const ignore = (promise: Promise<unknown>) => void promise.catch(() => {})
const items = () => new IndexedDbStorage(factory).entries('')

it('what a page leaves behind is sent by the next one, once, in order', async () => {
  server.down = 'away'
  const first = page()
  const done = ['a', 'b', 'c'].map((text) => first.room('r').publish(text))
  done.forEach(ignore)
  await Promise.all(done.map(({ stored }) => stored))
  expect(await items()).toHaveLength(3)
  await first.close()
  server.down = undefined
  page()
  await vi.waitFor(() => expect(server.texts('r')).toEqual(['a', 'b', 'c']))
  await vi.waitFor(async () => expect(await items()).toEqual([]))
})

it('somebody else on the same machine sends none of it', async () => {
  server.down = 'away'
  const first = page()
  const done = first.room('r').publish('secret')
  ignore(done)
  await done.stored
  await first.close()
  server.down = undefined
  await page('bob').room('r').publish('mine')
  expect(server.texts('r')).toEqual(['mine'])
  expect(await items()).toHaveLength(1)
})

it('nothing is sent before it is kept', async () => {
  const storage = new IndexedDbStorage(factory)
  let keep = () => {}
  const put = storage.put.bind(storage)
  storage.put = async (key, value) => {
    await new Promise<void>((resolve) => {
      keep = resolve
    })
    await put(key, value)
  }
  const client = page('ada', storage)
  const done = client.room('r').publish('a')
  await vi.waitFor(() => expect(server.framesOf('Open')).toHaveLength(1))
  await client.peek(['r'])
  expect(server.framesOf('Publish')).toEqual([])
  keep()
  await done.stored
  expect((await done).offset).toBe(1)
})

it('a publish that is not taken is rejected and not sent; those behind it are', async () => {
  const storage = new IndexedDbStorage(factory)
  const put = storage.put.bind(storage)
  storage.put = () => Promise.reject(new DOMException('the quota has been exceeded', 'QuotaExceededError'))
  const room = page('ada', storage).room('r')
  const lost = room.publish('a')
  await expect(lost.stored).rejects.toMatchObject({ kind: 'store' })
  await expect(lost).rejects.toMatchObject({ kind: 'store' })
  storage.put = put
  expect((await room.publish('b')).offset).toBe(1)
  expect(server.texts('r')).toEqual(['b'])
})

it('bytes survive, and what nobody can read is thrown away', async () => {
  server.down = 'away'
  const first = page()
  const done = first.room('r').publish(new Uint8Array([0, 128, 255]))
  ignore(done)
  await done.stored
  const [item] = await items()
  await new IndexedDbStorage(factory).put(`${item?.[0]}9`, 'not JSON')
  await first.close()
  server.down = undefined
  page()
  await vi.waitFor(() => expect(server.room('r').records.map(({ payload }) => [...payload])).toEqual([[0, 128, 255]]))
  await vi.waitFor(async () => expect(await items()).toEqual([]))
})

it('changes of one turn are one transaction, durable as asked for', async () => {
  const storage = new IndexedDbStorage(factory, { name: 'other', durability: 'strict' })
  await storage.entries('')
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = factory.open('other')
    request.onsuccess = () => resolve(request.result)
  })
  const begin = vi.spyOn(Object.getPrototypeOf(database) as IDBDatabase, 'transaction')
  await Promise.all([storage.put('a', '1'), storage.put('b', '2'), storage.put('a', '3')])
  storage.remove('b')
  expect(begin.mock.calls).toEqual([['items', 'readwrite', { durability: 'strict' }]])
  expect(await storage.entries('')).toEqual([['a', '3']])
  database.close()
})

it('where the browser has no IndexedDB there is no such store', () => {
  expect(indexedDbStore()).toBeUndefined()
})
