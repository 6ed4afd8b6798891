// Which rooms are in the list, and how far each has been read: what this browser remembers for a name.

import { useSyncExternalStore } from 'react'
import { LOBBY } from './identity.ts'
import { ROOMS_MAX } from './limits.ts'

/** In the list from the beginning. */
const FIRST = [LOBBY, 'chat:random', 'chat:help']

/** Rooms and marks of one user. The server keeps marks too, where it offers them; the further one counts. */
export class Memory {
  readonly #prefix: string
  readonly #listeners = new Set<() => void>()
  #rooms: readonly string[]
  #marks: ReadonlyMap<string, number>

  constructor(user: string) {
    this.#prefix = `loquic-demo/${encodeURIComponent(user)}`
    this.#rooms = read(`${this.#prefix}/rooms`, isNames) ?? FIRST
    this.#marks = new Map(read(`${this.#prefix}/marks`, isMarks) ?? [])
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly rooms = (): readonly string[] => this.#rooms

  readonly marks = (): ReadonlyMap<string, number> => this.#marks

  add(room: string): void {
    if (this.#rooms.includes(room)) return
    this.#rooms = [...this.#rooms, room].slice(-ROOMS_MAX)
    this.#write()
  }

  remove(room: string): void {
    this.#rooms = this.#rooms.filter((other) => other !== room)
    this.#write()
  }

  mark(room: string, offset: number): void {
    if ((this.#marks.get(room) ?? 0) >= offset) return
    this.#marks = new Map(this.#marks).set(room, offset)
    this.#write()
  }

  #write(): void {
    try {
      localStorage.setItem(`${this.#prefix}/rooms`, JSON.stringify(this.#rooms))
      const kept = [...this.#marks].filter(([room]) => this.#rooms.includes(room))
      localStorage.setItem(`${this.#prefix}/marks`, JSON.stringify(kept))
    } catch {
      // A full storage costs the list after a reload, and nothing now.
    }
    for (const listener of this.#listeners) listener()
  }
}

export function useRooms(memory: Memory): readonly string[] {
  return useSyncExternalStore(memory.subscribe, memory.rooms)
}

export function useMarks(memory: Memory): ReadonlyMap<string, number> {
  return useSyncExternalStore(memory.subscribe, memory.marks)
}

function read<T>(key: string, check: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? '')
    return check(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string')
}

function isMarks(value: unknown): value is [string, number][] {
  return Array.isArray(value) && value.every((mark) => Array.isArray(mark) && Number.isSafeInteger(mark[1]))
}
