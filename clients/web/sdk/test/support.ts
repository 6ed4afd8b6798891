// What tests of the whole client share: virtual time, a server, and readers in the background.

import { afterEach, beforeAll, beforeEach, vi } from 'vitest'
import { questions } from '../src/demand.ts'
import { type Client, type ClientOptions, createClient, type Room, type RoomEvent } from '../src/index.ts'
import { MockServer } from '../src/testing/index.ts'

export interface Setting {
  server: MockServer
  client(options?: Partial<ClientOptions>): Client
}

/** A new server for each test; clients are closed behind it. */
export function setting(): Setting {
  const open: Client[] = []
  const made: Setting = {
    server: new MockServer(),
    client: (options = {}) => {
      const named = options.getToken === undefined ? { name: 'ada' } : {}
      const connect = made.server.connect
      const client = createClient({ url: 'http://test', connect, store: false, ...named, ...options })
      open.push(client)
      return client
    },
  }
  // Loading takes real time, which virtual time does not wait for.
  beforeAll(() => questions.load())
  beforeEach(() => {
    vi.useFakeTimers()
    // Waits between attempts are the same each time.
    vi.spyOn(Math, 'random').mockImplementation(random(1))
    made.server = new MockServer()
  })
  afterEach(() => {
    for (const client of open.splice(0)) void client.close()
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
  return made
}

/** A seeded coin (mulberry32), so that a failure can be repeated. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Lets everything happen that takes no time, or this much. */
export const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

/** What comes, as it comes. */
export function collect<T>(from: AsyncIterable<T>): T[] {
  const seen: T[] = []
  void (async () => {
    for await (const value of from) seen.push(value)
  })().catch(() => {})
  return seen
}

/** Reads a room in the background; what came is in the result, short. */
export function follow<T>(room: Room<T>): string[] {
  const seen: string[] = []
  void (async () => {
    try {
      for await (const event of room.events()) seen.push(brief(event))
      seen.push('end')
    } catch (error) {
      seen.push(String(error))
    }
  })()
  return seen
}

function brief<T>(event: RoomEvent<T>): string {
  switch (event.type) {
    case 'record':
      return `${event.record.offset} ${String(event.record.value)}`
    case 'invalid':
      return `invalid ${event.record.offset}: ${event.issues.map(({ message }) => message).join()}`
    case 'caught-up':
      return `caught up ${event.head}`
    case 'gap':
      return `gap ${event.from}-${event.to}`
    case 'reset':
      return `reset ${event.validTo}`
    case 'ephemeral':
      return `ephemeral ${JSON.stringify(event.value)}`
    case 'presence':
      return ['presence', event.presence.count, ...event.changes.flatMap(Object.values)].join(' ')
    case 'marked':
      return `marked ${event.offset}`
  }
}
