// One row of the list.

import type { Gap, Pending, Reset, RoomRecord, UsedHistory, UsedRoom } from '@loquic/react'
import { memo, type ReactNode, useState } from 'react'
import { Avatar } from './Avatar.tsx'
import { Icon } from './Icon.tsx'
import { RECORDS_IN_PAGE } from './limits.ts'
import type { Row } from './rows.ts'
import { Formatted } from './text/Formatted.tsx'
import { clock, count, day, fullTime, number, offsets, reason, shortClock, showName } from './text/words.ts'

interface Props {
  row: Row
  user: string
  used: UsedRoom<unknown>
  history: UsedHistory
  /** Of all rows that are known, from 1. */
  position: number
  isActive: boolean
}

export function Line({ row, user, used, history, position, isActive }: Props) {
  switch (row.type) {
    case 'record':
      return (
        <RecordLine
          record={row.record}
          follows={row.follows}
          user={user}
          isDeleting={used.deleting.has(row.record.offset)}
          remove={used.remove}
          position={position}
          isActive={isActive}
        />
      )
    case 'pending':
      return <PendingLine pending={row.pending} follows={row.follows} user={user} used={used} isActive={isActive} />
    case 'day':
      return <Divider className="day">{day(row.time, Date.now())}</Divider>
    case 'unread':
      return <Divider className="unread">New</Divider>
    case 'gap':
      return <GapNote gap={row.gap} />
    case 'reset':
      return <ResetNote reset={row.reset} />
    case 'start':
      return <p className="note start">This is where the room begins.</p>
    case 'floor':
      return <p className="note start">What was before this is not kept any longer.</p>
    case 'loading':
      return <Older history={history} />
  }
}

function Divider({ className, children }: { className: string; children: string }) {
  return (
    <div className={`divider ${className}`} role="separator" aria-label={children}>
      <span>{children}</span>
    </div>
  )
}

interface FrameProps {
  className: string
  sender: string
  user: string
  follows: boolean
  time: number | undefined
  offset?: number
  position?: number
  isActive: boolean
  /** What stands at the right end of the first line. */
  facts: ReactNode
  children: ReactNode
}

/** What every message has. */
function Frame({ className, sender, user, follows, time, offset, position, isActive, facts, children }: FrameProps) {
  const isOwn = sender === user
  const shown = showName(sender)
  const at = time !== undefined && (
    <time dateTime={new Date(time).toISOString()} title={fullTime(time)}>
      {follows ? shortClock(time) : clock(time)}
    </time>
  )
  return (
    <article
      className={`row ${className} ${isOwn ? 'own' : ''} ${follows ? 'follows' : ''}`}
      data-offset={offset}
      data-active={isActive ? '' : undefined}
      tabIndex={isActive ? 0 : -1}
      aria-posinset={position}
      aria-setsize={-1}
      aria-label={`${isOwn ? 'You' : shown}${time === undefined ? '' : `, ${clock(time)}`}`}
    >
      {follows ? <span className="gutter">{at}</span> : <Avatar name={sender} />}
      <div className="body">
        {!follows && (
          <p className="by">
            <bdi className="sender" title={sender}>
              {shown}
            </bdi>
            {isOwn && <span className="you">you</span>}
            {at}
          </p>
        )}
        {children}
      </div>
      <div className="facts">{facts}</div>
    </article>
  )
}

interface RecordProps {
  record: RoomRecord
  follows: boolean
  user: string
  isDeleting: boolean
  remove: (offset: number) => Promise<unknown>
  position: number
  isActive: boolean
}

const RecordLine = memo(function RecordLine(props: RecordProps) {
  const { record, follows, user, isDeleting, remove, position, isActive } = props
  const { offset, sender, time, deleted } = record
  const isOwn = sender === user
  const [failure, setFailure] = useState<string>()
  const erase = () => {
    setFailure(undefined)
    remove(offset).catch((error: unknown) => setFailure(reason(error)))
  }
  const facts = (
    <>
      {isOwn && !deleted && <Erase onErase={erase} isActive={isActive} />}
      <span className="state" title={`Durable: this message has offset ${offset} for everybody`}>
        {isOwn && <Icon name="check" />}
        <span className="unseen">{isOwn ? 'durable at offset ' : 'offset '}</span>#{number(offset)}
      </span>
    </>
  )
  return (
    <Frame
      className={deleted ? 'deleted' : isDeleting ? 'deleting' : ''}
      {...{ sender, user, follows, time, offset, position, isActive, facts }}
    >
      {deleted ? <p className="text gone">Message deleted</p> : <Formatted value={record.value} />}
      {failure !== undefined && (
        <p className="problem" role="alert">
          Not deleted: {failure}
        </p>
      )}
    </Frame>
  )
})

