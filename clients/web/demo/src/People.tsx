// Who is here.

import type { Presence } from '@loquic/client'
import { useMemo } from 'react'
import { Avatar } from './Avatar.tsx'
import { Icon } from './Icon.tsx'
import { PEOPLE_SHOWN_MAX } from './limits.ts'
import { count, number, showName } from './text/words.ts'

interface Props {
  presence: Presence
  user: string
  onClose: () => void
}

export function People({ presence, user, onClose }: Props) {
  const members = useMemo(
    () => {
      const others = [...(presence.members ?? [])].filter(([name]) => name !== user)
      const sessions = presence.members?.get(user)
      const own: [string, number][] = sessions === undefined ? [] : [[user, sessions]]
      return [...own, ...others.toSorted(([a], [b]) => (a < b ? -1 : 1))]
    },
    [presence, user],
  )
  const shown = members.slice(0, PEOPLE_SHOWN_MAX)
  const rest = presence.count - shown.length
  return (
    <aside className="people" id="people" aria-labelledby="people-label">
      <header>
        <h2 className="label" id="people-label">
          Here now · {number(presence.count)}
        </h2>
        <button type="button" className="plain" onClick={onClose} aria-label="Close who is here">
          <Icon name="close" />
        </button>
      </header>
      <ul>
        {shown.map(([name, sessions]) => (
          <li key={name} title={name}>
            <Avatar name={name} />
            <bdi className="name">{showName(name)}</bdi>
            {name === user && <span className="soft">you</span>}
            {sessions > 1 && <span className="soft" title={count(sessions, 'session')}>×{sessions}</span>}
          </li>
        ))}
      </ul>
      {rest > 0 && (
        <p className="soft">{shown.length === 0 ? count(rest, 'person', 'people') : `and ${number(rest)} more`}</p>
      )}
    </aside>
  )
}
