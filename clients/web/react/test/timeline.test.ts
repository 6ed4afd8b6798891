import { Message } from '@loquic/client'
import { expect, it } from 'vitest'
import { DELETIONS_MAX, RECORDS_MAX } from '../src/limits.ts'
import { Timeline } from '../src/timeline.ts'

interface Some {
  kind?: number
  flags?: number
  refers?: number | null
}

function message(offset: number, { kind = 0, flags = 0, refers = null }: Some = {}): Message<string> {
  const payload = new TextEncoder().encode(flags === 2 ? '' : `text ${offset}`)
  const record = { offset, time: offset, sender: 'ada', kind, flags, refers, producer: '00000001', id: offset }
  return new Message<string>({ ...record, format: 'text', payload }, 1)
}

function live(timeline: Timeline<string>, ...offsets: number[]): void {
  for (const offset of offsets) timeline.handle({ type: 'record', record: message(offset) })
}

function offsets(timeline: Timeline<string>): number[] {
  return timeline.records.map(({ offset }) => offset)
}

const page = (records: Message<string>[], more = true) => ({ records, gaps: [], invalid: [], more })

it('shows each record once, in the order of the offsets', () => {
  const timeline = new Timeline<string>()
  live(timeline, 5, 6, 6, 5, 7)
  expect(offsets(timeline)).toEqual([5, 6, 7])
  expect(timeline.records[0]).toMatchObject({ value: 'text 5', deleted: false, sender: 'ada' })
})

it('puts pages of history before what is live, also where they overlap', () => {
  const timeline = new Timeline<string>()
  live(timeline, 5, 6)
  expect(timeline.hasOlder).toBe(true)
  timeline.addOlder(page([message(3), message(4), message(5)]))
  expect(offsets(timeline)).toEqual([3, 4, 5, 6])
  timeline.addOlder(page([message(1), message(2)], false))
  expect(offsets(timeline)).toEqual([1, 2, 3, 4, 5, 6])
  expect(timeline.hasOlder).toBe(false)
})

it('reads history of a room that was joined at its live end', () => {
  const timeline = new Timeline<string>()
  expect(timeline.hasOlder).toBe(false)
  timeline.handle({ type: 'caught-up', head: 9 })
  expect([timeline.hasOlder, timeline.first, timeline.last]).toEqual([true, 10, 9])
  timeline.addOlder(page([message(8), message(9)]))
  live(timeline, 10)
  expect(offsets(timeline)).toEqual([8, 9, 10])
})

it('ends history where a page brings nothing', () => {
  const timeline = new Timeline<string>()
  live(timeline, 5)
  timeline.addOlder(page([]))
  expect(timeline.hasOlder).toBe(false)
})

it('takes the content out of what is deleted, and shows no deletion as a record', () => {
  const timeline = new Timeline<string>()
  live(timeline, 1, 2)
  expect(timeline.handle({ type: 'record', record: message(3, { kind: 2, refers: 1 }) })).toBe(true)
  expect(offsets(timeline)).toEqual([1, 2])
  expect(timeline.records[0]).toMatchObject({ offset: 1, deleted: true, value: undefined })
  timeline.handle({ type: 'record', record: message(4, { flags: 2 }) })
  expect(timeline.records[2]).toMatchObject({ offset: 4, deleted: true, value: undefined })
})

it('takes the content out of a page that was read before the deletion', () => {
  const timeline = new Timeline<string>()
  live(timeline, 5)
  timeline.handle({ type: 'record', record: message(6, { kind: 2, refers: 3 }) })
  timeline.addOlder(page([message(2), message(3), message(4)]))
  expect(timeline.records.filter(({ deleted }) => deleted).map(({ offset }) => offset)).toEqual([3])
  for (let refers = 10; refers < 20 + DELETIONS_MAX; refers++) {
    timeline.handle({ type: 'record', record: message(refers + 10_000, { kind: 2, refers }) })
  }
  expect(timeline.records).toHaveLength(4)
})

it('says what is missing', () => {
  const timeline = new Timeline<string>()
  timeline.handle({ type: 'gap', from: 1, to: 4, reason: 'retention' })
  live(timeline, 5)
  timeline.handle({ type: 'invalid', record: message(6), issues: [] })
  timeline.handle({ type: 'gap', from: 2, to: 3, reason: 'lost' })
  expect(timeline.gaps).toEqual([
    { from: 1, to: 4, reason: 'retention' },
    { from: 6, to: 6, reason: 'invalid' },
  ])
  expect([timeline.last, timeline.hasOlder]).toEqual([6, false])
})

it('forgets what a reset says was lost, and takes what comes in its place', () => {
  const timeline = new Timeline<string>()
  live(timeline, 1, 2, 3)
  timeline.handle({ type: 'reset', epoch: 2, validTo: 1, head: 2 })
  expect(offsets(timeline)).toEqual([1])
  live(timeline, 2)
  expect(offsets(timeline)).toEqual([1, 2])
  expect(timeline.resets).toEqual([{ epoch: 2, validTo: 1 }])
})

it('keeps a bounded number, and lets history bring the rest back', () => {
  const timeline = new Timeline<string>()
  for (let offset = 1; offset <= RECORDS_MAX + 1; offset++) live(timeline, offset)
  expect(timeline.records.length).toBeLessThanOrEqual(RECORDS_MAX)
  expect(timeline.records.at(-1)?.offset).toBe(RECORDS_MAX + 1)
  expect([timeline.hasOlder, timeline.first]).toEqual([true, RECORDS_MAX / 10 + 1])
})
