// What a client says about its connection.

import type { LoquicError } from './error.ts'
import type { TransportName } from './link.ts'
import type { Principal } from './wire/control.ts'

/** Where a client is, by `type`. A new object with each change, so it can be compared. */
export type ClientState =
  /** On the way to a session. */
  | { type: 'connecting' }
  /** In a session. */
  | { type: 'online'; session: string; node: string; principal: Principal; transport: TransportName; why: string }
  /** Between two attempts. `error` says why the last one ended, `delayMs` how long until the next. */
  | { type: 'waiting'; error: LoquicError; delayMs: number }
  /** The page is hidden away; it connects again when it is shown. */
  | { type: 'paused' }
  /** `getToken` gave `null`; `reconnect` asks again. */
  | { type: 'signed-out' }
  /** For good; with an `error` if it was not asked for. */
  | { type: 'closed'; error: LoquicError | undefined }

/** The same in one flat piece, with what is measured. A new object with each change. */
export interface Status {
  state: ClientState['type']
  /** What carries the session, where there is one. */
  transport: TransportName | undefined
  /** Why it is this transport, or why there is none; for people. */
  why: string
  /** When `state` began, in milliseconds since 1970. */
  since: number
  /** How long the server took to answer the last `Ping`; `undefined` before the first. */
  rttMs: number | undefined
  /** How long the wait for the next attempt is, counted from `since`; only while waiting. */
  retryInMs?: number
  /** Why the last session or attempt ended; while waiting or closed. */
  error?: LoquicError
  /** Who the session is. */
  principal?: Principal
  /** The session's id: the `sender` of its ephemerals. */
  session?: string
}

export function initialStatus(): Status {
  return { state: 'connecting', transport: undefined, why: 'not connected yet', since: Date.now(), rttMs: undefined }
}

/** The status in a new state; what is still true of the last one is kept. */
export function statusOf(state: ClientState, last: Status): Status {
  const since = state.type === last.state ? last.since : Date.now()
  const base = { state: state.type, transport: undefined, since, rttMs: undefined }
  switch (state.type) {
    case 'online': {
      const { type: _, node: __, ...session } = state
      return { ...base, ...session }
    }
    case 'waiting':
      return { ...base, ...because(state.error), since: Date.now(), retryInMs: state.delayMs }
    case 'closed':
      return { ...base, ...(state.error ? because(state.error) : { why: 'it was closed' }) }
    case 'connecting':
      return { ...base, why: last.error?.message ?? 'connecting' }
    case 'paused':
      return { ...base, why: 'the page is hidden away' }
    case 'signed-out':
      return { ...base, why: 'getToken gave null' }
  }
}

function because(error: LoquicError): { why: string; error: LoquicError } {
  return { why: error.message, error }
}
