// The heads of many rooms, without joining them: what unread counts are made of.

/** Which rooms: a list of at most 1,024, or all whose name begins with `prefix`. */
export type Watched = { rooms: readonly string[] } | { prefix: string }

/** The newest that is known of a room. */
export interface WatchEvent {
  room: string
  epoch: number
  head: number
  /** How far the user has read; `undefined` if that is not known yet, `null` if they never have. */
  mark: number | null | undefined
}

/** What `client.watch` gives: iterate it, or listen. */
export interface Watch extends AsyncIterable<WatchEvent>, Disposable {
  /** Calls `listener` for each event; the result ends that. */
  on(listener: (event: WatchEvent) => void): () => void
  close(): void
}

