// Who is in a room. Pure: frames go in, what changed comes out.

import type { Member, PresenceWanted, WirePresence } from './wire/join.ts'

export type { Member } from './wire/join.ts'

/** Who is in a room now. A new object with each change. */
export interface Presence {
  /** How many users. */
  readonly count: number
  /** Each user with the number of their sessions; `null` if only the count is asked for, or the room is too large. */
  readonly members: ReadonlyMap<string, number> | null
}

/** What the frames of one join say. */
export class Roster {
  readonly #wanted: PresenceWanted
  #presence: Presence | undefined

  constructor(wanted: PresenceWanted) {
    this.#wanted = wanted
  }

  get presence(): Presence | undefined {
    return this.#presence
  }

  /** Takes a frame; the result is who has changed, with 0 sessions for who has left. */
  handle({ count, snapshot, members }: WirePresence): Member[] {
    const old = this.#presence?.members ?? new Map<string, number>()
    if (this.#wanted !== 'changes' || (snapshot && members.length === 0 && count > 0)) {
      this.#presence = { count, members: null }
      return []
    }
    // Changes without a list to apply them to say nothing about who else is there.
    if (!snapshot && this.#presence?.members === null) {
      this.#presence = { count, members: null }
      return members
    }
    const now = new Map(snapshot ? [] : old)
    for (const { user, sessions } of members) {
      if (sessions === 0) now.delete(user)
      else now.set(user, sessions)
    }
    this.#presence = { count, members: now }
    return snapshot ? difference(old, now) : members
  }

  /** Nobody is told any more: the room was left. */
  clear(): void {
    this.#presence = undefined
  }
}

function difference(old: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): Member[] {
  const changed = [...now].filter(([user, sessions]) => old.get(user) !== sessions)
  const gone = [...old.keys()].filter((user) => !now.has(user))
  return [...changed.map(([user, sessions]) => ({ user, sessions })), ...gone.map((user) => ({ user, sessions: 0 }))]
}
