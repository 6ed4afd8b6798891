// The newest value for each (sender, slot) of a room. Pure.

import { EPHEMERALS_MAX } from './limits.ts'
import type { Ephemeral } from './wire/join.ts'

export class Ephemerals {
  readonly #stamps = new Map<string, number>()
  readonly #sent = new Map<number, number>()

  /** Whether this is news. Datagrams come in any order, and more than once. */
  handle({ sender, slot, stamp }: Ephemeral): boolean {
    const key = `${sender}/${slot}`
    if ((this.#stamps.get(key) ?? -1) >= stamp) return false
    this.#stamps.delete(key)
    this.#stamps.set(key, stamp)
    const [oldest] = this.#stamps.keys()
    if (this.#stamps.size > EPHEMERALS_MAX && oldest !== undefined) this.#stamps.delete(oldest)
    return true
  }

  /** A stamp above all earlier ones, also those of an earlier life of this page. */
  stamp(slot: number, now: number): number {
    const stamp = Math.max(now, (this.#sent.get(slot) ?? 0) + 1)
    this.#sent.set(slot, stamp)
    return stamp
  }
}
