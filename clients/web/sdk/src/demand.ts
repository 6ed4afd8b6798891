// Code that is loaded when it is needed. Chromium remembers that an import has failed for as long as the page lives, so
// it is asked for only while there is a session: then the network is there.

import { delay } from './backoff.ts'
import type { Core } from './core.ts'
import { LoquicError, messageOf } from './error.ts'
import { LOADS_MAX } from './limits.ts'
import { sleep, unlessAborted } from './sync.ts'

export class OnDemand<M> {
  readonly #import: () => Promise<M>
  #loading: Promise<M> | undefined

  constructor(load: () => Promise<M>) {
    this.#import = load
  }

  /** Loads it, once for the page. A failure is forgotten, so that the next call tries again. */
  load(): Promise<M> {
    this.#loading ??= this.#import().catch((error) => {
      this.#loading = undefined
      throw new LoquicError('load', `cannot load a part of the client: ${messageOf(error)}`)
    })
    return this.#loading
  }

  /** Waits for a session, and tries again a few times before it rejects. */
  async get(core: Core, signal?: AbortSignal): Promise<M> {
    const over = AbortSignal.any(signal === undefined ? [core.closing] : [signal, core.closing])
    for (let attempt = 1; ; attempt++) {
      await core.nextSession(signal)
      try {
        return await unlessAborted<M>(over, (resolve, reject) => void this.load().then(resolve, reject))
      } catch (error) {
        if (over.aborted || attempt === LOADS_MAX) throw error
        await sleep(delay(core.backoff, attempt, 0, Math.random()), over)
      }
    }
  }
}

/** History, members, peeks, watches, read marks, and new tokens inside a session. */
export const questions = new OnDemand(() => import('./questions.ts'))
