// Names are taken as they are or rejected, never normalised.

import { Code } from './code.ts'
import { type Codec, DecodeError, text } from './coding.ts'
import {
  LIST_FRAME_BODY_MAX,
  ROOM_BYTES_MAX,
  ROOM_SEGMENTS_MAX,
  SEGMENT_BYTES_MAX,
  TENANT_BYTES_MAX,
  USER_BYTES_MAX,
} from './limits.ts'

/** What is wrong with a room's name; `undefined` if nothing is. */
export function checkRoom(name: string): string | undefined {
  const segments = name.split(':')
  const fits = byteLength(name) <= ROOM_BYTES_MAX && segments.length <= ROOM_SEGMENTS_MAX
  return fits && segments.every(isSegment) ? undefined : ROOM_RULE
}

/** The same for a user's name. */
export function checkUser(name: string): string | undefined {
  const fits = name !== '' && byteLength(name) <= USER_BYTES_MAX
  return fits && !CONTROL.test(name) && !LONE_SURROGATE.test(name) ? undefined : USER_RULE
}

/** The same for a tenant's name. */
export function checkTenant(name: string): string | undefined {
  return byteLength(name) <= TENANT_BYTES_MAX && isSegment(name) ? undefined : 'a tenant is a segment of a room name'
}

export const room = name(checkRoom)
export const user = name(checkUser)
export const tenant = name(checkTenant)

function name(check: (name: string) => string | undefined): Codec<string> {
  const inner = text(LIST_FRAME_BODY_MAX)
  return {
    write: (out, value) => {
      const problem = check(value)
      if (problem !== undefined) throw new RangeError(problem)
      inner.write(out, value)
    },
    read: (input) => {
      const value = inner.read(input)
      const problem = check(value)
      if (problem !== undefined) throw new DecodeError(problem, Code.bad_name)
      return value
    },
  }
}

function isSegment(segment: string): boolean {
  return SEGMENT.test(segment) && segment.length <= SEGMENT_BYTES_MAX && segment !== '.' && segment !== '..'
}

function byteLength(name: string): number {
  return new TextEncoder().encode(name).length
}

// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

// Half a character: it has no UTF-8.
const LONE_SURROGATE = /\p{Surrogate}/u

const SEGMENT = /^[A-Za-z0-9_~@.-]+$/

const ROOM_RULE =
  `a room name is 1 to ${ROOM_SEGMENTS_MAX} segments of 1 to ${SEGMENT_BYTES_MAX} letters, digits and _ ~ @ . - ` +
  `joined by ":", none of them "." or "..", and at most ${ROOM_BYTES_MAX} bytes`

const USER_RULE = `a user name is 1 to ${USER_BYTES_MAX} bytes without control characters`
