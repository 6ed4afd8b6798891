// The whole client against a server in memory, in virtual time.

import { expect, it } from 'vitest'
import { Code } from '../src/wire/code.ts'
import { decodeDatagram, encodeDatagram } from '../src/wire/frame.ts'
import { follow, random, setting, settle } from './support.ts'

const all = setting()

it('reads a room from the start and goes on live', async () => {
  all.server.append('r', 'a')
  const seen = follow(all.client().room('r', { from: { type: 'oldest' } }))
  await settle()
  all.server.append('r', 'b')
  await settle()
  expect(seen).toEqual(['1 a', 'caught up 1', '2 b'])
})

it('goes on behind the last record after a cut, without a repeat', async () => {
  const seen = follow(all.client().room('r', { from: { type: 'oldest' } }))
  await settle()
  all.server.append('r', 'a')
  await settle()
  all.server.cut()
  all.server.append('r', 'b')
  await settle(200)
  expect(seen).toEqual(['caught up 0', '1 a', '2 b', 'caught up 2'])
  expect(all.server.framesOf('Join').at(-1)?.from).toEqual({ type: 'after', position: { epoch: 1000, offset: 1 } })
})

it('tells of a loss', async () => {
  const seen = follow(all.client().room('r', { from: { type: 'oldest' } }))
  await settle()
  for (const text of ['a', 'b', 'c']) all.server.append('r', text)
  await settle()
  all.server.restart(1)
  await settle(200)
  all.server.append('r', 'd')
  await settle()
  expect(seen.slice(1)).toEqual(['1 a', '2 b', '3 c', 'reset 1', 'caught up 1', '2 d'])
})

it('grants credit as events are taken, and holds the server back until then', async () => {
  for (let count = 0; count < 100; count++) all.server.append('r', 'x'.repeat(10_000))
  const events = all.client().room('r', { from: { type: 'oldest' } }).events()
  await settle()
  const joined = all.server.framesOf('Join')[0]?.credit ?? 0
  expect(joined).toBe(384 * 1024)
  expect(all.server.framesOf('Credit')).toEqual([])
  for (let count = 0; count < 100; count++) {
    const { value } = await events.next()
    expect(value).toMatchObject({ type: 'record', record: { offset: count + 1 } })
    await settle()
  }
  const granted = all.server.framesOf('Credit').reduce((sum, { bytes }) => sum + bytes, 0)
  expect(granted).toBeGreaterThan(600_000)
  await events.return?.()
})

it('two readers get everything, and the slower one holds the credit', async () => {
  const room = all.client().room('r', { from: { type: 'oldest' } })
  const [seen, slow] = [follow(room), room.events()]
  await settle()
  for (let count = 0; count < 100; count++) all.server.append('r', 'x'.repeat(10_000))
  await settle()
  expect(seen.length).toBeLessThan(45)
  for (let count = 0; count < 101; count++) {
    await slow.next()
    await settle()
  }
  expect(seen.length).toBe(101)
  await slow.return?.()
})

it('leaves the room when nobody reads, and comes back where it was', async () => {
  const room = all.client().room('r', { from: { type: 'oldest' } })
  all.server.append('r', 'a')
  const events = room.events()
  expect((await events.next()).value).toMatchObject({ type: 'record' })
  await events.return?.()
  await settle()
  expect(room.state).toEqual({ type: 'idle' })
  all.server.append('r', 'b')
  const seen = follow(room)
  await settle()
  expect(seen).toEqual(['2 b', 'caught up 2'])
})

it('a refusal that will not change ends reading with an error', async () => {
  all.server.onFirst = (frame) =>
    frame.name === 'Join'
      ? { name: 'Refused', body: { code: Code.forbidden, message: 'no', retry_after: 0 } }
      : undefined
  const room = all.client().room('r')
  const seen = follow(room)
  await settle()
  expect(seen).toEqual(['LoquicError: the server refused: forbidden: no'])
  expect(room.state.type).toBe('failed')
})

