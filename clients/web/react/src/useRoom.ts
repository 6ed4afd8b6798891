// A room, its records, and what oneself has just written.

import type { Ack, PublishOptions, Publishing, Room, RoomOptions } from '@loquic/client'
import { useMemo, useSyncExternalStore } from 'react'
import { useClient } from './context.ts'
import { type HistoryState, type RoomStore, type Shown, storeOf, storeOfRoom } from './store.ts'

export interface UsedRoom<T> extends Shown<T> {
  /** The room itself: the same object over all renders. */
  room: Room<T>
  /** Shows the value in `pending` at once, and sends it. A failure stays there too, so nobody has to wait for this. */
  publish: (value: T, options?: PublishOptions) => Publishing
  /** Deletes one's own message. */
  remove: (offset: number) => Promise<Ack>
  /** Publishes a failed one again. */
  retry: (key: string) => void
  /** Forgets a failed one. */
  discard: (key: string) => void
}

/**
 * Joins the room while the component is there. All components with one client, name, mode, presence and
 * format share it; `from` and `schema` are those of the first. Throws if the name is not one.
 */
export function useRoom<T = unknown>(name: string, options: RoomOptions<T> = {}): UsedRoom<T> {
  const store = storeOf<T>(useClient(), name, options)
  const shown = useSyncExternalStore(store.shown.subscribe, store.shown.get, store.shown.get)
  return useMemo(() => {
    const { room, publish, remove, retry, discard } = store
    return { ...shown, room, publish, remove, retry, discard }
  }, [store, shown])
}

export interface UsedHistory extends HistoryState {
  /** Puts the page before them in front of the room's `records`. */
  loadOlder: (limit?: number) => Promise<void>
}

/** What was in a room of `useRoom` before its `records`. */
export function useHistory<T>(room: Room<T>): UsedHistory {
  const store: RoomStore<T> = storeOfRoom(room)
  const { subscribe, get } = store.history
  const state = useSyncExternalStore(subscribe, get, get)
  return useMemo(() => ({ ...state, loadOlder: store.loadOlder }), [state, store])
}
