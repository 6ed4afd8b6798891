// Every state of a client: tokens, drains, other nodes, signing out, closing.

import { expect, it, vi } from 'vitest'
import type { GetToken } from '../src/index.ts'
import { Code } from '../src/wire/code.ts'
import { collect, follow, setting, settle } from './support.ts'

const all = setting()

const states = (statuses: { state: string }[]) => statuses.map(({ state }) => state)

it('says what it does, as states and as a stream', async () => {
  const lines: string[] = []
  const client = all.client({ debug: (line) => lines.push(line) })
  const seen = collect(client.status())
  expect(client.currentStatus).toMatchObject({ state: 'connecting', transport: undefined })
  await settle()
  all.server.cut()
  await settle()
  await settle(1_000)
  await settle(6_000)
  expect(client.principal).toEqual({ tenant: 'main', user: 'ada' })
  expect(client.currentStatus).toMatchObject({ state: 'online', transport: 'memory', rttMs: 0 })
  expect(client.currentStatus).toBe(client.currentStatus)
  await client.close()
  await settle()
  expect(states(seen)).toEqual(['connecting', 'online', 'waiting', 'connecting', 'online', 'online', 'closed'])
  expect(seen[2]).toMatchObject({ error: { kind: 'disconnected' }, retryInMs: expect.any(Number) })
  expect(lines).toEqual(expect.arrayContaining(['client: online', 'link: memory', 'client: waiting', 'client: closed']))
})

it('a stream of statuses ends with its signal', async () => {
  const abort = new AbortController()
  const status = all.client().status({ signal: abort.signal })
  await status.next()
  abort.abort()
  expect((await status.next()).done).toBe(true)
})

it('asks for a token with the reason, and stays signed out after null until it is told otherwise', async () => {
  const reasons: string[] = []
  let token = 'ada'
  const getToken: GetToken = async (reason) => {
    reasons.push(reason)
    return reason === 'refused' ? null : token
  }
  const client = all.client({ getToken })
  await settle()
  expect(client.state).toMatchObject({ type: 'online', principal: { user: 'ada' } })
  all.server.control().send('Closing', { code: Code.token_expired, reason: '' })
  await settle(1_000)
  all.server.authenticate = (shown) => (shown === 'ada' ? Code.bad_token : shown)
  all.server.cut()
  await settle(60_000)
  expect(client.state.type).toBe('signed-out')
  expect(reasons).toEqual(['connect', 'expired', 'connect', 'refused'])
  const count = reasons.length
  const done = client.room('r').publish('later')
  await settle(60_000)
  expect(reasons).toHaveLength(count)
  token = 'eve'
  all.server.authenticate = () => 'ada'
  client.reconnect()
  await settle()
  expect(client.state.type).toBe('online')
  expect((await done).offset).toBe(1)
})

it('a getToken that fails is asked again', async () => {
  let failures = 2
  const client = all.client({
    getToken: async () => {
      if (failures-- > 0) throw new Error('no network')
      return 'ada'
    },
  })
  await settle()
  const error = { kind: 'token', message: 'getToken has failed: no network' }
  expect(client.state).toMatchObject({ type: 'waiting', error })
  await settle(1_000)
  expect(client.state.type).toBe('online')
})

it('shows a new token before the old one expires, in the same session', async () => {
  all.server.tokenMs = { life: 60_000, warning: 10_000 }
  const reasons: string[] = []
  let failures = 1
  const getToken: GetToken = async (reason) => {
    reasons.push(reason)
    if (reason === 'expiring' && failures-- > 0) throw new Error('try again')
    return 'ada'
  }
  const client = all.client({ getToken })
  await settle(59_000)
  expect(all.server.framesOf('Refresh')).toEqual([{ token: 'ada' }])
  expect(reasons).toEqual(['connect', 'expiring', 'expiring'])
  expect(client.state.type).toBe('online')
  expect(all.server.connections).toBe(1)
})

it('null for an expiring token signs out', async () => {
  all.server.tokenMs = { life: 60_000, warning: 10_000 }
  const client = all.client({ getToken: async (reason) => (reason === 'expiring' ? null : 'ada') })
  await settle(51_000)
  expect(client.state.type).toBe('signed-out')
  expect(all.server.links.size).toBe(0)
})

it('goes on with a server that takes no new tokens inside a session', async () => {
  const getToken = vi.fn<GetToken>(async () => 'ada')
  const client = all.client({ getToken })
  await settle()
  all.server.offersRefresh = false
  for (let count = 0; count < 2; count++) {
    all.server.control().send('Expiring', { at: Date.now() + 10_000 })
    await settle(1_000)
  }
  expect(client.state.type).toBe('online')
  expect(all.server.framesOf('Refresh')).toHaveLength(1)
  expect(getToken.mock.calls.map(([reason]) => reason)).toEqual(['connect', 'expiring', 'connect'])
})

