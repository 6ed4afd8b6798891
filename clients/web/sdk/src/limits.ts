// Bounds of the client itself; those of the protocol are in `wire/limits.ts`.

/** Longest wait for a connection, for `Welcome` and for `/v1/info`: past it the server is as good as gone. */
export const ANSWER_MS_MAX = 10_000

/**
 * What all rooms of a session may have on their way together: half of what Chromium takes in for one connection before
 * it stops reading (15 MiB; Firefox 24 MiB), so that rooms nobody reads never stop the others.
 */
export const CREDIT_BYTES_SUM = 7 << 20

/** Wanted for each room; less where the server allows many rooms. */
export const CREDIT_BYTES_DEFAULT = 1 << 20

/** Publishes of one room without an answer; past it `publish` is refused with `outbox_full`. */
export const OUTBOX_COUNT_MAX = 4096

/** The same in bytes of payload. Local storage holds about 5 MB for a whole origin. */
export const OUTBOX_BYTES_MAX = 1 << 20

/** Publishes are collected up to about this many bytes and written at once. */
export const WRITE_BYTES = 64 * 1024

/** An idle publish stream is kept this long, since the next publish is likely to come soon. */
export const STREAM_IDLE_MS_MAX = 30_000

/** Senders whose last ephemeral is remembered for each room; past it the oldest is forgotten. */
export const EPHEMERALS_MAX = 1024

/** A session this long means that the server takes us: the next wait starts small again. */
export const SESSION_LASTING_MS = 5_000

/** Going back this often without a publish getting through is not an accident any more. */
export const STALLS_AT_ONCE = 3

/** Rooms whose head and read mark are remembered; past it the oldest is forgotten. */
export const KNOWN_ROOMS_MAX = 10_000

/**
 * Records of a page of history and users of a page of members: what is asked for where nothing is said, and at most.
 */
export const PAGE_LIMIT_DEFAULT = 100
export const PAGE_LIMIT_MAX = 1_000

/** Watches that a session holds open at once; more wait for their turn. */
export const WATCHES_MAX = 8

/** How long `close({ drain: true })` waits for the answers to publishes. */
export const DRAIN_MS_DEFAULT = 5_000

/** How long the first transport has for itself before another one races it. */
export const HEAD_START_MS = 500

/** How long the transport that won is tried first. */
export const TRANSPORT_MEMORY_MS = 10 * 60_000

/** Attempts to load a part of the client, all of them while there is a session, before a call that needs it rejects. */
export const LOADS_MAX = 5
