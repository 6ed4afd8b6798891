// Where one writes. Enter sends, Shift and Enter begins a new line.

import { type FormEvent, type KeyboardEvent, memo, useEffect, useRef } from 'react'
import { Icon } from './Icon.tsx'
import { splitRoom } from './text/words.ts'

interface Props {
  room: string
  onSend: (text: string) => void
  onTyping: (isTyping: boolean) => void
}

/** What was begun in each room and not sent. */
const DRAFTS = new Map<string, string>()

export const Composer = memo(function Composer({ room, onSend, onTyping }: Props) {
  const field = useRef<HTMLTextAreaElement>(null)
  const [, name] = splitRoom(room)

  useEffect(() => {
    const area = field.current
    if (area === null) return
    fit(area)
    // A keyboard that jumps up hides what one has come to read.
    if (matchMedia('(pointer: fine)').matches) area.focus({ preventScroll: true })
  }, [])

  const submit = (event: FormEvent) => {
    event.preventDefault()
    const area = field.current
    const text = area?.value.trim() ?? ''
    if (area === null || text === '') return
    area.value = ''
    DRAFTS.delete(room)
    fit(area)
    onSend(text)
    area.focus({ preventScroll: true })
  }
  const type = (event: FormEvent<HTMLTextAreaElement>) => {
    const area = event.currentTarget
    fit(area)
    DRAFTS.set(room, area.value)
    onTyping(area.value.trim() !== '')
  }
  const press = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // While an input method is composing, Enter is its own.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    event.currentTarget.form?.requestSubmit()
  }
  return (
    <form id="composer" onSubmit={submit} autoComplete="off">
      <textarea
        id="text"
        ref={field}
        rows={1}
        dir="auto"
        defaultValue={DRAFTS.get(room)}
        placeholder={`Message ${name}`}
        aria-label={`Message ${name}`}
        enterKeyHint="send"
        onInput={type}
        onKeyDown={press}
      />
      <button type="submit" id="send" aria-label="Send">
        <Icon name="send" />
      </button>
    </form>
  )
})

function fit(area: HTMLTextAreaElement): void {
  area.style.height = 'auto'
  area.style.height = `${area.scrollHeight}px`
}
