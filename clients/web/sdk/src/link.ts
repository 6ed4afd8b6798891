// What the client needs of a transport. `webtransport.ts` and `websocket.ts` are two; `testing/link.ts` is in memory.

/** What carries a session; `memory` in tests. */
export type TransportName = 'webtransport' | 'websocket' | 'memory'

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

/** A connection, before anything was said on it. */
export interface Link {
  readonly transport: TransportName
  /** Why this transport, for people. */
  readonly why: string
  /** The longest datagram that may be sent now; 0 where there are none. */
  readonly datagramBytesMax: number
  /** Opens a stream; its first bytes go with the opening. Waits where the server allows no more streams yet. */
  open(first: Uint8Array<ArrayBuffer>): Promise<Stream>
  /** Sends a datagram, or drops it: nobody is told. */
  sendDatagram(bytes: Uint8Array<ArrayBuffer>): void
  /** Called whenever something has come on a stream: the peer lives. */
  onBytes?: () => void
  /** Called for each datagram that comes. */
  onDatagram: (bytes: Uint8Array) => void
  /** Resolves with a reason once the connection is gone, from whichever side. Never rejects. */
  readonly closed: Promise<string>
  /** Never throws. */
  close(): void
}

/** What is wanted of a connection. */
export interface Dial {
  /** Gives the attempt up. */
  signal: AbortSignal
  /** Another node to go to, in place of the client's own URL. */
  url?: string | undefined
  /** A transport that has just fallen silent: tried last. */
  avoid?: TransportName | undefined
}

/** Makes a connection. Called again for each attempt. */
export type Connect = (dial: Dial) => Promise<Link>
