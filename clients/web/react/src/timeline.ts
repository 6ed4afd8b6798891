// What a list shows of one room: records in the order of their offsets, with what is missing between them. Pure.
//
// Invariant: offsets ascend strictly. Live records come at the end, pages of history at the beginning.

import type { GapReason, Message, RoomEvent } from '@loquic/client'
import { BREAKS_MAX, DELETIONS_MAX, RECORDS_MAX } from './limits.ts'

interface Facts {
  offset: number
  /** When it was appended. */
  time: number
  sender: string
  /** 0 is a message; from 32 on the application's own. */
  kind: number
  /** An earlier record that this one is about. */
  refers: number | null
  producer: string
  id: number
}

/** One record. What was deleted keeps its offset, and nothing of its content. */
export type RoomRecord<T = unknown> = Facts & ({ deleted: false; value: T } | { deleted: true; value: undefined })

/** The offsets `from` to `to` will not come. `invalid`: it has come, and the room's schema does not take it. */
export interface Gap {
  from: number
  to: number
  reason: GapReason | 'invalid'
}

/** The server has lost what came after `validTo`, and the list does not show it any more. */
export interface Reset {
  epoch: number
  validTo: number
}

/** What is needed of a page of history. */
export interface Page<T> {
  records: readonly Message<T>[]
  gaps: readonly Gap[]
  invalid: readonly { record: Message }[]
  /** Whether there is something before it. */
  more: boolean
}

/** Of the protocol: the kind of record that deletes another one, and the flag of one that was deleted. */
export const DELETE = 2
const REDACTED = 2

export class Timeline<T> {
  #records: RoomRecord<T>[] = []
  #gaps: Gap[] = []
  #resets: Reset[] = []
  readonly #deleted = new Set<number>()
  #last = 0
  #more = true
  #caughtUp: number | undefined

  /** Changes in place: whoever hands it on makes a copy. */
  get records(): readonly RoomRecord<T>[] {
    return this.#records
  }

  get gaps(): readonly Gap[] {
    return this.#gaps
  }

  get resets(): readonly Reset[] {
    return this.#resets
  }

  /** The newest offset that has come, or that will not come. */
  get last(): number {
    return this.#last
  }

  /** Where the live end was at the last `caught-up`; `undefined` before the first. */
  get caughtUp(): number | undefined {
    return this.#caughtUp
  }

  /** Whether there may be something before the first record. */
  get hasOlder(): boolean {
    return this.#more && this.first > 1
  }

  /** The oldest offset that is shown or known to be missing. */
  get first(): number {
    const starts = [this.#records[0]?.offset, this.#gaps[0]?.from].filter((offset) => offset !== undefined)
    return starts.length === 0 ? this.#last + 1 : Math.min(...starts)
  }

  /** Takes what the room says, in its order. Whether the list has changed. */
  handle(event: RoomEvent<T>): boolean {
    switch (event.type) {
      case 'record':
        if (event.record.offset <= this.#last) return false
        this.#last = event.record.offset
        return this.#append(event.record)
      case 'invalid':
        return this.#miss({ from: event.record.offset, to: event.record.offset, reason: 'invalid' })
      case 'gap':
        return this.#miss({ from: event.from, to: event.to, reason: event.reason })
      case 'reset':
        this.#discard(event.validTo)
        this.#resets = [...this.#resets.slice(1 - BREAKS_MAX), { epoch: event.epoch, validTo: event.validTo }]
        return true
      case 'caught-up':
        this.#caughtUp = event.head
        // Who joins at the live end is told nothing before it, and may read that as history.
        this.#last = Math.max(this.#last, event.head)
        return true
      default:
        return false
    }
  }

  /** Takes a page of history that ends before `first`. */
  addOlder({ records, gaps, invalid, more }: Page<T>): void {
    const first = this.first
    const missing = [
      ...gaps,
      ...invalid.map(({ record: { offset } }) => ({ from: offset, to: offset, reason: 'invalid' as const })),
    ].toSorted((a, b) => a.from - b.from)
    for (const { kind, refers } of records) if (kind === DELETE && refers !== null) this.#remember(refers)
    const older = records.filter((record) => record.offset < first && record.kind !== DELETE)
    const shown = older.map((record) => this.#fact(record))
    this.#records = [...shown, ...this.#records]
    this.#gaps = [...missing.filter(({ from }) => from < first), ...this.#gaps].slice(0, BREAKS_MAX)
    // A page that brings nothing is the last one, whatever it says.
    this.#more = more && records.length + missing.length > 0
    for (const offset of this.#deleted) this.#redact(offset)
  }

  #miss(gap: Gap): boolean {
    if (gap.to <= this.#last) return false
    this.#gaps = [...this.#gaps.slice(1 - BREAKS_MAX), gap]
    this.#last = gap.to
    return true
  }

  #append(message: Message<T>): boolean {
    if (message.kind === DELETE) {
      if (message.refers === null) return false
      this.#remember(message.refers)
      return this.#redact(message.refers)
    }
    this.#records.push(this.#fact(message))
    if (this.#records.length > RECORDS_MAX) {
      // A tenth at once, so that the rest is not moved for each record.
      this.#records = this.#records.slice(RECORDS_MAX / 10)
      this.#gaps = this.#gaps.filter(({ from }) => from >= (this.#records[0]?.offset ?? 0))
      this.#more = true
    }
    return true
  }

  /** A copy with the value decoded, which is not done for each look at it. */
  #fact(message: Message<T>): RoomRecord<T> {
    const { offset, time, sender, kind, refers, producer, id } = message
    const facts = { offset, time, sender, kind, refers, producer, id }
    if ((message.flags & REDACTED) !== 0) return { ...facts, deleted: true, value: undefined }
    return { ...facts, deleted: false, value: message.value }
  }

  #remember(offset: number): void {
    this.#deleted.add(offset)
    const [oldest] = this.#deleted
    if (this.#deleted.size > DELETIONS_MAX && oldest !== undefined) this.#deleted.delete(oldest)
  }

  #redact(offset: number): boolean {
    const at = find(this.#records, offset)
    const record = this.#records[at]
    if (record === undefined || record.deleted) return false
    const { value: _, deleted: __, ...facts } = record
    this.#records[at] = { ...facts, deleted: true, value: undefined }
    return true
  }

  #discard(validTo: number): void {
    this.#records = this.#records.filter(({ offset }) => offset <= validTo)
    this.#gaps = this.#gaps.filter(({ from }) => from <= validTo)
    for (const offset of this.#deleted) if (offset > validTo) this.#deleted.delete(offset)
    this.#last = Math.min(this.#last, validTo)
    this.#caughtUp = undefined
  }
}

/** Where the record with this offset is; -1 if it is not here. */
export function find(records: readonly { offset: number }[], offset: number): number {
  let [low, high] = [0, records.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((records[middle]?.offset ?? 0) < offset) low = middle + 1
    else high = middle
  }
  return records[low]?.offset === offset ? low : -1
}
