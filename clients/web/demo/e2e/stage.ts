// What every test stands on: two browsers for a file, a server for a test, and tabs that end with it.

import type { Browser, Page } from 'puppeteer-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { type Kind, launch, Tab } from './browser.ts'
import { Server, type ServerOptions } from './server.ts'

export const KINDS: readonly Kind[] = ['chromium', 'firefox']

/** Made once in a file or a `describe`; it starts and ends everything by itself. */
export class Stage {
  readonly #browsers = new Map<Kind, Browser>()
  readonly #tabs: Tab[] = []
  readonly #transport: string
  #server: Server | undefined

  /** @param transport that pages are told to use. */
  constructor(options: () => ServerOptions = () => ({}), transport = 'auto') {
    this.#transport = transport
    beforeAll(async () => {
      const browsers = await Promise.all(KINDS.map(launch))
      KINDS.forEach((kind, index) => this.#browsers.set(kind, browsers[index] as Browser))
    })
    afterAll(() => Promise.all([...this.#browsers.values()].map((browser) => browser.close())))
    beforeEach(async () => {
      this.#server = await Server.create(options())
      await this.#server.start()
    })
    afterEach(async () => {
      const problems = this.#tabs.flatMap(({ problems }) => problems)
      const open = this.#tabs.splice(0).filter(({ page }) => !page.isClosed())
      await Promise.all(open.map(({ page }) => page.close()))
      await this.#server?.remove()
      expect(problems).toEqual([])
    })
  }

  get server(): Server {
    if (this.#server === undefined) throw new Error('there is a server only in a test')
    return this.#server
  }

  /** A tab with the page in a room. Closed with the test. */
  async open(kind: Kind, room: string, name: string, token?: string): Promise<Tab> {
    return this.visit(kind, this.server.page(room, name, this.#transport), token)
  }

  /** A tab with any page of the server. */
  async visit(kind: Kind, url: string, token?: string): Promise<Tab> {
    const tab = await Tab.open(this.#browsers.get(kind) as Browser, url, token)
    this.#tabs.push(tab)
    return tab
  }

  /** A copy of a tab, made by the browser: with the same storage, the tab's own too. */
  async duplicate({ page }: Tab): Promise<Tab> {
    const opened = new Promise<Page>((resolve) => page.once('popup', (popup) => popup && resolve(popup)))
    const url = await page.evaluate(() => window.open(location.href) && location.href)
    const tab = await Tab.of(await opened, url ?? '')
    this.#tabs.push(tab)
    return tab
  }

  /** One tab in each browser, connected. */
  async openBoth(room: string): Promise<[ada: Tab, bob: Tab]> {
    const both: [Tab, Tab] = [await this.open('chromium', room, 'ada'), await this.open('firefox', room, 'bob')]
    await Promise.all(both.map((tab) => tab.state('online')))
    return both
  }

  /** Pages and a native client show the same records, each wanted text once, at offsets without a hole. */
  async expectAll(room: string, tabs: readonly Tab[], wanted: readonly string[]): Promise<void> {
    await Promise.all(tabs.map((tab) => tab.settled(wanted.length)))
    const native = (await this.server.read(room)).map(({ offset, payload }) => `${offset} ${payload}`)
    for (const tab of tabs) expect(await tab.rows()).toEqual(native)
    expectOnce(native, wanted)
  }

  /** The same, and that the log on the disk of a killed server says so too. It is not started again. */
  async expectLog(room: string, tabs: readonly Tab[], wanted: readonly string[]): Promise<void> {
    await this.expectAll(room, tabs, wanted)
    const rows = await Promise.all(tabs.map((tab) => tab.rows()))
    await this.server.kill()
    const log = (await this.server.cat(room)).map(({ offset, payload }) => `${offset} ${payload}`)
    for (const row of rows) expect(row).toEqual(log)
    expectOnce(log, wanted)
  }
}

/** `offset text` of each: offsets from 1 without a hole, and each text once. */
function expectOnce(rows: readonly string[], wanted: readonly string[]): void {
  expect(rows.map((row) => Number(row.split(' ')[0]))).toEqual(wanted.map((_, index) => index + 1))
  expect(rows.map((row) => row.slice(row.indexOf(' ') + 1)).toSorted()).toEqual(wanted.toSorted())
}
