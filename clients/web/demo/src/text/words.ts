// Names, times and numbers as people read them.

import { Code, LoquicError } from '@loquic/client'

/** A name of a stranger: what steers the text around it is made visible. */
export function showName(name: string): string {
  return name.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => (char === '\u200d' ? char : '\ufffd'))
}

/** `chat:lobby` as what is before its last part, and that part. */
export function splitRoom(room: string): [prefix: string, name: string] {
  const at = room.lastIndexOf(':') + 1
  return [room.slice(0, at), room.slice(at) || room]
}

/** A colour for a name: always the same one. */
export function hue(name: string): number {
  let sum = 7
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 3_600
  return sum / 10
}

/** What stands in place of a picture. */
export function initials(name: string): string {
  const letters = showName(name).split(/[\s._-]+/u).flatMap((word) => /[\p{L}\p{N}]/u.exec(word)?.[0] ?? [])
  if (letters.length > 0) return letters.slice(0, 2).join('').toUpperCase()
  // A name may be nothing but an emoji.
  return /\p{Extended_Pictographic}/u.exec(name)?.[0] ?? '?'
}

const CLOCK = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat([], { weekday: 'long', day: 'numeric', month: 'long' })
const DAY_AND_YEAR = new Intl.DateTimeFormat([], { day: 'numeric', month: 'long', year: 'numeric' })
const FULL = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' })
const NUMBER = new Intl.NumberFormat('en')

export function clock(time: number): string {
  return CLOCK.format(time)
}

/** Without the part of the day, for where there is no room for it. */
export function shortClock(time: number): string {
  const parts = CLOCK.formatToParts(time)
  return parts.map(({ type, value }) => (type === 'dayPeriod' ? '' : value)).join('').trim()
}

export function fullTime(time: number): string {
  return FULL.format(time)
}

export function day(time: number, now: number): string {
  const [date, today] = [new Date(time), new Date(now)]
  const days = Math.round((midnight(today) - midnight(date)) / 86_400_000)
  if (days === 0) return 'Today'
  if (days === 1) return 'Yesterday'
  return (date.getFullYear() === today.getFullYear() ? DAY : DAY_AND_YEAR).format(date)
}

export function midnight(date: Date): number {
  return new Date(date).setHours(0, 0, 0, 0)
}

export function number(value: number): string {
  return NUMBER.format(value)
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`
}

/** `#12` or `#12 – #15`. */
export function offsets(from: number, to: number): string {
  return from === to ? `#${number(from)}` : `#${number(from)} – #${number(to)}`
}

export function span(ms: number): string {
  if (ms < 1) return `${ms.toFixed(1)} ms`
  if (ms < 10) return `${ms.toFixed(1).replace('.0', '')} ms`
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

export function list(names: readonly string[]): string {
  if (names.length < 3) return names.join(' and ')
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** A reason, for whoever uses the page. */
export function reason(error: unknown): string {
  if (!(error instanceof LoquicError)) return error instanceof Error ? error.message : String(error)
  const words = error.kind === 'refused' && error.code !== undefined ? REASONS[error.code] : undefined
  return words ?? error.message.replace(/^the server refused: /, '')
}

const REASONS: Readonly<Record<number, string>> = {
  [Code.forbidden]: 'you are not allowed to',
  [Code.bad_record]: 'there is nothing to delete',
  [Code.payload_too_large]: 'it is too long',
  [Code.rate_limited]: 'too much at once, try again in a moment',
  [Code.disk_full]: 'the server has no space left',
  [Code.not_offered]: 'the server does not offer this',
  [Code.bad_name]: 'the name is not allowed',
}
