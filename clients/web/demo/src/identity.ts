// Who one is and in which room. The room is in the address, so that it can be passed on; the name is kept for the tab,
// and for the next tab as a suggestion.

import type { From } from '@loquic/client'

export interface Identity {
  name: string
  room: string
}

const NAME = 'loquic-demo/name'

/** Records that are shown at first. */
const RECORDS_SHOWN = 200

/** What this tab has entered before. */
export function entered(): Identity | undefined {
  const name = query('name') ?? sessionStorage.getItem(NAME)
  const room = query('room')
  return name && room ? { name, room } : undefined
}

export function suggested(): Identity {
  return {
    name: query('name') ?? localStorage.getItem(NAME) ?? `guest-${Math.floor(Math.random() * 9000 + 1000)}`,
    room: query('room') ?? 'chat:lobby',
  }
}

export function remember({ name, room }: Identity): void {
  sessionStorage.setItem(NAME, name)
  localStorage.setItem(NAME, name)
  const url = new URL(location.href)
  url.searchParams.set('room', room)
  history.replaceState(null, '', url)
}

export function forget(): void {
  sessionStorage.removeItem(NAME)
  location.assign(location.pathname)
}

/** `?from=oldest` shows everything. */
export function start(): From {
  return query('from') === 'oldest' ? { type: 'oldest' } : { type: 'last', count: RECORDS_SHOWN }
}

function query(name: string): string | null {
  return new URL(location.href).searchParams.get(name)
}
