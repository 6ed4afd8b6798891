// The page on the SDK's mock server, in each state that it can be in: `?scene=busy`. `npm run screens` takes pictures.

import '../src/style/base.css'
import '../src/style/layout.css'
import '../src/style/messages.css'
import type { Room } from '@loquic/client'
import { MockServer } from '@loquic/client/testing'
import { LoquicProvider } from '@loquic/react'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { HOSTILE } from '../test/hostile.ts'
import { Chat } from '../src/Chat.tsx'
import { Memory } from '../src/rooms.ts'
import { applyTheme } from '../src/theme.ts'
import { Welcome } from '../src/Welcome.tsx'

const LOBBY = 'chat:lobby'
const MINUTE = 60_000
const scene = new URL(location.href).searchParams.get('scene') ?? 'busy'
const server = new MockServer()
server.latencyMs = 2

/** A message that was said so many minutes ago. */
function say(sender: string, text: string, ago: number, room = LOBBY): void {
  const payload = new TextEncoder().encode(text)
  const { records } = server.room(room)
  const offset = server.room(room).head + 1
  const facts = { kind: 0, format: 'text' as const, flags: 0, refers: null, producer: 'ffffffff', id: offset }
  records.push({ ...facts, offset, time: Date.now() - ago * MINUTE, sender, payload })
}

const TALK: readonly (readonly [string, string])[] = [
  ['Maya Lindqvist', 'Morning! The new build is on staging, could somebody have a look at the catch-up path?'],
  ['Maya Lindqvist', 'It should stream everything after the last position in pages, and say `CaughtUp` at the seam.'],
  ['tomás', 'On it. Is there a way to make it lag on purpose?'],
  ['Maya Lindqvist', 'Yes, *cut the connection* at the bottom, and look at the offsets.'],
  ['ada', 'A reader was paused over night: **3,120,455 records** later it came back and took them all, in order.'],
  ['tomás', 'Nice. How long did it take?'],
  ['ada', 'Under a minute, and nobody else in the room noticed.'],
  [
    'Priya',
    `For reference, this is what the native client does:
\`\`\`rust
let mut room = client.room("chat:lobby").from(From::Last(50)).open();
while let Some(event) = room.next().await {
    println!("{event:?}");
}
\`\`\`
The docs are at https://example.com/docs/rooms#resume`,
  ],
  ['Priya', 'Works the same in the browser, only with `for await`.'],
  ['tomás', 'Trying it now'],
]

function talk(times = 1): void {
  for (let round = times; round > 0; round--) {
    TALK.forEach(([sender, text], at) => say(sender, text, round * 60 - at * 3))
  }
}

/** Somebody else who is there. */
function join(name: string): Room {
  const room = server.client({ name }).room(LOBBY)
  room.on('record', () => {})
  return room
}

const SCENES: Record<string, () => void | Promise<void>> = {
  welcome: () => {},
  empty: () => {},
  busy: () => {
    talk(3)
    const [tomas] = ['tomás', 'Maya Lindqvist', 'Priya', 'zoë'].map(join)
    for (let count = 0; count < 7; count++) say('zoë', 'hi', 1, 'chat:random')
    for (let count = 0; count < 130; count++) say('zoë', 'hi', 1, 'ops:alerts')
    setTimeout(() => tomas?.sendEphemeral(0, { typing: true, name: 'tomás' }), 1_200)
  },
  loading: () => {
    talk(60)
    server.onFirst = (frame) => (frame.name === 'Read' ? new Promise(() => {}) : undefined)
  },
  'history-failed': () => {
    talk(60)
    server.onFirst = (frame) =>
      frame.name === 'Read'
        ? { name: 'Refused', body: { code: 3006, message: 'history is for members', retry_after: 0 } }
        : undefined
  },
  offline: () => {
    talk(2)
    setTimeout(() => {
      server.down = 'nobody answers'
      server.cut()
      setTimeout(() => write('This is kept until the server is back.'), 200)
    }, 700)
  },
  resumed: () => {
    talk(2)
    setTimeout(() => {
      server.cut()
      for (let count = 1; count <= 12; count++) say('tomás', `while you were away, ${count}`, 0)
    }, 900)
  },
  failed: () => {
    talk(2)
    server.onPublish = () => 3006
    setTimeout(() => write('Is anybody allowed to write here?'), 700)
  },
  deleted: () => {
    talk(2)
    server.room(LOBBY).redact(15)
    server.room(LOBBY).redact(17)
    say('ada', 'That one came from the wrong window, sorry.', 0)
  },
  long: () => {
    say('A very long name that nobody should have, and somebody has anyway, in every room they enter', 'Hello', 9)
    say('\u202eevil\u202c', 'a name that turns the text around', 8)
    say('李小龍', '你好,世界', 7)
    say('ada', 'x'.repeat(700), 6)
    say('tomás', `https://example.com/${'a-very-long-path/'.repeat(30)}`, 5)
    say('👩‍💻', '🎉', 4)
    say('bob', '```\n' + 'a line of code that is much longer than the window is wide; '.repeat(6) + '\n```', 3)
  },
  hostile: () => {
    HOSTILE.forEach((text, at) => say(at % 2 === 0 ? '<img src=x onerror=alert(1)>' : 'eve', text, 60 - at))
  },
  gap: () => {
    talk(3)
    server.room(LOBBY).trim(24)
  },
  reset: () => {
    talk(2)
    setTimeout(() => {
      server.restart(17)
      setTimeout(() => server.append(LOBBY, 'Back again, it seems.', { sender: 'tomás' }), 600)
    }, 900)
  },
  refused: () => {
    server.onFirst = (frame) =>
      frame.name === 'Join'
        ? { name: 'Refused', body: { code: 3006, message: 'this room is for members', retry_after: 0 } }
        : undefined
  },
  unread: () => {
    talk(2)
    new Memory('ada').mark(LOBBY, 14)
  },
  many: () => {
    for (let count = 0; count < 10_000; count++) {
      const [sender, text] = TALK[(count * 7) % TALK.length] ?? ['', '']
      say(sender, `${count + 1}. ${text}`, (10_000 - count) / 4)
    }
  },
}

/** As a hand would. */
function write(text: string): void {
  const area = document.querySelector<HTMLTextAreaElement>('#text')
  if (area === null) return
  area.value = text
  area.form?.requestSubmit()
}

localStorage.removeItem('loquic-demo/ada/marks')
localStorage.setItem('loquic-demo/ada/rooms', JSON.stringify([LOBBY, 'chat:random', 'chat:help', 'ops:alerts']))
localStorage.setItem('loquic-demo/name', 'ada')
applyTheme()
await SCENES[scene]?.()
const client = server.client({ name: 'ada' })
Object.assign(window, { server, client, say, write })
const root = document.getElementById('app')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      {scene === 'welcome' ? (
        <Welcome problem={undefined} onEnter={() => {}} />
      ) : (
        <LoquicProvider client={client}>
          <Chat memory={new Memory('ada')} user="ada" onLeave={() => {}} />
        </LoquicProvider>
      )}
    </StrictMode>,
  )
}
