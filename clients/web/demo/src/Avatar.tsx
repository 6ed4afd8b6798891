// A person, as two letters in a colour of their own.

import type { CSSProperties } from 'react'
import { hue, initials } from './text/words.ts'

export function Avatar({ name }: { name: string }) {
  const style = { '--hue': String(hue(name)) } as CSSProperties
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {initials(name)}
    </span>
  )
}
