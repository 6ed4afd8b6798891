// WebKitGTK through its own driver. Puppeteer does not speak to it, so this is W3C WebDriver over HTTP, as far as it is
// needed.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'

const DRIVER = process.env['WEBKIT_DRIVER'] ?? '/usr/bin/WebKitWebDriver'
const BROWSER = process.env['WEBKIT_BIN'] ?? `/usr/lib/${multiarch()}/webkit2gtk-4.1/MiniBrowser`

/** How often a page is asked whether something is so. */
const POLL_MS = 100

/** Longer than the longest backoff and a slow machine together. */
const WAIT_MS = 60_000

const hasScreen = Boolean(process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'])

/** It has no headless mode: `scripts/test_webkit.sh` makes a screen that nobody sees. */
export const hasWebKit = existsSync(DRIVER) && existsSync(BROWSER) && hasScreen

/** One page in a browser of its own. */
export class WebKit {
  readonly #driver: ChildProcess
  readonly #session: string

  private constructor(driver: ChildProcess, session: string) {
    this.#driver = driver
    this.#session = session
  }

  static async open(url: string): Promise<WebKit> {
    const port = await freePort()
    // Its sandbox wants user namespaces, which containers do not give. Pages here are our own.
    const env = { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' }
    const driver = spawn(DRIVER, [`--port=${port}`], { env, stdio: 'ignore' })
    const origin = `http://127.0.0.1:${port}`
    try {
      await until(async () => (await fetch(`${origin}/status`).catch(() => undefined))?.ok === true)
      const options = { binary: BROWSER, args: ['--automation'] }
      const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': options } }
      const { sessionId } = (await call(`${origin}/session`, { capabilities })) as { sessionId: string }
      const page = new WebKit(driver, `${origin}/session/${sessionId}`)
      await call(`${page.#session}/url`, { url })
      return page
    } catch (error) {
      driver.kill()
      throw error
    }
  }

  /** What the body of a function returns in the page. */
  run(body: string, ...args: unknown[]): Promise<unknown> {
    return call(`${this.#session}/execute/sync`, { script: body, args })
  }

  /** Waits until it returns something true. */
  until(body: string, ...args: unknown[]): Promise<void> {
    return until(async () => Boolean(await this.run(body, ...args)))
  }

  async reload(): Promise<void> {
    await call(`${this.#session}/refresh`, {})
  }

  /** A PNG of what is in sight. */
  async picture(): Promise<Buffer> {
    return Buffer.from((await call(`${this.#session}/screenshot`)) as string, 'base64')
  }

  async close(): Promise<void> {
    await fetch(this.#session, { method: 'DELETE' }).catch(() => {})
    const gone = once(this.#driver, 'exit')
    this.#driver.kill()
    await gone
  }
}

async function call(url: string, body?: unknown): Promise<unknown> {
  const asked = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  const answer = await fetch(url, asked)
  const { value } = (await answer.json()) as { value: unknown }
  if (!answer.ok) throw new Error(`${url}: ${JSON.stringify(value)}`)
  return value
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !(await isSo()); ) {
    if (performance.now() > end) throw new Error('it did not become so')
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Debian's name of the machine. */
function multiarch(): string {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
}
