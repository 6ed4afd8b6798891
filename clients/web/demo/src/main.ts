// A room of Loquic as a page: what the SDK does, made visible.

import './style.css'
import { createClient, LoquicError, type Room } from '@loquic/client'
import { startComposer } from './composer.ts'
import { showConnection } from './connection.ts'
import { find } from './dom.ts'
import { entered, forget, type Identity, remember, start, suggested } from './identity.ts'
import { Timeline } from './timeline.ts'
import { TypingLine } from './typing.ts'

const form = find('enter', HTMLFormElement)
const name = find('name', HTMLInputElement)
const room = find('room', HTMLInputElement)
const problem = find('enter-problem', HTMLElement)

/** Throws if the name or the room's name is not one. */
function open(identity: Identity): void {
  const client = createClient({ url: location.origin, name: identity.name })
  let joined: Room
  try {
    joined = client.room(identity.room, { from: start() })
  } catch (error) {
    void client.close()
    throw error
  }
  remember(identity)
  show(identity)
  showConnection(client)
  const typing = new TypingLine(client, joined, identity.name)
  const publish = (text: string) => {
    typing.stop()
    joined.publish(text).then(
      ({ producer, id, offset }) => timeline.handleAck(text, producer, id, offset),
      (error: unknown) => timeline.handleFailure(text, words(error)),
    )
  }
  const timeline = new Timeline(joined, identity.name, publish)
  startComposer({ send: publish, input: (isEmpty) => typing.handleInput(isEmpty) })
  void follow(joined, timeline, typing)
}

async function follow(joined: Room, timeline: Timeline, typing: TypingLine): Promise<void> {
  try {
    for await (const event of joined.events()) {
      if (event.type === 'ephemeral') typing.handleEphemeral(event.sender, event.value)
      else timeline.handle(event)
    }
  } catch (error) {
    // The room's state says it too, and the timeline shows that.
    console.error('the room was left:', words(error))
  }
}

function show(identity: Identity): void {
  form.hidden = true
  find('conversation', HTMLElement).hidden = false
  find('room-title', HTMLElement).textContent = identity.room
  document.title = `${identity.room} – Loquic`
  const leave = find('leave', HTMLButtonElement)
  leave.hidden = false
  leave.addEventListener('click', forget)
}

function words(error: unknown): string {
  if (error instanceof LoquicError) return error.message.replace(/^the server refused: /, '')
  return String(error)
}

function tryToOpen(identity: Identity): void {
  try {
    open(identity)
  } catch (error) {
    problem.textContent = words(error)
    problem.hidden = false
  }
}

const suggestion = suggested()
name.value = suggestion.name
room.value = suggestion.room
form.addEventListener('submit', (event) => {
  event.preventDefault()
  // A script may submit what nobody sees any more.
  if (form.hidden) return
  tryToOpen({ name: name.value.trim(), room: room.value.trim() })
})
const before = entered()
if (typeof WebTransport === 'undefined') {
  problem.textContent =
    'This browser has no WebTransport. Chromium 97, Firefox 114 and Safari 26.4 do, on localhost or https.'
  problem.hidden = false
} else if (before !== undefined) {
  tryToOpen(before)
}
