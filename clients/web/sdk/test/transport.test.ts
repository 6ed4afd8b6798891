// Which transport, in what order, and why.

import { expect, it, vi } from 'vitest'
import type { Link } from '../src/link.ts'
import { sleep } from '../src/sync.ts'
import { type BrowserTransport, chooseTransport, dialer, race, type Surroundings } from '../src/transport.ts'
import { Code } from '../src/wire/code.ts'
import { random, setting, settle } from './support.ts'

const all = setting()

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36'
const SAFARI = 'Mozilla/5.0 (Macintosh; Intel Mac OS X) AppleWebKit/605.1.15 (KHTML) Version/26.4 Safari/605.1.15'
const CHROME_IOS = 'Mozilla/5.0 (iPhone; CPU iPhone OS 26_4) AppleWebKit/605.1.15 (KHTML) CriOS/150.0 Mobile/15E148'
const firefox = (version: number) => `Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/${version}.0`
const BOTH = { webtransport: true, websocket: true }
const [WT, WS] = ['webtransport', 'websocket'] as const

it.each([
  ['the best one', CHROME, BOTH, {}, [WT, WS]],
  ['Firefox that does not stall', firefox(153), BOTH, {}, [WT, WS]],
  ['Firefox that stalls', firefox(152), BOTH, {}, [WS, WT]],
  ['Safari', SAFARI, BOTH, {}, [WS, WT]],
  ['Chrome on iOS is WebKit', CHROME_IOS, BOTH, {}, [WS, WT]],
  ['a runtime that says nothing', '', BOTH, {}, [WT, WS]],
  ['no WebTransport', CHROME, { webtransport: false, websocket: true }, {}, [WS]],
  ['no WebSocket', SAFARI, { webtransport: true, websocket: false }, {}, [WT]],
  ['neither', CHROME, { webtransport: false, websocket: false }, {}, []],
  ['what has won', CHROME, BOTH, { winner: WS }, [WS, WT]],
  ['what has won, also in Safari', SAFARI, BOTH, { winner: WT }, [WT, WS]],
  ['the one beside the silent one, whatever has won', CHROME, BOTH, { winner: WT, avoid: WT }, [WS, WT]],
  ['the silent one, if it is alone', CHROME, { webtransport: true, websocket: false }, { avoid: WT }, [WT]],
] as const)('takes %s', (_, agent, features, memory, order) => {
  const plan = chooseTransport(agent, features, memory)
  expect(plan.order).toEqual(order)
  expect(plan.why).not.toBe('')
})

/** Opens connections to the server in memory after so many milliseconds; `never` and `fails` are what they say. */
function opener(times: Record<BrowserTransport, number | 'never' | 'fails'>) {
  const opened: string[] = []
  const links: Link[] = []
  const open = async (name: BrowserTransport, signal: AbortSignal): Promise<Link> => {
    opened.push(`${name} at ${performance.now() - start}`)
    const time = times[name]
    if (time === 'fails') throw new Error('no way')
    if (time === 'never') {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))))
    }
    await new Promise((resolve) => setTimeout(resolve, time))
    const link = await all.server.connectAs(name)({ signal })
    links.push(link)
    return link
  }
  const start = performance.now()
  return { open, opened, links }
}

const plan = { order: [WT, WS], why: '' }

it('the first has half a second for itself, and wins alone', async () => {
  const { open, opened } = opener({ webtransport: 400, websocket: 0 })
  const link = race(plan, open, new AbortController().signal)
  await settle(1_000)
  expect((await link).transport).toBe(WT)
  expect(opened).toEqual(['webtransport at 0'])
})

it('a silent network is left behind after half a second', async () => {
  const { open, opened } = opener({ webtransport: 'never', websocket: 20 })
  const link = race(plan, open, new AbortController().signal)
  await settle(520)
  expect((await link).transport).toBe(WS)
  expect(opened).toEqual(['webtransport at 0', 'websocket at 500'])
})

it('a transport that fails at once costs no head start', async () => {
  const { open, opened } = opener({ webtransport: 'fails', websocket: 0 })
  const link = race(plan, open, new AbortController().signal)
  await settle(1)
  expect((await link).transport).toBe(WS)
  expect(opened).toEqual(['webtransport at 0', 'websocket at 0'])
})

it('who comes too late is closed without a word', async () => {
  const { open, links } = opener({ webtransport: 700, websocket: 100 })
  const link = await Promise.all([race(plan, open, new AbortController().signal), settle(1_000)])
  expect(link[0].transport).toBe(WS)
  expect(links.map(({ transport }) => transport)).toEqual([WS, WT])
  await settle()
  expect([...all.server.links].map(({ transport }) => transport)).toEqual([WS])
  expect(all.server.received).toEqual([])
})

