// Reading a room's log without joining it.

import { askOnStream } from './ask.ts'
import type { Core } from './core.ts'
import { invalid } from './error.ts'
import { Message } from './event.ts'
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from './limits.ts'
import { check, type SchemaIssue, type StandardSchemaV1 } from './schema.ts'
import type { FrameStream } from './stream.ts'
import type { Body } from './wire/frame.ts'
import type { GapReason } from './wire/join.ts'
import type { WireRecord } from './wire/record.ts'

/** Which records to read. Without `before`, `after` and `at`: the newest. */
export interface HistoryOptions {
  /** Only records below this offset; the last of them, if `after` is missing. */
  before?: number
  /** Only records above this offset, the first of them. */
  after?: number
  /** The first records from this time on, in milliseconds since 1970. */
  at?: number
  /** At most this many records, 1 to 1,000. Default 100. */
  limit?: number
  /** Gives up: the promise rejects, or the pages end with its reason. */
  signal?: AbortSignal
}

/** Records of a room, always ascending. */
export interface HistoryPage<T = unknown> {
  records: Message<T>[]
  /** Records whose value the room's schema does not take. */
  invalid: { record: Message; issues: readonly SchemaIssue[] }[]
  /** Offsets in the range that are not held any more. */
  gaps: { from: number; to: number; reason: GapReason }[]
  /** The epoch that is being written. */
  epoch: number
  /** The newest offset of the room. */
  head: number
  /** The oldest offset held. */
  floor: number
  /** Whether there is another page: `before` the first offset of this one, or `after` the last when reading forward. */
  more: boolean
}

/** What came on a read stream. */
interface Raw {
  head: Body<'ReadHead'>
  end: Body<'ReadEnd'>
  gaps: HistoryPage['gaps']
  records: WireRecord[]
}

/** One page, asked for until it is there. */
export async function readPage<T>(
  core: Core,
  room: string,
  schema: StandardSchemaV1<unknown, T> | undefined,
  options: HistoryOptions,
): Promise<HistoryPage<T> & { next: HistoryOptions | undefined }> {
  const limit = checkLimit(options.limit)
  const question: Body<'Read'> = { room, range: rangeOf(options), limit }
  const { head, end, gaps, records } = await askOnStream(
    core,
    (session) => session.reads,
    ['Read', question],
    options.signal,
    receive,
  )
  core.known.handleHead(room, head.epoch, head.head, head.floor)
  const page: HistoryPage<T> = { records: [], invalid: [], gaps, ...head, more: end.more }
  for (const wire of records) {
    const record = new Message<T>(wire, head.epoch)
    const issues = await check(schema, record)
    if (issues === undefined) page.records.push(record)
    else page.invalid.push({ record, issues })
  }
  return { ...page, next: end.more && records.length > 0 ? nextOf(options, end) : undefined }
}

/** Pages until the log ends. */
export async function* readPages<T>(
  core: Core,
  room: string,
  schema: StandardSchemaV1<unknown, T> | undefined,
  options: HistoryOptions,
): AsyncGenerator<HistoryPage<T>, void, undefined> {
  let from: HistoryOptions | undefined = options
  while (from !== undefined) {
    const { next, ...page }: HistoryPage<T> & { next: HistoryOptions | undefined } = await readPage(
      core,
      room,
      schema,
      from,
    )
    yield page
    from = next
  }
}

/** A page's limit; throws if it is not one. */
export function checkLimit(limit: number = PAGE_LIMIT_DEFAULT): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_LIMIT_MAX) return limit
  throw invalid(`a limit is 1 to ${PAGE_LIMIT_MAX}, not ${limit}`)
}

function rangeOf({ before, after, at }: HistoryOptions): Body<'Read'>['range'] {
  if (at !== undefined) {
    if (before !== undefined || after !== undefined) throw invalid('`at` goes with neither `before` nor `after`')
    return { type: 'since', time: at }
  }
  if (before !== undefined && after !== undefined) return { type: 'between', after, before }
  if (before !== undefined) return { type: 'before', offset: before }
  return after === undefined ? { type: 'newest' } : { type: 'after', offset: after }
}

/** Backward unless a lower end was named. */
function nextOf(options: HistoryOptions, end: Body<'ReadEnd'>): HistoryOptions {
  const { before, after, at, ...rest } = options
  if (after === undefined && at === undefined) return { ...rest, before: end.first }
  return before === undefined ? { ...rest, after: end.last } : { ...rest, after: end.last, before }
}

async function receive(stream: FrameStream): Promise<Raw> {
  stream.finish()
  const head = await stream.answer('ReadHead')
  const gaps: Raw['gaps'] = []
  const records: WireRecord[] = []
  for (;;) {
    const frame = await stream.expect()
    if (frame.name === 'Gap') gaps.push(frame.body)
    if (frame.name === 'Record') records.push(frame.body)
    if (frame.name === 'ReadEnd') return { head, end: frame.body, gaps, records }
  }
}
