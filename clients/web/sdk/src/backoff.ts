// How long to wait before the next attempt. Pure: the random number comes from outside.

/** How long a client waits between two attempts to connect. */
export interface Backoff {
  /** The longest wait before the first retry, in milliseconds; it doubles with each further one. Default 100. */
  firstMs: number
  /** The longest wait at all, unless the server asks for a longer one. Default 10,000. */
  maxMs: number
}

export const BACKOFF: Backoff = { firstMs: 100, maxMs: 10_000 }

/**
 * Full jitter: evenly spread between nothing and `first * 2^attempt`, cut at `max`. What the server asked for
 * (`floorMs`) is added below and not spread away, so that a thousand clients told "in 5 s" come back in 5 s and a bit,
 * not at once.
 */
export function delay(backoff: Backoff, attempt: number, floorMs: number, random: number): number {
  return floorMs + random * Math.min(backoff.firstMs * 2 ** attempt, backoff.maxMs)
}