it('when all fail, it says how', async () => {
  const { open } = opener({ webtransport: 'fails', websocket: 'fails' })
  await expect(race(plan, open, new AbortController().signal)).rejects.toMatchObject({
    kind: 'connect',
    retryable: true,
    message: expect.stringMatching(/webtransport: no way; websocket: no way/),
  })
})

it('gives up when asked to', async () => {
  const { open } = opener({ webtransport: 'never', websocket: 'never' })
  const abort = new AbortController()
  const link = race(plan, open, abort.signal)
  const failed = expect(link).rejects.toThrow('enough')
  abort.abort(new Error('enough'))
  await failed
})

/** A browser on a network that may swallow UDP. */
function network(url: string) {
  const state = { udp: true, tcp: true, connectMs: 0, tried: [] as string[] }
  const outside: Surroundings = {
    agent: CHROME,
    features: BOTH,
    info: async () => ({ webtransport: ['https://a/v1'], websocket: ['wss://a/v1/ws'], hashes: [] }),
    open: async (name, _, why, signal) => {
      state.tried.push(name)
      if (!(name === WT ? state.udp : state.tcp)) {
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))))
      }
      if (state.connectMs > 0) await sleep(state.connectMs, signal)
      const link = await all.server.connectAs(name)({ signal })
      return Object.assign(link, { why })
    },
  }
  return { state, dial: dialer(url, [WT, WS], outside) }
}

it('connects over WebSocket in under a second where UDP is blocked, and says why', async () => {
  const { state, dial } = network('https://blocked')
  state.udp = false
  const client = all.client({ connect: dial.connect })
  await settle(999)
  const why = 'webtransport did not answer in time'
  expect(client.currentStatus).toMatchObject({ state: 'online', transport: WS, why })
  expect(all.server.framesOf('Hello')).toHaveLength(1)
})

it('remembers who has won for 10 minutes, or until the network changes', async () => {
  const { state, dial } = network('https://remembered')
  const connect = async () => {
    state.tried.length = 0
    const link = dial.connect({ signal: new AbortController().signal })
    await settle(600)
    ;(await link).close()
    return [...state.tried]
  }
  state.udp = false
  expect(await connect()).toEqual([WT, WS])
  state.udp = true
  expect(await connect()).toEqual([WS])
  dial.forget()
  expect(await connect()).toEqual([WT])
  state.udp = false
  expect(await connect()).toEqual([WT, WS])
  await settle(10 * 60_000)
  state.udp = true
  expect(await connect()).toEqual([WT])
})

it('races another transport beside one that falls silent in mid-session, and loses nothing', async () => {
  const { state, dial } = network('https://silent')
  const client = all.client({ connect: dial.connect })
  const room = client.room<string>('r', { from: { type: 'oldest' } })
  const seen: string[] = []
  room.on('record', ({ record }) => seen.push(record.value))
  await room.publish('a')
  const first = client.currentStatus
  all.server.hold()
  state.udp = false
  const done = room.publish('b')
  await settle(999)
  expect(client.currentStatus).toMatchObject({ transport: WS, why: 'webtransport has fallen silent' })
  expect((await done).offset).toBe(2)
  expect(all.server.texts('r')).toEqual(['a', 'b'])
  await settle()
  expect(seen).toEqual(['a', 'b'])
  expect(all.server.framesOf('Hello')[1]).toMatchObject({ previous: first.session })
  // The connection stayed up for the application: it was never waiting.
  expect(client.state.type).toBe('online')
})

it('notices the silence of an idle session within a second of the next ping', async () => {
  const { state, dial } = network('https://idle')
  const client = all.client({ connect: dial.connect })
  await settle(5_100)
  all.server.hold()
  state.udp = false
  await settle(4_800)
  expect(client.currentStatus.transport).toBe(WT)
  await settle(1_100)
  expect(client.currentStatus.transport).toBe(WS)
})

it('a join without an answer is as good a sign as a publish', async () => {
  const { state, dial } = network('https://join')
  const client = all.client({ connect: dial.connect })
  await settle()
  all.server.hold()
  state.udp = false
  client.room('r').on('record', () => {})
  await settle(999)
  expect(client.currentStatus.transport).toBe(WS)
  expect(client.state.type).toBe('online')
})

