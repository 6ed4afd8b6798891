// Questions that any session can answer: asked again in the next one until there is an answer.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { toError } from './error.ts'
import type { Session } from './session.ts'
import { FrameStream } from './stream.ts'
import { onAbort, type Places, sleep, unlessAborted } from './sync.ts'
import { Code } from './wire/code.ts'
import type { Body, FrameName } from './wire/frame.ts'

/** Runs `work` until it succeeds or is refused for good. */
export async function ask<R>(
  core: Core,
  signal: AbortSignal | undefined,
  work: (session: Session) => Promise<R>,
): Promise<R> {
  for (let attempt = 0; ; attempt++) {
    const session = await core.nextSession(signal)
    try {
      return await unlessAborted<R>(signal, (resolve, reject) => void work(session).then(resolve, reject))
    } catch (failure) {
      signal?.throwIfAborted()
      const error = toError(failure)
      session.endIfBroken(error)
      const isCrowded = error.code === Code.too_many_streams
      if (!error.retryable && !isCrowded && error.kind !== 'protocol') throw error
      if (error.kind === 'protocol' && attempt > 0) throw error
      await sleep(delay(core.backoff, attempt, error.retryAfterMs ?? 0, Math.random()), signal)
    }
  }
}

/** A question with a stream of its own, in a place of its sort. */
export function askOnStream<N extends FrameName, R>(
  core: Core,
  places: (session: Session) => Places,
  [name, body]: [N, Body<N>],
  signal: AbortSignal | undefined,
  read: (stream: FrameStream) => Promise<R>,
): Promise<R> {
  return ask(core, signal, async (session) => {
    const leave = await places(session).take(signal)
    let stream: FrameStream | undefined
    const unlisten = onAbort(signal, () => stream?.abort())
    try {
      stream = await FrameStream.open(session.link, name, body)
      signal?.throwIfAborted()
      const answer = await read(stream)
      stream.finish()
      return answer
    } catch (error) {
      stream?.abort()
      throw error
    } finally {
      unlisten()
      leave()
    }
  })
}
