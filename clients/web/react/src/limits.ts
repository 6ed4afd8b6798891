// Bounds of the hooks.

/**
 * Records of a room that are kept for its list; past it the oldest go, and history brings them back. A record of a chat
 * costs about 400 bytes here, so this is 8 MB.
 */
export const RECORDS_MAX = 20_000

/** Deletions whose record is not here are remembered, in case a page of history that was read before brings it. */
export const DELETIONS_MAX = 1_000

/** Gaps and resets that are kept for a room's list; past it the oldest go. */
export const BREAKS_MAX = 1_000

/** Publishes that have failed and wait for the user; past it the oldest go. */
export const FAILURES_MAX = 100

/** Records in a page of history, unless the application says otherwise. */
export const PAGE_RECORDS = 100

/** That somebody types is said again this often while it is true, so that one that is lost hardly shows. */
export const TYPING_REPEAT_MS = 2_000

/** And is believed this long after it was said last. */
export const TYPING_BELIEVED_MS = 5_000

/** Others who are known to type at once; past it nobody is added. */
export const TYPING_MAX = 50

/** Longest name that is believed of somebody who types. */
export const TYPING_NAME_LENGTH_MAX = 128
