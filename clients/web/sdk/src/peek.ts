// What is known of rooms, asked without joining them.

import { ask } from './ask.ts'
import type { Core } from './core.ts'

/** What is known of a room without joining it. */
export interface RoomStatus {
  room: string
  epoch: number
  head: number
  floor: number
  /** How far the user has read; `null` if they never have. */
  mark: number | null
}

/** The status of each room, in this order; `null` for one that is not there for this user. */
export async function peek(
  core: Core,
  rooms: readonly string[],
  signal: AbortSignal | undefined,
): Promise<(RoomStatus | null)[]> {
  const found = await ask(core, signal, (session) => session.peek([...rooms]))
  return rooms.map((room, index) => {
    const status = found[index] ?? null
    if (status === null) return null
    core.known.handleHead(room, status.epoch, status.head, status.floor)
    core.known.handleMark(room, status.mark)
    return { room, ...status }
  })
}
