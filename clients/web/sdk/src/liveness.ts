// Whether the peer still answers. Pure: the driver brings the clock.

/** A silent peer is noticed after at most twice this: two pings are missed within 10 s. */
const ANSWER_WAIT_MS_MAX = 5_000

/**
 * Nor is it given up before twice this, however often the server wants pings: on a path of 1.5 s (a satellite, a full
 * queue) an answer that was lost once takes longer than 3 s, and who gives up before never catches up there.
 */
const ANSWER_WAIT_MS_MIN = 2_000

/** Pings come at least this often, whatever the server asks for, so that no idle timeout is ever reached. */
const INTERVAL_MS_MAX = 15_000

/** A server that asks for an interval of zero must not make the client spin. */
const INTERVAL_MS_MIN = 50

export type Step = { do: 'wait'; ms: number } | { do: 'ping'; token: number } | { do: 'give_up' }

/** Two pings in a row without an answer mean that the connection is dead. */
export class Liveness {
  readonly #intervalMs: number
  #token = 0
  #unanswered = 0
  #due: number

  constructor(intervalMs: number, now: number) {
    this.#intervalMs = Math.min(Math.max(intervalMs, INTERVAL_MS_MIN), INTERVAL_MS_MAX)
    this.#due = now + this.#intervalMs
  }

  poll(now: number): Step {
    if (now < this.#due) return { do: 'wait', ms: this.#due - now }
    if (this.#unanswered === 2) return { do: 'give_up' }
    this.#unanswered++
    this.#token++
    this.#due = now + Math.min(Math.max(this.#intervalMs, ANSWER_WAIT_MS_MIN), ANSWER_WAIT_MS_MAX)
    return { do: 'ping', token: this.#token }
  }

  /** Any answer counts, also a late one: it shows that the peer lives. */
  handlePong(now: number): void {
    this.#unanswered = 0
    this.#due = now + this.#intervalMs
  }
}
