// `Link` over a WebSocket, for networks that let no UDP through: QMux makes streams of its messages. Loaded when
// needed.

import Session from '@moq/qmux'
import { CREDIT_BYTES_SUM } from './limits.ts'
import type { Link } from './link.ts'
import { ready } from './webtransport.ts'

/** As in ALPN; on the wire it is `qmux-02.loquic-1`. */
const PROTOCOL = 'loquic-1'

/** What may be on its way: twice what rooms are granted, as over WebTransport, and a quarter of it for one stream. */
const WINDOW_BYTES = BigInt(2 * CREDIT_BYTES_SUM)
const STREAM_WINDOW_BYTES = WINDOW_BYTES / 4n

export async function openWebSocket(address: string, why: string, signal: AbortSignal): Promise<Link> {
  signal.throwIfAborted()
  const session = new Session(address, {
    protocols: [PROTOCOL],
    versions: { [PROTOCOL]: 'qmux-02' },
    // Without it a server that knows nothing of this would get framing without flow control.
    requireProtocol: true,
    config: { maxData: WINDOW_BYTES, maxStreamDataBidiLocal: STREAM_WINDOW_BYTES },
  })
  return ready('websocket', session, address, why, signal)
}