/** Asks once. */
function Erase({ onErase, isActive }: { onErase: () => void; isActive: boolean }) {
  const [isAsked, setAsked] = useState(false)
  const tabIndex = isActive || isAsked ? 0 : -1
  if (!isAsked) {
    return (
      <button
        type="button"
        className="plain erase"
        tabIndex={tabIndex}
        onClick={() => setAsked(true)}
        aria-label="Delete this message"
        title="Delete"
      >
        <Icon name="trash" />
      </button>
    )
  }
  return (
    <span className="ask" onKeyDown={(event) => event.key === 'Escape' && setAsked(false)}>
      <button type="button" className="quiet danger" autoFocus onClick={onErase}>
        Delete for everyone
      </button>
      <button type="button" className="quiet" onClick={() => setAsked(false)}>
        Keep
      </button>
    </span>
  )
}

interface PendingProps {
  pending: Pending
  follows: boolean
  user: string
  used: UsedRoom<unknown>
  isActive: boolean
}

function PendingLine({ pending, follows, user, used, isActive }: PendingProps) {
  const isJoined = used.state.type === 'joined'
  return (
    <Frame
      className={`pending ${pending.state}`}
      {...{ sender: user, user, follows, time: undefined, isActive }}
      facts={<PendingState pending={pending} isJoined={isJoined} />}
    >
      <Formatted value={pending.value} />
      {pending.state === 'failed' && (
        <p className="problem" role="alert">
          <span className="state">Not sent: {reason(pending.error)}</span>
          <button type="button" className="link retry" onClick={() => used.retry(pending.key)}>
            Retry
          </button>
          <button type="button" className="link" onClick={() => used.discard(pending.key)}>
            Discard
          </button>
        </p>
      )}
    </Frame>
  )
}

function PendingState({ pending, isJoined }: { pending: Pending; isJoined: boolean }) {
  switch (pending.state) {
    case 'acked':
      return (
        <span className="state">
          <Icon name="check" />
          <span className="unseen">durable at offset </span>#{number(pending.offset)}
        </span>
      )
    case 'failed':
      return null
    default:
      return (
        <span className="state" title={isJoined ? '' : 'It is kept here and sent when the server is back'}>
          <Icon name="clock" />
          {isJoined ? 'Sending…' : 'Kept until the server is back'}
        </span>
      )
  }
}

const REASONS = {
  retention: 'the room does not keep them any longer',
  skipped: 'they were skipped to keep up',
  lost: 'they cannot be read any more',
  invalid: 'this page does not understand them',
} as const satisfies Record<Gap['reason'], string>

function GapNote({ gap: { from, to, reason } }: { gap: Gap }) {
  return (
    <p className="note gap">
      <Icon name="warn" />
      <span>
        <strong>{count(to - from + 1, 'message')} missing</strong> ({offsets(from, to)}): {REASONS[reason]}.
      </span>
    </p>
  )
}

function ResetNote({ reset: { validTo } }: { reset: Reset }) {
  return (
    <p className="note reset">
      <Icon name="warn" />
      <span>
        <strong>The server has lost messages</strong> that came after #{number(validTo)}. What you see is what the log
        still has.
      </span>
    </p>
  )
}

function Older({ history }: { history: UsedHistory }) {
  if (history.state !== 'failed') {
    return (
      <p className="note loading" role="status">
        <span className="spinner" aria-hidden="true" />
        Loading older messages…
      </p>
    )
  }
  return (
    <p className="note">
      Older messages could not be loaded: {reason(history.error)}
      <button type="button" className="link" onClick={() => void history.loadOlder(RECORDS_IN_PAGE)}>
        Try again
      </button>
    </p>
  )
}
