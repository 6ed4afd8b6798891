// The connection's state, in words.

import type { Client, ClientState } from '@loquic/client'
import { find } from './dom.ts'

export function showConnection(client: Client): void {
  const pill = find('connection', HTMLElement)
  let until = 0
  const show = () => {
    const { state } = client
    pill.dataset['state'] = state.type
    pill.textContent = describe(state, Math.ceil((until - performance.now()) / 1000))
    pill.title = detail(state)
  }
  client.subscribe((state) => {
    until = state.type === 'waiting' ? performance.now() + state.delayMs : 0
    show()
  })
  // Counts the seconds to the next attempt.
  setInterval(show, 1000)
  show()
}

function describe(state: ClientState, seconds: number): string {
  switch (state.type) {
    case 'connecting':
      return 'Connecting…'
    case 'online':
      return 'Connected'
    case 'waiting':
      return seconds > 1 ? `Reconnecting in ${seconds} s` : 'Reconnecting…'
    case 'paused':
      return 'Paused'
    case 'signed-out':
      return 'Signed out'
    case 'closed':
      return 'Closed'
  }
}

function detail(state: ClientState): string {
  if (state.type === 'online') return `Over ${state.transport} to ${state.node}, as ${state.principal.user}`
  return ('error' in state && state.error?.message) || ''
}
