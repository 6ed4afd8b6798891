import { LoquicError, type Unacknowledged } from '@loquic/client'
import { expect, it } from 'vitest'
import { FAILURES_MAX } from '../src/limits.ts'
import { PendingList } from '../src/pending.ts'

const POSITION = { epoch: 1, offset: 7 }
const ack = (id: number, offset: number) =>
  ({ position: POSITION, offset, time: 0, duplicate: 'no', producer: 'p', id }) as const

function waiting(id: number, kind = 0): Unacknowledged<string> {
  return { producer: 'p', id, key: `p/${id}`, kind, refers: null, value: `text ${id}`, state: 'sent' }
}

const shown = (list: PendingList<string>, outbox: Unacknowledged<string>[]) =>
  list.list(outbox).map(({ value, state }) => `${value} ${state}`)

it('settles by the acknowledgement and then the record', () => {
  const list = new PendingList<string>()
  expect(shown(list, [waiting(1)])).toEqual(['text 1 sent'])
  list.handleAck('text 1', ack(1, 7), false)
  expect(shown(list, [])).toEqual(['text 1 acked'])
  list.handleRecord('p', 1)
  expect(shown(list, [])).toEqual([])
})

it('settles by the record and then the acknowledgement', () => {
  const list = new PendingList<string>()
  list.handleRecord('p', 1)
  // The outbox has it until its answer comes; it is among the records already.
  expect(shown(list, [waiting(1), waiting(2)])).toEqual(['text 2 sent'])
  expect(shown(list, [waiting(1), waiting(2)])).toEqual(['text 2 sent'])
  list.handleAck('text 1', ack(1, 7), true)
  expect(shown(list, [waiting(2)])).toEqual(['text 2 sent'])
})

it('goes by the producer as well as the id', () => {
  const list = new PendingList<string>()
  list.handleRecord('another', 1)
  expect(shown(list, [waiting(1)])).toEqual(['text 1 sent'])
})

it('shows what has an offset before what has none, and failures last', () => {
  const list = new PendingList<string>()
  list.handleFailure('failed', new LoquicError('refused', 'no'))
  list.handleAck('second', ack(2, 9), false)
  list.handleAck('first', ack(1, 8), false)
  expect(shown(list, [waiting(3)])).toEqual(['first acked', 'second acked', 'text 3 sent', 'failed failed'])
})

it('shows no deletion as a message', () => {
  expect(shown(new PendingList<string>(), [waiting(1, 2)])).toEqual([])
})

it('gives a failure back once', () => {
  const list = new PendingList<string>()
  list.handleFailure('text', new Error('no'))
  const [failed] = list.list([])
  expect(list.takeFailure(failed?.key ?? '')).toBe('text')
  expect(list.takeFailure(failed?.key ?? '')).toBeUndefined()
  for (let count = 0; count < FAILURES_MAX + 5; count++) list.handleFailure(`${count}`, new Error('no'))
  expect(list.list([])).toHaveLength(FAILURES_MAX)
})

it('waits for no record that was lost', () => {
  const list = new PendingList<string>()
  list.handleAck('kept', ack(1, 4), false)
  list.handleAck('lost', ack(2, 5), false)
  list.handleReset(4)
  expect(shown(list, [])).toEqual(['kept acked'])
})
