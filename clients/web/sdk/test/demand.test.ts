// Parts that are loaded when they are needed: never without a session, again after a failure, and ahead of need.

import { expect, it, vi } from 'vitest'
import { BACKOFF } from '../src/backoff.ts'
import { Core } from '../src/core.ts'
import { OnDemand, questions } from '../src/demand.ts'
import { LoquicError } from '../src/error.ts'
import { LOADS_MAX } from '../src/limits.ts'
import type { Session } from '../src/session.ts'
import { collect, setting, settle } from './support.ts'

const all = setting()

function core(): Core {
  const identity = { auth: async () => ({ type: 'anonymous', name: 'ada' }) as const }
  return new Core(() => new Promise(() => {}), identity, BACKOFF, () => {})
}

// Of a session only these are looked at.
const session = { over: { value: false }, leaving: { value: false }, sayGoodbye() {}, end() {} } as unknown as Session

it('imports only while there is a session, and once', async () => {
  const load = vi.fn(async () => 'here')
  const [part, offline] = [new OnDemand(load), core()]
  const parts = [part.get(offline), part.get(offline)]
  await settle(60_000)
  expect(load).not.toHaveBeenCalled()
  offline.setSession(session)
  expect(await Promise.all(parts)).toEqual(['here', 'here'])
  expect(load).toHaveBeenCalledTimes(1)
})

it('tries again after a failure, rejects after a few, and the next call begins anew', async () => {
  const online = core()
  online.setSession(session)
  const load = vi.fn(async () => 'here')
  for (let failure = 1; failure < LOADS_MAX; failure++) load.mockRejectedValueOnce(new TypeError('404'))
  const part = new OnDemand(load)
  const found = part.get(online)
  await settle(60_000)
  expect(await found).toBe('here')
  expect(load).toHaveBeenCalledTimes(LOADS_MAX)

  const gone = vi.fn(() => Promise.reject(new TypeError('404')))
  const broken = new OnDemand(gone)
  for (const calls of [LOADS_MAX, 2 * LOADS_MAX]) {
    const rejected = expect(broken.get(online)).rejects.toMatchObject({ kind: 'load', retryable: true })
    await settle(60_000)
    await rejected
    expect(gone).toHaveBeenCalledTimes(calls)
  }
})

it('an import that hangs is given up by a signal and by the end of the client', async () => {
  const online = core()
  online.setSession(session)
  const part = new OnDemand(() => new Promise<never>(() => {}))
  const abort = new AbortController()
  const aborted = expect(part.get(online, abort.signal)).rejects.toThrow('enough')
  const closed = expect(part.get(online)).rejects.toMatchObject({ kind: 'closed' })
  await settle()
  abort.abort(new Error('enough'))
  await aborted
  online.close()
  await closed
})

it('is loaded once the first session is there, without being asked for', async () => {
  const load = vi.spyOn(questions, 'load')
  all.server.down = 'away'
  all.client()
  await settle(1_000)
  expect(load).not.toHaveBeenCalled()
  all.server.down = undefined
  await settle(20_000)
  expect(load).toHaveBeenCalled()
})

it('what needs a part that cannot be loaded says so, and works once it can be', async () => {
  const load = vi.spyOn(questions, 'load').mockRejectedValue(new LoquicError('load', 'cannot load'))
  const client = all.client()
  const room = client.room('r')
  all.server.append('r', 'm')
  const failing = [
    room.history(),
    room.historyPages()[Symbol.asyncIterator]().next(),
    room.members(),
    room.markRead(1),
    client.peek(['r']),
    client.watch({ rooms: ['r'] })[Symbol.asyncIterator]().next(),
  ].map((call) => expect(call).rejects.toMatchObject({ kind: 'load' }))
  await settle(60_000)
  await Promise.all(failing)

  load.mockRestore()
  expect((await room.history()).head).toBe(1)
  await room.markRead(1)
  const seen = collect(client.watch({ rooms: ['r'] }))
  await settle(10)
  expect(seen.at(-1)).toMatchObject({ room: 'r', head: 1, mark: 1 })
})
