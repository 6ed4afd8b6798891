// What can go wrong, and what to do about it.

import { action, Code, codeName, defaultDelay } from './wire/code.ts'
import { DecodeError } from './wire/coding.ts'

/**
 * What failed. `refused`: the server said no, see `code`. `connect`: no connection came about; `disconnected`: one was
 * lost under something that cannot go on in the next. `closed`: the client was closed here. `store`: the browser's
 * storage is full or forbidden. `load`: a part of this package that is loaded when needed could not be. `invalid`: the
 * call itself is wrong. `token`: `getToken` has failed; `signed_out`: it gave `null`.
 */
export type ErrorKind =
  | 'closed'
  | 'connect'
  | 'disconnected'
  | 'invalid'
  | 'load'
  | 'outbox_full'
  | 'protocol'
  | 'refused'
  | 'signed_out'
  | 'store'
  | 'timed_out'
  | 'token'

/** Every error of this package. `retryable` and `retryAfterMs` say what to do about it. */
export class LoquicError extends Error {
  readonly kind: ErrorKind
  /** The protocol's code, where there is one. */
  readonly code: number | undefined
  /** How long to wait before the next attempt, in milliseconds, where that is known. */
  readonly retryAfterMs: number | undefined

  /** @internal */
  constructor(kind: ErrorKind, message: string, code?: number, retryAfterMs?: number) {
    super(message)
    this.name = 'LoquicError'
    this.kind = kind
    this.code = code
    this.retryAfterMs = retryAfterMs || (code === undefined ? 0 : defaultDelay(code)) || undefined
  }

  /** Whether the same thing may succeed later. */
  get retryable(): boolean {
    if (this.kind === 'refused') return !this.is('fix_request') && !this.is('reauthenticate')
    return ['connect', 'disconnected', 'load', 'outbox_full', 'timed_out', 'token'].includes(this.kind)
  }

  /** Whether the server's code asks for this. */
  is(wanted: ReturnType<typeof action>): boolean {
    return this.code !== undefined && action(this.code) === wanted
  }
}

export function refused(code: number, message = '', retryAfterMs = 0): LoquicError {
  const text = `the server refused: ${codeName(code)}${message && `: ${message}`}`
  return new LoquicError('refused', text, code, retryAfterMs)
}

export function protocol(message: string): LoquicError {
  return new LoquicError('protocol', `the server broke the protocol: ${message}`, Code.bad_frame)
}

export function disconnected(reason: string): LoquicError {
  return new LoquicError('disconnected', `the connection was lost: ${reason}`)
}

export function invalid(message: string, code?: number): LoquicError {
  return new LoquicError('invalid', message, code)
}

/** Whatever a transport or the encoding throws, as one of ours. */
export function toError(error: unknown): LoquicError {
  if (error instanceof LoquicError) return error
  if (error instanceof DecodeError) return protocol(error.message)
  return error instanceof RangeError ? invalid(error.message) : disconnected(messageOf(error))
}

/** What somebody else's error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
