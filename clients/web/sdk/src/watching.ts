// The task behind a watch: opens it in one session after the other, and puts together what is known of its rooms.

import { ask } from './ask.ts'
import type { Core } from './core.ts'
import type { Session } from './session.ts'
import { FrameStream } from './stream.ts'
import type { Watched, WatchEvent } from './watch.ts'
import type { Body } from './wire/frame.ts'
import { PEEK_ROOMS_MAX } from './wire/limits.ts'

/** Watches until `signal` aborts or the server refuses for good: then it rejects. Keeps `newest` and tells changes. */
export async function attend(
  core: Core,
  what: Watched,
  newest: Map<string, WatchEvent>,
  tell: (event: WatchEvent) => void,
  signal: AbortSignal,
): Promise<never> {
  const push = (room: string) => {
    const facts = core.known.of(room)
    const old = newest.get(room)
    if (facts === undefined) return
    const { epoch, head, mark } = facts
    if (old?.epoch === epoch && old.head === head && old.mark === mark) return
    const event = { room, epoch, head, mark }
    newest.set(room, event)
    tell(event)
  }
  const stop = core.known.changed.subscribe((room) => newest.has(room) && push(room))
  try {
    for (;;) await ask(core, signal, (session) => watch(core, session, what, newest, push, signal))
  } finally {
    stop()
  }
}

/** Watches in one session until that is over or superseded. */
async function watch(
  core: Core,
  session: Session,
  what: Watched,
  newest: ReadonlyMap<string, WatchEvent>,
  push: (room: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const leave = await session.watches.take(signal)
  const stream = await FrameStream.open(session.link, 'Watch', { what: toWire(what) })
  const askMark = markAsker(core, session)
  const move = () => {
    if (signal.aborted || core.isSuperseded(session)) stream.abort()
  }
  const stop = core.onChange(move)
  signal.addEventListener('abort', move)
  try {
    for (;;) {
      const { room, epoch, head } = await stream.answer('Head')
      const isNew = !newest.has(room)
      core.known.handleHead(room, epoch, head)
      push(room)
      if (isNew) void askMark(room)
    }
  } catch (error) {
    if (core.isSuperseded(session)) return
    throw error
  } finally {
    stop()
    signal.removeEventListener('abort', move)
    leave()
  }
}

function toWire(what: Watched): Body<'Watch'>['what'] {
  return 'rooms' in what ? { type: 'rooms', rooms: [...what.rooms] } : { type: 'prefix', prefix: what.prefix }
}

/** Asks how far the user has read in rooms that are seen for the first time, many at once. */
function markAsker(core: Core, session: Session): (room: string) => Promise<void> {
  const unasked = new Set<string>()
  return async (room) => {
    unasked.add(room)
    if (unasked.size > 1) return
    await Promise.resolve()
    const rooms = [...unasked]
    unasked.clear()
    for (let at = 0; at < rooms.length; at += PEEK_ROOMS_MAX) {
      const some = rooms.slice(at, at + PEEK_ROOMS_MAX)
      const found = await session.peek(some).catch(() => [])
      found.forEach((status, index) => core.known.handleMark(some[index] ?? '', status?.mark ?? null))
    }
  }
}
