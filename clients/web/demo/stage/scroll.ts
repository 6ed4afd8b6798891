// How smoothly ten thousand messages scroll: milliseconds between frames while the list moves, in both browsers.

import { resolve } from 'node:path'
import { createServer } from 'vite'
import { launch } from '../e2e/browser.ts'

const vite = await createServer({
  root: resolve(import.meta.dirname, '..'),
  server: { port: 0, host: '127.0.0.1' },
  logLevel: 'error',
})
await vite.listen()
for (const kind of ['chromium', 'firefox'] as const) {
  const browser = await launch(kind)
  const page = await browser.newPage()
  await page.setViewport({ width: 1280, height: 800 })
  await page.goto(`${vite.resolvedUrls?.local[0]}stage/stage.html?scene=many&from=oldest`)
  await page.waitForFunction(() => document.querySelector<HTMLElement>('#records')?.dataset['count'] === '10000')
  await page.waitForFunction(() => document.querySelector('#records')?.getAttribute('aria-busy') === 'false')
  const { spans, nodes } = await page.evaluate(async () => {
    const scroller = document.querySelector('#scroller') as HTMLElement
    const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve))
    const spans: number[] = []
    for (let count = 0, last = await frame(); count < 300; count++) {
      scroller.scrollTop -= 120
      const now = await frame()
      spans.push(now - last)
      last = now
    }
    return { spans, nodes: document.querySelectorAll('*').length }
  })
  spans.sort((a, b) => a - b)
  const at = (part: number) => (spans[Math.floor(part * (spans.length - 1))] ?? 0).toFixed(1)
  console.log(`figure: 10,000 messages, 120 px a frame, ${kind}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${nodes} elements`)
  await browser.close()
}
await vite.close()
