// The first visit: a name, and in.

import { type FormEvent, useState } from 'react'
import { roomOfAddress, suggested } from './identity.ts'
import { reason, splitRoom } from './text/words.ts'

interface Props {
  problem: string | undefined
  /** Throws if the name is not one. */
  onEnter: (name: string) => void
}

export function Welcome({ problem, onEnter }: Props) {
  const [said, setSaid] = useState(problem)
  const [prefix, room] = splitRoom(roomOfAddress())
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const name = new FormData(event.currentTarget).get('name')
    try {
      onEnter(typeof name === 'string' ? name.trim() : '')
    } catch (error) {
      setSaid(reason(error))
    }
  }
  return (
    <main className="welcome">
      <form className="card" onSubmit={submit} autoComplete="off">
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>What should people call you?</h1>
        <p>
          You are about to enter{' '}
          <strong>
            <span className="soft">{prefix}</span>
            {room}
          </strong>
          . Whatever happens to the connection, no message is lost, repeated or out of order.
        </p>
        <label htmlFor="name">Name</label>
        <input
          id="name"
          name="name"
          required
          maxLength={64}
          defaultValue={suggested()}
          spellCheck={false}
          autoCapitalize="off"
          autoFocus
          onFocus={(event) => event.currentTarget.select()}
          aria-describedby={said === undefined ? undefined : 'enter-problem'}
        />
        {said !== undefined && (
          <p id="enter-problem" className="problem" role="alert">
            {said}
          </p>
        )}
        <button type="submit" className="primary">
          Start chatting
        </button>
      </form>
    </main>
  )
}
