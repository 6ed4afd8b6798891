// One room that is open.

import { Code } from '@loquic/client'
import { useHistory, usePresence, useRoom, useTyping } from '@loquic/react'
import { memo, useCallback, useEffect, useRef, useState } from 'react'
import { Announcer } from './Announcer.tsx'
import { Composer } from './Composer.tsx'
import { Icon } from './Icon.tsx'
import { start } from './identity.ts'
import { Messages } from './Messages.tsx'
import { People } from './People.tsx'
import type { Memory } from './rooms.ts'
import { StatusBar } from './StatusBar.tsx'
import { count, list, reason, showName, splitRoom } from './text/words.ts'

interface Props {
  name: string
  user: string
  memory: Memory
  onMenu: () => void
}

/** A server that does not offer presence and read marks refuses the room when it is asked; then it is not asked. */
export const RoomPane = memo(function RoomPane(props: Props) {
  const [isAsking, setAsking] = useState(true)
  return <Pane key={String(isAsking)} {...props} isAsking={isAsking} onUnanswered={() => setAsking(false)} />
})

interface PaneProps extends Props {
  isAsking: boolean
  onUnanswered: () => void
}

function Pane({ name, user, memory, onMenu, isAsking, onUnanswered }: PaneProps) {
  const [from] = useState(start)
  const used = useRoom<unknown>(name, { from, presence: isAsking ? 'changes' : 'none' })
  const { room, state, publish } = used
  const history = useHistory(room)
  const presence = usePresence(room)
  const { names, setTyping } = useTyping(room)
  const [isPeopleOpen, setPeopleOpen] = useState(() => matchMedia('(min-width: 75rem)').matches)
  const toEnd = useRef<() => void>(() => {})
  const isRefused = state.type === 'failed'
  const isUnanswered = isRefused && isAsking && state.error.code === Code.not_offered

  useEffect(() => {
    if (isUnanswered) onUnanswered()
  }, [isUnanswered, onUnanswered])

  const send = useCallback(
    (text: string) => {
      setTyping(false)
      // A failure is shown in the list, with a button to try again.
      publish(text).catch(() => {})
      toEnd.current()
    },
    [publish, setTyping],
  )
  const markRead = useCallback(
    (offset: number) => {
      memory.mark(name, offset)
      if (isAsking) void room.markRead(offset).catch(() => undefined)
    },
    [memory, name, room, isAsking],
  )

  const [prefix, short] = splitRoom(name)
  return (
    <main className="pane" aria-labelledby="room-title">
      <header className="bar">
        <button type="button" className="plain drawer-only" onClick={onMenu} aria-label="Open the rooms">
          <Icon name="menu" />
        </button>
        <h1 id="room-title" title={name}>
          <span className="soft">{prefix}</span>
          {short}
        </h1>
        {presence !== undefined && (
          <button
            type="button"
            className="plain people-button"
            aria-expanded={isPeopleOpen}
            aria-controls="people"
            aria-label={`${count(presence.count, 'person', 'people')} here`}
            onClick={() => setPeopleOpen(!isPeopleOpen)}
          >
            <Icon name="people" />
            <span aria-hidden="true">{presence.count}</span>
          </button>
        )}
      </header>
      <div className="conversation">
        {isRefused && !isUnanswered ? (
          <div className="empty" role="alert">
            <h2>This room cannot be shown</h2>
            <p>{reason(state.error)}</p>
          </div>
        ) : (
          <Messages user={user} used={used} history={history} memory={memory} onRead={markRead} toEnd={toEnd} />
        )}
        <p id="typing" aria-live="off">
          {typingLine(names)}
        </p>
        <Composer room={name} onSend={send} onTyping={setTyping} />
        <StatusBar used={used} />
      </div>
      {presence !== undefined && isPeopleOpen && (
        <People presence={presence} user={user} onClose={() => setPeopleOpen(false)} />
      )}
      <Announcer used={used} user={user} />
    </main>
  )
}

/** More names than this are "several people". */
const NAMES_MAX = 3

function typingLine(names: readonly string[]): string {
  if (names.length === 0) return ''
  if (names.length > NAMES_MAX) return 'Several people are typing…'
  return `${list(names.map(showName))} ${names.length === 1 ? 'is' : 'are'} typing…`
}
