// Reading the log beside the room: pages, deletions, schemas.

import { expect, it } from 'vitest'
import { Kind, type StandardSchemaV1 } from '../src/index.ts'
import { Code } from '../src/wire/code.ts'
import { collect, follow, setting, settle } from './support.ts'

const all = setting()

function fill(count: number): void {
  for (let index = 1; index <= count; index++) all.server.append('r', `m${index}`)
}

const offsets = (page: { records: { offset: number }[] }) => page.records.map(({ offset }) => offset)

it.each([
  ['the newest', { limit: 3 }, [8, 9, 10], true],
  ['before', { before: 4, limit: 2 }, [2, 3], true],
  ['before, down to the floor', { before: 3, limit: 9 }, [1, 2], false],
  ['after', { after: 8 }, [9, 10], false],
  ['between', { after: 2, before: 6, limit: 2 }, [3, 4], true],
  ['past the head', { after: 10 }, [], false],
] as const)('reads %s', async (_, options, wanted, more) => {
  fill(10)
  const page = await all.client().room('r').history(options)
  expect(offsets(page)).toEqual(wanted)
  expect(page).toMatchObject({ more, head: 10, floor: 1, epoch: 1000, gaps: [], invalid: [] })
})

it('reads from a time on', async () => {
  fill(2)
  await settle(1_000)
  const at = Date.now()
  fill(2)
  expect(offsets(await all.client().room('r').history({ at }))).toEqual([3, 4])
})

it('pages backward to the floor and forward to the head, and names what is gone', async () => {
  fill(10)
  all.server.room('r').trim(3)
  const room = all.client().room('r')
  const backward = collect(room.historyPages({ limit: 3 }))
  const forward = collect(room.historyPages({ after: 0, limit: 5 }))
  await settle(10)
  expect(backward.map(offsets)).toEqual([[8, 9, 10], [5, 6, 7], [3, 4]])
  expect(forward.map(offsets)).toEqual([[3, 4, 5, 6, 7], [8, 9, 10]])
  expect(backward.at(-1)?.gaps).toEqual([{ from: 1, to: 2, reason: 'retention' }])
  expect(forward[0]?.gaps).toEqual([{ from: 1, to: 2, reason: 'retention' }])
})

it('waits for a session and asks again in the next one', async () => {
  fill(1)
  all.server.down = 'away'
  const page = all.client().room('r').history()
  await settle(1_000)
  all.server.down = undefined
  all.server.onFirst = (frame) => {
    if (frame.name === 'Read') queueMicrotask(() => all.server.cut())
    all.server.onFirst = () => undefined
    return undefined
  }
  await settle(30_000)
  expect(offsets(await page)).toEqual([1])
})

it('a refusal for good, a wrong call and a signal reject', async () => {
  const room = all.client().room('r')
  await expect(room.history({ limit: 0 })).rejects.toMatchObject({ kind: 'invalid' })
  await expect(room.history({ at: 1, before: 1 })).rejects.toMatchObject({ kind: 'invalid' })
  const abort = new AbortController()
  all.server.onFirst = (frame) => (frame.name === 'Read' ? new Promise(() => {}) : undefined)
  const given = expect(room.history({ signal: abort.signal })).rejects.toThrow('enough')
  await settle()
  abort.abort(new Error('enough'))
  await given
  all.server.onFirst = (frame) =>
    frame.name === 'Read' ? { name: 'Refused', body: { code: Code.forbidden, message: '', retry_after: 0 } } : undefined
  await expect(room.history()).rejects.toMatchObject({ code: Code.forbidden, retryable: false })
})

it('no more reads at once than the server allows', async () => {
  all.server.limits = { ...all.server.limits, reads_max: 2 }
  let held = 0
  let most = 0
  all.server.onFirst = async (frame) => {
    if (frame.name !== 'Read') return undefined
    most = Math.max(most, ++held)
    await new Promise((resolve) => setTimeout(resolve, 10))
    held--
    return undefined
  }
  const room = all.client().room('r')
  const pages = Promise.all(Array.from({ length: 7 }, () => room.history()))
  await settle(100)
  expect(await pages).toHaveLength(7)
  expect(most).toBe(2)
})

