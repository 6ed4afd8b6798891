// How the connection is.

import type { Client, Status } from '@loquic/client'
import { useSyncExternalStore } from 'react'
import { useClient } from './context.ts'
import { Live } from './live.ts'

const STATUSES = new WeakMap<Client, Live<Status>>()

/** The client's state, its transport, and the round-trip time. */
export function useStatus(): Status {
  const client = useClient()
  const live = STATUSES.get(client) ?? new Live(client.currentStatus, (set, signal) => void follow(client, set, signal))
  STATUSES.set(client, live)
  return useSyncExternalStore(live.subscribe, live.get, live.get)
}

async function follow(client: Client, set: (status: Status) => void, signal: AbortSignal): Promise<void> {
  for await (const status of client.status({ signal })) set(status)
}
