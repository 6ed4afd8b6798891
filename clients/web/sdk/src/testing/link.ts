// `Link` in memory: two ends without a network. What is written arrives in the next microtask, or after `latencyMs`, in
// pieces as written. A link that is held swallows nothing: like QUIC it delivers what it has once it is let go.

import type { Link, Stream, TransportName } from '../link.ts'

/** When pieces arrive, the same for both directions of a connection. */
interface Pace {
  latencyMs: number
  held: (() => void)[] | undefined
}

/** One direction of a stream. */
class Pipe {
  readonly #pace: Pace
  #pieces: Uint8Array[] = []
  #ended = false
  #broken: Error | undefined
  #wake = () => {}

  constructor(pace: Pace) {
    this.#pace = pace
  }

  push(piece: Uint8Array): void {
    if (this.#broken) throw this.#broken
    const copy = piece.slice()
    pass(this.#pace, () => {
      this.#pieces.push(copy)
      this.#wake()
    })
  }

  end(): void {
    pass(this.#pace, () => {
      this.#ended = true
      this.#wake()
    })
  }

  break(reason: string): void {
    this.#broken ??= new Error(reason)
    this.#wake()
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#broken) throw this.#broken
      const piece = this.#pieces.shift()
      if (piece !== undefined) return piece
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

function pass(pace: Pace, deliver: () => void): void {
  const arrive = () => {
    if (pace.held === undefined) deliver()
    else pace.held.push(deliver)
  }
  if (pace.latencyMs > 0) setTimeout(arrive, pace.latencyMs)
  else arrive()
}

class End implements Stream {
  readonly #out: Pipe
  readonly #in: Pipe

  constructor(out: Pipe, into: Pipe) {
    this.#out = out
    this.#in = into
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#out.push(bytes)
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#in.read()
  }

  finish(): void {
    this.#out.end()
  }

  abort(): void {
    this.#out.break('the stream was reset')
    this.#in.break('the stream was reset')
  }
}

/** What a connection in memory is like. */
export interface MockLinkOptions {
  transport?: TransportName
  latencyMs?: number
  /** 0 for a connection without datagrams. */
  datagramBytesMax?: number
}

/** A connection; the client's end is a `Link`, the server's end is this object. */
export class MockLink implements Link {
  readonly transport: TransportName
  readonly why = 'it is in memory'
  onBytes = () => {}
  readonly datagramBytesMax: number
  readonly closed: Promise<string>
  onDatagram: (bytes: Uint8Array) => void = () => {}
  /** Called for each datagram that the client sends. */
  onClientDatagram: (bytes: Uint8Array) => void = () => {}
  /** Datagrams that the client has sent. */
  readonly datagrams: Uint8Array[] = []
  readonly #accept: (stream: Stream) => void
  readonly #pace: Pace
  readonly #pipes: Pipe[] = []
  #close: (reason: string) => void = () => {}
  #gone: string | undefined

  constructor(accept: (stream: Stream) => void, options: MockLinkOptions = {}) {
    this.#accept = accept
    this.transport = options.transport ?? 'memory'
    this.datagramBytesMax = options.datagramBytesMax ?? 1200
    this.#pace = { latencyMs: options.latencyMs ?? 0, held: undefined }
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  async open(first: Uint8Array): Promise<Stream> {
    if (this.#gone !== undefined) throw new Error(this.#gone)
    const [up, down] = [new Pipe(this.#pace), new Pipe(this.#pace)]
    this.#pipes.push(up, down)
    up.push(first)
    this.#accept(new End(down, up))
    return new End(up, down)
  }

  sendDatagram(bytes: Uint8Array): void {
    const copy = bytes.slice()
    this.datagrams.push(copy)
    pass(this.#pace, () => this.onClientDatagram(copy))
  }

  /** Sends the client a datagram. */
  pushDatagram(bytes: Uint8Array): void {
    const copy = bytes.slice()
    pass(this.#pace, () => this.onDatagram(copy))
  }

  close(): void {
    this.cut('closed by the client')
  }

  /** The connection is gone; whatever was on its way is lost. */
  cut(reason: string): void {
    if (this.#gone !== undefined) return
    this.#gone = reason
    for (const pipe of this.#pipes) pipe.break(reason)
    this.#close(reason)
  }

  /** From now on nothing arrives, in either direction, and nobody is told: a network that drops packets. */
  hold(): void {
    this.#pace.held ??= []
  }

  /** Everything that was held arrives. */
  release(): void {
    const held = this.#pace.held ?? []
    this.#pace.held = undefined
    for (const deliver of held) deliver()
  }
}
