// The records of the room, in the order of their offsets, and below them what has no answer yet.

import type { Message, Room, RoomEvent } from '@loquic/client'
import { find, make } from './dom.ts'

/** A publish that the room has refused, or that could not be kept. */
interface Failure {
  text: string
  reason: string
}

/** Rows that are kept; the log has the rest. */
const ROWS_MAX = 1_000

/** Closer to the end than this counts as being there. */
const NEAR_END_PX = 80

export class Timeline {
  readonly #room: Room
  readonly #name: string
  readonly #retry: (text: string) => void
  readonly #list = find('records', HTMLOListElement)
  readonly #scroller = find('scroller', HTMLElement)
  readonly #newest = find('newest', HTMLButtonElement)
  readonly #empty = find('empty', HTMLElement)
  readonly #facts = find('room-facts', HTMLElement)
  /** Own publishes that have an answer, until their record is here. */
  readonly #acked = new Map<string, { text: string; offset: number }>()
  readonly #shown = new Set<string>()
  #failures: Failure[] = []
  #pending: HTMLElement[] = []
  #last = 0
  #unseen = 0
  #isCaughtUp = false
  #lastSender = ''

  constructor(room: Room, name: string, retry: (text: string) => void) {
    this.#room = room
    this.#name = name
    this.#retry = retry
    this.#newest.addEventListener('click', () => this.#toEnd())
    let wasAtEnd = true
    this.#scroller.addEventListener('scroll', () => {
      wasAtEnd = this.#isAtEnd()
      if (wasAtEnd) this.#setUnseen(0)
    })
    // A keyboard that opens, or a window that shrinks, must not hide the newest record.
    new ResizeObserver(() => wasAtEnd && this.#toEnd()).observe(this.#scroller)
    room.subscribe(() => this.#showPending())
  }

  handle(event: RoomEvent): void {
    const wasAtEnd = this.#isAtEnd()
    switch (event.type) {
      case 'record':
        this.#addRecord(event.record)
        if (this.#isCaughtUp && !wasAtEnd) this.#setUnseen(this.#unseen + 1)
        break
      case 'gap':
        this.#addNote(`${offsets(event.from, event.to)} will not come: ${REASONS[event.reason]}`)
        this.#last = event.to
        break
      case 'reset':
        this.#removeBehind(event.validTo)
        this.#addNote(`The server has lost what came after ${event.validTo}`)
        break
      case 'caught-up':
        this.#isCaughtUp = true
        break
      case 'invalid':
      case 'ephemeral':
      case 'presence':
      case 'marked':
        return
    }
    this.#showPending()
    if (wasAtEnd) this.#toEnd()
  }

  /** A publish is in the log. */
  handleAck(text: string, producer: string, id: number, offset: number): void {
    if (offset > this.#last) this.#acked.set(`${producer}/${id}`, { text, offset })
    this.#showPending()
  }

  handleFailure(text: string, reason: string): void {
    this.#failures.push({ text, reason })
    this.#showPending()
    this.#toEnd()
  }

  #addRecord(record: Message): void {
    const key = `${record.producer}/${record.id}`
    this.#acked.delete(key)
    this.#shown.add(key)
    const row = this.#row(record.sender, text(record.value), new Date(record.time))
    row.dataset['offset'] = String(record.offset)
    row.querySelector('.state')?.replaceWith(durable(record.offset, row.classList.contains('own')))
    this.#insert(row)
    this.#last = record.offset
    this.#lastSender = record.sender
  }

  #addNote(words: string): void {
    this.#insert(make('li', 'note', words))
    this.#lastSender = ''
  }

  #insert(row: HTMLElement): void {
    const before = this.#pending[0] ?? null
    this.#list.insertBefore(row, before)
    if (this.#list.childElementCount > ROWS_MAX) this.#list.firstElementChild?.remove()
  }

  #removeBehind(offset: number): void {
    for (const row of this.#list.querySelectorAll<HTMLElement>('[data-offset]')) {
      if (Number(row.dataset['offset']) > offset) row.remove()
    }
    this.#last = offset
    this.#shown.clear()
  }

  /** Everything of this page, and of the one before the reload, that is not among the records yet. */
  #showPending(): void {
    const wasAtEnd = this.#isAtEnd()
    for (const row of this.#pending) row.remove()
    const acked = [...this.#acked.values()].map(({ text, offset }) => {
      const row = this.#row(this.#name, text, undefined)
      row.querySelector('.state')?.replaceWith(durable(offset, true))
      return row
    })
    const isJoined = this.#room.state.type === 'joined'
    const words = {
      waiting: isJoined ? 'Sending…' : 'Kept until the server is back',
      sent: isJoined ? 'Sent' : 'Sent, not yet confirmed',
    }
    const waiting = this.#room.outbox
      .filter(({ producer, id }) => !this.#shown.has(`${producer}/${id}`))
      .map(({ value, state }) => this.#row(this.#name, text(value), undefined, words[state]))
    this.#pending = [...acked, ...waiting, ...this.#failures.map((failure) => this.#failed(failure))]
    for (const row of this.#pending) row.classList.add('pending')
    this.#list.append(...this.#pending)
    this.#showFacts(waiting.length)
    if (wasAtEnd) this.#toEnd()
  }

  #showFacts(waiting: number): void {
    const { state } = this.#room
    const head = this.#last === 0 ? 'No records yet' : `Head at offset ${this.#last}`
    const facts = state.type === 'failed' ? state.error.message : this.#isCaughtUp ? head : 'Reading the log…'
    this.#facts.textContent = waiting > 0 ? `${facts} · ${waiting} waiting` : facts
    this.#empty.hidden = !this.#isCaughtUp || this.#list.childElementCount > 0
  }

  #failed(failure: Failure): HTMLElement {
    const row = this.#row(this.#name, failure.text, undefined, `Not sent: ${failure.reason}`)
    row.classList.add('failed')
    const again = make('button', 'quiet', 'Try again')
    again.type = 'button'
    again.addEventListener('click', () => {
      this.#failures = this.#failures.filter((other) => other !== failure)
      this.#retry(failure.text)
      this.#showPending()
    })
    row.append(again)
    return row
  }

  #row(sender: string, words: string, at: Date | undefined, state = ''): HTMLLIElement {
    const isOwn = sender === this.#name
    const name = make('span', 'sender', isOwn ? 'You' : sender)
    const facts = make('span', 'facts', make('span', 'state', state))
    if (at !== undefined) facts.prepend(time(at))
    const row = make('li', isOwn ? 'row own' : 'row', name, make('p', 'text', words), facts)
    row.style.setProperty('--hue', String(hue(sender)))
    // Who says several things in a row says who they are once.
    row.classList.toggle('follows', at !== undefined && sender === this.#lastSender)
    return row
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX
  }

  #toEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight
    this.#setUnseen(0)
  }

  #setUnseen(count: number): void {
    this.#unseen = count
    this.#newest.hidden = count === 0
    this.#newest.textContent = count === 1 ? '1 new record' : `${count} new records`
  }
}

const REASONS = {
  retention: 'the room does not keep them any longer',
  skipped: 'they were skipped to keep up',
  lost: 'they cannot be read any more',
} as const

function durable(offset: number, isOwn: boolean): HTMLElement {
  const words = isOwn ? `Durable at #${offset}` : `#${offset}`
  const state = make('span', isOwn ? 'state durable' : 'state', words)
  state.title = `This record has offset ${offset} for everybody`
  return state
}

function offsets(from: number, to: number): string {
  return from === to ? `Offset ${from}` : `Offsets ${from} to ${to}`
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return JSON.stringify(value) ?? ''
}

function time(at: Date): HTMLElement {
  const element = make('time', '', at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
  element.dateTime = at.toISOString()
  element.title = at.toLocaleString()
  return element
}

/** A colour for a name: always the same one. */
function hue(name: string): number {
  let sum = 0
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 360
  return sum
}
