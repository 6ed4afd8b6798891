// How far the user has read in a room: said on the join stream, or on one of its own where the room is not joined.

import { askOnStream } from './ask.ts'
import type { Core } from './core.ts'
import { refused, toError } from './error.ts'
import type { Session } from './session.ts'
import type { RoomState } from './subscriber.ts'
import { Code } from './wire/code.ts'
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
  #asking: Promise<void> | undefined

  constructor(core: Core, room: string, joiner: Joiner) {
    this.#core = core
    this.#room = room
    this.#joiner = joiner
  }

  /** Rejects where the server keeps no marks. */
  mark(offset: number): Promise<void> {
    this.#wanted = Math.max(offset, this.#wanted)
    return this.say()
  }

  /** Says the mark, unless this session knows it; called again when the room is joined. */
  async say(): Promise<void> {
    if (this.#wanted === 0 || this.#core.closed !== undefined) return
    if (!this.#core.offersMarks) throw refused(Code.not_offered)
    const session = this.#core.session()
    if (this.#said.offset === this.#wanted && this.#said.session === session) return
    const { type } = this.#joiner.state.value
    if (type === 'joined' && this.#joiner.send('Mark', { offset: this.#wanted })) {
      this.#said = { session, offset: this.#wanted }
    } else if (type === 'idle' || type === 'failed') {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined
      })
      await this.#asking
    }
  }

  async #ask(): Promise<void> {
    try {
      for (let offset = 0; offset < this.#wanted; ) {
        offset = await this.#visit()
      }
    } catch (error) {
      // The mark stays where it was for the others.
      if (toError(error).code === Code.not_offered) this.#core.offersMarks = false
      this.#core.log(`room ${this.#room}: not marked`, { error: toError(error).message })
      throw error
    }
  }

  /** Joins only to leave the mark there. The server has taken it once it says that we are gone. */
  #visit(): Promise<number> {
    const offset = this.#wanted
    const from = { type: 'live' } as const
    const join = { room: this.#room, from, mode: 'latest', credit: CREDIT_BYTES_MIN, presence: 'none' } as const
    const places = (session: Session) => session.rooms
    return askOnStream(this.#core, places, ['Join', join], this.#core.closing, async (stream) => {
      await stream.answer('Joined')
      await stream.write('Mark', { offset })
      stream.finish()
      for (;;) {
        const frame = await stream.expect()
        if (frame.name !== 'Left') continue
        if (frame.body.code !== Code.done) throw refused(frame.body.code)
        return offset
      }
    })
  }
}
