// `Link` over the browser's WebTransport, or over something that looks like it.

import { LoquicError, messageOf } from './error.ts'
import { ANSWER_MS_MAX } from './limits.ts'
import type { Link, Stream } from './link.ts'
import { onAbort, within } from './sync.ts'
import type { BrowserTransport } from './transport.ts'

export async function openWebTransport(
  address: string,
  hashes: Uint8Array<ArrayBuffer>[],
  why: string,
  signal: AbortSignal,
): Promise<Link> {
  const serverCertificateHashes = hashes.map((value) => ({ algorithm: 'sha-256', value }))
  const options = serverCertificateHashes.length > 0 ? { serverCertificateHashes } : {}
  return ready('webtransport', new WebTransport(address, options), address, why, signal)
}

/** Waits until there is a connection; gives it up when nobody wants it any more. */
export async function ready(
  name: BrowserTransport,
  transport: WebTransport,
  address: string,
  why: string,
  signal: AbortSignal,
): Promise<Link> {
  // It rejects together with `ready`; that is where the reason is taken from.
  transport.closed.catch(() => {})
  const unlisten = onAbort(signal, () => closeQuietly(transport))
  try {
    await within(ANSWER_MS_MAX, transport.ready, () => new LoquicError('connect', 'no answer'))
    signal.throwIfAborted()
    return new WebTransportLink(name, why, transport)
  } catch (error) {
    closeQuietly(transport)
    throw new LoquicError('connect', `cannot connect to ${address}: ${messageOf(error)}`)
  } finally {
    unlisten()
  }
}

class WebTransportLink implements Link {
  readonly transport: BrowserTransport
  readonly why: string
  readonly closed: Promise<string>
  onBytes = () => {}
  onDatagram: (bytes: Uint8Array) => void = () => {}
  readonly #transport: WebTransport
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array> | undefined

  constructor(name: BrowserTransport, why: string, transport: WebTransport) {
    this.transport = name
    this.why = why
    this.#transport = transport
    this.closed = transport.closed.then(
      ({ reason }) => reason || 'it was closed',
      (error) => messageOf(error),
    )
    // Not every browser has it, and some are to drop it; without it ephemerals go on streams.
    this.#datagrams = transport.datagrams.writable?.getWriter()
    this.#datagrams?.closed.catch(() => {})
    void this.#receiveDatagrams()
  }

  get datagramBytesMax(): number {
    return this.#datagrams === undefined ? 0 : this.#transport.datagrams.maxDatagramSize
  }

  async open(first: Uint8Array<ArrayBuffer>): Promise<Stream> {
    const stream = new WebTransportStream(await this.#transport.createBidirectionalStream())
    await stream.write(first)
    return stream
  }

  sendDatagram(bytes: Uint8Array<ArrayBuffer>): void {
    this.#datagrams?.write(bytes).catch(() => {})
  }

  close(): void {
    closeQuietly(this.#transport)
  }

  async #receiveDatagrams(): Promise<void> {
    const reader: ReadableStreamDefaultReader<Uint8Array> = this.#transport.datagrams.readable.getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        this.onDatagram(value)
      }
    } catch {
      // The connection is gone; `closed` says so.
    }
  }
}

class WebTransportStream implements Stream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>

  constructor(stream: WebTransportBidirectionalStream) {
    this.#reader = stream.readable.getReader()
    this.#writer = stream.writable.getWriter()
    // Reads and writes tell; nobody waits for these.
    this.#reader.closed.catch(() => {})
    this.#writer.closed.catch(() => {})
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#writer.ready
    await this.#writer.write(bytes)
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value } = await this.#reader.read()
    return value
  }

  finish(): void {
    this.#writer.close().catch(() => {})
  }

  abort(): void {
    this.#writer.abort().catch(() => {})
    this.#reader.cancel().catch(() => {})
  }
}

/** Closing what was never open throws. */
function closeQuietly(transport: WebTransport): void {
  try {
    transport.close()
  } catch {
    // It is closed.
  }
}
