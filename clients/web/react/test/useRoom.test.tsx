// The hooks on the SDK's mock server, in StrictMode: every effect runs twice.

import type { Client } from '@loquic/client'
import { MockServer } from '@loquic/client/testing'
import { act, cleanup, render, renderHook, waitFor } from '@testing-library/react'
import { createElement, type ReactNode, StrictMode } from 'react'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LoquicProvider, useHistory, usePresence, useRoom, useStatus, useTyping, useUnread } from '../src/index.ts'

let server: MockServer
let client: Client

beforeEach(() => {
  server = new MockServer()
  client = server.client({ name: 'ada' })
})

afterEach(async () => {
  cleanup()
  await client.close()
})

function wrapper({ children }: { children: ReactNode }): ReactNode {
  return createElement(StrictMode, null, createElement(LoquicProvider, { client }, children))
}

const LAST = { from: { type: 'last', count: 10 } } as const
const inRoom = (name = 'a') => renderHook(() => useRoom<string>(name, LAST), { wrapper })
const values = (records: readonly { value: unknown }[]) => records.map(({ value }) => value)

it('shows what is there and what comes, once, and leaves the room at the end', async () => {
  server.append('a', 'one')
  const { result, unmount } = inRoom()
  await waitFor(() => expect(result.current.caughtUp).toBe(1))
  act(() => void server.append('a', 'two'))
  await waitFor(() => expect(values(result.current.records)).toEqual(['one', 'two']))
  expect(server.framesOf('Join')).toHaveLength(1)
  unmount()
  await waitFor(() => expect(server.room('a').joiners.size).toBe(0))
})

it('shows own publishes at once, and each once at every moment until it is a record', async () => {
  await client.close()
  server.latencyMs = 20
  client = server.client({ name: 'ada' })
  const seen: string[][] = []
  const { result } = renderHook(
    () => {
      const used = useRoom<string>('a', LAST)
      seen.push([...values(used.records), ...values(used.pending)].map(String))
      return used
    },
    { wrapper },
  )
  await waitFor(() => expect(result.current.state.type).toBe('joined'))
  act(() => void result.current.publish('mine'))
  await waitFor(() => expect(values(result.current.pending)).toEqual(['mine']))
  await waitFor(() => expect(values(result.current.records)).toEqual(['mine']))
  expect(result.current.pending).toEqual([])
  const first = seen.findIndex((shown) => shown.length > 0)
  for (const shown of seen.slice(first)) expect(shown).toEqual(['mine'])
})

it('keeps what was written while the server was away, over a resume', async () => {
  server.append('a', 'before')
  const { result } = inRoom()
  await waitFor(() => expect(result.current.caughtUp).toBe(1))
  server.down = 'away'
  server.cut()
  act(() => void result.current.publish('kept'))
  await waitFor(() => expect(result.current.pending).toMatchObject([{ value: 'kept', state: 'waiting' }]))
  server.append('a', 'missed')
  server.down = undefined
  client.reconnect()
  await waitFor(() => expect(values(result.current.records)).toEqual(['before', 'missed', 'kept']))
  expect(result.current.pending).toEqual([])
})

it('shows a failure until it is retried or discarded', async () => {
  server.onPublish = () => 3006
  const { result } = inRoom()
  act(() => void result.current.publish('no').catch(() => {}))
  await waitFor(() => expect(result.current.pending).toMatchObject([{ value: 'no', state: 'failed' }]))
  server.onPublish = () => undefined
  act(() => result.current.retry(result.current.pending[0]?.key ?? ''))
  await waitFor(() => expect(values(result.current.records)).toEqual(['no']))
  server.onPublish = () => 3006
  act(() => void result.current.publish('never').catch(() => {}))
  await waitFor(() => expect(result.current.pending).toHaveLength(1))
  act(() => result.current.discard(result.current.pending[0]?.key ?? ''))
  await waitFor(() => expect(result.current.pending).toEqual([]))
})

it('deletes a message here and for others', async () => {
  const { result } = inRoom()
  await act(async () => void (await result.current.publish('oops')))
  await waitFor(() => expect(result.current.records).toHaveLength(1))
  await act(async () => void (await result.current.remove(1)))
  await waitFor(() => expect(result.current.records).toMatchObject([{ offset: 1, deleted: true, value: undefined }]))
  expect([result.current.pending, [...result.current.deleting]]).toEqual([[], []])
})

