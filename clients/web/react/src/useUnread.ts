// How much is unread in rooms that are not open.

import type { Client } from '@loquic/client'
import { useSyncExternalStore } from 'react'
import { useClient } from './context.ts'
import { Live } from './live.ts'

/** One room, without joining it. */
export interface Unread {
  head: number
  /** How far the user has read; `null` if they never have, or if the server keeps no marks. */
  mark: number | null
  /** Records behind the mark; all of them without one. */
  unread: number
}

const NOTHING: ReadonlyMap<string, Unread> = new Map()
const LIVES = new WeakMap<Client, Map<string, Live<ReadonlyMap<string, Unread>>>>()

/** The rooms that exist, by name, while somebody looks. A server that offers no watches gives an empty map. */
export function useUnread(rooms: readonly string[]): ReadonlyMap<string, Unread> {
  const client = useClient()
  const live = liveOf(client, rooms)
  return useSyncExternalStore(live.subscribe, live.get, live.get)
}

/** One for each list of names: an array that is made anew with each render is still the same list. */
function liveOf(client: Client, rooms: readonly string[]): Live<ReadonlyMap<string, Unread>> {
  const lives = LIVES.get(client) ?? new Map<string, Live<ReadonlyMap<string, Unread>>>()
  LIVES.set(client, lives)
  const key = rooms.join('\n')
  const found = lives.get(key)
  if (found !== undefined) return found
  const live: Live<ReadonlyMap<string, Unread>> = new Live(NOTHING, (set, signal) => {
    lives.set(key, live)
    signal.addEventListener('abort', () => lives.get(key) === live && lives.delete(key))
    if (rooms.length > 0) void follow(client, rooms, live.get, set, signal)
  })
  lives.set(key, live)
  return live
}

async function follow(
  client: Client,
  rooms: readonly string[],
  get: () => ReadonlyMap<string, Unread>,
  set: (rooms: ReadonlyMap<string, Unread>) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const { room, head, mark } of client.watch({ rooms }, { signal })) {
      const known = mark === undefined ? (get().get(room)?.mark ?? null) : mark
      set(new Map(get()).set(room, { head, mark: known, unread: Math.max(0, head - (known ?? 0)) }))
    }
  } catch {
    // The counts are a service: without them everything else works.
  }
}
