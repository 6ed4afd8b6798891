// `/v1/info`: where a server is reached, and by which certificates it is known in development.

import { LoquicError } from './error.ts'

export interface Info {
  /** Where WebTransport is offered. */
  webtransport: string[]
  /** Where WebSockets are, as far as this page may use them. At least one of both lists has an address. */
  websocket: string[]
  /** SHA-256 of the certificates, current and next; empty where the certificate is one that browsers trust. */
  hashes: Uint8Array<ArrayBuffer>[]
}

/**
 * Reads it anew for each attempt to connect: a development certificate changes, and with it its hash. A server that is
 * reached by https and has no such page is reached directly.
 */
export async function readInfo(url: string, signal: AbortSignal): Promise<Info> {
  const base = new URL(url)
  const socket = new URL('/v1/ws', base).href.replace(/^http/, 'ws')
  const direct = { webtransport: [new URL('/v1', base).href], websocket: [socket], hashes: [] }
  let response: Response
  try {
    response = await fetch(new URL('/v1/info', base), { cache: 'no-store', signal })
  } catch (error) {
    if (base.protocol === 'https:' && !signal.aborted) return direct
    throw new LoquicError('connect', `cannot read ${base.origin}/v1/info: ${String(error)}`)
  }
  if (response.status === 404 && base.protocol === 'https:') return direct
  if (!response.ok) throw new LoquicError('connect', `${base.origin}/v1/info answers ${response.status}`)
  return parseInfo(await response.json().catch(() => undefined), base.protocol === 'https:')
}

/**
 * Takes what a server says, which may be anything. What was read over https leads to `wss` alone: browsers let a secure
 * page nowhere else. Otherwise `ws` goes first, since a development certificate is good for WebTransport only.
 */
export function parseInfo(json: unknown, secure: boolean): Info {
  const transports = property(json, 'transports')
  const urls = (name: string) => list(property(transports, name)).map(String).filter((url) => URL.canParse(url))
  const [webtransport, sockets] = [urls('webtransport'), urls('websocket')]
  const plain = secure ? [] : sockets.filter((url) => url.startsWith('ws:'))
  const websocket = plain.length > 0 ? plain : sockets.filter((url) => url.startsWith('wss:'))
  if (webtransport.length + websocket.length === 0) {
    throw new LoquicError('connect', '/v1/info names no address that can be used here')
  }
  return { webtransport, websocket, hashes: list(property(json, 'certificate_hashes')).map(parseHash) }
}

function parseHash(hash: unknown): Uint8Array<ArrayBuffer> {
  try {
    const bytes = Uint8Array.from(atob(String(hash)), (char) => char.charCodeAt(0))
    if (bytes.length === 32) return bytes
  } catch {
    // Not base64.
  }
  throw new LoquicError('connect', '/v1/info has a hash that is not SHA-256 as base64')
}

function property(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Record<string, unknown>)[name] : undefined
}

function list(of: unknown): unknown[] {
  return Array.isArray(of) ? of : []
}
