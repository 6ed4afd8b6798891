// How fast the page is, against the real server. README.md says which question each figure answers; `ONLY=latency` and
// the like measure one of them.

import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser, Page } from 'puppeteer-core'
import { Server } from '../e2e/server.ts'
import { connectedOver, KINDS, type Kind, launch, open, quantile, TRANSPORTS } from './browsers.ts'

const OPENINGS = 9
const SAMPLES = 300
const SAMPLES_PER_SECOND = 20
const RATES = [500, 1_000, 2_000, 4_000, 8_000]
const RATE_SECONDS = 3

/** Less than this behind the source when it ends is keeping up. */
const BEHIND_MS_MAX = 250

type Browsers = Record<Kind, Browser>

/** From the navigation to the first paint and the first record: a room of 100 that everybody has seen before. */
async function opening(server: Server, browsers: Browsers): Promise<void> {
  await source(server, 'opening', 100, 1_000)
  for (const kind of KINDS) {
    for (const transport of TRANSPORTS) {
      const [paints, records]: [number[], number[]] = [[], []]
      let over = ''
      for (let count = 0; count < OPENINGS; count++) {
        const page = await open(browsers[kind], server.page('opening', 'ada'), transport)
        await page.waitForFunction(() => performance.getEntriesByName('first-record').length > 0)
        const times = await page.evaluate(() =>
          ['first-contentful-paint', 'first-record'].map(
            (name) => performance.getEntriesByName(name)[0]?.startTime ?? -1,
          ),
        )
        over = await connectedOver(page)
        paints.push(times[0] ?? -1)
        records.push(times[1] ?? -1)
        await page.close()
      }
      const paint = quantile(paints, 0.5)
      console.log(`figure: open, ${kind}, ${over}: paint ${paint} ms, first record ${quantile(records, 0.5)} ms (p50)`)
    }
  }
}

/** From a publish in one browser to its row in the other one's document; both clocks are the machine's. */
async function latency(server: Server, browsers: Browsers): Promise<void> {
  for (const transport of TRANSPORTS) {
    const room = `latency-${transport}`
    const ada = await open(browsers.chromium, server.page(room, 'ada'), transport)
    const bob = await open(browsers.firefox, server.page(room, 'bob'), transport)
    for (const [from, to, way] of [[ada, bob, 'chromium → firefox'], [bob, ada, 'firefox → chromium']] as const) {
      const spans = await exchange(from, to, way.slice(0, 1))
      const over = `${await connectedOver(from)} and ${await connectedOver(to)}`.replaceAll('Connected over ', '')
      const figures = `p50 ${quantile(spans, 0.5)} ms, p99 ${quantile(spans, 0.99)} ms`
      console.log(`figure: publish → shown, ${way}, ${over}, ${spans.length} at ${SAMPLES_PER_SECOND}/s: ${figures}`)
    }
    await Promise.all([ada.close(), bob.close()])
  }
}

async function exchange(from: Page, to: Page, prefix: string): Promise<number[]> {
  const shown = await to.evaluateHandle(() => {
    const times = new Map<string, number>()
    new MutationObserver((changes) => {
      const now = performance.timeOrigin + performance.now()
      for (const added of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
        const text = added instanceof Element ? added.querySelector('.text')?.textContent : undefined
        if (text && !times.has(text)) times.set(text, now)
      }
    }).observe(document.querySelector('#records') as Element, { childList: true, subtree: true })
    return times
  })
  const sent = await from.evaluate(async (prefix, count, pause) => {
    const field = document.querySelector('#text') as HTMLTextAreaElement
    const sent: [string, number][] = []
    for (let index = 0; index < count; index++) {
      field.value = `${prefix}${index}`
      sent.push([field.value, performance.timeOrigin + performance.now()])
      field.form?.requestSubmit()
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
    return sent
  }, prefix, SAMPLES, 1_000 / SAMPLES_PER_SECOND)
  const isLast = (times: Map<string, number>, last: string) => times.has(last)
  await to.waitForFunction(isLast, { polling: 100 }, shown, sent.at(-1)?.[0] ?? '')
  const times = new Map(await to.evaluate((times) => [...times], shown))
  // All of them, or the slow ones would be left out.
  const missing = sent.filter(([text]) => !times.has(text))
  if (missing.length > 0) throw new Error(`${missing.length} were not shown, such as ${missing[0]?.[0]}`)
  return sent.map(([text, at]) => (times.get(text) ?? Number.NaN) - at)
}

/** Rates of a native publisher that the list follows: its newest row is what was published last, almost at once. */
async function intake(server: Server, browsers: Browsers): Promise<void> {
  for (const kind of KINDS) {
    for (const transport of TRANSPORTS) {
      let best = 0
      let over = ''
      const told: string[] = []
      for (const rate of RATES) {
        const room = `intake-${kind}-${transport}-${rate}`
        const page = await open(browsers[kind], server.page(room, 'ada'), transport)
        over = await connectedOver(page)
        const count = rate * RATE_SECONDS
        const published = await source(server, room, count, rate)
        const started = performance.now()
        const isThere = (count: number) =>
          [...document.querySelectorAll<HTMLElement>('#records [data-offset]')].at(-1)?.dataset['offset'] === `${count}`
        await page.waitForFunction(isThere, { polling: 20 }, count)
        const behind = performance.now() - started
        await page.close()
        told.push(`${published}/s ${behind.toFixed(0)} ms`)
        if (behind > BEHIND_MS_MAX) break
        best = published
      }
      console.log(`figure: intake, ${kind}, ${over}: keeps up with ${best}/s (behind at the end: ${told.join(', ')})`)
    }
  }
}

/** Publishes lines at a rate through `loquic pub`; returns the rate that came of it. */
async function source(server: Server, room: string, count: number, rate: number): Promise<number> {
  const child = server.publisher(room)
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const start = performance.now()
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - start) / 1_000) * rate))
    for (; sent < due; sent++) child.stdin.write(`line ${sent} of those that are published as fast as was asked for\n`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  child.stdin.end()
  await gone
  return Math.round(count / ((performance.now() - start) / 1_000))
}

function sizes(): void {
  const assets = resolve(import.meta.dirname, '../dist/assets')
  for (const name of readdirSync(assets).filter((name) => /\.(js|css)$/.test(name))) {
    const bytes = gzipSync(readFileSync(join(assets, name)), { level: 9 }).length
    console.log(`figure: size, ${name.replace(/-[\w-]{8}\./, '.')}: ${(bytes / 1_000).toFixed(1)} kB gzip`)
  }
}

const MEASURED = { opening, latency, intake } as const
const only = process.env['ONLY']?.split(',')
const isWanted = (name: string) => only === undefined || only.includes(name)

if (isWanted('sizes')) sizes()
const server = await Server.create()
await server.start()
const [chromium, firefox] = await Promise.all([launch('chromium'), launch('firefox')])
try {
  for (const [name, measure] of Object.entries(MEASURED)) {
    if (isWanted(name)) await measure(server, { chromium, firefox })
  }
} finally {
  await Promise.all([chromium.close(), firefox.close()])
  await server.remove()
}