it('deletes its own message: the offset stays, the content goes', async () => {
  const client = all.client()
  const room = client.room<string>('r', { from: { type: 'oldest' } })
  const seen: string[] = []
  room.on('record', ({ record }) => seen.push(`${record.kind} ${record.refers} ${record.value}`))
  const { offset } = await room.publish('secret')
  expect((await room.deleteMessage(offset)).offset).toBe(2)
  await settle()
  expect(seen).toEqual(['0 null secret', `${Kind.delete} 1 undefined`])
  const { records } = await room.history()
  expect(records.map(({ redacted, value }) => [redacted, value])).toEqual([
    [true, undefined],
    [false, undefined],
  ])
})

it("somebody else's message, and what is none, is not deleted", async () => {
  const room = all.client().room('r')
  all.server.append('r', 'mine', { sender: 'bob' })
  await expect(room.deleteMessage(1)).rejects.toMatchObject({ code: Code.forbidden })
  await expect(room.deleteMessage(9)).rejects.toMatchObject({ code: Code.bad_record })
  expect(all.server.texts('r')).toEqual(['mine'])
})

/** Takes objects with a text, and makes it upper case; asynchronous if asked. */
function schema(isAsync: boolean): StandardSchemaV1<unknown, { text: string }> {
  const look = (value: unknown) =>
    typeof value === 'object' && value !== null && 'text' in value
      ? { value: { text: String(value.text).toUpperCase() } }
      : { issues: [{ message: 'no text' }] }
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: isAsync ? async (value) => Promise.resolve(look(value)) : look,
    },
  }
}

it.each([false, true])('a schema keeps out what does not fit, in order (asynchronous: %s)', async (isAsync) => {
  for (const text of ['{"text":"a"}', '7', '{"text":"b"}']) all.server.append('r', text, { format: 'json' })
  const room = all.client().room('r', { from: { type: 'oldest' }, schema: schema(isAsync) })
  const events = collect(room.events())
  await settle()
  expect(events.map((event) => (event.type === 'record' ? event.record.value : event))).toMatchObject([
    { text: 'A' },
    { type: 'invalid', record: { offset: 2 }, issues: [{ message: 'no text' }] },
    { text: 'B' },
    { type: 'caught-up' },
  ])
  const page = await room.history()
  expect(page.records.map(({ value }) => value.text)).toEqual(['A', 'B'])
  expect(page.invalid).toMatchObject([{ record: { offset: 2 }, issues: [{ message: 'no text' }] }])
})

it('a publish that is not of the schema is not sent', async () => {
  const room = all.client().room<unknown>('r', { schema: schema(false) })
  await expect(room.publish(7)).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining('no text') })
  await room.publish({ text: 'a' })
  expect(all.server.texts('r')).toEqual(['{"text":"a"}'])
})

it('the format of a room says what its values are sent as', async () => {
  const client = all.client()
  await client.room<string>('r', { format: 'json' }).publish('a')
  await client.room<string>('r').publish('b', { format: 'text' })
  expect(all.server.room('r').records.map(({ format }) => format)).toEqual(['json', 'text'])
  await expect(client.room<unknown>('r', { format: 'text' }).publish(7)).rejects.toMatchObject({ kind: 'invalid' })
  await expect(client.room<unknown>('r', { format: 'bytes' }).publish('a')).rejects.toMatchObject({ kind: 'invalid' })
})

it('a batch is taken whole or not at all', async () => {
  all.server.down = 'away'
  const room = all.client().room<string>('r')
  const fits = room.publishBatch(['a', 'b', 'c'])
  await Promise.all(fits.map(({ stored }) => stored))
  expect(room.outbox.map(({ key }) => key)).toEqual(fits.map(({ key }) => key))
  const tooMany = room.publishBatch(Array.from({ length: 5_000 }, () => 'x'))
  const outcomes = await Promise.allSettled(tooMany)
  expect(outcomes.every((outcome) => outcome.status === 'rejected')).toBe(true)
  expect(room.outbox).toHaveLength(3)
  all.server.down = undefined
  await settle(20_000)
  expect((await Promise.all(fits)).map(({ offset }) => offset)).toEqual([1, 2, 3])
})

it('follows a trimmed room from the start with a gap', async () => {
  fill(5)
  all.server.room('r').trim(4)
  const seen = follow(all.client().room('r', { from: { type: 'at_offset', offset: 1 } }))
  await settle()
  expect(seen).toEqual(['gap 1-3', '4 m4', '5 m5', 'caught up 5'])
})
