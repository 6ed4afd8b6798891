// The messages of a room: only those in sight are in the document, so ten thousand scroll like ten.
//
// The list hangs on its end: who is there stays there, and what comes before or changes its height moves nothing else.

import type { UsedHistory, UsedRoom } from '@loquic/react'
import { useVirtualizer } from '@tanstack/react-virtual'
import {
  type KeyboardEvent,
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react'
import { Icon } from './Icon.tsx'
import { RECORDS_IN_PAGE } from './limits.ts'
import { Line } from './Line.tsx'
import type { Memory } from './rooms.ts'
import { type Row, rowsOf } from './rows.ts'
import { count } from './text/words.ts'

interface Props {
  user: string
  used: UsedRoom<unknown>
  history: UsedHistory
  memory: Memory
  onRead: (offset: number) => void
  /** Set here: scrolls to the end. */
  toEnd: RefObject<() => void>
}

/** Closer to the end than this counts as being there. */
const NEAR_END_PX = 80

/** So many rows before the first one are read ahead. */
const READ_AHEAD_ROWS = 20

export function Messages({ user, used, history, memory, onRead, toEnd }: Props) {
  const scroller = useRef<HTMLDivElement>(null)
  const [readTo] = useState(() => memory.marks().get(used.room.name) ?? 0)
  const { records, pending, gaps, resets, caughtUp } = used
  const { hasOlder } = history
  // What comes while one looks is not announced as new.
  const [headBefore, setHeadBefore] = useState<number>()
  if (headBefore === undefined && caughtUp !== undefined) setHeadBefore(caughtUp)
  const rows = useMemo(
    () => rowsOf({ records, pending, gaps, resets, hasOlder, readTo, headBefore, user }),
    [records, pending, gaps, resets, hasOlder, readTo, headBefore, user],
  )
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => heightOf(rows[index]),
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 8,
    paddingStart: 16,
    paddingEnd: 8,
    anchorTo: 'end',
    scrollEndThreshold: NEAR_END_PX,
  })
  const items = virtual.getVirtualItems()
  const goToEnd = useStayAtEnd(scroller, rows, virtual.getTotalSize())
  toEnd.current = goToEnd

  const isCaughtUp = caughtUp !== undefined
  useEffect(() => {
    if (isCaughtUp) goToEnd()
  }, [isCaughtUp, goToEnd])

  const { state, loadOlder } = history
  const isNearStart = isCaughtUp && (items[0]?.index ?? 0) < READ_AHEAD_ROWS
  useEffect(() => {
    if (isNearStart && hasOlder && state === 'idle') void loadOlder(RECORDS_IN_PAGE)
  }, [isNearStart, hasOlder, state, loadOlder])

  const isAtEnd = virtual.isAtEnd(NEAR_END_PX)
  const fresh = useFresh(used, isAtEnd && isCaughtUp, onRead)
  const keys = useRowKeys(scroller, rows, virtual.scrollToIndex)
  const isEmpty = isCaughtUp && rows.length === 0
  return (
    <div className="messages">
      <div id="scroller" ref={scroller} onKeyDown={keys.press} tabIndex={0} role="group" aria-label="Messages">
        <div
          id="records"
          role="feed"
          aria-busy={state === 'loading' || !isCaughtUp}
          aria-label="Messages, oldest first"
          data-count={records.length}
          data-pending={pending.length}
          style={{ height: virtual.getTotalSize() }}
        >
          {items.map((item) => {
            const row = rows[item.index]
            return (
              row !== undefined && (
                <div
                  key={row.key}
                  ref={virtual.measureElement}
                  className="item"
                  data-index={item.index}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <Line
                    row={row}
                    user={user}
                    used={used}
                    history={history}
                    position={item.index + 1}
                    isActive={keys.active === row.key}
                  />
                </div>
              )
            )
          })}
        </div>
        {isEmpty && <Empty />}
        {!isCaughtUp && rows.length <= 1 && <Skeleton />}
      </div>
      {!isAtEnd && isCaughtUp && rows.length > 0 && (
        <button type="button" id="newest" onClick={() => virtual.scrollToEnd({ behavior: 'smooth' })}>
          <Icon name="down" />
          {fresh > 0 ? count(fresh, 'new message') : 'Newest'}
        </button>
      )}
    </div>
  )
}

