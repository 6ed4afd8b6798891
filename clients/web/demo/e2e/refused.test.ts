// What a server does not allow is said in the page, once; and a restart is not worth a word.

import { describe, expect, it } from 'vitest'
import { KINDS, Stage } from './stage.ts'

describe.each(['auto', 'websocket'])('over %s', (transport) => {
  const stage = new Stage(() => ({ config: '[auth]\ntoken_key = "token.secret"\n' }), transport)

  it.each(KINDS)('a token that another key has signed ends it, in %s', async (kind) => {
    const token = await stage.server.token('ada', '**=read,publish', 'another secret, which is 32 bytes long as well')
    const tab = await stage.open(kind, 'refused', 'ada', token)
    await tab.state('closed')
    await tab.says('Closed: ')
  })

  it.each(KINDS)('a room that the token does not allow is refused, and others are not, in %s', async (kind) => {
    const token = await stage.server.token('ada', 'open:**=read,publish,presence')
    const tab = await stage.open(kind, 'secret:1', 'ada', token)
    await tab.says('This room cannot be shown')
    await tab.says('you are not allowed to')
    // The session is none the worse for it.
    await tab.state('online')
    const open = await stage.open(kind, 'open:1', 'ada', token)
    await open.send('allowed here')
    await stage.expectAll('open:1', [open], ['allowed here'])
  })
})

describe('a restart', () => {
  const stage = new Stage()

  it('goes by without an error and without a loss', async () => {
    const both = await stage.openBoth('restart')
    const watched = await Promise.all(both.map(({ page }) => page.evaluateHandle(watch)))
    const wanted: string[] = []
    let isOver = false
    const restart = stage.server.stop().then(() => stage.server.start()).finally(() => (isOver = true))
    for (let count = 0; !isOver || count < 20; count++) {
      const texts = both.map((_, index) => `${index} ${count}`)
      wanted.push(...texts)
      await Promise.all(both.map((tab, index) => tab.send(texts[index] ?? '')))
    }
    await restart
    await stage.expectAll('restart', both, wanted)
    for (const [index, handle] of watched.entries()) {
      const { offlineMs, alerts } = await handle.evaluate((seen) => ({ ...seen }))
      console.log(`figure: restart, offline for ${offlineMs.toFixed(0)} ms, ${KINDS[index]}`)
      expect(alerts).toEqual([])
    }
  })
})

/** In the page: how long it says that it is not connected, and every alert it shows. */
function watch(): { offlineMs: number; alerts: string[] } {
  const seen = { offlineMs: 0, alerts: [] as string[] }
  let since: number | undefined
  new MutationObserver(() => {
    const isOnline = document.querySelector('#connection')?.getAttribute('data-state') === 'online'
    if (!isOnline) since ??= performance.now()
    else if (since !== undefined) {
      seen.offlineMs = Math.max(seen.offlineMs, performance.now() - since)
      since = undefined
    }
    for (const alert of document.querySelectorAll('[role=alert]')) seen.alerts.push(alert.textContent)
  }).observe(document.body, { childList: true, subtree: true, attributes: true })
  return seen
}
