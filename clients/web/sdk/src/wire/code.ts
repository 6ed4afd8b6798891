// The registry of codes. The range alone says what to do, so that unknown codes are acted on rightly.

/** All codes of the protocol, by name. */
export const Code = {
  done: 1000,
  id_gap: 1001,
  skipped: 1002,
  not_yet_applied: 1003,
  timed_out: 1004,
  overloaded: 2001,
  draining: 2002,
  too_many_sessions: 2003,
  disk_full: 2004,
  rate_limited: 2005,
  bad_frame: 3001,
  frame_too_large: 3002,
  unexpected_frame: 3003,
  bad_name: 3004,
  payload_too_large: 3005,
  forbidden: 3006,
  position_ahead: 3007,
  conflict: 3008,
  fenced: 3009,
  too_many_streams: 3010,
  unsupported_version: 3011,
  not_offered: 3012,
  bad_record: 3013,
  flow_control: 3014,
  stream_timeout: 3015,
  not_found: 3016,
  bad_request: 3020,
  unauthenticated: 4001,
  bad_token: 4002,
  token_expired: 4003,
  principal_changed: 4004,
  already_greeted: 4005,
  internal: 5001,
  log_poisoned: 5002,
  log_corrupt: 5003,
} as const

export type CodeName = keyof typeof Code

/** What to do about a code. */
export type Action = 'retry_now' | 'retry_later' | 'fix_request' | 'reauthenticate' | 'retry_elsewhere'

/** By thousands; anything else is the server's own trouble. */
const ACTIONS: readonly (Action | undefined)[] = [
  undefined,
  'retry_now',
  'retry_later',
  'fix_request',
  'reauthenticate',
]

/** What a client does about a code, known or not. */
export function action(code: number): Action {
  return ACTIONS[Math.floor(code / 1000)] ?? 'retry_elsewhere'
}

/** The name in the registry, or the number. */
export function codeName(code: number): string {
  return NAMES.get(code) ?? String(code)
}

/** How long to wait where the server leaves it to the code, in milliseconds. */
export function defaultDelay(code: number): number {
  return action(code) === 'retry_later' ? 1000 : 0
}

const NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]))
