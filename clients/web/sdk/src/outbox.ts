// The publishes of one producer in one room that have no final answer yet: their ids, what is in flight, and what is
// sent again. Pure: no clock, no socket; the driver moves bytes.
//
// The server answers every publish exactly once and in the order sent. After a `Nack` it takes nothing behind it, so
// the outbox stops sending, waits until everything in flight is answered, and only then goes back and sends again
// (go-back-N). Waiting is what makes a new number safe: at that moment nothing is on its way, and `expected` says which
// ids are in the log.

import { type LoquicError, protocol } from './error.ts'
import { action, Code } from './wire/code.ts'
import { encode } from './wire/frame.ts'
import type { AckRun, Duplicate, Nack, WireAck } from './wire/publish.ts'
import type { Position } from './wire/position.ts'
import type { Publish } from './wire/record.ts'

/** Where a publish ended up. */
export interface Receipt {
  position: Position
  time: number
  duplicate: Duplicate
}

export type Outcome = { receipt: Receipt } | { code: number } | { error: LoquicError }

export interface Entry {
  /** Its place in the outbox, for good; ids may change. */
  readonly seq: number
  readonly message: Omit<Publish, 'id'>
  id: number
  /** It was sent at least once, or may have been: its id may be in the log. */
  inDoubt: boolean
  /** It is on the shelf under this id: only then may it be sent. */
  kept: boolean
  /** Resolves once it is on the shelf, where that takes time. */
  stored?: Promise<void> | void
  /** Has its final answer; such an entry leaves at the end of the rewind. */
  resolved: boolean
  settle: (outcome: Outcome) => void
}

/** Where entries outlive the page. `put` replaces what has the same `seq`; it may take time, and it may fail. */
export interface Shelf {
  put(entry: Entry): Promise<void> | void
  remove(entry: Entry): void
}

/** How long to wait before sending again, and why. */
export interface Pause {
  code: number
  retryAfterMs: number
  /** How often it went back since the last publish that got through. */
  stalls: number
}

/**
 * Invariants: `answered <= sent <= entries.length`; the ids of the entries ascend; those in doubt come first;
 * `answered > 0` only while rewinding.
 */
export class Outbox {
  readonly #shelf: Shelf
  readonly #onKept: () => void
  #entries: Entry[] = []
  #nextId = 1
  #nextSeq = 1
  /** How many entries from the front were sent on this stream. */
  #sent = 0
  /** How many of those were answered and are still held; 0 unless rewinding. */
  #answered = 0
  /** The most that may be in flight; 0 without a stream. */
  #inFlightMax = 0
  #rewind: { expected: number; pause: Pause } | undefined
  #stalls = 0
  #bytes = 0

