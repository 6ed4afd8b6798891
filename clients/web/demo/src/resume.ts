// After a connection was lost: how long it took, and that what was missed has come.

import type { Status } from '@loquic/client'
import type { UsedRoom } from '@loquic/react'
import { useEffect, useRef, useState } from 'react'
import { count, offsets, span } from './text/words.ts'

/** How long it is told. */
const TOLD_MS = 20_000

interface Cut {
  at: number
  /** The newest offset that had come before. */
  last: number
}

/** A sentence about the last cut; empty if there was none for a while. */
export function useResume(status: Status, used: UsedRoom<unknown>): string {
  const { records, caughtUp, state } = used
  const [said, setSaid] = useState('')
  const cut = useRef<Cut | undefined>(undefined)
  const wasOnline = useRef(false)
  const session = useRef<string | undefined>(undefined)
  const newest = Math.max(records.at(-1)?.offset ?? 0, caughtUp ?? 0)

  useEffect(() => {
    const isOnline = status.state === 'online'
    // A session may follow another so fast that nothing is seen between them.
    const isOther = isOnline && session.current !== undefined && session.current !== status.session
    if (((!isOnline && wasOnline.current) || isOther) && cut.current === undefined) {
      const now = performance.timeOrigin + performance.now()
      cut.current = { at: isOther && wasOnline.current ? status.since : now, last: newest }
      setSaid('')
    }
    wasOnline.current = isOnline
    if (isOnline) session.current = status.session
  }, [status, newest])

  const isBack = status.state === 'online' && state.type === 'joined' && caughtUp !== undefined
  useEffect(() => {
    const before = cut.current
    if (before === undefined || !isBack) return
    // Joined is not caught up: what was missed comes in between.
    if (state.type === 'joined' && newest < state.head) return
    cut.current = undefined
    const took = span(Math.max(1, performance.timeOrigin + performance.now() - before.at))
    const missed = newest - before.last
    const come = `${count(missed, 'missed message')} came in order, ${offsets(before.last + 1, newest)}`
    const none = missed < 0 ? 'the server has lost messages, the list says which' : 'nothing was missed'
    setSaid(`Back after ${took}: ${missed > 0 ? come : none}.`)
  }, [isBack, newest, state])

  useEffect(() => {
    if (said === '') return
    const timer = setTimeout(() => setSaid(''), TOLD_MS)
    return () => clearTimeout(timer)
  }, [said])
  return said
}
