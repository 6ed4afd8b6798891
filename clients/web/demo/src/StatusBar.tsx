// How the connection is, in one quiet line; and a button that cuts it, to see that nothing is lost by that.

import type { Status } from '@loquic/client'
import { useClient, useStatus, type UsedRoom } from '@loquic/react'
import { useEffect, useState } from 'react'
import { Icon } from './Icon.tsx'
import { useResume } from './resume.ts'
import { number, reason, span } from './text/words.ts'

export function StatusBar({ used }: { used: UsedRoom<unknown> }) {
  const client = useClient()
  const status = useStatus()
  const resumed = useResume(status, used)
  const { room, caughtUp, state } = used
  const isOnline = status.state === 'online'
  const isReading = isOnline && state.type === 'joined' && caughtUp === undefined
  const lag = room.lag ?? 0
  return (
    <footer className="status">
      <p id="connection" role="status" data-state={status.state} title={detail(status)}>
        <span className="dot" aria-hidden="true" />
        <Words status={status} />
      </p>
      {isOnline && status.rttMs !== undefined && (
        <p title="How long the server takes to answer">
          <span className="key wide">round trip</span> {span(status.rttMs)}
        </p>
      )}
      {isOnline && (
        <p id="lag" title="Records of this room that are on their way to this page">
          <span className="key">lag</span> {isReading && lag === 0 ? '…' : number(lag)}
        </p>
      )}
      <p className="resumed" role="status">
        {resumed}
      </p>
      {isOnline && (
        <button
          type="button"
          id="cut"
          className="quiet"
          onClick={() => client.reconnect()}
          title="Drops the connection, to show that everything goes on where it was"
        >
          <Icon name="cut" />
          <span>Cut the connection</span>
        </button>
      )}
    </footer>
  )
}

function Words({ status }: { status: Status }) {
  const seconds = useSecondsUntil(status.since + (status.retryInMs ?? 0), status.state === 'waiting')
  switch (status.state) {
    case 'connecting':
      return 'Connecting…'
    case 'online':
      return `Connected${status.transport === undefined ? '' : ` over ${TRANSPORTS[status.transport]}`}`
    case 'waiting':
      return seconds > 1 ? `Reconnecting in ${seconds} s` : 'Reconnecting…'
    case 'paused':
      return 'Paused'
    case 'signed-out':
      return 'Signed out'
    case 'closed':
      return `Closed${status.error === undefined ? '' : `: ${reason(status.error)}`}`
  }
}

const TRANSPORTS = { memory: 'memory', webtransport: 'WebTransport', websocket: 'WebSocket' } as const

function detail(status: Status): string {
  return status.error === undefined ? status.why : `${status.why} ${reason(status.error)}`.trim()
}

/** Counts down while `isCounting`. */
function useSecondsUntil(until: number, isCounting: boolean): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!isCounting) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [until, isCounting])
  return Math.ceil((until - now) / 1_000)
}
