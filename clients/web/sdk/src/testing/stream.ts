// The server's end of a stream.

import type { Stream } from '../link.ts'
import { type Body, Decoder, encode, type Frame, type FrameName } from '../wire/frame.ts'

/** A stream, seen from the server. */
export class ServerStream {
  readonly #stream: Stream
  readonly #decoder = new Decoder()

  /** @internal */
  constructor(stream: Stream) {
    this.#stream = stream
  }

  /** The next frame of the client; `undefined` at the end. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#decoder.next()
      if (frame !== undefined) return frame
      const piece = await this.#stream.read()
      if (piece === undefined) return undefined
      this.#decoder.push(piece)
    }
  }

  /** Says something. */
  send<N extends FrameName>(name: N, body: Body<N>): void {
    // A connection that was cut in between is the client's to notice.
    this.#stream.write(encode(name, body)).catch(() => {})
  }

  /** Ends the server's direction. */
  finish(): void {
    this.#stream.finish()
  }

  /** Ends a join stream. */
  leave(code: number): void {
    this.send('Left', { code })
    this.finish()
  }

  /** Refuses what the stream was opened for. */
  refuse(code: number, message = '', retryAfterMs = 0): void {
    this.send('Refused', { code, message, retry_after: retryAfterMs })
    this.finish()
  }
}
