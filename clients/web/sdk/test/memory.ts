// `Link` in memory: two ends without a network. What is written arrives in the next microtask, in pieces as written.

import type { Link, Stream } from '../src/link.ts'

/** One direction of a stream. */
class Pipe {
  #pieces: Uint8Array[] = []
  #ended = false
  #broken: Error | undefined
  #wake = () => {}

  push(piece: Uint8Array): void {
    if (this.#broken) throw this.#broken
    this.#pieces.push(piece.slice())
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
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

/** A connection; the client's end is a `Link`, the server's end is this object. */
export class MemoryLink implements Link {
  readonly transport = 'memory'
  readonly why = 'in memory'
  readonly datagramBytesMax = 1200
  readonly closed: Promise<string>
  onDatagram: (bytes: Uint8Array) => void = () => {}
  /** Datagrams that the client has sent. */
  readonly datagrams: Uint8Array[] = []
  readonly #accept: (stream: Stream) => void
  readonly #pipes: Pipe[] = []
  #close: (reason: string) => void = () => {}
  #gone: string | undefined

  constructor(accept: (stream: Stream) => void) {
    this.#accept = accept
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  async open(first: Uint8Array): Promise<Stream> {
    if (this.#gone !== undefined) throw new Error(this.#gone)
    const [up, down] = [new Pipe(), new Pipe()]
    this.#pipes.push(up, down)
    up.push(first)
    this.#accept(new End(down, up))
    return new End(up, down)
  }

  sendDatagram(bytes: Uint8Array): void {
    this.datagrams.push(bytes.slice())
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
}
