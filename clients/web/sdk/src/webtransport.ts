// `Link` over the browser's WebTransport.

import { LoquicError, toError } from './error.ts'
import { readInfo } from './info.ts'
import { ANSWER_MS_MAX } from './limits.ts'
import type { Connect, Link, Stream } from './link.ts'
import { within } from './sync.ts'

/** Connects to whatever `/v1/info` at this address names. */
export function webTransport(url: string): Connect {
  let attempt = 0
  return async ({ signal }) => {
    if (typeof WebTransport === 'undefined') {
      throw new LoquicError('invalid', 'this browser has no WebTransport, or the page is not served securely')
    }
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
    const info = await readInfo(url, deadline)
    const serverCertificateHashes = info.hashes.map((value) => ({ algorithm: 'sha-256', value }))
    const options = serverCertificateHashes.length > 0 ? { serverCertificateHashes } : {}
    const address = info.webtransport[attempt++ % info.webtransport.length] ?? url
    const transport = new WebTransport(address, options)
    const late = () => new LoquicError('connect', `${address} does not answer`)
    // It rejects together with `ready`; that is where the reason is taken from.
    transport.closed.catch(() => {})
    try {
      await within(ANSWER_MS_MAX, transport.ready, late)
    } catch (error) {
      closeQuietly(transport)
      throw new LoquicError('connect', `cannot connect to ${address}: ${toError(error).message}`)
    }
    return new WebTransportLink(transport)
  }
}

class WebTransportLink implements Link {
  readonly transport = 'webtransport'
  readonly why = 'the only one'
  readonly closed: Promise<string>
  onDatagram: (bytes: Uint8Array) => void = () => {}
  readonly #transport: WebTransport
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array> | undefined

  constructor(transport: WebTransport) {
    this.#transport = transport
    this.closed = transport.closed.then(
      ({ reason }) => reason || 'it was closed',
      (error) => toError(error).message,
    )
    // Not every browser has it, and some are to drop it; without it ephemerals are not sent.
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
