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
  if (byteLength(name) > ROOM_BYTES_MAX) return `a room name has at most ${ROOM_BYTES_MAX} bytes`
  const segments = name.split(':')
  if (segments.length > ROOM_SEGMENTS_MAX) return `a room name has at most ${ROOM_SEGMENTS_MAX} segments`
  return segments.map(checkSegment).find((problem) => problem !== undefined)
}

/** The same for a user's name. */
export function checkUser(name: string): string | undefined {
  if (name === '' || CONTROL.test(name) || LONE_SURROGATE.test(name)) {
    return 'a user name is 1 or more characters without control characters'
  }
  if (byteLength(name) > USER_BYTES_MAX) return `a user name has at most ${USER_BYTES_MAX} bytes`
  return undefined
}

/** The same for a tenant's name. */
export function checkTenant(name: string): string | undefined {
  if (byteLength(name) > TENANT_BYTES_MAX) return `a tenant name has at most ${TENANT_BYTES_MAX} bytes`
  return checkSegment(name)
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

function checkSegment(segment: string): string | undefined {
  if (!/^[A-Za-z0-9_~@.-]*$/.test(segment)) {
    return "a name's segments are of letters, digits and _ ~ @ . -"
  }
  if (segment === '.' || segment === '..') return '"." and ".." are not segments of a name'
  if (segment === '' || segment.length > SEGMENT_BYTES_MAX) {
    return `a name's segments have 1 to ${SEGMENT_BYTES_MAX} characters`
  }
  return undefined
}

function byteLength(name: string): number {
  return new TextEncoder().encode(name).length
}

// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

// Half a character: it has no UTF-8.
const LONE_SURROGATE = /\p{Surrogate}/u
