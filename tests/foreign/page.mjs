// Drives page/ in Chromium: node page.mjs URL_OF_THE_PAGE ROOM PATH_OF_LOQUIC URL_OF_THE_SERVER

import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
// The driver is the one that the tests of the demo page have.
const puppeteer = createRequire(resolve(root, 'clients/web/demo/package.json'))('puppeteer-core')
const [url, room, loquic, server] = process.argv.slice(2)

const vectors = resolve(root, 'crates/wire/vectors')
const read = (file) => JSON.parse(readFileSync(resolve(vectors, file), 'utf8'))
const files = Object.fromEntries(readdirSync(vectors).map((file) => [basename(file, '.json'), read(file)]))
const native = (room) =>
  promisify(execFile)(loquic, [
    'pub', room, 'from the native client', '--url', server, '--insecure', '--name', 'native',
  ]).then(() => undefined)

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'],
})
try {
  const page = await browser.newPage()
  page.on('pageerror', (error) => console.error(String(error)))
  await page.exposeFunction('native', native)
  await page.goto(url)
  await page.waitForFunction('globalThis.run')
  const done = await page.evaluate((files, room) => globalThis.run(files, room), files, room)
  console.log(`foreign: a page in ${await browser.version()}, ${done.vectors} vectors, ${done.records} records`)
} finally {
  await browser.close()
}
