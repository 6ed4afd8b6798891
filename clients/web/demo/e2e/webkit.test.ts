// The page in WebKit, which has no WebTransport: everything goes over WebSocket. Only where WebKitGTK's driver is.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Server } from './server.ts'
import { hasWebKit, WebKit } from './webkit.ts'

const ONLINE = `return document.querySelector('#connection[data-state="online"]') !== null`

const SETTLED = `
  const { count, pending } = document.querySelector('#records')?.dataset ?? {}
  return Number(count) >= arguments[0] && pending === '0'`

const SEND = `
  const field = document.querySelector('#text')
  field.value = arguments[0]
  field.form.requestSubmit()`

/** Few enough that all of them are in the document. */
const ROWS = `return [...document.querySelectorAll('#records [data-offset]')].map(
  (row) => row.dataset.offset + ' ' + row.querySelector('.text').textContent)`

describe.skipIf(!hasWebKit)('WebKit', () => {
  let server: Server
  let page: WebKit

  beforeEach(async () => {
    server = await Server.create()
    await server.start()
    page = await WebKit.open(server.page('webkit', 'ada'))
    await page.until(ONLINE)
  })

  afterEach(async () => {
    await page.close()
    await server.remove()
  })

  it('chats over WebSocket, and is told why', async () => {
    expect(await page.run('return typeof WebTransport')).toBe('undefined')
    expect(await page.run(`return document.querySelector('#connection').textContent`)).toContain('WebSocket')
    await page.run(SEND, 'from the page')
    await page.until(SETTLED, 1)
    await server.publish('webkit', 'from elsewhere')
    await page.until(SETTLED, 2)
    expect(await page.run(ROWS)).toEqual(['1 from the page', '2 from elsewhere'])
  })

  it('kills and reloads lose and repeat nothing', async () => {
    const wanted: string[] = []
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 5; count++) {
        wanted.push(`${round}.${count}`)
        await page.run(SEND, wanted.at(-1))
        // In the middle of what was sent; the rest waits in the page.
        if (count === 2) await server.kill()
      }
      await server.start()
      // Not only resumed: what a page leaves behind, the next one sends.
      if (round === 1) await page.reload()
      await page.until(SETTLED, wanted.length)
    }
    const native = (await server.read('webkit')).map(({ offset, payload }) => `${offset} ${payload}`)
    expect(native).toEqual(wanted.map((text, index) => `${index + 1} ${text}`))
    expect(await page.run(ROWS)).toEqual(native)
  })
})