/**
 * Whoever is at the end stays there: when rows come, go or are measured, and when the list itself is given more or less
 * room, by a composer that grows or a phone that is turned. The result goes there.
 *
 * The virtual list can follow what is appended too; it asks for the layout several times for that, which is what a
 * message costs most.
 */
function useStayAtEnd(scroller: RefObject<HTMLDivElement | null>, rows: readonly Row[], size: number): () => void {
  const isStaying = useRef(true)
  useLayoutEffect(() => {
    const list = scroller.current
    // Before the scroll event of what the virtual list has adjusted, which looks like somebody scrolling up.
    if (list !== null && isStaying.current) list.scrollTop = list.scrollHeight
  }, [scroller, rows, size])
  useEffect(() => {
    const list = scroller.current
    if (list === null) return
    let last = list.scrollTop
    const look = () => {
      const { scrollTop, scrollHeight, clientHeight } = list
      if (scrollHeight - clientHeight - scrollTop <= NEAR_END_PX) isStaying.current = true
      else if (scrollTop < last) isStaying.current = false
      last = scrollTop
    }
    const observer = new ResizeObserver(() => {
      if (isStaying.current) list.scrollTop = list.scrollHeight
    })
    list.addEventListener('scroll', look, { passive: true })
    observer.observe(list)
    return () => {
      list.removeEventListener('scroll', look)
      observer.disconnect()
    }
  }, [scroller])
  return useCallback(() => {
    isStaying.current = true
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight })
  }, [scroller])
}

/** How many have come below the end of what is seen. Seeing the end while the page is in sight is reading it. */
function useFresh(used: UsedRoom<unknown>, isAtEnd: boolean, onRead: (offset: number) => void): number {
  const { records } = used
  const [seen, setSeen] = useState(0)
  const newest = records.at(-1)?.offset ?? 0
  const isVisible = useVisible()
  useEffect(() => {
    if (!isAtEnd || newest === 0) return
    setSeen(newest)
    if (isVisible) onRead(newest)
  }, [isAtEnd, isVisible, newest, onRead])
  if (seen === 0 || isAtEnd) return 0
  let fresh = 0
  for (let at = records.length - 1; at >= 0 && (records[at]?.offset ?? 0) > seen; at--) fresh++
  return fresh
}

function useVisible(): boolean {
  const [isVisible, setVisible] = useState(!document.hidden)
  useEffect(() => {
    const look = () => setVisible(!document.hidden)
    document.addEventListener('visibilitychange', look)
    return () => document.removeEventListener('visibilitychange', look)
  }, [])
  return isVisible
}

/** Arrows go from message to message; the tab key reaches the buttons of the one they are at, and no others. */
function useRowKeys(
  scroller: RefObject<HTMLDivElement | null>,
  rows: readonly Row[],
  scrollTo: (index: number) => void,
): { active: string | undefined; press: (event: KeyboardEvent) => void } {
  const [active, setActive] = useState<string>()
  const press = useCallback(
    (event: KeyboardEvent) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
      if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return
      event.preventDefault()
      const isMessage = (row: Row | undefined) => row?.type === 'record' || row?.type === 'pending'
      let at = rows.findIndex(({ key }) => key === active)
      if (at < 0) at = rows.length
      do at += step
      while (at >= 0 && at < rows.length && !isMessage(rows[at]))
      const row = rows[at]
      if (row === undefined) return
      setActive(row.key)
      scrollTo(at)
    },
    [rows, active, scrollTo],
  )
  useEffect(() => {
    if (active === undefined) return
    const row = scroller.current?.querySelector<HTMLElement>('[data-active]')
    row?.focus({ preventScroll: true })
  }, [active, scroller])
  return { active, press }
}

/** As good a guess as there is before a row has been seen. */
function heightOf(row: Row | undefined): number {
  if (row === undefined) return 0
  if (row.type === 'record' || row.type === 'pending') return row.follows ? 28 : 58
  return 44
}

function Empty() {
  return (
    <div className="empty">
      <h2>Nothing here yet</h2>
      <p>The first message gets offset #1, for everybody and for good.</p>
    </div>
  )
}

/** While the first records are on their way. */
function Skeleton() {
  return (
    <div className="skeleton" aria-hidden="true">
      {[72, 48, 64, 40].map((width) => (
        <div key={width}>
          <span className="avatar" />
          <span className={`bone w${width}`} />
        </div>
      ))}
    </div>
  )
}