it('publishes pipelined and in order, and tells each its offset', async () => {
  const room = all.client().room('r')
  const acks = await Promise.all(Array.from({ length: 50 }, (_, index) => room.publish(`m${index}`)))
  expect(acks.map(({ offset }) => offset)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
  expect(all.server.texts('r')).toEqual(acks.map((_, index) => `m${index}`))
  expect(room.outbox).toEqual([])
})

it('its own record has the producer and id of the ack', async () => {
  const room = all.client().room('r', { from: { type: 'oldest' } })
  const ack = await room.publish({ text: 'hello' })
  const { value } = await room.events().next()
  expect(value).toMatchObject({ record: { producer: ack.producer, id: ack.id, offset: ack.offset } })
})

it('says what became of a publish: waiting, sent, durable', async () => {
  all.server.down = 'not yet'
  const room = all.client().room('r')
  const done = room.publish('a')
  await settle()
  expect(room.outbox).toMatchObject([{ value: 'a', state: 'waiting' }])
  all.server.down = undefined
  all.server.onFirst = (frame) =>
    frame.name === 'Open' ? { name: 'Opened', body: { last_id: 0, in_flight_max: 8 } } : undefined
  await settle(15_000)
  expect(room.outbox).toMatchObject([{ value: 'a', state: 'sent' }])
  all.server.onFirst = () => undefined
  all.server.cut()
  await settle(15_000)
  expect(await done).toMatchObject({ offset: 1, duplicate: 'no' })
  expect(room.outbox).toEqual([])
})

it('goes back after a Nack and keeps the order', async () => {
  let refusals = 3
  all.server.onPublish = ({ id }) => (id === 3 && refusals-- > 0 ? Code.overloaded : undefined)
  const room = all.client().room('r')
  const acks = Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => room.publish(text)))
  await settle(20_000)
  expect((await acks).map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5])
  expect(all.server.texts('r')).toEqual(['a', 'b', 'c', 'd', 'e'])
})

it('refuses one publish for good without holding up those behind it', async () => {
  all.server.onPublish = ({ payload }) => (new TextDecoder().decode(payload) === 'bad' ? Code.bad_record : undefined)
  const room = all.client().room('r')
  const outcomes = Promise.allSettled(['a', 'bad', 'b', 'c'].map((text) => room.publish(text)))
  await settle(1_000)
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
  expect(all.server.texts('r')).toEqual(['a', 'b', 'c'])
})

it('takes back what was not sent when its signal says so', async () => {
  all.server.down = 'away'
  const room = all.client().room('r')
  const abort = new AbortController()
  const { signal } = abort
  const outcomes = Promise.allSettled([room.publish('a'), room.publish('b', { signal }), room.publish('c')])
  await settle()
  abort.abort()
  all.server.down = undefined
  await settle(20_000)
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(all.server.texts('r')).toEqual(['a', 'c'])
})

it('refuses what cannot be sent, at once', async () => {
  const made = all.client()
  const room = made.room('r')
  expect(() => made.room('no such/name')).toThrow(expect.objectContaining({ code: Code.bad_name }))
  await settle()
  await expect(room.publish('x'.repeat(65_537))).rejects.toMatchObject({ code: Code.payload_too_large })
  all.server.down = 'away'
  all.server.cut()
  const waiting = Array.from({ length: 16 }, () => room.publish('x'.repeat(65_536)))
  await expect(room.publish('x')).rejects.toMatchObject({ kind: 'outbox_full', retryable: true })
  void made.close()
  for (const publish of waiting) await expect(publish).rejects.toMatchObject({ kind: 'closed' })
  await expect(room.publish('x')).rejects.toMatchObject({ kind: 'closed' })
})

const seeds = Array.from({ length: 30 }, (_, seed) => seed)

it.each(seeds)('cuts at any moment lose and repeat nothing (seed %i)', async (seed) => {
  const coin = random(seed)
  all.server.onPublish = () => (coin() < 0.05 ? Code.overloaded : undefined)
  const room = all.client().room('r', { from: { type: 'oldest' } })
  const seen = follow(room)
  const acks: Promise<{ offset: number }>[] = []
  for (let count = 0; count < 60; count++) {
    acks.push(room.publish(`m${count}`))
    for (let turns = Math.floor(coin() * 12); turns > 0; turns--) await Promise.resolve()
    if (coin() < 0.1) all.server.cut()
    if (coin() < 0.1) all.server.restart()
    if (coin() < 0.3) await settle(coin() * 500)
  }
  await settle(120_000)
  const offsets = (await Promise.all(acks)).map(({ offset }) => offset)
  const wanted = Array.from({ length: 60 }, (_, index) => `m${index}`)
  expect(all.server.texts('r')).toEqual(wanted)
  expect(offsets).toEqual(wanted.map((_, index) => index + 1))
  expect(seen.filter((line) => !line.startsWith('caught'))).toEqual(wanted.map((text, index) => `${index + 1} ${text}`))
})

