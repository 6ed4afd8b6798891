// The rooms, and who one is. On a phone it lies over the room and goes away again.

import { type FormEvent, useEffect, useRef, useState } from 'react'
import { Avatar } from './Avatar.tsx'
import { Icon } from './Icon.tsx'
import { type Memory, useRooms } from './rooms.ts'
import { count, showName, splitRoom } from './text/words.ts'
import { theme, toggleTheme } from './theme.ts'

interface Props {
  memory: Memory
  user: string
  room: string
  unread: ReadonlyMap<string, number>
  isOpen: boolean
  onOpen: (room: string) => void
  onClose: () => void
  onLeave: () => void
}

export function Sidebar({ memory, user, room, unread, isOpen, onOpen, onClose, onLeave }: Props) {
  const rooms = useRooms(memory)
  const close = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!isOpen) return
    close.current?.focus()
    const escape = (event: KeyboardEvent) => event.key === 'Escape' && onClose()
    addEventListener('keydown', escape)
    return () => removeEventListener('keydown', escape)
  }, [isOpen, onClose])
  return (
    <>
      <div className="shade" onClick={onClose} aria-hidden="true" />
      <nav className="sidebar" aria-label="Rooms">
        <header className="brand">
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>Loquic</span>
          <button
            type="button"
            ref={close}
            className="plain drawer-only"
            onClick={onClose}
            aria-label="Close the rooms"
          >
            <Icon name="close" />
          </button>
        </header>
        <h2 className="label" id="rooms-label">
          Rooms
        </h2>
        <ul className="rooms" aria-labelledby="rooms-label">
          {rooms.map((name) => (
            <RoomLink key={name} name={name} isCurrent={name === room} unread={unread.get(name) ?? 0} onOpen={onOpen} />
          ))}
        </ul>
        <AddRoom onAdd={onOpen} />
        <Me user={user} onLeave={onLeave} />
      </nav>
    </>
  )
}

interface LinkProps {
  name: string
  isCurrent: boolean
  unread: number
  onOpen: (room: string) => void
}

function RoomLink({ name, isCurrent, unread, onOpen }: LinkProps) {
  const [prefix, short] = splitRoom(name)
  return (
    <li>
      <a
        href={`?room=${encodeURIComponent(name)}`}
        className={unread > 0 ? 'room has-unread' : 'room'}
        aria-current={isCurrent ? 'page' : undefined}
        title={name}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return
          event.preventDefault()
          onOpen(name)
        }}
      >
        <span className="hash" aria-hidden="true">
          #
        </span>
        <span className="name">
          {prefix !== 'chat:' && <span className="soft">{prefix}</span>}
          {short}
        </span>
        {unread > 0 && (
          <span className="badge" aria-label={count(unread, 'unread message')}>
            {unread > 99 ? '99+' : unread}
          </span>
        )}
      </a>
    </li>
  )
}

/** A name without a colon is one of the chat. */
function AddRoom({ onAdd }: { onAdd: (room: string) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const field = new FormData(event.currentTarget).get('room')
    const said = typeof field === 'string' ? field.trim() : ''
    if (said === '') return
    onAdd(said.includes(':') ? said : `chat:${said}`)
    event.currentTarget.reset()
  }
  return (
    <form className="add-room" onSubmit={submit} autoComplete="off">
      <Icon name="add" />
      <input
        name="room"
        aria-label="Join or create a room"
        placeholder="Join or create a room"
        pattern="[A-Za-z0-9_~@.:\-]+"
        title="Letters, digits and _ ~ @ . - in parts joined by colons"
        maxLength={200}
        spellCheck={false}
        autoCapitalize="off"
      />
    </form>
  )
}

function Me({ user, onLeave }: { user: string; onLeave: () => void }) {
  const [shown, setShown] = useState(theme)
  const other = shown === 'dark' ? 'light' : 'dark'
  return (
    <footer className="me">
      <Avatar name={user} />
      <bdi className="name" title={user}>
        {showName(user)}
      </bdi>
      <button type="button" className="plain" onClick={() => setShown(toggleTheme())} aria-label={`Switch to ${other}`}>
        <Icon name={shown === 'dark' ? 'sun' : 'moon'} />
      </button>
      <button type="button" className="plain" id="leave" onClick={onLeave} aria-label="Sign out" title="Sign out">
        <Icon name="leave" />
      </button>
    </footer>
  )
}
