// A page with nothing but the SDK: for what only a program does.

import { createClient } from '@loquic/client'

/** What a test calls in the page. */
export interface Bare {
  /** Publishes these, a few at a time, and notes in `kept` which of them the SDK has promised to keep. */
  publish(name: string, room: string, texts: readonly string[]): Promise<void>
  /** Waits until nothing in the room waits for an answer, whoever has left it behind. */
  settle(): Promise<void>
  /** What was promised, in this page and in those before it. */
  kept(): string[]
}

/** Behind so many others have their turn: publishing takes a while, and the page can be reloaded in its middle. */
const PUBLISHES_AT_ONCE = 5

/** In the tab's own storage: whatever was noted is there after a reload, like the promise itself. */
const KEPT = 'kept'

function note(text: string): void {
  sessionStorage.setItem(KEPT, `${sessionStorage.getItem(KEPT) ?? ''}${text} `)
}

let settled: () => boolean = () => false

const bare: Bare = {
  publish: async (name, room, texts) => {
    const client = createClient({ url: location.origin, name })
    const used = client.room(room)
    settled = () => client.state.type === 'online' && used.outbox.length === 0
    for (const [index, text] of texts.entries()) {
      void used.publish(text).stored.then(() => note(text))
      if (index % PUBLISHES_AT_ONCE === 0) await new Promise((resolve) => setTimeout(resolve))
    }
  },
  settle: async () => {
    while (!settled()) await new Promise((resolve) => setTimeout(resolve, 50))
  },
  kept: () => (sessionStorage.getItem(KEPT) ?? '').split(' ').filter(Boolean),
}

Object.assign(globalThis, { bare })
