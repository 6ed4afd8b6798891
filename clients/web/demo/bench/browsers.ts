// Browsers for measuring: clocks as fine as they have them, and no throttling of a tab that is not in front.

import puppeteer, { type Browser, type Page } from 'puppeteer-core'

export type Kind = 'chromium' | 'firefox'
export type Transport = 'webtransport' | 'websocket'

export const KINDS: readonly Kind[] = ['chromium', 'firefox']
export const TRANSPORTS: readonly Transport[] = ['webtransport', 'websocket']

export function launch(kind: Kind): Promise<Browser> {
  if (kind === 'firefox') {
    const executablePath = process.env['FIREFOX_BIN'] ?? '/usr/bin/firefox-esr'
    const extraPrefsFirefox = { 'privacy.reduceTimerPrecision': false }
    return puppeteer.launch({ browser: 'firefox', executablePath, extraPrefsFirefox, headless: true })
  }
  const executablePath = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium'
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-background-timer-throttling',
    '--disable-backgrounding-occluded-windows',
    '--disable-renderer-backgrounding',
  ]
  return puppeteer.launch({ browser: 'chrome', executablePath, args, headless: true })
}

/** A page over one transport, which has noted `firstRecord`: milliseconds from the navigation to the first row. */
export async function open(browser: Browser, url: string, transport: Transport): Promise<Page> {
  const page = await browser.newPage()
  await page.setViewport({ width: 1000, height: 700 })
  await page.evaluateOnNewDocument((transport) => {
    // Firefox before 153 is given WebSocket, unless something has worked before.
    if (transport === 'websocket') delete (globalThis as { WebTransport?: unknown }).WebTransport
    new MutationObserver((_, self) => {
      if (document.querySelector('#records [data-offset]') === null) return
      self.disconnect()
      performance.mark('first-record')
    }).observe(document, { childList: true, subtree: true })
  }, transport)
  await page.goto(url)
  await page.waitForSelector('#connection[data-state="online"]')
  return page
}

/** What the page says it is connected over. */
export function connectedOver(page: Page): Promise<string> {
  return page.$eval('#connection', ({ textContent }) => textContent ?? '')
}

export function quantile(spans: readonly number[], part: number): string {
  const sorted = spans.toSorted((a, b) => a - b)
  return (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN).toFixed(1)
}
