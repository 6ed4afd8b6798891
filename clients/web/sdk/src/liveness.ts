// Whether the peer still answers. Pure: the driver brings the clock.
//
// Whatever comes shows that the peer lives. Where an answer is due and nothing at all comes for `patience`, the peer is
// asked with a ping, and behind that it is silent. An answer that is late while other things come is only late.

/** Pings come at least this often, whatever the server asks for, so that no idle timeout is ever reached. */
const INTERVAL_MS_MAX = 15_000

/** A server that asks for an interval of zero must not make the client spin. */
const INTERVAL_MS_MIN = 50

/** Silence shorter than this is nothing: a lost packet is sent again within it, and a busy page catches up. */
const PATIENCE_MS_MIN = 400

/** Nor does a path whose answers took long for a while make the client wait for ever. */
const PATIENCE_MS_MAX = 6_000

/** Looking this much later than was due means that this process stood still, and with it the reading of answers. */
const LATE_MS = 150

export type Step = { do: 'wait'; ms: number } | { do: 'ping'; token: number } | { do: 'give_up' }

export class Liveness {
  readonly #intervalMs: number
  #rttMs: number
  #token = 0
  #sentAt = 0
  #pingAt: number
  /** Since when an answer is due; the ping of an idle session is one. */
  #dueSince: number | undefined
  /** Somebody waits for the answer: it is worth asking twice as soon. */
  #urgent = false
  /** When something came last, or when counting began anew. */
  #quietSince = 0
  /** Asked again behind what is due. */
  #asked = false
  /** A process that stood still got its time. */
  #excused = false

  /** `rttMs` is how long the greeting took. */
  constructor(intervalMs: number, rttMs: number, now: number) {
    this.#intervalMs = Math.min(Math.max(intervalMs, INTERVAL_MS_MIN), INTERVAL_MS_MAX)
    this.#rttMs = rttMs
    this.#pingAt = now + this.#intervalMs
  }

  /** How long a peer may be silent that has something to answer. */
  get #patienceMs(): number {
    return Math.min(Math.max(4 * this.#rttMs, PATIENCE_MS_MIN), PATIENCE_MS_MAX)
  }

  poll(now: number): Step {
    if (this.#dueSince === undefined) {
      if (now < this.#pingAt) return { do: 'wait', ms: this.#pingAt - now }
      this.#expect(now, false)
      return this.#ping(now)
    }
    // Two steps: until the question is asked again, and from there on.
    const stepMs = this.#urgent ? this.#patienceMs / 2 : this.#patienceMs
    const until = Math.max(this.#dueSince, this.#quietSince) + stepMs
    if (now < until) return { do: 'wait', ms: until - now }
    if (now >= until + LATE_MS && !this.#excused) {
      this.#excused = true
      this.#quietSince = now
      return { do: 'wait', ms: stepMs }
    }
    if (this.#asked) return { do: 'give_up' }
    this.#asked = true
    this.#quietSince = now
    return this.#ping(now)
  }

  /** Something was sent that is answered soon. */
  await(now: number): void {
    if (this.#dueSince === undefined) this.#expect(now, true)
    this.#urgent = true
  }

  /** Something hints that the connection is gone: asks now. */
  probe(now: number): void {
    this.#pingAt = now
    this.#urgent = true
  }

  /** Something has come, whatever it is. */
  handleBytes(now: number): void {
    this.#quietSince = now
    this.#asked = false
    this.#excused = false
  }

  /** Nothing is due any more. */
  settle(): void {
    this.#dueSince = undefined
    this.#urgent = false
  }

  /** An answer to a ping. The result is how long it took, if it is that of the last one. */
  handlePong(token: number, now: number): number | undefined {
    this.settle()
    this.#pingAt = now + this.#intervalMs
    if (token !== this.#token) return undefined
    const rttMs = now - this.#sentAt
    // Smoothed: one answer that had to be sent again must not make the next silence four times as long.
    this.#rttMs += (rttMs - this.#rttMs) / 4
    return rttMs
  }

  #expect(now: number, urgent: boolean): void {
    this.#dueSince = now
    this.#urgent ||= urgent
    this.#asked = false
    this.#excused = false
  }

  #ping(now: number): Step {
    this.#token++
    this.#sentAt = now
    return { do: 'ping', token: this.#token }
  }
}
