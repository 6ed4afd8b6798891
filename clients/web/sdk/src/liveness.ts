// Whether the peer still answers. Pure: the driver brings the clock.

/** With pings every 5 s a silent peer is noticed within 10 s: at the end of two waits behind a ping. */
const ANSWER_WAIT_MS_MAX = 2_500

/** Where something makes the connection doubtful, an answer may take this long. */
const PROBE_WAIT_MS = 1_500

/**
 * Nor is it given up before twice this, however often the server wants pings: on a path of 1.5 s (a satellite, a full
 * queue) an answer that was lost once takes longer than 3 s, and who gives up before never catches up there.
 */
const ANSWER_WAIT_MS_MIN = 2_000

/** Pings come at least this often, whatever the server asks for, so that no idle timeout is ever reached. */
const INTERVAL_MS_MAX = 15_000

/** A server that asks for an interval of zero must not make the client spin. */
const INTERVAL_MS_MIN = 50

/** Looking this much later than was due means that this process stood still, and with it the reading of answers. */
const LATE_MS = 1_000

export type Step = { do: 'wait'; ms: number } | { do: 'ping'; token: number } | { do: 'give_up' }

/** Two pings in a row without an answer mean that the connection is dead. */
export class Liveness {
  readonly #intervalMs: number
  #waitMs: number
  #token = 0
  #sentAt = 0
  #unanswered = 0
  #due: number

  constructor(intervalMs: number, now: number) {
    this.#intervalMs = Math.min(Math.max(intervalMs, INTERVAL_MS_MIN), INTERVAL_MS_MAX)
    this.#waitMs = answerWaitMs(this.#intervalMs)
    this.#due = now + this.#intervalMs
  }

  poll(now: number): Step {
    if (this.#unanswered > 0 && now >= this.#due + LATE_MS) {
      // A page that was frozen or busy has not read its answers either: it gets the time to.
      this.#due = now + this.#waitMs
      this.#unanswered = 1
    }
    if (now < this.#due) return { do: 'wait', ms: this.#due - now }
    if (this.#unanswered >= 2) return { do: 'give_up' }
    this.#unanswered++
    this.#token++
    this.#sentAt = now
    this.#due = now + this.#waitMs
    return { do: 'ping', token: this.#token }
  }

  /** Something hints that the connection is gone: asks now, and waits less for the answers. */
  probe(now: number): void {
    if (this.#waitMs === PROBE_WAIT_MS) return
    this.#waitMs = Math.min(this.#waitMs, PROBE_WAIT_MS)
    this.#unanswered = 0
    this.#due = now
  }

  /**
   * Any answer counts, also a late one: it shows that the peer lives. The result is how long it took, if it is that of
   * the last ping.
   */
  handlePong(token: number, now: number): number | undefined {
    this.#unanswered = 0
    this.#waitMs = answerWaitMs(this.#intervalMs)
    this.#due = now + this.#intervalMs
    return token === this.#token ? now - this.#sentAt : undefined
  }
}

function answerWaitMs(intervalMs: number): number {
  return Math.min(Math.max(intervalMs, ANSWER_WAIT_MS_MIN), ANSWER_WAIT_MS_MAX)
}
