// What somebody wrote, as a tree: paragraphs of text with links, code, **bold** and *emphasis* or _emphasis_,
// and blocks of code.
//
// Pure, and linear in the text's length. The result holds text only; what a node becomes is decided in `Formatted.tsx`.

import { NESTING_MAX } from '../limits.ts'

export type Inline =
  | { type: 'text'; text: string }
  | { type: 'code'; text: string }
  | { type: 'link'; text: string; href: string }
  | { type: 'strong' | 'emphasis'; children: Inline[] }

export type Block = { type: 'paragraph'; children: Inline[] } | { type: 'code'; text: string; language: string }

const FENCE = '```'

export function parse(text: string): Block[] {
  const blocks: Block[] = []
  const paragraph = (text: string) => {
    const trimmed = text.replace(/^\n+|\n+$/g, '')
    if (trimmed.trim() !== '') blocks.push({ type: 'paragraph', children: parseInline(trimmed) })
  }
  let at = 0
  for (;;) {
    const open = text.indexOf(FENCE, at)
    const close = open < 0 ? -1 : text.indexOf(FENCE, open + FENCE.length)
    // A fence that nobody closes is text.
    if (close < 0) break
    paragraph(text.slice(at, open))
    blocks.push(fenced(text.slice(open + FENCE.length, close)))
    at = close + FENCE.length
  }
  paragraph(text.slice(at))
  return blocks
}

/** The first line may say the language, if more lines follow. */
function fenced(inside: string): Block {
  const end = inside.indexOf('\n')
  const first = end < 0 ? '' : inside.slice(0, end).trim()
  const isLanguage = end >= 0 && /^[\w+#.-]{0,24}$/.test(first)
  const text = isLanguage ? inside.slice(end + 1) : inside
  return { type: 'code', text: text.replace(/\n$/, ''), language: isLanguage ? first : '' }
}

/**
 * Tries each mark where it stands. Where a mark is not closed is remembered, so that a text of nothing but marks is not
 * searched again for each of them.
 */
export function parseInline(text: string, depth = 0): Inline[] {
  const out: Inline[] = []
  const unclosed = new Set<string>()
  let plain = 0
  let at = 0
  const take = (node: Inline, end: number) => {
    if (plain < at) out.push({ type: 'text', text: text.slice(plain, at) })
    out.push(node)
    at = plain = end
  }
  while (at < text.length) {
    const link = linkAt(text, at)
    if (link !== undefined) {
      take(link, at + link.text.length)
      continue
    }
    const mark = MARKS.find((mark) => text.startsWith(mark, at))
    const close = mark === undefined || unclosed.has(mark) ? -1 : closeOf(text, at, mark)
    if (mark !== undefined && close >= 0 && (mark === '`' || depth < NESTING_MAX)) {
      take(marked(mark, text.slice(at + mark.length, close), depth), close + mark.length)
      continue
    }
    if (mark !== undefined && close < 0 && opens(text, at, mark)) unclosed.add(mark)
    at += mark?.length ?? 1
  }
  if (plain < at) out.push({ type: 'text', text: text.slice(plain) })
  return out
}

/** Longer ones first. */
const MARKS = ['`', '**', '*', '_'] as const
type Mark = (typeof MARKS)[number]

function marked(mark: Mark, inside: string, depth: number): Inline {
  if (mark === '`') return { type: 'code', text: inside }
  return { type: mark === '**' ? 'strong' : 'emphasis', children: parseInline(inside, depth + 1) }
}

/** A mark opens before something that is not a space; `2*3` and `snake*case` are left alone. */
function opens(text: string, at: number, mark: Mark): boolean {
  const after = text[at + mark.length]
  if (after === undefined || after === mark[0]) return false
  return mark === '`' || (!/\s/.test(after) && !isWord(text[at - 1]))
}

/** Where it is closed, behind something that is not a space; -1 if it does not open or is not closed. */
function closeOf(text: string, at: number, mark: Mark): number {
  if (!opens(text, at, mark)) return -1
  let from = at + mark.length + 1
  for (;;) {
    const close = text.indexOf(mark, from)
    if (close < 0) return -1
    const isDouble = mark === '*' && (text[close + 1] === '*' || text[close - 1] === '*')
    if (mark === '`' || (!isDouble && !/\s/.test(text[close - 1] ?? ' ') && !isWord(text[close + mark.length]))) {
      return close
    }
    from = close + (isDouble ? 2 : mark.length)
  }
}

function isWord(char: string | undefined): boolean {
  return char !== undefined && /[\p{L}\p{N}_]/u.test(char)
}

/** An address of the web, and of nothing else, that begins here. */
function linkAt(text: string, at: number): (Inline & { type: 'link' }) | undefined {
  if (text[at] !== 'h' || isWord(text[at - 1])) return undefined
  if (!text.startsWith('http://', at) && !text.startsWith('https://', at)) return undefined
  let end = at
  while (end < text.length && !ENDS_LINK.test(text[end] ?? '')) end++
  const shown = trimLink(text.slice(at, end))
  let url: URL
  try {
    url = new URL(shown)
  } catch {
    return undefined
  }
  // A name before an `@` only makes another host look like the one that is meant.
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined
  return { type: 'link', text: shown, href: url.href }
}

const ENDS_LINK = /[\s<>"`\\\p{Cc}\p{Cf}]/u

/** What ends a sentence, or closes a bracket or a mark that was opened before the address, is not part of it. */
function trimLink(text: string): string {
  let unopened = text.split(')').length - text.split('(').length
  let end = text.length
  for (; end > 0; end--) {
    const last = text[end - 1] ?? ''
    if (last === ')' && unopened-- <= 0) break
    if (!'.,:;!?\'*)]}'.includes(last)) break
  }
  return text.slice(0, end)
}
