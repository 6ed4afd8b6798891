// What somebody wrote, as elements. Everything of theirs becomes text: React escapes it, and nothing goes around that.

import { memo, type ReactNode, useState } from 'react'
import { FORMATTED_LENGTH_MAX, SHOWN_LENGTH_MAX } from '../limits.ts'
import { type Block, type Inline, parse } from './parse.ts'
import { number } from './words.ts'

export const Formatted = memo(function Formatted({ value }: { value: unknown }) {
  const text = textOf(value)
  const [isWhole, setWhole] = useState(false)
  const isLong = text.length > SHOWN_LENGTH_MAX
  const shown = isLong && !isWhole ? cut(text) : text
  return (
    <div className="text">
      {shown.length > FORMATTED_LENGTH_MAX ? <p>{shown}</p> : parse(shown).map(block)}
      {isLong && (
        <button type="button" className="link" onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Show less' : `Show all ${number(text.length)} characters`}
        </button>
      )}
    </div>
  )
})

/** Rooms may hold anything: what is not text is shown as what it is. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return `\`${number(value.length)} bytes\``
  return `\`\`\`json\n${JSON.stringify(value, null, 2) ?? ''}\n\`\`\``
}

/** Not in the middle of a pair of surrogates. */
function cut(text: string): string {
  return `${text.slice(0, SHOWN_LENGTH_MAX).replace(/[\ud800-\udbff]$/, '')}…`
}

function block(block: Block, key: number): ReactNode {
  if (block.type === 'paragraph') return <p key={key}>{block.children.map(inline)}</p>
  return (
    <pre key={key} tabIndex={0} aria-label={block.language === '' ? 'Code' : `Code, ${block.language}`}>
      <code>{block.text}</code>
    </pre>
  )
}

function inline(node: Inline, key: number): ReactNode {
  switch (node.type) {
    case 'text':
      return node.text
    case 'code':
      return <code key={key}>{node.text}</code>
    case 'strong':
      return <strong key={key}>{node.children.map(inline)}</strong>
    case 'emphasis':
      return <em key={key}>{node.children.map(inline)}</em>
    case 'link':
      // The address in full, as the browser understands it: a name with foreign letters shows what it is.
      return (
        <a key={key} href={node.href} title={node.href} target="_blank" rel="noopener noreferrer nofollow ugc">
          {node.text}
        </a>
      )
  }
}
