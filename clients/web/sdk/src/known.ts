// What this client knows of rooms, from wherever it heard it: joins, watches, reads, answers.

import { KNOWN_ROOMS_MAX } from './limits.ts'
import { State } from './sync.ts'

/** The newest that is known of a room. */
export interface Facts {
  epoch: number
  head: number
  floor: number
  /** How far the user has read: `null` if they never have, `undefined` if nobody has said it yet. */
  mark: number | null | undefined
}

export class Known {
  /** The room of which something has changed. */
  readonly changed = new State('')
  readonly #rooms = new Map<string, Facts>()

  of(room: string): Facts | undefined {
    return this.#rooms.get(room)
  }

  /** Heads only grow, except that a new epoch may begin below where the one before had been. */
  handleHead(room: string, epoch: number, head: number, floor?: number): void {
    const old = this.#rooms.get(room)
    if (old !== undefined && epoch < old.epoch) return
    const newest = old?.epoch === epoch ? Math.max(old.head, head) : head
    const oldest = floor ?? old?.floor ?? 1
    if (old?.epoch === epoch && old.head === newest && old.floor === oldest) return
    this.#set(room, { epoch, head: newest, floor: oldest, mark: old?.mark })
  }

  /** Marks only grow. */
  handleMark(room: string, mark: number | null): void {
    const old = this.#rooms.get(room)
    const newest = mark === null ? (old?.mark ?? null) : Math.max(mark, old?.mark ?? 0)
    if (old?.mark === newest) return
    this.#set(room, { epoch: 0, head: 0, floor: 1, ...old, mark: newest })
  }

  #set(room: string, facts: Facts): void {
    this.#rooms.set(room, facts)
    const [oldest] = this.#rooms.keys()
    if (this.#rooms.size > KNOWN_ROOMS_MAX && oldest !== undefined) this.#rooms.delete(oldest)
    this.changed.set(room)
  }

  /** Somebody else's marks are not shown. */
  forgetMarks(): void {
    for (const [room, facts] of this.#rooms) this.#set(room, { ...facts, mark: undefined })
  }
}

/** How many records are behind the mark; `undefined` until both ends are known. */
export function unread(facts: Facts | undefined): number | undefined {
  if (facts === undefined || facts.mark === undefined || facts.epoch === 0) return undefined
  return Math.max(0, facts.head - Math.max(facts.mark ?? 0, facts.floor - 1))
}
