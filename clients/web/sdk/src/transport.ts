// Which transport carries a session: a pure choice, a race, and a memory of who has won.

import { LoquicError, messageOf } from './error.ts'
import { type Info, readInfo } from './info.ts'
import { ANSWER_MS_MAX, HEAD_START_MS, TRANSPORT_MEMORY_MS } from './limits.ts'
import type { Connect, Link } from './link.ts'
import { sleep } from './sync.ts'
import { openWebTransport } from './webtransport.ts'

/** The transports of browsers. */
export type BrowserTransport = 'webtransport' | 'websocket'

/** What can be used at all: the browser has it, the application allows it, and the server offers it. */
export type Features = Readonly<Record<BrowserTransport, boolean>>

/** What is known of this network. */
export interface Memory {
  /** Has won the last race. */
  winner?: BrowserTransport | undefined
  /** Has just fallen silent. */
  avoid?: BrowserTransport | undefined
}

/** In which order to try, and why the first one is the first. */
export interface Plan {
  order: readonly BrowserTransport[]
  why: string
}

const NOTHING_SHARED = 'browser, server and application have no transport in common'

/** Firefox before this one stalls on streams of WebTransport (bug 2046262). */
const FIREFOX_MIN = 153

/** Pure, so that every rule has a test. */
export function chooseTransport(agent: string, features: Features, { winner, avoid }: Memory): Plan {
  const usable = (['webtransport', 'websocket'] as const).filter((name) => features[name])
  const [only] = usable
  if (only === undefined) return { order: [], why: NOTHING_SHARED }
  if (usable.length === 1) return { order: [only], why: 'it is the only one shared here' }
  const first = (name: BrowserTransport, why: string): Plan => ({
    order: [name, name === 'webtransport' ? 'websocket' : 'webtransport'],
    why,
  })
  if (avoid !== undefined) return first(other(avoid), `${avoid} has fallen silent`)
  if (winner !== undefined) return first(winner, 'it worked here lately')
  if (isWebKit(agent)) return first('websocket', 'WebTransport does not last in WebKit')
  const firefox = /Firefox\/(\d+)/.exec(agent)?.[1]
  if (firefox !== undefined && Number(firefox) < FIREFOX_MIN) {
    return first('websocket', `WebTransport stalls in Firefox before ${FIREFOX_MIN}`)
  }
  return first('webtransport', 'it is the best one')
}

function other(name: BrowserTransport): BrowserTransport {
  return name === 'webtransport' ? 'websocket' : 'webtransport'
}

/** Safari, and every browser on iOS whatever it calls itself; Chromium says WebKit too, and also Chrome. */
function isWebKit(agent: string): boolean {
  return /AppleWebKit\//.test(agent) && !/(Chrome|Chromium)\//.test(agent)
}

/** Opens a connection of one sort. */
export type Open = (name: BrowserTransport, signal: AbortSignal) => Promise<Link>

/** Tries in the order of the plan; the second one begins after a head start, or when the first has failed. */
export async function race(plan: Plan, open: Open, signal: AbortSignal): Promise<Link> {
  const over = new AbortController()
  const running = AbortSignal.any([signal, over.signal])
  const failures: string[] = []
  const attempts: Promise<Link>[] = []
  for (const [index, name] of plan.order.entries()) {
    const attempt = open(name, running)
    attempts.push(attempt)
    attempt.catch((error) => failures.push(`${name}: ${messageOf(error)}`))
    if (index + 1 === plan.order.length) break
    const won = await Promise.race([
      attempt.then(
        () => true,
        () => false,
      ),
      sleep(HEAD_START_MS, running).catch(() => {}),
    ])
    if (won || signal.aborted) break
  }
  try {
    return await Promise.any(attempts)
  } catch {
    signal.throwIfAborted()
    throw new LoquicError('connect', `cannot connect: ${failures.join('; ')}`)
  } finally {
    void settle(attempts, over)
  }
}

/** Who came too late is closed; nothing was said on it. */
async function settle(attempts: Promise<Link>[], over: AbortController): Promise<void> {
  const winner = await Promise.any(attempts).catch(() => undefined)
  over.abort()
  for (const attempt of attempts) {
    void attempt.then(
      (link) => link !== winner && link.close(),
      () => {},
    )
  }
}

/** What the outside world is, for a dialer. */
export interface Surroundings {
  agent: string
  /** What this browser has. */
  features: Features
  info(url: string, signal: AbortSignal): Promise<Info>
  open(name: BrowserTransport, info: Info, why: string, signal: AbortSignal): Promise<Link>
}

/** Connects to wherever a URL leads. */
export interface Dialer {
  connect: Connect
  /** The network may be another one: what has won is no hint any more. */
  forget(): void
}

/** Who has won for a URL, for all clients of this page. */
const winners = new Map<string, { winner: BrowserTransport; until: number }>()

export function dialer(url: string, allowed: readonly BrowserTransport[], outside = surroundings()): Dialer {
  const connect: Connect = async ({ signal, url: node = url, avoid }) => {
    const has = (name: BrowserTransport) => outside.features[name] && allowed.includes(name)
    if (!has('webtransport') && !has('websocket')) {
      throw new LoquicError('invalid', `${NOTHING_SHARED} (does the page come by https?)`)
    }
    const info = await outside.info(node, AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]))
    const offered = (name: BrowserTransport) => has(name) && info[name].length > 0
    const features = { webtransport: offered('webtransport'), websocket: offered('websocket') }
    const known = winners.get(node)
    const winner = known !== undefined && known.until > performance.now() ? known.winner : undefined
    const plan = chooseTransport(outside.agent, features, { winner, avoid: avoid === 'memory' ? undefined : avoid })
    if (plan.order.length === 0) throw new LoquicError('connect', plan.why)
    let failure = ''
    const open: Open = async (name, running) => {
      const why = name === plan.order[0] ? plan.why : failure || `${plan.order[0]} did not answer in time`
      try {
        return await outside.open(name, info, why, running)
      } catch (error) {
        failure = messageOf(error)
        throw error
      }
    }
    const link = await race(plan, open, signal)
    if (link.transport !== 'memory') {
      winners.set(node, { winner: link.transport, until: performance.now() + TRANSPORT_MEMORY_MS })
    }
    return link
  }
  return { connect, forget: () => winners.clear() }
}

function surroundings(): Surroundings {
  let attempt = 0
  return {
    agent: globalThis.navigator?.userAgent ?? '',
    features: { webtransport: typeof WebTransport !== 'undefined', websocket: typeof WebSocket !== 'undefined' },
    info: readInfo,
    open: async (name, info, why, signal) => {
      const addresses = info[name]
      const address = addresses[attempt++ % addresses.length] ?? ''
      if (name === 'webtransport') return openWebTransport(address, info.hashes, why, signal)
      const { openWebSocket } = await import('./websocket.ts')
      return openWebSocket(address, why, signal)
    },
  }
}
