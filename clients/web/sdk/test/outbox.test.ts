import { expect, it } from 'vitest'
import { type Entry, Outbox, type Outcome } from '../src/outbox.ts'
import { Code } from '../src/wire/code.ts'
import { Decoder } from '../src/wire/frame.ts'

const position = { epoch: 1, offset: 1 }

/** An outbox whose shelf and answers can be looked at. */
function make() {
  const shelf = new Map<number, number>()
  const log: string[] = []
  const outbox = new Outbox({
    put: ({ seq, id }) => void shelf.set(seq, id),
    remove: ({ seq }) => void shelf.delete(seq),
  })
  const push = (text: string): Entry =>
    outbox.push(
      { kind: 0, format: 'text', flags: 0, refers: null, payload: new TextEncoder().encode(text) },
      (outcome: Outcome) => {
        const what = 'receipt' in outcome ? outcome.receipt.duplicate : JSON.stringify(outcome)
        log.push(`${text}: ${what}`)
      },
    )
  const sent = (): string[] => {
    const decoder = new Decoder()
    decoder.push(outbox.fill(1 << 20) ?? new Uint8Array())
    const found: string[] = []
    for (let frame = decoder.next(); frame?.name === 'Publish'; frame = decoder.next()) {
      found.push(`${frame.body.id}=${new TextDecoder().decode(frame.body.payload)}`)
    }
    return found
  }
  const ack = (id: number, duplicate: 'no' | 'yes' = 'no') => outbox.handleAck({ id, position, time: 1, duplicate })
  const nack = (id: number, code: number, expected: number) =>
    outbox.handleNack({ id, code, expected, retry_after: 0 })
  return { outbox, shelf, log, push, sent, ack, nack }
}

it('numbers, sends within the window, and forgets what has its answer', () => {
  const { outbox, shelf, log, push, sent, ack } = make()
  for (const text of ['a', 'b', 'c']) push(text)
  expect(sent()).toEqual([])
  outbox.handleOpened(0, 2)
  expect(sent()).toEqual(['1=a', '2=b'])
  outbox.handleAckRun({ epoch: 1, first_id: 1, count: 2, first_offset: 5, time: 1 })
  expect(sent()).toEqual(['3=c'])
  ack(3)
  expect(log).toEqual(['a: no', 'b: no', 'c: no'])
  expect([outbox.isEmpty, outbox.bytes, shelf.size]).toEqual([true, 0, 0])
})

it('sends everything without an answer again, under the same ids', () => {
  const { outbox, push, sent, ack, log } = make()
  for (const text of ['a', 'b', 'c']) push(text)
  outbox.handleOpened(0, 8)
  sent()
  ack(1)
  outbox.handleDisconnected()
  push('d')
  outbox.handleOpened(3, 8)
  expect(sent()).toEqual(['2=b', '3=c', '4=d'])
  ack(2, 'yes')
  expect(log).toEqual(['a: no', 'b: yes'])
})

it('goes back once everything in flight is answered', () => {
  const { outbox, shelf, push, sent, ack, nack } = make()
  for (const text of ['a', 'b', 'c']) push(text)
  outbox.handleOpened(0, 8)
  sent()
  ack(1)
  expect(nack(2, Code.overloaded, 2)).toBeUndefined()
  push('d')
  expect(sent()).toEqual([])
  expect(nack(3, Code.skipped, 2)).toEqual({ code: Code.overloaded, retryAfterMs: 0, stalls: 0 })
  expect(sent()).toEqual(['2=b', '3=c', '4=d'])
  expect([...shelf]).toEqual([
    [2, 2],
    [3, 3],
    [4, 4],
  ])
})

it('drops what is refused for good and numbers the rest anew, on the shelf too', () => {
  const { outbox, shelf, log, push, sent, nack } = make()
  for (const text of ['a', 'b', 'c']) push(text)
  outbox.handleOpened(0, 8)
  sent()
  nack(1, Code.forbidden, 1)
  nack(2, Code.skipped, 1)
  nack(3, Code.skipped, 1)
  expect(log).toEqual([`a: {"code":${Code.forbidden}}`])
  expect(sent()).toEqual(['1=b', '2=c'])
  expect([...shelf]).toEqual([
    [2, 1],
    [3, 2],
  ])
  push('d')
  expect(sent()).toEqual(['3=d'])
})

it('numbers anew where the server has lost records', () => {
  const { outbox, push, sent, ack, nack } = make()
  push('a')
  push('b')
  outbox.handleOpened(0, 8)
  sent()
  ack(1)
  ack(2)
  outbox.handleDisconnected()
  push('c')
  outbox.handleOpened(1, 8)
  expect(sent()).toEqual(['2=c'])
  outbox.handleDisconnected()
  outbox.handleOpened(0, 8)
  expect(sent()).toEqual(['2=c'])
  nack(2, Code.id_gap, 1)
  expect(sent()).toEqual(['1=c'])
})

it('takes back what was not sent, and only that', () => {
  const { outbox, shelf, push, sent } = make()
  const [a, b] = [push('a'), push('b')]
  push('c')
  outbox.handleOpened(0, 1)
  expect(sent()).toEqual(['1=a'])
  expect(outbox.withdraw(a)).toBe(false)
  expect(outbox.withdraw(b)).toBe(true)
  expect([...shelf]).toEqual([
    [1, 1],
    [3, 2],
  ])
})

it('answers out of order are the end of the stream', () => {
  const { outbox, push, sent, ack } = make()
  push('a')
  push('b')
  outbox.handleOpened(0, 8)
  sent()
  expect(() => ack(2)).toThrow('an answer for 2 in place of 1')
  expect(() => outbox.handleAckRun({ epoch: 1, first_id: 1, count: 2 ** 31, first_offset: 1, time: 1 })).toThrow()
})
