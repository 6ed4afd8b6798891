// Who is in a room, how far it was read, and the heads of rooms that are not joined.

import { expect, it } from 'vitest'
import { Known, unread } from '../src/known.ts'
import { Roster } from '../src/presence.ts'
import { Code } from '../src/wire/code.ts'
import { collect, follow, setting, settle } from './support.ts'

const all = setting()

it('what is known of a room only grows, except over an epoch', () => {
  const known = new Known()
  known.handleMark('r', null)
  expect(unread(known.of('r'))).toBeUndefined()
  known.handleHead('r', 1, 9, 4)
  expect(unread(known.of('r'))).toBe(6)
  known.handleMark('r', 7)
  known.handleMark('r', 5)
  known.handleHead('r', 1, 8)
  expect(known.of('r')).toEqual({ epoch: 1, head: 9, floor: 4, mark: 7 })
  known.handleHead('r', 2, 6)
  known.handleHead('r', 1, 20)
  expect([known.of('r')?.head, unread(known.of('r'))]).toEqual([6, 0])
})

it('a roster takes pages, changes and the loss of the list', () => {
  const roster = new Roster('changes')
  const member = (user: string, sessions = 1) => ({ user, sessions })
  roster.handle({ count: 3, snapshot: true, members: [member('a'), member('b')] })
  expect(roster.handle({ count: 3, snapshot: false, members: [member('c')] })).toEqual([member('c')])
  expect(roster.presence).toEqual({ count: 3, members: new Map([['a', 1], ['b', 1], ['c', 1]]) })
  roster.handle({ count: 2, snapshot: false, members: [member('a', 2), member('b', 0)] })
  expect(roster.presence).toEqual({ count: 2, members: new Map([['a', 2], ['c', 1]]) })
  roster.handle({ count: 501, snapshot: true, members: [] })
  expect(roster.presence).toEqual({ count: 501, members: null })
  roster.handle({ count: 502, snapshot: false, members: [] })
  expect(roster.presence).toEqual({ count: 502, members: null })
  expect(roster.handle({ count: 1, snapshot: true, members: [member('c')] })).toEqual([member('c')])
  // What was missed in between is what a new list differs in.
  expect(roster.handle({ count: 1, snapshot: true, members: [member('d')] })).toEqual([member('d'), member('c', 0)])
})

it('tells who is there, who comes and who goes', async () => {
  const room = all.client().room('r', { presence: 'changes' })
  const seen = follow(room)
  await settle()
  expect(room.presence).toEqual({ count: 1, members: new Map([['ada', 1]]) })
  const bob = all.client({ name: 'bob' })
  const leave = bob.room('r').on('record', () => {})
  await settle()
  expect(room.presence?.members).toEqual(new Map([['ada', 1], ['bob', 1]]))
  leave()
  await settle()
  expect(seen).toEqual([
    'presence 1 ada 1',
    'caught up 0',
    'presence 2 bob 1',
    'presence 1 bob 0',
  ])
})

it('changes that nobody has read yet become one', async () => {
  const events = all.client().room('r', { presence: 'changes' }).events()
  await settle()
  for (const name of ['bob', 'eve']) {
    all.client({ name }).room('r').on('record', () => {})
    await settle()
  }
  const types = [await events.next(), await events.next()].map(({ value }) => value)
  expect(types).toMatchObject([{ type: 'presence', presence: { count: 3 } }, { type: 'caught-up' }])
  await events.return?.()
})

it('a count is only a count, and nobody asked for is nobody told', async () => {
  const counted = all.client().room('r', { presence: 'count' })
  const plain = all.client({ name: 'bob' }).room('r')
  follow(counted)
  follow(plain)
  await settle()
  expect(counted.presence).toEqual({ count: 2, members: null })
  expect(plain.presence).toBeUndefined()
  counted.close()
  await settle()
  expect(counted.presence).toBeUndefined()
  expect(counted.state.type).toBe('idle')
})

it('pages through the members of a room that is not joined', async () => {
  for (const name of ['ada', 'bob', 'eve']) all.client({ name }).room('r').on('record', () => {})
  await settle()
  const room = all.client({ name: 'zoe' }).room('r')
  const page = await room.members({ limit: 2 })
  expect(page).toEqual({ count: 3, members: [{ user: 'ada', sessions: 1 }, { user: 'bob', sessions: 1 }], more: true })
  expect(await room.members({ after: 'bob' })).toMatchObject({ members: [{ user: 'eve' }], more: false })
  await expect(room.members({ limit: 1_001 })).rejects.toMatchObject({ kind: 'invalid' })
})

it('marks what is read, for all sessions of the user and nobody else', async () => {
  for (const text of ['a', 'b', 'c']) all.server.append('r', text)
  const [here, there] = [all.client().room('r'), all.client().room('r')]
  const other = all.client({ name: 'bob' }).room('r')
  const seen = follow(there)
  follow(here)
  follow(other)
  await settle()
  expect([here.unread, here.head, here.lag]).toEqual([3, 3, 0])
  void here.markRead(2)
  expect(here.unread).toBe(1)
  void here.markRead(1)
  await settle()
  expect([here.unread, there.unread, other.unread]).toEqual([1, 1, 3])
  expect(seen).toContain('marked 2')
  expect(all.server.framesOf('Mark')).toEqual([{ offset: 2 }])
})

