// What a screen reader is told as it happens: messages of others, and not those that one scrolls past.

import type { UsedRoom } from '@loquic/react'
import { useEffect, useRef, useState } from 'react'
import { showName } from './text/words.ts'

/** More at once than this is told as a number. */
const TOLD_MAX = 3

export function Announcer({ used, user }: { used: UsedRoom<unknown>; user: string }) {
  const [said, setSaid] = useState<readonly string[]>([])
  const last = useRef<number | undefined>(undefined)
  const { records, caughtUp } = used
  useEffect(() => {
    const newest = records.at(-1)?.offset ?? 0
    if (caughtUp !== undefined && last.current !== undefined) {
      const before = last.current
      const fresh: string[] = []
      for (let at = records.length - 1; at >= 0; at--) {
        const record = records[at]
        if (record === undefined || record.offset <= before) break
        const text = typeof record.value === 'string' ? record.value : 'sent something'
        if (record.sender !== user) fresh.unshift(`${showName(record.sender)}: ${text.slice(0, 200)}`)
      }
      if (fresh.length > 0) setSaid(fresh.length > TOLD_MAX ? [`${fresh.length} new messages`] : fresh)
    }
    if (caughtUp !== undefined) last.current = newest
  }, [records, caughtUp, user])
  return (
    <div className="unseen" role="log" aria-live="polite" aria-label="New messages">
      {said.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </div>
  )
}
