// Who types: ephemerals, which are for those who are here now and may be lost. A server may not offer them.

import type { Client, Room } from '@loquic/client'
import { TYPING_BELIEVED_MS, TYPING_MAX, TYPING_NAME_LENGTH_MAX, TYPING_REPEAT_MS } from './limits.ts'
import { Live } from './live.ts'

/** What is sent. A session's name is not in an ephemeral, so it says its own; nobody vouches for it. */
interface Said {
  typing: boolean
  name: string
}

/** The slot of a sender's ephemerals that says whether they type. */
const SLOT = 0

export class Typing {
  /** The names of others who type; a new list with each change. */
  readonly names = new Live<readonly string[]>([], () => {})
  readonly #client: Client
  readonly #room: Pick<Room, 'sendEphemeral'>
  readonly #others = new Map<string, { name: string; timer: ReturnType<typeof setTimeout> }>()
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(client: Client, room: Pick<Room, 'sendEphemeral'>) {
    this.#client = client
    this.#room = room
  }

  /** The user types, or has stopped. Call it with every key: it is sent as often as it has to be. */
  readonly say = (typing: boolean): void => {
    const now = performance.now()
    if (typing ? now - this.#saidAt < TYPING_REPEAT_MS : this.#saidAt === Number.NEGATIVE_INFINITY) return
    const { state } = this.#client
    if (state.type !== 'online') return
    this.#saidAt = typing ? now : Number.NEGATIVE_INFINITY
    this.#room.sendEphemeral(SLOT, { typing, name: state.principal.user } satisfies Said)
  }

  handle({ sender, slot, value }: { sender: string; slot: number; value: unknown }): void {
    const { state } = this.#client
    if (slot !== SLOT || !isSaid(value) || (state.type === 'online' && state.session === sender)) return
    clearTimeout(this.#others.get(sender)?.timer)
    this.#others.delete(sender)
    if (value.typing && this.#others.size < TYPING_MAX) {
      const timer = setTimeout(() => {
        this.#others.delete(sender)
        this.#tell()
      }, TYPING_BELIEVED_MS)
      this.#others.set(sender, { name: value.name.slice(0, TYPING_NAME_LENGTH_MAX), timer })
    }
    this.#tell()
  }

  /** A message says better than silence that its sender does not type any more. */
  handleRecord(sender: string): void {
    for (const [session, { name, timer }] of this.#others) {
      if (name !== sender) continue
      clearTimeout(timer)
      this.#others.delete(session)
    }
    this.#tell()
  }

  clear(): void {
    for (const { timer } of this.#others.values()) clearTimeout(timer)
    this.#others.clear()
    this.#tell()
  }

  #tell(): void {
    const names = [...new Set([...this.#others.values()].map(({ name }) => name))]
    const before = this.names.get()
    if (names.length !== before.length || names.some((name, at) => name !== before[at])) this.names.set(names)
  }
}

function isSaid(value: unknown): value is Said {
  if (typeof value !== 'object' || value === null) return false
  const { typing, name } = value as Partial<Said>
  return typeof typing === 'boolean' && typeof name === 'string'
}
