// What a client says about its connection.

import type { LoquicError } from './error.ts'
import type { Principal } from './wire/control.ts'

export type ClientState =
  | { type: 'connecting' }
  | { type: 'online'; session: string; node: string; principal: Principal }
  /** Between two attempts. `error` says why the last one ended, `delayMs` how long until the next. */
  | { type: 'waiting'; error: LoquicError; delayMs: number }
  /** The page is hidden away; it connects again when it is shown. */
  | { type: 'paused' }
  /** For good; with an `error` if it was not asked for. */
  | { type: 'closed'; error: LoquicError | undefined }
