// Positions: (epoch, offset), and their form as text.

import { struct, u64 } from './coding.ts'

export const position = struct({ epoch: u64, offset: u64 })

/** "Everything up to this offset, as it was in this epoch". */
export interface Position {
  epoch: number
  offset: number
}

/** `EPOCH-OFFSET`. */
export function formatPosition({ epoch, offset }: Position): string {
  return `${epoch}-${offset}`
}

/** Reads `EPOCH-OFFSET`; `undefined` for anything else. */
export function parsePosition(text: string): Position | undefined {
  const found = /^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})$/.exec(text)
  if (found === null) return undefined
  const [epoch, offset] = [Number(found[1]), Number(found[2])]
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(offset) ? { epoch, offset } : undefined
}
