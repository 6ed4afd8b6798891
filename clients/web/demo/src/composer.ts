// Where one writes. Enter sends, Shift and Enter begins a new line.

import { find } from './dom.ts'

export interface Listeners {
  send: (text: string) => void
  input: (isEmpty: boolean) => void
}

export function startComposer({ send, input }: Listeners): void {
  const form = find('composer', HTMLFormElement)
  const field = find('text', HTMLTextAreaElement)
  const fit = () => {
    field.style.height = 'auto'
    field.style.height = `${field.scrollHeight}px`
  }
  field.addEventListener('input', () => {
    fit()
    input(field.value.trim() === '')
  })
  field.addEventListener('keydown', (event) => {
    // While an input method is composing, Enter is its own.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const text = field.value.trim()
    if (text === '') return
    field.value = ''
    fit()
    send(text)
    field.focus()
  })
  field.focus()
}
