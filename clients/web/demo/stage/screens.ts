// Pictures of every state of the page, in both browsers: `DIR=… SCENES=busy,gap BROWSERS=firefox npm run screens`.

import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createServer } from 'vite'
import { type Kind, launch } from '../e2e/browser.ts'

interface Shot {
  scene: string
  size?: readonly [width: number, height: number]
  theme?: 'dark'
  /** Said of it in the file's name. */
  as?: string
  /** Done before the picture. */
  act?: (page: import('puppeteer-core').Page) => Promise<void>
}

const PHONE = [390, 780] as const
const DESKTOP = [1280, 800] as const

const toStart: Shot['act'] = async (page) => {
  for (let count = 0; count < 4; count++) {
    await page.$eval('#scroller', (scroller) => void (scroller.scrollTop = 0))
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

const SHOTS: readonly Shot[] = [
  ...['welcome', 'empty', 'busy', 'offline', 'resumed', 'failed', 'deleted'].map((scene) => ({ scene })),
  ...['long', 'hostile', 'gap', 'reset', 'refused', 'unread', 'many'].map((scene) => ({ scene })),
  ...['loading', 'history-failed'].map((scene) => ({ scene, act: toStart })),
  { scene: 'busy', theme: 'dark' },
  { scene: 'offline', theme: 'dark' },
  { scene: 'failed', theme: 'dark' },
  { scene: 'gap', theme: 'dark' },
  { scene: 'welcome', theme: 'dark', size: PHONE },
  { scene: 'busy', size: PHONE },
  { scene: 'busy', size: PHONE, as: 'drawer', act: (page) => page.click('[aria-label="Open the rooms"]') },
  { scene: 'busy', size: PHONE, as: 'people', act: (page) => page.click('.people-button') },
  { scene: 'offline', size: PHONE },
  { scene: 'resumed', size: PHONE },
  { scene: 'failed', size: PHONE },
  { scene: 'long', size: PHONE },
  { scene: 'gap', size: PHONE },
  { scene: 'busy', as: 'hover', act: (page) => page.hover('.row.own') },
  {
    scene: 'busy',
    as: 'asked',
    act: async (page) => {
      await page.hover('.row.own')
      await page.click('.row.own .erase')
    },
  },
  {
    scene: 'many',
    as: 'up',
    act: (page) => page.$eval('#scroller', (scroller) => void (scroller.scrollTop -= 3_000)),
  },
]

const directory = process.env['DIR'] ?? 'screens'
const scenes = process.env['SCENES']?.split(',') ?? []
const kinds = (process.env['BROWSERS'] ?? 'chromium,firefox').split(',') as Kind[]
await mkdir(directory, { recursive: true })
const root = resolve(import.meta.dirname, '..')
const vite = await createServer({
  root,
  server: { port: 0, host: '127.0.0.1' },
  logLevel: 'error',
  cacheDir: join(root, 'node_modules/.vite-stage'),
})
await vite.listen()
const origin = vite.resolvedUrls?.local[0] ?? ''
for (const kind of kinds) {
  const browser = await launch(kind)
  for (const { scene, size = DESKTOP, theme, as, act } of SHOTS) {
    if (scenes.length > 0 && !scenes.includes(scene)) continue
    const page = await browser.newPage()
    page.on('pageerror', (error) => console.error(`${kind} ${scene}:`, error))
    page.on('console', (line) => line.type() === 'error' && console.error(`${kind} ${scene}:`, line.text()))
    await page.setViewport({ width: size[0], height: size[1] })
    await page.evaluateOnNewDocument((theme) => localStorage.setItem('loquic-demo/theme', theme), theme ?? 'light')
    await page.goto(`${origin}stage/stage.html?scene=${scene}`)
    await page.waitForSelector('#app > *')
    await new Promise((resolve) => setTimeout(resolve, 1_800))
    await act?.(page)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const name = [scene, as, size === PHONE && 'phone', theme, kind].filter(Boolean).join('-')
    await page.screenshot({ path: join(directory, `${name}.png`) as `${string}.png` })
    await page.close()
  }
  await browser.close()
}
await vite.close()
