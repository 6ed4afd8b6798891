// A stream of frames.

import { LoquicError, protocol, refused } from './error.ts'
import type { Link, Stream } from './link.ts'
import { type Body, Decoder, encode, type Frame, type FrameName } from './wire/frame.ts'

export class FrameStream {
  readonly #stream: Stream
  readonly #link: Link
  readonly #decoder = new Decoder()
  #writing: Promise<void> = Promise.resolve()

  private constructor(stream: Stream, link: Link) {
    this.#stream = stream
    this.#link = link
  }

  static async open<N extends FrameName>(link: Link, name: N, body: Body<N>): Promise<FrameStream> {
    return new FrameStream(await link.open(encode(name, body)), link)
  }

  /** Writes wait for each other, so that callers need not. */
  write<N extends FrameName>(name: N, body: Body<N>): Promise<void> {
    return this.writeBytes(encode(name, body))
  }

  writeBytes(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#writing = this.#writing.then(() => this.#stream.write(bytes))
    return this.#writing
  }

  /** The next frame; `undefined` at the end of the stream. A `LoquicError` or a `DecodeError` ends it. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#decoder.next()
      if (frame !== undefined) return frame
      const piece = await this.#stream.read()
      if (piece === undefined) {
        this.#decoder.finish()
        return undefined
      }
      this.#link.onBytes?.()
      this.#decoder.push(piece)
    }
  }

  /** The next frame of a stream that the server may refuse or end. */
  async expect(): Promise<Frame> {
    const frame = await this.next()
    if (frame === undefined) throw ended('a')
    if (frame.name === 'Refused') throw refused(frame.body.code, frame.body.message, frame.body.retry_after)
    return frame
  }

  /** The same, and it must be this one. */
  async answer<N extends FrameName>(name: N): Promise<Body<N>> {
    const frame = await this.expect()
    if (frame.name !== name) throw protocol(`${frame.name} in place of ${name}`)
    // The name says what the body is, which the compiler does not follow.
    return frame.body as Body<N>
  }

  finish(): void {
    this.#writing.then(
      () => this.#stream.finish(),
      () => this.#stream.abort(),
    )
  }

  abort(): void {
    this.#stream.abort()
  }
}

export function ended(what: string): LoquicError {
  return new LoquicError('disconnected', `${what} stream ended`)
}