it('a server that falls silent is left and found again', async () => {
  const made = all.client()
  await settle()
  all.server.alive = false
  await settle(16_000)
  expect(made.state).toMatchObject({ type: expect.stringMatching(/online|waiting|connecting/) })
  expect(all.server.connections).toBeGreaterThan(1)
  all.server.alive = true
  await settle(30_000)
  expect(made.state.type).toBe('online')
})

it('leaves when the server asks it to, after its publishes have their answers', async () => {
  const made = all.client()
  const room = made.room('r')
  await room.publish('a')
  all.server.control().send('Goaway', { reason: 'shutdown', deadline: 10_000, delay: 3_000, nodes: [] })
  await settle()
  expect(made.state).toMatchObject({ type: 'waiting', error: { code: Code.draining } })
  const done = room.publish('b')
  await settle(2_900)
  expect(all.server.connections).toBe(1)
  await settle(500)
  expect((await done).offset).toBe(2)
})

it('a session that the server ends for good is the end of the client', async () => {
  const made = all.client()
  const seen = follow(made.room('r'))
  await settle()
  all.server.control().send('Closing', { code: Code.bad_token, reason: 'who are you' })
  await settle(60_000)
  expect(made.state).toMatchObject({ type: 'closed', error: { code: Code.bad_token } })
  expect(seen).toEqual(['caught up 0', 'LoquicError: the server refused: bad_token: who are you'])
})

it('a token that is refused is asked for again, but not for ever', async () => {
  all.server.onFirst = (frame) =>
    frame.name === 'Hello' && frame.body.auth.type === 'bearer' && frame.body.auth.token.startsWith('old')
      ? { name: 'Refused', body: { code: Code.token_expired, message: '', retry_after: 0 } }
      : undefined
  const tokens = ['old', 'old', 'new']
    const lucky = all.client({ getToken: async () => tokens.shift() ?? '' })
  const unlucky = all.client({ getToken: async () => 'old' })
  await settle(20_000)
  expect(lucky.state.type).toBe('online')
  expect(unlucky.state).toMatchObject({ type: 'closed', error: { code: Code.token_expired, retryable: false } })
  expect(all.server.framesOf('Hello')).toHaveLength(3 + 4)
})

it('rooms beyond what a session may have wait for their turn', async () => {
  all.server.limits = { ...all.server.limits, rooms_max: 2 }
  const made = all.client()
  const first = made.room('a').events()
  const others = [follow(made.room('b')), follow(made.room('c'))]
  await settle()
  expect(all.server.framesOf('Join').map(({ room }) => room)).toEqual(['a', 'b'])
  await first.return?.()
  await settle()
  expect(others).toEqual([['caught up 0'], ['caught up 0']])
})

it('ephemerals go as datagrams and only the newest comes through', async () => {
  const room = all.client().room('r')
  expect(room.sendEphemeral(0, { typing: true })).toBe(false)
  const seen = follow(room)
  await settle()
  expect(room.sendEphemeral(3, { typing: true })).toBe(true)
  const [link] = all.server.links
  const sent = decodeDatagram(link?.datagrams[0] ?? new Uint8Array())
  expect(sent).toMatchObject({ handle: 7, sender: '00'.repeat(16), slot: 3 })
  const echo = { ...sent, sender: 'cd'.repeat(16) }
  link?.onDatagram(encodeDatagram(echo))
  link?.onDatagram(encodeDatagram({ ...echo, stamp: echo.stamp - 1 }))
  link?.onDatagram(encodeDatagram({ ...echo, handle: 8, stamp: echo.stamp + 1 }))
  link?.onDatagram(new Uint8Array([255]))
  await settle()
  expect(seen).toEqual(['caught up 0', 'ephemeral {"typing":true}'])
  const tooLarge = expect.objectContaining({ code: Code.payload_too_large })
  expect(() => room.sendEphemeral(0, 'x'.repeat(1_100))).toThrow(tooLarge)
})
