// One room of the mock server: its log, who is in it, and how far each user has read.

import type { Body } from '../wire/frame.ts'
import type { Member } from '../wire/join.ts'
import type { WireRecord } from '../wire/record.ts'
import type { MockLink } from './link.ts'
import type { ServerStream } from './stream.ts'

/** What a producer has published. */
export interface Producer {
  lastId: number
  /** Offsets by id. */
  offsets: Map<number, number>
  stream: ServerStream | undefined
}

/** One join stream. */
export interface Joiner {
  link: MockLink
  user: string
  stream: ServerStream
  presence: Body<'Join'>['presence']
}

/** Flag of a record whose content was removed. */
export const REDACTED = 2

/** A room of the mock server. */
export class MockRoom {
  records: WireRecord[] = []
  /** Records below this offset are not held any more. */
  floor = 1
  /** With more users than this no list of members is pushed. */
  presenceListMax = 500
  readonly handle: number
  /** @internal */
  readonly producers = new Map<string, Producer>()
  /** How far each user has read. */
  readonly marks = new Map<string, number>()
  /** @internal */
  readonly joiners = new Set<Joiner>()
  /** Called when the log has changed. */
  readonly changed = new Set<() => void>()

  constructor(handle: number) {
    this.handle = handle
  }

  get head(): number {
    return this.records.at(-1)?.offset ?? this.floor - 1
  }

  /** What the room holds, as text. */
  get texts(): string[] {
    return this.records.map(({ payload }) => new TextDecoder().decode(payload))
  }

  /** Appends a record; the result is its offset. */
  append(record: Omit<WireRecord, 'offset' | 'time'>): number {
    const offset = this.head + 1
    const time = Math.max(this.records.at(-1)?.time ?? 0, Date.now())
    this.records.push({ ...record, offset, time })
    for (const listener of [...this.changed]) listener()
    return offset
  }

  /** Removes records from the front, as retention does. */
  trim(floor: number): void {
    this.records = this.records.filter(({ offset }) => offset >= floor)
    this.floor = floor
  }

  /** Takes the content of a record away; `false` if there is nothing to take. */
  redact(offset: number): boolean {
    const index = this.records.findIndex((record) => record.offset === offset && record.kind === 0)
    const found = this.records[index]
    if (found === undefined) return false
    this.records[index] = { ...found, payload: new Uint8Array(0), flags: found.flags | REDACTED }
    return true
  }

  /** Everybody who has joined, by name, with the number of their sessions. */
  get members(): Member[] {
    const links = new Map<string, Set<MockLink>>()
    for (const { user, link } of this.joiners) links.set(user, (links.get(user) ?? new Set()).add(link))
    const members = [...links].map(([user, sessions]) => ({ user, sessions: sessions.size }))
    return members.sort((a, b) => (a.user < b.user ? -1 : 1))
  }

  /** @internal */
  enter(joiner: Joiner): void {
    const before = this.members
    this.joiners.add(joiner)
    const members = this.members
    const { stream, presence } = joiner
    if (presence === 'changes') {
      const listed = members.length > this.presenceListMax ? [] : members
      stream.send('Presence', { count: members.length, snapshot: true, members: listed })
    } else if (presence === 'count') stream.send('Presence', { count: members.length, snapshot: false, members: [] })
    this.#tell(before, joiner)
  }

  /** @internal */
  leave(joiner: Joiner): void {
    const before = this.members
    this.joiners.delete(joiner)
    this.#tell(before, joiner)
  }

  #tell(before: Member[], except: Joiner): void {
    const now = this.members
    const sessions = (of: Member[], name: string) => of.find(({ user }) => user === name)?.sessions ?? 0
    const changed = [...new Set([...before, ...now].map(({ user }) => user))]
      .filter((user) => sessions(before, user) !== sessions(now, user))
      .map((user) => ({ user, sessions: sessions(now, user) }))
    if (changed.length === 0) return
    const [wasListed, isListed] = [before.length <= this.presenceListMax, now.length <= this.presenceListMax]
    for (const joiner of this.joiners) {
      if (joiner === except || joiner.presence === 'none') continue
      const snapshot = joiner.presence === 'changes' && (wasListed !== isListed || !isListed)
      const members = joiner.presence === 'count' || !isListed ? [] : snapshot ? now : changed
      joiner.stream.send('Presence', { count: now.length, snapshot, members })
    }
  }
}

/** The first offset to send to who joins, after what has to be said before. */
export function start(room: MockRoom, from: Body<'Join'>['from'], epoch: number, stream: ServerStream): number {
  const { head, floor } = room
  const gapBefore = (next: number) => {
    if (next < floor) stream.send('Gap', { from: next, to: floor - 1, reason: 'retention' })
    return Math.max(next, floor)
  }
  switch (from.type) {
    case 'live':
      return head + 1
    case 'oldest':
      return floor
    case 'last':
      return Math.max(floor, head - from.count + 1)
    case 'at_time':
      return room.records.find(({ time }) => time >= from.time)?.offset ?? head + 1
    case 'at_offset':
      return gapBefore(Math.max(from.offset, 1))
    case 'after': {
      const { offset } = from.position
      if (offset > head) stream.send('Reset', { epoch, valid_to: head, head })
      return gapBefore(Math.min(offset, head) + 1)
    }
  }
}

/** The records that a `Read` asks for, what is not held of them, and whether there are more. */
export function read(
  room: MockRoom,
  { range, limit }: Body<'Read'>,
): { gap: { from: number; to: number } | undefined; records: WireRecord[]; more: boolean } {
  const { head, floor } = room
  const backward = range.type === 'before' || range.type === 'newest'
  const above = range.type === 'after' ? range.offset : range.type === 'between' ? range.after : 0
  const below = range.type === 'before' || range.type === 'between' ? beforeOf(range) : head + 1
  const since = range.type === 'since' ? range.time : 0
  const all = room.records.filter(({ offset, time }) => offset > above && offset < below && time >= since)
  const max = Math.min(limit, 1000)
  const records = backward ? all.slice(-max) : all.slice(0, max)
  const reachesFloor = backward ? all.length < max : range.type !== 'since'
  const to = Math.min(floor, below, head + 1) - 1
  const gap = reachesFloor && above + 1 <= to ? { from: above + 1, to } : undefined
  return { gap, records, more: all.length > records.length }
}

function beforeOf(range: { type: 'before'; offset: number } | { type: 'between'; before: number }): number {
  return range.type === 'before' ? range.offset : range.before
}