it('marks a room that is not joined, and again after a reconnect what got lost', async () => {
  for (const text of ['a', 'b', 'c']) all.server.append('r', text)
  const client = all.client()
  const room = client.room('r')
  void room.markRead(2)
  await settle()
  expect(all.server.room('r').marks.get('ada')).toBe(2)
  expect(room.state.type).toBe('idle')
  follow(room)
  await settle()
  all.server.cut()
  void room.markRead(3)
  await settle(1_000)
  expect(all.server.room('r').marks.get('ada')).toBe(3)
})

it.each([true, false])('a server without marks fails the mark and not the room (joined: %s)', async (joined) => {
  all.server.offersMarks = false
  all.server.append('r', 'a')
  const room = all.client().room('r', { from: { type: 'oldest' } })
  const seen = joined ? follow(room) : []
  await settle()
  const first = room.markRead(1)
  if (!joined) await expect(first).rejects.toMatchObject({ kind: 'refused', code: Code.not_offered })
  await settle(1_000)
  await expect(room.markRead(1)).rejects.toMatchObject({ kind: 'refused', code: Code.not_offered })
  expect([room.mark, room.unread]).toEqual([null, undefined])
  all.server.append('r', 'b')
  await settle()
  expect(room.state.type).toBe(joined ? 'joined' : 'idle')
  expect(seen.filter((line) => !line.startsWith('caught'))).toEqual(joined ? ['1 a', 'marked 1', '2 b'] : [])
})

it('the head and the lag of a slow reader are known', async () => {
  for (let count = 0; count < 100; count++) all.server.append('r', 'x'.repeat(10_000))
  const room = all.client().room('r', { from: { type: 'oldest' } })
  const events = room.events()
  let changes = 0
  room.subscribe(() => changes++)
  await settle()
  expect([room.head, room.lag]).toEqual([100, undefined])
  for (let count = 0; count < 40; count++) await events.next()
  expect(room.lag).toBe(60)
  expect(changes).toBeGreaterThan(40)
  await events.return?.()
})

it('watches rooms without joining them, over reconnects', async () => {
  all.server.append('chat:a', 'x')
  all.server.append('other', 'x')
  const client = all.client()
  const watch = client.watch({ prefix: 'chat:' })
  const seen = collect(watch)
  const heard: string[] = []
  watch.on(({ room, head }) => heard.push(`${room} ${head}`))
  await settle()
  all.server.append('chat:a', 'y')
  await settle()
  all.server.cut()
  all.server.append('chat:a', 'z')
  await settle(1_000)
  expect(seen.filter(({ mark }) => mark === null).map(({ room, head }) => `${room} ${head}`)).toEqual([
    'chat:a 1',
    'chat:a 2',
    'chat:a 3',
  ])
  expect(heard.at(-1)).toBe('chat:a 3')
  void client.room('chat:a').markRead(2)
  await settle()
  expect(seen.at(-1)).toEqual({ room: 'chat:a', epoch: 1000, head: 3, mark: 2 })
  watch.close()
  const count = seen.length
  all.server.append('chat:a', 'w')
  await settle()
  expect(seen).toHaveLength(count)
})

it('a reader of a watch that is late gets the newest of each room', async () => {
  const watch = all.client().watch({ rooms: ['a', 'b'] })
  const reader = watch[Symbol.asyncIterator]()
  await settle()
  for (let count = 0; count < 5; count++) all.server.append('a', 'x')
  all.server.append('b', 'x')
  await settle()
  expect((await reader.next()).value).toMatchObject({ room: 'a', head: 5 })
  expect((await reader.next()).value).toMatchObject({ room: 'b', head: 1 })
  watch.close()
  expect((await reader.next()).done).toBe(true)
})

it('peeks at many rooms at once', async () => {
  all.server.append('a', 'x')
  const client = all.client()
  expect(await client.peek(['a', 'b'])).toEqual([
    { room: 'a', epoch: 1000, head: 1, floor: 1, mark: null },
    { room: 'b', epoch: 1000, head: 0, floor: 1, mark: null },
  ])
  expect(client.room('a').unread).toBe(1)
  await expect(client.peek(Array.from({ length: 101 }, () => 'a'))).rejects.toMatchObject({ kind: 'invalid' })
  const abort = new AbortController()
  all.server.hold()
  const given = expect(client.peek(['a'], { signal: abort.signal })).rejects.toThrow('enough')
  await settle()
  abort.abort(new Error('enough'))
  await given
})

it('ephemerals reach others, on streams where there are no datagrams', async () => {
  for (const datagramBytesMax of [1200, 0]) {
    all.server.datagramBytesMax = datagramBytesMax
    const name = `r${datagramBytesMax}`
    const [ada, bob] = [all.client().room(name), all.client({ name: 'bob' }).room(name)]
    const [mine, theirs] = [follow(ada), follow(bob)]
    await settle()
    expect(ada.sendEphemeral(1, { typing: true })).toBe(true)
    await settle()
    expect(theirs).toContain('ephemeral {"typing":true}')
    expect(mine).not.toContain('ephemeral {"typing":true}')
  }
  expect(all.server.framesOf('Ephemeral')).toHaveLength(1)
})
