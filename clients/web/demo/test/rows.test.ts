import type { RoomRecord } from '@loquic/react'
import { expect, it } from 'vitest'
import { type Listed, rowsOf } from '../src/rows.ts'

const NOON = new Date(2026, 2, 1, 12).getTime()
const HOUR = 3_600_000

function record(offset: number, sender: string, time = NOON + offset): RoomRecord {
  const facts = { offset, time, sender, kind: 0, refers: null, producer: 'p', id: offset }
  return { ...facts, deleted: false, value: `${offset}` }
}

const NOTHING: Listed = {
  records: [],
  pending: [],
  gaps: [],
  resets: [],
  hasOlder: false,
  readTo: 0,
  headBefore: undefined,
  user: 'ada',
}

const rows = (listed: Partial<Listed>) =>
  rowsOf({ ...NOTHING, ...listed })

const spell = (listed: Partial<Listed>) =>
  rows(listed).map((row) => ('follows' in row && row.follows ? `${row.key} follows` : row.key.split('/')[0]))

it('says a sender once for what follows at once', () => {
  const later = record(5, 'bob', NOON + HOUR)
  const records = [record(1, 'bob'), record(2, 'bob'), record(3, 'ada'), record(4, 'bob'), later]
  expect(spell({ records })).toEqual(['start', 'day', '#1', '#2 follows', '#3', '#4', '#5'])
})

it('begins a new day at midnight, and not before', () => {
  const evening = new Date(2026, 2, 1, 23, 59, 59).getTime()
  const records = [record(1, 'bob'), record(2, 'bob', evening), record(3, 'bob', evening + 2_000)]
  expect(spell({ records })).toEqual(['start', 'day', '#1', '#2', 'day', '#3'])
})

it('shows what is missing where it is missing', () => {
  const gaps = [
    { from: 1, to: 3, reason: 'retention' as const },
    { from: 5, to: 5, reason: 'lost' as const },
    { from: 7, to: 9, reason: 'skipped' as const },
  ]
  const resets = [{ epoch: 2, validTo: 4 }]
  const records = [record(4, 'bob'), record(6, 'bob')]
  expect(spell({ records, gaps, resets })).toEqual(['gap', 'day', '#4', 'gap', 'reset', '#6', 'gap'])
})

it('marks where the unread begins: not before the first row, and not for own messages', () => {
  const records = [record(1, 'bob'), record(2, 'ada'), record(3, 'bob')]
  expect(spell({ records, readTo: 1 })).toEqual(['start', 'day', '#1', '#2', 'unread', '#3'])
  expect(spell({ records: records.slice(2), readTo: 1, hasOlder: true })).toEqual(['loading', 'day', '#3'])
  expect(spell({ records, readTo: 3 })).not.toContain('unread')
  // It came while one was looking.
  expect(spell({ records, readTo: 1, headBefore: 2 })).not.toContain('unread')
})

it('says that there was something before the first record, once all has come that is kept', () => {
  const records = [record(41, 'bob')]
  expect(spell({ records })).toEqual(['floor', 'day', '#41'])
  expect(spell({ records, hasOlder: true })).toEqual(['loading', 'day', '#41'])
  expect(spell({ records, gaps: [{ from: 1, to: 40, reason: 'retention' }] })).toEqual(['gap', 'day', '#41'])
})

it('gives each row a key of its own', () => {
  const records = Array.from({ length: 300 }, (_, at) => record(at + 1, 'bob', NOON + at * HOUR))
  const pending = [1, 2].map((id) => ({ key: `p/${id}`, value: 'x', state: 'sent' as const }))
  const keys = rows({ records, pending, gaps: [{ from: 301, to: 302, reason: 'lost' }] }).map(({ key }) => key)
  expect(new Set(keys).size).toBe(keys.length)
})
