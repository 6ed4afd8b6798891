// The chat of one user: rooms at the left, one of them open, and how the connection is.

import { useUnread } from '@loquic/react'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { roomOfAddress, showRoom } from './identity.ts'
import { RoomPane } from './RoomPane.tsx'
import { type Memory, useMarks, useRooms } from './rooms.ts'
import { Sidebar } from './Sidebar.tsx'
import { splitRoom } from './text/words.ts'

interface Props {
  memory: Memory
  user: string
  onLeave: () => void
}

export function Chat({ memory, user, onLeave }: Props) {
  const [room, setRoom] = useState(roomOfAddress)
  const [isDrawerOpen, setDrawerOpen] = useState(false)
  const unread = useUnreadCounts(memory, room)

  useEffect(() => {
    const follow = () => setRoom(roomOfAddress())
    addEventListener('popstate', follow)
    return () => removeEventListener('popstate', follow)
  }, [])

  const open = useCallback(
    (room: string) => {
      memory.add(room)
      showRoom(room)
      setRoom(room)
      setDrawerOpen(false)
    },
    [memory],
  )

  useEffect(() => memory.add(room), [memory, room])
  useTitle(room, unread)

  const closeDrawer = useCallback(() => setDrawerOpen(false), [])
  const openDrawer = useCallback(() => setDrawerOpen(true), [])
  return (
    <div className="chat" data-drawer={isDrawerOpen ? 'open' : undefined}>
      <a className="skip" href="#text">
        Skip to writing
      </a>
      <Sidebar
        memory={memory}
        user={user}
        room={room}
        unread={unread}
        isOpen={isDrawerOpen}
        onOpen={open}
        onClose={closeDrawer}
        onLeave={onLeave}
      />
      <RoomPane key={room} name={room} user={user} memory={memory} onMenu={openDrawer} />
    </div>
  )
}

/** Of the rooms that are not open; what this browser has seen counts as read, whether the server keeps marks or not. */
function useUnreadCounts(memory: Memory, open: string): ReadonlyMap<string, number> {
  const known = useUnread(useRooms(memory))
  const marks = useMarks(memory)
  return useMemo(() => {
    const counts = [...known].map(([room, { head, mark }]) => {
      const read = Math.max(mark ?? 0, marks.get(room) ?? 0)
      return [room, room === open ? 0 : Math.max(0, head - read)] as const
    })
    return new Map(counts)
  }, [known, marks, open])
}

function useTitle(room: string, unread: ReadonlyMap<string, number>): void {
  let sum = 0
  for (const count of unread.values()) sum += count
  const [, name] = splitRoom(room)
  useEffect(() => {
    document.title = `${sum > 0 ? `(${sum}) ` : ''}${name} – Loquic`
  }, [sum, name])
}
