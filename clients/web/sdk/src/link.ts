// What the client needs of a transport. `webtransport.ts` is one; the tests have another, in memory.

/** A bidirectional stream. Reads and writes reject once the stream or the connection is gone. */
export interface Stream {
  /** Resolves once the transport has taken the bytes, so that whoever waits for it never queues more than one write. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** The next piece; `undefined` at the end. */
  read(): Promise<Uint8Array | undefined>
  /** Ends the sending direction in good order. Never throws. */
  finish(): void
  /** Gives both directions up. Never throws. */
  abort(): void
}

export interface Link {
  /** Opens a stream; its first bytes go with the opening. Waits where the server allows no more streams yet. */
  open(first: Uint8Array<ArrayBuffer>): Promise<Stream>
  /** Sends a datagram, or drops it: nobody is told. */
  sendDatagram(bytes: Uint8Array<ArrayBuffer>): void
  /** Called for each datagram that comes. */
  onDatagram: (bytes: Uint8Array) => void
  /** Resolves with a reason once the connection is gone, from whichever side. Never rejects. */
  readonly closed: Promise<string>
  /** Never throws. */
  close(): void
}

/** Makes a connection. Called again for each attempt. */
export type Connect = (signal: AbortSignal) => Promise<Link>
