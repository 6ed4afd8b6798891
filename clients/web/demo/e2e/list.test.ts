// Where the list stands: whoever is at its end stays there, whoever has scrolled up stays at what they read.

import type { Browser, Page } from 'puppeteer-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Kind, launch, Tab } from './browser.ts'
import { Server } from './server.ts'

const isAtEnd = () => {
  const list = document.querySelector('#scroller') as HTMLElement
  return list.scrollHeight > list.clientHeight && list.scrollHeight - list.clientHeight - list.scrollTop < 2
}

const waitForEnd = (page: Page) => page.waitForFunction(isAtEnd, { polling: 50 })

/** Texts of different heights. */
async function publish(server: Server, count: number): Promise<void> {
  const child = server.publisher('list')
  const gone = new Promise((resolve) => child.once('exit', resolve))
  for (let index = 0; index < count; index++) child.stdin.write(`${index} ${'words '.repeat((index % 7) * 12)}\n`)
  child.stdin.end()
  await gone
}

describe.each(['chromium', 'firefox'] as Kind[])('%s', (kind) => {
  let server: Server
  let browser: Browser

  beforeEach(async () => {
    server = await Server.create()
    await server.start()
    browser = await launch(kind)
  })

  afterEach(async () => {
    await browser.close()
    await server.remove()
  })

  it('stays at the end, or at what is read', async () => {
    const tab = await Tab.open(browser, server.page('list', 'ada'))
    const { page } = tab
    await tab.state('online')
    await publish(server, 60)
    await tab.settled(60)
    await waitForEnd(page)

    // Everything that was missed comes at once, and with it what was written meanwhile.
    await server.kill()
    await tab.send('written meanwhile')
    await server.start()
    await publish(server, 30)
    await tab.settled(91)
    await waitForEnd(page)

    await page.setViewport({ width: 900, height: 500 })
    await waitForEnd(page)

    const top = await page.$eval('#scroller', (list) => {
      list.scrollTop -= 400
      return list.scrollTop
    })
    await publish(server, 10)
    await tab.settled(101)
    expect(await page.evaluate(isAtEnd)).toBe(false)
    // Rows above may have been measured for the first time.
    expect(Math.abs((await page.$eval('#scroller', (list) => list.scrollTop)) - top)).toBeLessThan(80)
  })
})
