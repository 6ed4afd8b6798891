// What has come in a room and has not been taken by one of its readers. Bounded by the credit.

import type { RoomEvent } from './event.ts'
import { Feed } from './feed.ts'

/** One event, shared by the readers that have not taken it. */
export interface Item<T> {
  event: RoomEvent<T>
  /** What it cost of the credit. */
  bytes: number
  /** Everything up to this offset is taken once this is. */
  offset?: number | undefined
  readers: number
}

/** One `for await` over a room's events. */
export class Inbox<T> extends Feed<Item<T>, RoomEvent<T>> {
  constructor(onTaken: (item: Item<T>) => void, onLeave: () => void) {
    super(onLeave, undefined, (item) => {
      item.readers--
      if (item.readers === 0) onTaken(item)
      return item.event
    })
  }

  /** Puts something that only counts now in the place of what it replaces and was not taken: it never piles up. */
  pushNewest(event: Volatile<T>): void {
    const key = event.type === 'ephemeral' ? `${event.sender}/${event.slot}` : event.type
    const old = this.held(key)?.event
    const merged = event.type === 'presence' && old?.type === 'presence' ? merge(old, event) : event
    this.push(key, { event: merged, bytes: 0, readers: 1 })
  }
}

/** An event of which only the newest counts. */
export type Volatile<T> = Extract<RoomEvent<T>, { type: 'ephemeral' | 'presence' | 'marked' }>

type Presence = Extract<RoomEvent, { type: 'presence' }>

/** What is left of `old` and `now` when nobody has seen `old`. */
function merge(old: Presence, now: Presence): Presence {
  const changes = new Map([...old.changes, ...now.changes].map((member) => [member.user, member]))
  return { ...now, changes: [...changes.values()] }
}
