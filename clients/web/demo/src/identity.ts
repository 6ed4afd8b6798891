// Who one is and in which room. The room is in the address, so that it can be passed on; the name is kept for the tab,
// and for the next tab as a suggestion.

import type { BrowserTransport, From } from '@loquic/client'
import { RECORDS_AT_FIRST } from './limits.ts'

const NAME = 'loquic-demo/name'

/** A token never is in an address, so whoever has one for this tab puts it into its storage. */
const TOKEN = 'loquic-demo/token'

export const LOBBY = 'chat:lobby'

/** The name that this tab has entered with before. */
export function entered(): string | undefined {
  return query('name') ?? sessionStorage.getItem(NAME) ?? undefined
}

/** What the field of the name begins with. */
export function suggested(): string {
  return localStorage.getItem(NAME) ?? `guest-${Math.floor(Math.random() * 9000 + 1000)}`
}

export function enter(name: string): void {
  sessionStorage.setItem(NAME, name)
  localStorage.setItem(NAME, name)
}

export function leave(): void {
  sessionStorage.removeItem(NAME)
  const url = new URL(location.href)
  url.searchParams.delete('name')
  history.replaceState(null, '', url)
}

/** What vouches for the name, where the server wants that. */
export function token(): string | null {
  return sessionStorage.getItem(TOKEN)
}

/** The room of the address. */
export function roomOfAddress(): string {
  return query('room') ?? LOBBY
}

/** Puts the room into the address; the page before can be gone back to. */
export function showRoom(room: string): void {
  if (query('room') === room) return
  const url = new URL(location.href)
  url.searchParams.set('room', room)
  history.pushState(null, '', url)
}

/** `?from=oldest` reads everything, `?from=…` that many records. */
export function start(): From {
  const from = query('from')
  if (from === 'oldest') return { type: 'oldest' }
  return { type: 'last', count: Number(from) || RECORDS_AT_FIRST }
}

/** `?transport=websocket` uses that one and no other, to see how it does. */
export function transports(): 'auto' | BrowserTransport[] {
  const wanted = query('transport')
  return wanted === 'websocket' || wanted === 'webtransport' ? [wanted] : 'auto'
}

function query(name: string): string | null {
  return new URL(location.href).searchParams.get(name)
}