  /** `entries` are those of an earlier life, in order. `onKept` is told that more may be sent. */
  constructor(shelf: Shelf, entries: Entry[] = [], onKept = () => {}) {
    this.#shelf = shelf
    this.#onKept = onKept
    this.#entries = entries
    this.#bytes = entries.reduce((sum, { message }) => sum + message.payload.length, 0)
    const last = entries.at(-1)
    if (last !== undefined) [this.#nextId, this.#nextSeq] = [last.id + 1, last.seq + 1]
  }

  get entries(): readonly Entry[] {
    return this.#entries.filter(({ resolved }) => !resolved)
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  get count(): number {
    return this.#entries.length
  }

  get bytes(): number {
    return this.#bytes
  }

  get inFlight(): number {
    return this.#sent - this.#answered
  }

  /** Puts a message behind the others. If the shelf cannot hold it this throws, and nothing has happened. */
  push(message: Omit<Publish, 'id'>, settle: (outcome: Outcome) => void): Entry {
    const state = { inDoubt: false, kept: false, resolved: false }
    const entry: Entry = { seq: this.#nextSeq, id: this.#nextId, message, ...state, settle }
    this.#keep(entry)
    this.#nextSeq++
    this.#nextId++
    this.#entries.push(entry)
    this.#bytes += message.payload.length
    return entry
  }

  /** Takes a message back; `false` if it may be in the log already. */
  withdraw(entry: Entry): boolean {
    return !entry.inDoubt && this.#takeOut(entry)
  }

  /**
   * A new stream is open. Everything that is held is sent on it, under the ids it had: what got in before the cut is
   * answered with its first position.
   */
  handleOpened(lastId: number, inFlightMax: number): void {
    this.#inFlightMax = Math.max(inFlightMax, 1)
    if (this.#entries[0]?.inDoubt !== true && lastId > 0) this.#renumber(0, lastId + 1)
  }

  /** The stream is gone. Nothing is known about what was in flight. */
  handleDisconnected(): void {
    this.#sent = 0
    this.#answered = 0
    this.#inFlightMax = 0
    this.#rewind = undefined
    this.#entries = this.#entries.filter(({ resolved }) => !resolved)
  }

  /** The next frames, up to about `bytesMax`; `undefined` if nothing may be sent now. */
  fill(bytesMax: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#rewind !== undefined) return undefined
    const frames: Uint8Array[] = []
    let size = 0
    for (const end = Math.min(this.#entries.length, this.#inFlightMax); this.#sent < end && size < bytesMax; ) {
      const entry = this.#entries[this.#sent] as Entry
      if (!entry.kept) break
      const frame = encode('Publish', { id: entry.id, ...entry.message })
      entry.inDoubt = true
      this.#sent++
      frames.push(frame)
      size += frame.length
    }
    return frames.length === 0 ? undefined : concat(frames, size)
  }

  /** One publish is in the log. A pause comes back when it was the last in flight of a rewind. */
  handleAck({ id, position, time, duplicate }: WireAck): Pause | undefined {
    return this.#resolve(id, { receipt: { position, time, duplicate } })
  }

  /** A run of publishes is in the log. */
  handleAckRun(run: AckRun): Pause | undefined {
    let pause: Pause | undefined
    if (run.count > this.inFlight) throw protocol('an answer too many')
    for (let index = 0; index < run.count; index++) {
      const position = { epoch: run.epoch, offset: run.first_offset + index }
      pause = this.#resolve(run.first_id + index, { receipt: { position, time: run.time, duplicate: 'no' } })
    }
    return pause
  }

  /** One publish is not in the log. A pause comes back once everything in flight is answered. */
  handleNack(nack: Nack): Pause | undefined {
    this.#check(nack.id)
    const pause = { code: nack.code, retryAfterMs: nack.retry_after, stalls: this.#stalls }
    this.#rewind ??= { expected: nack.expected, pause }
    this.#rewind.expected = nack.expected
    if (action(nack.code) === 'fix_request') return this.#resolve(nack.id, { code: nack.code })
    if (this.#rewind.pause.code === Code.skipped || pause.retryAfterMs > this.#rewind.pause.retryAfterMs) {
      this.#rewind.pause = pause
    }
    this.#answered++
    return this.#finishRewind()
  }

  /** Gives everything up. What is on the shelf stays there if `keep` says so. */
  giveUp(outcome: (entry: Entry) => void, keep: boolean): void {
    this.handleDisconnected()
    for (const entry of this.#entries.splice(0)) {
      this.#bytes -= entry.message.payload.length
      if (!keep) this.#shelf.remove(entry)
      outcome(entry)
    }
  }

  #check(id: number): Entry {
    const entry = this.#answered < this.#sent ? this.#entries[this.#answered] : undefined
    if (entry?.id !== id) throw protocol(`an answer for ${id} in place of ${entry?.id}`)
    return entry
  }

  #resolve(id: number, outcome: Outcome): Pause | undefined {
    const entry = this.#check(id)
    const isIn = 'receipt' in outcome
    if (isIn) this.#stalls = 0
    entry.resolved = true
    this.#drop(entry)
    entry.settle(outcome)
    if (this.#rewind === undefined) {
      this.#sent--
      this.#entries.shift()
      return undefined
    }
    if (isIn) this.#rewind.expected = Math.max(this.#rewind.expected, id + 1)
    this.#answered++
    return this.#finishRewind()
  }

  /**
   * Once everything in flight is answered: forgets what is resolved and numbers the rest anew.
   *
   * An entry whose id is below `expected` may be in the log and keeps its id, so that sending it again is recognised.
   * One at or past `expected` is certainly not there, because nothing is in flight and the server's last id is
   * `expected - 1`: it gets the next free number.
   */
  #finishRewind(): Pause | undefined {
    if (this.#answered < this.#sent || this.#rewind === undefined) return undefined
    const { expected, pause } = this.#rewind
    this.#rewind = undefined
    this.#sent = 0
    this.#answered = 0
    this.#stalls++
    this.#entries = this.#entries.filter(({ resolved }) => !resolved)
    const first = this.#entries.findIndex(({ id }) => id >= expected)
    this.#renumber(first < 0 ? this.#entries.length : first, Math.max(expected, 1))
    return pause
  }

  /** Numbers go down only, in ascending order: a shelf cut off in the middle has a hole, and no number twice. */
  #renumber(from: number, firstId: number): void {
    this.#nextId = firstId
    for (const entry of this.#entries.slice(from)) {
      const id = this.#nextId++
      if (entry.id === id) continue
      entry.id = id
      this.#keep(entry)
    }
  }

  /** Puts an entry on the shelf under its newest id. Where that fails later it is given up: it was not sent. */
  #keep(entry: Entry): void {
    const { id } = entry
    const stored = this.#shelf.put(entry)
    entry.stored = stored
    entry.kept = !stored
    stored?.then(
      () => {
        if (entry.id === id) entry.kept = true
        this.#onKept()
      },
      (error: LoquicError) => {
        if (this.#takeOut(entry)) entry.settle({ error })
        this.#onKept()
      },
    )
  }

  /** Removes an entry that is not in flight; those behind it move up. */
  #takeOut(entry: Entry): boolean {
    const index = this.#entries.indexOf(entry)
    if (index < 0) return false
    this.#entries.splice(index, 1)
    this.#drop(entry)
    this.#renumber(index, entry.id)
    return true
  }

  #drop(entry: Entry): void {
    this.#bytes -= entry.message.payload.length
    this.#shelf.remove(entry)
  }
}

/** A shelf that holds nothing: the outbox ends with the page. */
export const NO_SHELF: Shelf = { put: () => {}, remove: () => {} }

function concat(pieces: Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}
