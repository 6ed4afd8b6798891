// Who is in a room. Pure: frames go in, what changed comes out.

import type { Core } from './core.ts'
import { askOnStream } from './ask.ts'
import { checkLimit } from './history.ts'
import type { Member, PresenceWanted, WirePresence } from './wire/join.ts'

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
  /** Gives up: the promise rejects with its reason. */
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

/** A page of who is in a room, asked for until it is there. */
export async function readMembers(core: Core, room: string, options: MembersOptions): Promise<MembersPage> {
  const limit = checkLimit(options.limit)
  const question = { room, after: options.after ?? null, limit }
  return askOnStream(core, (session) => session.reads, ['Who', question], options.signal, (stream) => {
    stream.finish()
    return stream.answer('Members')
  })
}
