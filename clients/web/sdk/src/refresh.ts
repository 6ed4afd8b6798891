// A new token inside a session.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { toError } from './error.ts'
import type { Session } from './session.ts'
import { sleep } from './sync.ts'
import { Code } from './wire/code.ts'

/** Gets a token and shows it, as often as it takes. */
export async function refresh(core: Core, session: Session): Promise<void> {
  const { token } = core.identity
  if (token === undefined) return
  for (let attempt = 0; !session.over.value; attempt++) {
    try {
      await session.refresh(await token('expiring', core.closing))
      return core.log('session: the token was refreshed')
    } catch (failure) {
      const error = toError(failure)
      if (error.code === Code.not_offered) core.offersRefresh = false
      if (error.kind === 'signed_out') return session.end(error)
      if (error.kind !== 'token') return
      await sleep(delay(core.backoff, attempt, 0, Math.random()), core.closing).catch(() => {})
    }
  }
}
