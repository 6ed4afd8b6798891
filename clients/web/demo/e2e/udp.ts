// A network between page and server that can be told to swallow all UDP, as some firewalls do.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

const LOOPBACK = '127.0.0.1'

export class UdpProxy {
  /** Nothing passes any more, and nobody is told. */
  isSwallowing = false
  readonly #front: Socket
  /** One for each client, so that the server can tell them apart. */
  readonly #backs = new Map<number, Socket>()
  #server = 0

  private constructor(front: Socket) {
    this.#front = front
    front.on('message', (packet, { port }) => {
      if (!this.isSwallowing) this.#back(port).send(packet, this.#server, LOOPBACK)
    })
  }

  static async open(): Promise<UdpProxy> {
    const front = createSocket('udp4')
    front.bind(0, LOOPBACK)
    await once(front, 'listening')
    return new UdpProxy(front)
  }

  get port(): number {
    return this.#front.address().port
  }

  /** From now on packets go to this port. */
  lead(server: number): void {
    this.#server = server
  }

  close(): void {
    for (const socket of [this.#front, ...this.#backs.values()]) socket.close()
  }

  #back(client: number): Socket {
    const known = this.#backs.get(client)
    if (known !== undefined) return known
    const back = createSocket('udp4')
    back.on('message', (packet) => {
      if (!this.isSwallowing) this.#front.send(packet, client, LOOPBACK)
    })
    // A server that was killed refuses packets; to QUIC that is silence.
    back.on('error', () => {})
    this.#backs.set(client, back)
    return back
  }
}
