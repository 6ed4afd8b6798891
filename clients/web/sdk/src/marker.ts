// How far the user has read in a room: said on the join stream, or on one of its own where the room is not joined.

import { ask } from './ask.ts'
import type { Core } from './core.ts'
import { protocol, refused, toError } from './error.ts'
import { ended, FrameStream } from './stream.ts'
import type { Session } from './session.ts'
import type { RoomState } from './subscriber.ts'
import { CREDIT_BYTES_MIN } from './wire/limits.ts'

/** What is needed of a subscriber. */
interface Joiner {
  readonly state: { readonly value: RoomState }
  send(name: 'Mark', body: { offset: number }): boolean
}

export class Marker {
  readonly #core: Core
  readonly #room: string
  readonly #joiner: Joiner
  /** The furthest mark that was asked for. */
  #wanted = 0
  /** The session that it was said in, and what was said. */
  #said: { session: Session | undefined; offset: number } = { session: undefined, offset: 0 }
  #asking = false

  constructor(core: Core, room: string, joiner: Joiner) {
    this.#core = core
    this.#room = room
    this.#joiner = joiner
  }

  mark(offset: number): void {
    if (offset <= this.#wanted) return
    this.#wanted = offset
    this.#core.known.handleMark(this.#room, offset)
    this.say()
  }

  /** Says the mark, unless this session knows it; called again when the room is joined. */
  say(): void {
    if (this.#wanted === 0 || this.#core.closed !== undefined) return
    const session = this.#core.session()
    if (this.#said.offset === this.#wanted && this.#said.session === session) return
    const { type } = this.#joiner.state.value
    if (type === 'joined' && this.#joiner.send('Mark', { offset: this.#wanted })) {
      this.#said = { session, offset: this.#wanted }
    } else if (type === 'idle' || type === 'failed') void this.#ask()
  }

  async #ask(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      for (let offset = 0; offset < this.#wanted; ) {
        offset = await ask(this.#core, this.#core.closing, (session) => this.#visit(session))
      }
    } catch (error) {
      // It was refused, or the client was closed: the mark stays where it was for the others.
      this.#core.log(`room ${this.#room}: not marked`, { error: toError(error).message })
    } finally {
      this.#asking = false
    }
  }

  /** Joins only to leave the mark there. */
  async #visit(session: Session): Promise<number> {
    const leave = await session.rooms.take(this.#core.closing)
    const from = { type: 'live' } as const
    const join = { room: this.#room, from, mode: 'latest', credit: CREDIT_BYTES_MIN, presence: 'none' } as const
    let stream: FrameStream | undefined
    try {
      stream = await FrameStream.open(session.link, 'Join', join)
      const frame = await stream.next()
      if (frame === undefined) throw ended('join')
      if (frame.name === 'Refused') throw refused(frame.body.code, frame.body.message, frame.body.retry_after)
      if (frame.name !== 'Joined') throw protocol('the answer to Join is not Joined')
      const offset = this.#wanted
      await stream.write('Mark', { offset })
      stream.finish()
      // The server has taken the mark once it says that we are gone.
      for (let last = await stream.next(); last !== undefined && last.name !== 'Left'; last = await stream.next());
      this.#said = { session, offset }
      return offset
    } catch (error) {
      stream?.abort()
      throw error
    } finally {
      leave()
    }
  }
}
