// Who is typing: ephemerals, which are for those who are here now and may be lost. A server may not offer them.

import type { Client, Room } from '@loquic/client'
import { find } from './dom.ts'

/** What is sent. A session's name is not in an ephemeral, so it says its own; nobody vouches for it. */
interface Typing {
  typing: boolean
  name: string
}

/** Said again this often while it is true, so that one that is lost hardly shows. */
const REPEAT_MS = 2_000

/** Believed this long after it was said last. */
const BELIEVED_MS = 5_000

/** More names than this are "several people". */
const NAMES_MAX = 3

export class TypingLine {
  readonly #client: Client
  readonly #room: Room
  readonly #name: string
  readonly #line = find('typing', HTMLElement)
  readonly #others = new Map<string, { name: string; timer: number }>()
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(client: Client, room: Room, name: string) {
    this.#client = client
    this.#room = room
    this.#name = name
  }

  /** The text in the composer has changed. */
  handleInput(isEmpty: boolean): void {
    if (isEmpty) return this.stop()
    if (performance.now() - this.#saidAt < REPEAT_MS) return
    this.#saidAt = performance.now()
    this.#say(true)
  }

  stop(): void {
    if (this.#saidAt === Number.NEGATIVE_INFINITY) return
    this.#saidAt = Number.NEGATIVE_INFINITY
    this.#say(false)
  }

  handleEphemeral(sender: string, value: unknown): void {
    const { state } = this.#client
    if (!isTyping(value) || (state.type === 'online' && state.session === sender)) return
    clearTimeout(this.#others.get(sender)?.timer)
    this.#others.delete(sender)
    if (value.typing) {
      const timer = window.setTimeout(() => {
        this.#others.delete(sender)
        this.#show()
      }, BELIEVED_MS)
      this.#others.set(sender, { name: value.name.slice(0, 64), timer })
    }
    this.#show()
  }

  #say(typing: boolean): void {
    if (this.#client.state.type === 'online') this.#room.sendEphemeral(0, { typing, name: this.#name } satisfies Typing)
  }

  #show(): void {
    const names = [...new Set([...this.#others.values()].map(({ name }) => name))]
    if (names.length === 0) this.#line.textContent = ''
    else if (names.length > NAMES_MAX) this.#line.textContent = 'Several people are typing…'
    else this.#line.textContent = `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing…`
  }
}

function isTyping(value: unknown): value is Typing {
  if (typeof value !== 'object' || value === null) return false
  const { typing, name } = value as Partial<Typing>
  return typeof typing === 'boolean' && typeof name === 'string'
}
