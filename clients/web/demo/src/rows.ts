// The list of a room as rows: days, messages, what is missing, and below all what has no offset yet. Pure.

import type { Gap, Pending, Reset, RoomRecord } from '@loquic/react'
import { GROUP_MS_MAX } from './limits.ts'
import { midnight } from './text/words.ts'

export type Row =
  | { type: 'start'; key: string }
  /** There was something before the first record, and it is not kept any longer. */
  | { type: 'floor'; key: string }
  | { type: 'loading'; key: string }
  | { type: 'day'; key: string; time: number }
  | { type: 'unread'; key: string }
  /** `follows`: the one above is of the same sender, and not much older. */
  | { type: 'record'; key: string; record: RoomRecord; follows: boolean }
  | { type: 'gap'; key: string; gap: Gap }
  | { type: 'reset'; key: string; reset: Reset }
  | { type: 'pending'; key: string; pending: Pending; follows: boolean }

export interface Listed {
  records: readonly RoomRecord[]
  pending: readonly Pending[]
  gaps: readonly Gap[]
  resets: readonly Reset[]
  hasOlder: boolean
  /** How far the user had read when the room was opened. */
  readTo: number
  /** Where the room ended then; `undefined` while that is not known. */
  headBefore: number | undefined
  user: string
}

export function rowsOf({ records, pending, gaps, resets, hasOlder, readTo, headBefore, user }: Listed): Row[] {
  const rows: Row[] = []
  if (hasOlder) rows.push({ type: 'loading', key: 'loading' })
  else if (records[0]?.offset === 1) rows.push({ type: 'start', key: 'start' })
  else if (records[0] !== undefined && records[0].offset < (gaps[0]?.from ?? Infinity)) {
    rows.push({ type: 'floor', key: 'floor' })
  }
  let [nextGap, nextReset, today] = [0, 0, Number.NaN]
  let before: RoomRecord | undefined
  const breaks = (below: number) => {
    for (; (gaps[nextGap]?.from ?? Infinity) < below; nextGap++) {
      const gap = gaps[nextGap] as Gap
      rows.push({ type: 'gap', key: `gap/${gap.from}`, gap })
      before = undefined
    }
    for (; (resets[nextReset]?.validTo ?? Infinity) < below; nextReset++) {
      const reset = resets[nextReset] as Reset
      rows.push({ type: 'reset', key: `reset/${reset.epoch}`, reset })
      before = undefined
    }
  }
  let isUnread = false
  for (const record of records) {
    breaks(record.offset)
    // Hours of a day differ; the first record of one is looked at, and most others only compared.
    if (!(record.time - today < 82_800_000) && midnight(new Date(record.time)) !== today) {
      today = midnight(new Date(record.time))
      rows.push({ type: 'day', key: `day/${today}/${record.offset}`, time: record.time })
      before = undefined
    }
    const isNew = record.offset > readTo && record.offset <= (headBefore ?? Infinity)
    if (!isUnread && readTo > 0 && isNew && record.sender !== user) {
      isUnread = true
      if (record !== records[0]) rows.push({ type: 'unread', key: 'unread' })
      before = undefined
    }
    rows.push({ type: 'record', key: `#${record.offset}`, record, follows: isFollowing(record, before) })
    before = record
  }
  breaks(Infinity)
  let follows = before?.sender === user
  for (const own of pending) {
    rows.push({ type: 'pending', key: own.key, pending: own, follows })
    follows = true
  }
  return rows
}

function isFollowing(record: RoomRecord, before: RoomRecord | undefined): boolean {
  return before?.sender === record.sender && record.time - before.time < GROUP_MS_MAX
}
