// Pages of who is in a room, whether it is joined or not.

import { askOnStream } from './ask.ts'
import type { Core } from './core.ts'
import { checkLimit } from './history.ts'
import type { Member } from './wire/join.ts'

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

/** A page of who is in a room, asked for until it is there. */
export async function readMembers(core: Core, room: string, options: MembersOptions): Promise<MembersPage> {
  const limit = checkLimit(options.limit)
  const question = { room, after: options.after ?? null, limit }
  return askOnStream(core, (session) => session.reads, ['Who', question], options.signal, (stream) => {
    stream.finish()
    return stream.answer('Members')
  })
}
