// Who is there, and who types.

import type { Presence, Room } from '@loquic/client'
import { useCallback, useMemo, useSyncExternalStore } from 'react'
import { storeOfRoom } from './store.ts'

/** Who is in the room; `undefined` while that is not known, which a server that does not offer it never changes. */
export function usePresence<T>(room: Room<T>): Presence | undefined {
  const subscribe = useCallback((listener: () => void) => room.subscribe(listener), [room])
  const get = () => room.presence
  return useSyncExternalStore(subscribe, get, get)
}

export interface UsedTyping {
  /** Others who type, by the names that they say themselves. */
  names: readonly string[]
  /** The user types, or has stopped. Call it with every key: it is sent as often as it has to be. */
  setTyping: (typing: boolean) => void
}

/** Who types in a room of `useRoom`. */
export function useTyping<T>(room: Room<T>): UsedTyping {
  const { typing } = storeOfRoom(room)
  const { subscribe, get } = typing.names
  const names = useSyncExternalStore(subscribe, get, get)
  return useMemo(() => ({ names, setTyping: typing.say }), [names, typing])
}
