// Own publishes that the list does not show as records yet. Pure.
//
// A publish and its record have the same (producer, id). The acknowledgement and the record come in either order, over
// different streams, and each publish is shown once at any moment: here or as a record.

import type { Ack, LoquicError, Unacknowledged } from '@loquic/client'
import { FAILURES_MAX } from './limits.ts'
import { DELETE } from './timeline.ts'

export type Pending<T = unknown> = { key: string; value: T } & (
  | { state: 'waiting' | 'sent' }
  /** In the log at this offset; its record is on the way. */
  | { state: 'acked'; offset: number }
  /** The room does not take it, or it could not be kept. `retry(key)` tries again, `discard(key)` gives up. */
  | { state: 'failed'; error: LoquicError | Error }
)

export class PendingList<T> {
  readonly #acked = new Map<string, Pending<T> & { state: 'acked' }>()
  #failed: (Pending<T> & { state: 'failed' })[] = []
  /** Records that have come before their acknowledgement; the outbox still has them. */
  #early = new Set<string>()
  #failures = 0

  handleRecord(producer: string, id: number): void {
    const key = keyOf(producer, id)
    if (!this.#acked.delete(key)) this.#early.add(key)
  }

  /** `isShown`: its record has come. */
  handleAck(value: T, { producer, id, offset }: Ack, isShown: boolean): void {
    const key = keyOf(producer, id)
    this.#early.delete(key)
    if (!isShown) this.#acked.set(key, { key, value, state: 'acked', offset })
  }

  handleFailure(value: T, error: LoquicError | Error): void {
    const key = `failed/${this.#failures++}`
    this.#failed = [...this.#failed.slice(1 - FAILURES_MAX), { key, value, state: 'failed', error }]
  }

  /** Records behind `validTo` will not come. */
  handleReset(validTo: number): void {
    for (const [key, { offset }] of this.#acked) if (offset > validTo) this.#acked.delete(key)
    this.#early.clear()
  }

  /** Takes a failure out. */
  takeFailure(key: string): T | undefined {
    const failed = this.#failed.find((failed) => failed.key === key)
    this.#failed = this.#failed.filter((other) => other !== failed)
    return failed?.value
  }

  /** In the order in which the log will have them, as far as that can be known. */
  list(outbox: readonly Unacknowledged<T>[]): Pending<T>[] {
    const keys = new Set(outbox.map(({ producer, id }) => keyOf(producer, id)))
    // Of others' records nothing is kept.
    this.#early = new Set([...this.#early].filter((key) => keys.has(key)))
    const waiting = outbox
      .filter(({ kind, producer, id }) => kind !== DELETE && !this.#early.has(keyOf(producer, id)))
      .map(({ key, value, state }) => ({ key, value, state }))
    const acked = [...this.#acked.values()].toSorted((a, b) => a.offset - b.offset)
    return [...acked, ...waiting, ...this.#failed]
  }
}

function keyOf(producer: string, id: number): string {
  return `${producer}/${id}`
}
