// Who a client is, and where its tokens come from.

import { invalid, LoquicError, messageOf } from './error.ts'
import { Code } from './wire/code.ts'
import type { Auth } from './wire/control.ts'
import { checkUser } from './wire/name.ts'

/** Why a token is asked for. `refused`: the server did not take the last one. */
export type TokenReason = 'connect' | 'expiring' | 'expired' | 'refused'

/** Gets a token from wherever tokens are made; `null` signs out. */
export type GetToken = (reason: TokenReason, options: { signal: AbortSignal }) => Promise<string | null>

/** Who a client is. */
export interface Identity {
  /** What to greet with; throws `signed_out` or `token`. */
  auth(reason: TokenReason, signal: AbortSignal): Promise<Auth>
  /** A new token for the session there is; `undefined` where there are none. */
  token?: (reason: TokenReason, signal: AbortSignal) => Promise<string>
}

export function identity(name: string | undefined, getToken: GetToken | undefined): Identity {
  if (getToken !== undefined) {
    const token = (reason: TokenReason, signal: AbortSignal) => fetchToken(getToken, reason, signal)
    return { auth: async (reason, signal) => ({ type: 'bearer', token: await token(reason, signal) }), token }
  }
  const problem = name === undefined ? 'a client needs a name or a token' : checkUser(name)
  if (name === undefined || problem !== undefined) throw invalid(problem ?? '', Code.bad_name)
  return { auth: async () => ({ type: 'anonymous', name }) }
}

async function fetchToken(getToken: GetToken, reason: TokenReason, signal: AbortSignal): Promise<string> {
  let token: string | null
  try {
    token = await getToken(reason, { signal })
  } catch (error) {
    throw new LoquicError('token', `getToken has failed: ${messageOf(error)}`)
  }
  if (token === null) throw new LoquicError('signed_out', 'getToken gave null')
  return token
}