it('opens the next session first where the server names other nodes, and misses nothing', async () => {
  const dialed: (string | undefined)[] = []
  const client = all.client({
    connect: (dial) => {
      dialed.push(dial.url)
      return all.server.connect(dial)
    },
  })
  const room = client.room<string>('r', { from: { type: 'oldest' } })
  const seen = follow(room)
  const statuses = collect(client.status())
  await room.publish('a')
  const first = client.currentStatus.session
  all.server.drain({ nodes: ['https://other'] })
  const done = room.publish('b')
  await settle(100)
  expect((await done).offset).toBe(2)
  await settle()
  expect(dialed).toEqual([undefined, 'https://other'])
  expect(states(statuses)).toEqual(['connecting', 'online', 'online'])
  expect(all.server.framesOf('Hello')[1]).toMatchObject({ previous: first })
  expect(all.server.links.size).toBe(1)
  expect(seen.filter((line) => !line.startsWith('caught'))).toEqual(['1 a', '2 b'])
})

it('comes back to the same server where no other node can be reached', async () => {
  const client = all.client({
    connect: async (dial) => {
      if (dial.url !== undefined) throw new Error('no such node')
      return all.server.connect(dial)
    },
  })
  await settle()
  all.server.drain({ nodes: ['https://a', 'https://b'], delayMs: 2_000 })
  await settle()
  expect(client.state).toMatchObject({ type: 'waiting', error: { code: Code.draining } })
  await settle(2_500)
  expect(client.state.type).toBe('online')
})

it('reconnect leaves the session and opens the next one at once', async () => {
  const client = all.client()
  const room = client.room('r')
  const seen = follow(room)
  await settle()
  client.reconnect()
  await settle()
  expect(all.server.connections).toBe(2)
  expect(client.state.type).toBe('online')
  await room.publish('a')
  await settle()
  expect(seen).toContain('1 a')
})

it('close with drain waits for the answers, and not for ever', async () => {
  const quick = all.client()
  const done = quick.room('r').publish('a')
  const closed = quick.close({ drain: true })
  await settle()
  expect((await done).offset).toBe(1)
  await closed
  expect(quick.state).toEqual({ type: 'closed', error: undefined })
  all.server.down = 'away'
  const stuck = all.client()
  const lost = expect(stuck.room('r').publish('b')).rejects.toMatchObject({ kind: 'closed' })
  const given = stuck.close({ drain: 3_000 })
  await settle(2_999)
  expect(stuck.state.type).toBe('waiting')
  await settle(1)
  await given
  await lost
})

it('`await using` drains', async () => {
  const client = all.client()
  void client.room('r').publish('a')
  await client[Symbol.asyncDispose]()
  expect(all.server.texts('r')).toEqual(['a'])
})

it('latency is no reason to doubt a connection', async () => {
  all.server.latencyMs = 400
  const client = all.client()
  const room = client.room('r')
  const done = room.publish('a')
  await settle(10_000)
  expect((await done).offset).toBe(1)
  expect(client.currentStatus).toMatchObject({ state: 'online', rttMs: 800 })
  expect(all.server.connections).toBe(1)
})

it('listeners get what is theirs, the room is joined for them, and left after the last one', async () => {
  const room = all.client().room<string>('r', { from: { type: 'oldest' } })
  const [records, ends]: [string[], number[]] = [[], []]
  const offRecord = room.on('record', ({ record }) => records.push(record.value))
  const offEnd = room.on('caught-up', ({ head }) => ends.push(head))
  await room.publish('a')
  await settle()
  offRecord()
  expect(room.state.type).toBe('joined')
  offEnd()
  await settle()
  expect(room.state.type).toBe('idle')
  expect([records, ends]).toEqual([['a'], [0]])
})

it.each([
  ['pagehide', 'paused', 0],
  ['pageshow', 'online', 1],
] as const)('on %s it is %s', async (until, state, links) => {
  const target = new EventTarget()
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
  vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target))
  const client = all.client()
  await settle()
  target.dispatchEvent(new Event('pageshow'))
  await settle()
  expect(all.server.connections).toBe(1)
  target.dispatchEvent(new Event('pagehide'))
  await settle(5_000)
  if (until === 'pageshow') target.dispatchEvent(new Event('pageshow'))
  await settle()
  expect(client.state.type).toBe(state)
  expect(all.server.links.size).toBe(links)
  await client.close()
  vi.unstubAllGlobals()
})
