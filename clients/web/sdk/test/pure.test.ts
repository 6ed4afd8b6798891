// The parts that know no clock and no socket.

import { expect, it } from 'vitest'
import { BACKOFF, delay } from '../src/backoff.ts'
import { Ephemerals } from '../src/ephemerals.ts'
import { LoquicError, refused } from '../src/error.ts'
import { decodeValue, encodeValue } from '../src/event.ts'
import { Liveness } from '../src/liveness.ts'
import { Credit, Subscription } from '../src/subscription.ts'
import { Code } from '../src/wire/code.ts'
import type { Body, FrameName } from '../src/wire/frame.ts'

it('the span of the backoff doubles up to its bound, above what the server asks for', () => {
  const backoff = { ...BACKOFF, maxMs: 2_000 }
  const longest = [0, 1, 2, 3, 4, 5, 50].map((attempt) => delay(backoff, attempt, 0, 1))
  expect(longest).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000])
  expect(delay(backoff, 3, 5_000, 0)).toBe(5_000)
})

it('an idle session is asked, asked again, and then silent', () => {
  const liveness = new Liveness(5_000, 20, 0)
  expect(liveness.poll(0)).toEqual({ do: 'wait', ms: 5_000 })
  expect(liveness.poll(5_000)).toEqual({ do: 'ping', token: 1 })
  expect(liveness.poll(5_000)).toEqual({ do: 'wait', ms: 400 })
  expect(liveness.poll(5_400)).toEqual({ do: 'ping', token: 2 })
  expect(liveness.poll(5_799)).toEqual({ do: 'wait', ms: 1 })
  expect(liveness.poll(5_800)).toEqual({ do: 'give_up' })
  expect(liveness.handlePong(2, 5_810)).toBe(410)
  expect(liveness.poll(5_810)).toEqual({ do: 'wait', ms: 5_000 })
  expect(liveness.handlePong(1, 5_820)).toBeUndefined()
})

it('where an answer is due, silence is noticed in 400 ms, and a ping in between tells a late answer from it', () => {
  const liveness = new Liveness(15_000, 20, 0)
  liveness.await(1_000)
  expect(liveness.poll(1_000)).toEqual({ do: 'wait', ms: 200 })
  expect(liveness.poll(1_200)).toEqual({ do: 'ping', token: 1 })
  expect(liveness.poll(1_399)).toEqual({ do: 'wait', ms: 1 })
  expect(liveness.poll(1_400)).toEqual({ do: 'give_up' })
  liveness.handlePong(1, 1_410)
  expect(liveness.poll(1_500)).toEqual({ do: 'wait', ms: 14_910 })
})

it('whatever comes is a sign of life, and what is due stays due', () => {
  const liveness = new Liveness(15_000, 20, 0)
  liveness.await(0)
  liveness.handleBytes(150)
  expect(liveness.poll(200)).toEqual({ do: 'wait', ms: 150 })
  expect(liveness.poll(350)).toEqual({ do: 'ping', token: 1 })
  liveness.handleBytes(360)
  expect(liveness.poll(560)).toEqual({ do: 'ping', token: 2 })
  liveness.settle()
  expect(liveness.poll(800)).toEqual({ do: 'wait', ms: 14_200 })
})

it.each([
  [750, 3_000],
  [10_000, 6_000],
])('patience is four round trips, within bounds: of %i ms it is %i', (rttMs, patienceMs) => {
  const liveness = new Liveness(15_000, rttMs, 0)
  liveness.await(0)
  expect(liveness.poll(patienceMs / 2)).toMatchObject({ do: 'ping' })
  expect(liveness.poll(patienceMs)).toEqual({ do: 'give_up' })
})

it('a round trip is smoothed', () => {
  const liveness = new Liveness(1_000, 100, 0)
  expect(liveness.poll(1_000)).toMatchObject({ token: 1 })
  liveness.handlePong(1, 1_300)
  expect(liveness.poll(2_300)).toMatchObject({ token: 2 })
  expect(liveness.poll(2_300)).toEqual({ do: 'wait', ms: 4 * 150 })
})

it('a hint asks at once and waits less', () => {
  const liveness = new Liveness(15_000, 20, 0)
  liveness.probe(1_000)
  expect(liveness.poll(1_000)).toEqual({ do: 'ping', token: 1 })
  expect(liveness.poll(1_200)).toEqual({ do: 'ping', token: 2 })
  expect(liveness.poll(1_400)).toEqual({ do: 'give_up' })
})

it('a process that stood still reads its answers before it gives up, and one that always does gives up too', () => {
  const liveness = new Liveness(15_000, 20, 0)
  liveness.poll(15_000)
  liveness.poll(15_400)
  expect(liveness.poll(60_000)).toEqual({ do: 'wait', ms: 400 })
  expect(liveness.poll(61_000)).toEqual({ do: 'give_up' })
})

