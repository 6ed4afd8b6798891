// Outside: the welcome, or the chat of one user.

import { type Client, createClient } from '@loquic/client'
import { LoquicProvider } from '@loquic/react'
import { useState } from 'react'
import { Chat } from './Chat.tsx'
import { enter, entered, leave, token, transports } from './identity.ts'
import { Memory } from './rooms.ts'
import { reason } from './text/words.ts'
import { Welcome } from './Welcome.tsx'

/** A user with their connection. It is made by what somebody does, never by rendering. */
interface Session {
  client: Client
  memory: Memory
  name: string
}

function open(name: string): Session {
  const who = token() === null ? { name } : { getToken: async () => token() }
  const client = createClient({ url: location.origin, transports: transports(), ...who })
  return { client, memory: new Memory(name), name }
}

/** Who is in the address, or was here before a reload. */
function openAgain(): Session | string | undefined {
  const name = entered()
  try {
    return name === undefined ? undefined : open(name)
  } catch (error) {
    return reason(error)
  }
}

const before = openAgain()

export function App() {
  const [session, setSession] = useState(typeof before === 'string' ? undefined : before)
  if (session === undefined) {
    const go = (name: string) => {
      const opened = open(name)
      enter(name)
      setSession(opened)
    }
    return <Welcome problem={typeof before === 'string' ? before : undefined} onEnter={go} />
  }
  const { client, memory, name } = session
  const quit = () => {
    leave()
    setSession(undefined)
    void client.close()
  }
  return (
    <LoquicProvider client={client}>
      <Chat memory={memory} user={name} onLeave={quit} />
    </LoquicProvider>
  )
}
