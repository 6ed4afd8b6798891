// Who is in a room.

import type { Member } from './wire/join.ts'

export type { Member } from './wire/join.ts'

/** Who is in a room now. A new object with each change. */
export interface Presence {
  /** How many users. */
  readonly count: number
  /** Each user with the number of their sessions; `null` if only the count is asked for, or the room is too large. */
  readonly members: ReadonlyMap<string, number> | null
}

/** Where a page of `room.members` begins. */
export interface MembersOptions {
  /** Behind this user; names are in the order of their bytes. Default: from the first. */
  after?: string
  /** At most this many, 1 to 1,000. Default 100. */
  limit?: number
  signal?: AbortSignal
}

/** A page of who is in a room, by name. */
export interface MembersPage {
  /** How many users there are at all. */
  count: number
  members: Member[]
  /** Whether there are users behind the last one of this page. */
  more: boolean
}
