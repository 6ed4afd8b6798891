// Debian's Chromium and Firefox, headless, and the page in them.

import puppeteer, { type Browser, type Page } from 'puppeteer-core'

export type Kind = 'chromium' | 'firefox'

const LAUNCH = {
  chromium: {
    browser: 'chrome',
    executablePath: process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  },
  firefox: { browser: 'firefox', executablePath: process.env['FIREFOX_BIN'] ?? '/usr/bin/firefox-esr' },
} as const

/** A whole browser with a fresh profile. */
export function launch(kind: Kind): Promise<Browser> {
  const { browser, executablePath } = LAUNCH[kind]
  const args = kind === 'chromium' ? [...LAUNCH.chromium.args] : []
  return puppeteer.launch({ browser, executablePath, args, headless: true })
}

const FAILED_WEBSOCKET = /The connection to wss?:\S+ was interrupted while the page was loading/

/** A tab with the page. */
export class Tab {
  readonly page: Page
  /** What went wrong in the page. */
  readonly problems: string[] = []

  private constructor(page: Page) {
    this.page = page
    page.on('pageerror', (error) => {
      // Firefox tells of a WebSocket that fails while a page loads as of an error of the page, whoever handles it.
      if (!FAILED_WEBSOCKET.test(String(error))) this.problems.push(String(error))
    })
  }

  static async open(browser: Browser, url: string, token?: string): Promise<Tab> {
    const page = await browser.newPage()
    // Before the page's own scripts, which look for it.
    const put = (token: string) => sessionStorage.setItem('loquic-demo/token', token)
    if (token !== undefined) await page.evaluateOnNewDocument(put, token)
    return Tab.of(page, url)
  }

  /** A page that is there already, sent to where the app is. */
  static async of(page: Page, url: string): Promise<Tab> {
    const tab = new Tab(page)
    await tab.page.setViewport({ width: 900, height: 700 })
    await tab.page.goto(url)
    return tab
  }

  /** Waits until the page says so. */
  async state(state: string): Promise<void> {
    await this.page.waitForSelector(`#connection[data-state="${state}"]`, { timeout: WAIT_MS })
  }

  /** Waits until it is connected over this one; the result is how long after the page was opened. */
  async over(transport: 'WebTransport' | 'WebSocket'): Promise<number> {
    const says = (transport: string) =>
      document.querySelector('#connection')?.textContent === `Connected over ${transport}` && performance.now()
    const since = await this.page.waitForFunction(says, { timeout: WAIT_MS, polling: 'raf' }, transport)
    return Number(await since.jsonValue())
  }

  /** Waits until the page says this, wherever. */
  async says(words: string): Promise<void> {
    const says = (words: string) => document.body.textContent.includes(words)
    await this.page.waitForFunction(says, { timeout: WAIT_MS, polling: 50 }, words)
  }

  /** What the status bar says about the connection when one asks. */
  why(): Promise<string> {
    return this.page.$eval('#connection', (line) => (line as HTMLElement).title)
  }

  async send(text: string): Promise<void> {
    await this.page.waitForSelector('#text', { timeout: WAIT_MS })
    await this.page.$eval(
      '#text',
      (field, text) => {
        const area = field as HTMLTextAreaElement
        area.value = text
        area.form?.requestSubmit()
      },
      text,
    )
  }

  /** Waits until a row says that this was written and has no answer. */
  async waiting(text: string): Promise<void> {
    const waits = (text: string) =>
      [...document.querySelectorAll('#records .pending .text')].some((row) => row.textContent === text)
    await this.page.waitForFunction(waits, { timeout: WAIT_MS, polling: 50 }, text)
  }

  /** Types into the field, as a hand does. */
  async type(text: string): Promise<void> {
    await this.page.bringToFront()
    await this.page.focus('#text')
    await this.page.keyboard.type(text)
  }

  /** Waits until the line under the records says this. */
  async typing(text: string): Promise<void> {
    const says = (text: string) => document.querySelector('#typing')?.textContent === text
    await this.page.waitForFunction(says, { timeout: WAIT_MS, polling: 50 }, text)
  }

  /** Waits for this many records, and until nothing waits for an answer. */
  async settled(count: number): Promise<void> {
    const done = (count: number) => {
      const { count: records, pending } = document.querySelector<HTMLElement>('#records')?.dataset ?? {}
      return Number(records) >= count && pending === '0'
    }
    await this.page.waitForFunction(done, { timeout: WAIT_MS, polling: 100 }, count)
  }

  /**
   * Every row of the list in its order, as `offset text`. Only what is in sight is in the document, so this scrolls
   * from one end to the other.
   */
  async rows(): Promise<string[]> {
    const rows = await this.page.evaluate(async () => {
      const scroller = document.querySelector('#scroller') as HTMLElement
      const painted = () => new Promise((resolve) => setTimeout(resolve, 50))
      const found = new Map<string, string>()
      for (let at = 0; ; at += scroller.clientHeight / 2) {
        scroller.scrollTop = at
        await painted()
        for (const row of document.querySelectorAll<HTMLElement>('#records [data-offset]')) {
          found.set(row.dataset['offset'] ?? '', row.querySelector('.text')?.textContent ?? '')
        }
        if (at + scroller.clientHeight >= scroller.scrollHeight) break
      }
      return [...found].map(([offset, text]) => `${offset} ${text}`)
    })
    const count = await this.page.$eval('#records', (list) => Number((list as HTMLElement).dataset['count']))
    if (rows.length !== count) throw new Error(`the list has ${count} records and shows ${rows.length}`)
    return rows
  }

  /** The states of what has no answer. */
  pending(): Promise<string[]> {
    return this.page.$$eval('#records .pending', (rows) =>
      rows.map((row) => `${row.querySelector('.state')?.textContent} ${row.querySelector('.text')?.textContent}`),
    )
  }
}

/** Longer than the longest backoff and a slow machine together. */
const WAIT_MS = 60_000