it('an error says whether to try again, and when', () => {
  expect(refused(Code.overloaded)).toMatchObject({ retryable: true, retryAfterMs: 1_000 })
  expect(refused(Code.overloaded, '', 7_000)).toMatchObject({ retryAfterMs: 7_000 })
  expect(refused(Code.skipped)).toMatchObject({ retryable: true, retryAfterMs: undefined })
  expect(refused(Code.forbidden).retryable).toBe(false)
  expect(refused(Code.bad_token).retryable).toBe(false)
  expect(refused(9_999).retryable).toBe(true)
  expect(new LoquicError('closed', '').retryable).toBe(false)
})

it('values travel as what they are', () => {
  for (const value of ['text', { a: [1, null] }, 7, new Uint8Array([0, 255])]) {
    const { format, payload } = encodeValue(value)
    expect(decodeValue(format, payload)).toEqual(value)
  }
  expect(decodeValue('json', new TextEncoder().encode('{'))).toBe('{')
  expect(() => encodeValue(undefined)).toThrow(expect.objectContaining({ kind: 'invalid' }))
})

it('of a sender and slot only news counts', () => {
  const ephemerals = new Ephemerals()
  const of = (sender: string, slot: number, stamp: number) =>
    ephemerals.handle({ handle: 1, sender, slot, stamp, payload: new Uint8Array() })
  expect([of('a', 0, 5), of('a', 0, 5), of('a', 0, 4), of('a', 1, 4), of('b', 0, 1), of('a', 0, 6)]).toEqual([
    true,
    false,
    false,
    true,
    true,
    true,
  ])
  expect(ephemerals.stamp(0, 10)).toBe(10)
  expect(ephemerals.stamp(0, 10)).toBe(11)
})

it('credit is granted by halves and never exceeds the window', () => {
  const credit = new Credit(1 << 20)
  expect(credit.join()).toBe(1 << 20)
  credit.queue(600_000)
  expect(credit.grant()).toBe(0)
  credit.take(524_287)
  expect(credit.grant()).toBe(0)
  credit.take(1)
  expect(credit.grant()).toBe(524_288)
  expect(credit.join()).toBe((1 << 20) - 75_712)
  credit.queue(900_000)
  expect(credit.join()).toBeUndefined()
})

const record = (offset: number): Body<'Record'> => ({
  offset,
  time: 1,
  kind: 0,
  format: 'text',
  flags: 0,
  sender: 'bob',
  producer: '00000000',
  id: 1,
  refers: null,
  payload: new Uint8Array(),
})

function reader(subscription: Subscription<unknown>) {
  return <N extends FrameName>(name: N, body: Body<N>) =>
    subscription
      .handle({ name, body, size: 1 } as never)
      .map((event) => (event.type === 'record' ? event.record.offset : event))
}

it('resumes behind the last record, in the epoch it was seen in', () => {
  const subscription = new Subscription('r', { type: 'oldest' }, 'all')
  const handle = reader(subscription)
  expect(subscription.join(1).from).toEqual({ type: 'oldest' })
  handle('Joined', { handle: 1, epoch: 10, head: 2, floor: 1 })
  expect([...handle('Record', record(1)), ...handle('Record', record(2))]).toEqual([1, 2])
  expect(handle('Record', record(2))).toEqual([])
  expect(subscription.join(1).from).toEqual({ type: 'after', position: { epoch: 10, offset: 2 } })
  handle('Joined', { handle: 1, epoch: 20, head: 5, floor: 5 })
  expect(subscription.position).toEqual({ epoch: 10, offset: 2 })
  expect(handle('Gap', { from: 3, to: 4, reason: 'retention' })).toEqual([
    { type: 'gap', from: 3, to: 4, reason: 'retention' },
  ])
  expect(handle('Record', record(5))).toEqual([5])
  expect(subscription.position).toEqual({ epoch: 20, offset: 5 })
})

it('a hole that nobody has announced is the end of the session', () => {
  const subscription = new Subscription('r', { type: 'live' }, 'all')
  const handle = reader(subscription)
  expect(() => handle('Record', record(1))).toThrow('before Joined')
  handle('Joined', { handle: 1, epoch: 10, head: 2, floor: 1 })
  expect(() => handle('Record', record(4))).toThrow('offset 4 came after 2')
})

it('says what is not held behind a reset, and resumes there', () => {
  const subscription = new Subscription('r', { type: 'after', position: { epoch: 1, offset: 9 } }, 'all')
  const handle = reader(subscription)
  handle('Joined', { handle: 1, epoch: 10, head: 8, floor: 7 })
  expect(handle('Reset', { epoch: 10, valid_to: 4, head: 8 })).toEqual([
    { type: 'reset', epoch: 10, validTo: 4, head: 8 },
  ])
  expect(handle('Record', record(7))).toEqual([{ type: 'gap', from: 5, to: 6, reason: 'retention' }, 7])
  expect(handle('CaughtUp', { head: 8 })).toEqual([{ type: 'caught-up', head: 8 }])
  expect(subscription.join(1).from).toEqual({ type: 'after', position: { epoch: 10, offset: 8 } })
})