it('after a change of the network an idle session is left in under a second, if it is gone', async () => {
  const target = new EventTarget()
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
  const { state, dial } = network('https://changed')
  const client = all.client({ connect: dial.connect })
  await settle()
  target.dispatchEvent(new Event('online'))
  await settle(2_000)
  expect(state.tried).toEqual([WT])
  all.server.hold()
  state.udp = false
  target.dispatchEvent(new Event('online'))
  await settle(999)
  expect(client.currentStatus.transport).toBe(WS)
  vi.unstubAllGlobals()
})

it('a path that is known to be long is no silence', async () => {
  all.server.latencyMs = 375
  const { state, dial } = network('https://long')
  const client = all.client({ connect: dial.connect })
  const room = client.room('r')
  room.on('record', () => {})
  await settle(2_000)
  for (let count = 0; count < 20; count++) {
    void room.publish(count)
    await settle(count * 300)
  }
  expect(client.currentStatus.rttMs).toBe(750)
  expect(state.tried).toEqual([WT])
  expect(all.server.room('r').head).toBe(20)
})

it('an answer that is late is no silence while the server lives', async () => {
  const { state, dial } = network('https://slow')
  const client = all.client({ connect: dial.connect })
  const never = new Promise<undefined>(() => {})
  all.server.onFirst = ({ name }) => (name === 'Open' || name === 'Join' ? never : undefined)
  client.room('r').publish('a').catch(() => {})
  client.room('s').on('record', () => {})
  await settle(30_000)
  expect(state.tried).toEqual([WT])
})

it('packets that are sent again end no session', async () => {
  const coin = random(20)
  all.server.latencyMs = 25
  const { state, dial } = network('https://lossy')
  const client = all.client({ connect: dial.connect })
  const room = client.room('r')
  room.on('record', () => {})
  await settle(1_000)
  state.connectMs = 200
  for (let count = 0; count < 500; count++) {
    void room.publish(count)
    // One in five is lost, one in five of those again: sent again after three times the round trip, and then six.
    if (coin() < 0.2) {
      all.server.hold()
      await settle(coin() < 0.2 ? 300 : 150)
      all.server.release()
    }
    await settle(coin() * 100)
  }
  await settle(1_000)
  expect(all.server.room('r').head).toBe(500)
  expect(all.server.framesOf('Hello')).toHaveLength(1)
  expect(client.currentStatus).toMatchObject({ state: 'online', transport: WT })
  // At most now and then another connection was begun, and given up.
  expect(state.tried.length).toBeLessThan(10)
})

it('another connection that was begun too early is given up before a word is said on it', async () => {
  const { state, dial } = network('https://early')
  const client = all.client({ connect: dial.connect })
  const room = client.room('r')
  await room.publish('a')
  state.connectMs = 300
  for (let count = 0; count < 10; count++) {
    all.server.hold()
    void room.publish(count)
    await settle(600)
    all.server.release()
    await settle(1_000)
  }
  expect(state.tried.length).toBeGreaterThan(2)
  expect(all.server.framesOf('Hello')).toHaveLength(1)
  expect(client.currentStatus).toMatchObject({ state: 'online', transport: WT })
})

it('stays where it is when the silent server answers after all', async () => {
  const { state, dial } = network('https://recovers')
  const client = all.client({ connect: dial.connect })
  await settle()
  all.server.hold()
  state.udp = false
  state.tcp = false
  await settle(12_000)
  all.server.release()
  await settle(30_000)
  expect(client.currentStatus).toMatchObject({ state: 'online', transport: WT })
  expect(all.server.framesOf('Hello')).toHaveLength(1)
})

it('only what the application allows is used', async () => {
  const { state } = network('https://none')
  const outside: Surroundings = {
    agent: CHROME,
    features: { webtransport: true, websocket: false },
    info: async () => ({ webtransport: ['https://a/v1'], websocket: [], hashes: [] }),
    open: async () => Promise.reject(new Error('not reached')),
  }
  const client = all.client({ connect: dialer('https://none', [WS], outside).connect })
  await settle()
  expect(state.tried).toEqual([])
  expect(client.state).toMatchObject({ type: 'closed', error: { kind: 'invalid' } })
})

it('a refusal is the answer of the server and not of the network: nothing else is tried', async () => {
  const { state, dial } = network('https://refused')
  const body = { code: Code.unsupported_version, message: '', retry_after: 0 }
  all.server.onFirst = () => ({ name: 'Refused', body })
  const client = all.client({ connect: dial.connect })
  await settle(5_000)
  expect(state.tried).toEqual([WT])
  expect(client.state.type).toBe('closed')
})