it('shows what a reset has left', async () => {
  for (const text of ['one', 'two', 'three']) server.append('a', text)
  const { result } = inRoom()
  await waitFor(() => expect(result.current.records).toHaveLength(3))
  server.restart(1)
  client.reconnect()
  await waitFor(() => expect(result.current.resets).toHaveLength(1))
  expect(values(result.current.records)).toEqual(['one'])
})

it('reads backwards, page by page, until the beginning', async () => {
  for (let count = 1; count <= 25; count++) server.append('a', `${count}`)
  const { result } = renderHook(
    () => {
      const used = useRoom<string>('a', LAST)
      return { ...used, history: useHistory(used.room) }
    },
    { wrapper },
  )
  await waitFor(() => expect(result.current.records).toHaveLength(10))
  await act(() => result.current.history.loadOlder(10))
  expect(result.current.records.map(({ offset }) => offset)).toEqual(Array.from({ length: 20 }, (_, at) => at + 6))
  // Two at once are one.
  const { loadOlder } = result.current.history
  await act(async () => void (await Promise.all([loadOlder(10), loadOlder(10)])))
  expect(result.current.records).toHaveLength(25)
  expect(result.current.history).toMatchObject({ state: 'idle', hasOlder: false })
})

it('says why history cannot be read', async () => {
  for (let count = 1; count <= 25; count++) server.append('a', `${count}`)
  server.onFirst = ({ name }) =>
    name === 'Read' ? { name: 'Refused', body: { code: 3006, message: '', retry_after: 0 } } : undefined
  const { result } = renderHook(() => {
    const used = useRoom<string>('a', LAST)
    return { ...used, history: useHistory(used.room) }
  }, { wrapper })
  await waitFor(() => expect(result.current.records).toHaveLength(10))
  await act(() => result.current.history.loadOlder())
  expect(result.current.history).toMatchObject({ state: 'failed', hasOlder: true })
})

it('gives components of one room the same records, and another room its own', async () => {
  server.append('a', 'in a')
  server.append('b', 'in b')
  function List({ name }: { name: string }) {
    return createElement('p', null, values(useRoom<string>(name, LAST).records).join())
  }
  const page = (name: string) =>
    createElement('div', null, createElement(List, { name }), createElement(List, { name: 'a' }))
  const { container, rerender } = render(page('a'), { wrapper })
  await waitFor(() => expect(container.textContent).toBe('in ain a'))
  expect(server.framesOf('Join')).toHaveLength(1)
  rerender(page('b'))
  await waitFor(() => expect(container.textContent).toBe('in bin a'))
})

it('says how the connection is', async () => {
  const { result } = renderHook(() => useStatus(), { wrapper })
  await waitFor(() => expect(result.current).toMatchObject({ state: 'online', transport: 'memory' }))
  server.down = 'away'
  server.cut()
  await waitFor(() => expect(result.current.state).toBe('waiting'))
})

it('says who is there and who types', async () => {
  const { result } = renderHook(() => {
    const { room } = useRoom('a', { presence: 'changes' })
    return { presence: usePresence(room), typing: useTyping(room) }
  }, { wrapper })
  const other = server.client({ name: 'bob' })
  const room = other.room('a')
  const stop = room.on('record', () => {})
  await waitFor(() => expect([...(result.current.presence?.members?.keys() ?? [])].toSorted()).toEqual(['ada', 'bob']))
  room.sendEphemeral(0, { typing: true, name: 'bob' })
  await waitFor(() => expect(result.current.typing.names).toEqual(['bob']))
  // Whoever has sent what they typed does not type any more.
  await act(async () => void (await room.publish('done')))
  await waitFor(() => expect(result.current.typing.names).toEqual([]))
  stop()
  await other.close()
})

it('counts what is unread in rooms that are not open', async () => {
  server.append('a', 'one')
  const { result } = renderHook(() => useUnread(['a', 'b']), { wrapper })
  await waitFor(() => expect(result.current.get('a')).toMatchObject({ head: 1, unread: 1 }))
  act(() => void server.append('b', 'one'))
  await waitFor(() => expect(result.current.get('b')).toMatchObject({ head: 1, unread: 1 }))
})
