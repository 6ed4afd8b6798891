// The page in two browsers against the real server, which is killed, restarted and given other certificates.

import { describe, expect, it } from 'vitest'
import type { Tab } from './browser.ts'
import { Stage } from './stage.ts'

// Over 'websocket' alone pages sometimes do not come up within a minute, which is not understood yet (issue 4).
describe.each(['auto'])('over %s', (transport) => {
  const stage = new Stage(() => ({}), transport)

  it('kills amid publishes lose and repeat nothing, in two browsers, a native client and the log', async () => {
    const [ada, bob] = await stage.openBoth('kills')
    const wanted: string[] = []
    for (let round = 0; round < 4; round++) {
      for (let count = 0; count < 15; count++) {
        const texts = [`ada ${round}.${count}`, `bob ${round}.${count}`]
        wanted.push(...texts)
        await Promise.all([ada.send(texts[0] ?? ''), bob.send(texts[1] ?? '')])
        // In the middle of what was sent, and once more before it is back.
        if (count === 7) await stage.server.kill()
        if (count === 10) await stage.server.start()
      }
      await stage.server.publish('kills', `native ${round}`)
      wanted.push(`native ${round}`)
    }
    await stage.expectLog('kills', [ada, bob], wanted)
  })

  it('a page that is left alone recovers by itself, from a drain and from another certificate', async () => {
    const [ada, bob] = await stage.openBoth('alone')
    await ada.send('before')
    await stage.expectAll('alone', [ada, bob], ['before'])
    await stage.server.stop()
    await stage.server.forgetCertificates()
    await stage.server.start()
    await stage.server.publish('alone', 'after')
    await stage.expectAll('alone', [ada, bob], ['before', 'after'])
    await bob.send('and on')
    await stage.expectAll('alone', [ada, bob], ['before', 'after', 'and on'])
  })

  it('who types is seen in the other browser until the message is there', async () => {
    const [ada, bob] = await stage.openBoth('typing')
    await ada.send('first')
    await stage.expectAll('typing', [ada, bob], ['first'])
    for (const [writer, reader, name] of [[ada, bob, 'ada'], [bob, ada, 'bob']] as const) {
      await writer.type('x')
      await reader.typing(`${name} is typing…`)
      expect(await writer.page.$eval('#typing', (line) => line.textContent)).toBe('')
      await writer.send(`from ${name}`)
      await reader.typing('')
    }
  })

  it('what was written while the server was away survives a reload, once', async () => {
    const [ada, bob] = await stage.openBoth('reload')
    await ada.send('1')
    await stage.expectAll('reload', [ada, bob], ['1'])
    await stage.server.kill()
    await ada.send('2')
    await bob.send('3')
    await bob.send('4')
    expect(await ada.pending()).toHaveLength(1)
    // The page itself comes from the server, so that has to be back; the page's session need not be.
    await stage.server.start()
    await Promise.all([ada.page.reload(), bob.page.reload()])
    await stage.expectAll('reload', [ada, bob], ['1', '2', '3', '4'])
  })

  it('what a closed tab leaves behind is sent by another tab of the same user, once', async () => {
    const [ada, bob] = await stage.openBoth('tabs')
    const second = await stage.open('chromium', 'tabs', 'ada')
    await second.state('online')
    await stage.server.kill()
    await second.send('left behind')
    expect(await second.pending()).toHaveLength(1)
    await second.page.close()
    await stage.server.start()
    await stage.expectAll('tabs', [ada, bob], ['left behind'])
  })

  it('reloads in the middle of publishing lose and repeat nothing', async () => {
    const [ada, bob] = await stage.openBoth('reloads')
    const wanted: string[] = []
    for (let round = 0; round < 5; round++) {
      for (let count = 0; count < 10; count++) {
        wanted.push(`a${round}.${count}`, `b${round}.${count}`)
        await Promise.all([ada.send(`a${round}.${count}`), bob.send(`b${round}.${count}`)])
      }
      await Promise.all([ada.page.reload(), bob.page.reload()])
    }
    await stage.expectAll('reloads', [ada, bob], wanted)
  })

  it('says how long a message takes from one browser to the other', async () => {
    const [ada, bob] = await stage.openBoth('speed')
    for (const [from, to, name] of [
      [ada, bob, 'chromium → firefox'],
      [bob, ada, 'firefox → chromium'],
    ] as const) {
      const spans = await measure(from, to, 100)
      expect(spans).toHaveLength(100)
      const at = (part: number) => (spans[Math.floor(part * (spans.length - 1))] ?? 0).toFixed(1)
      const times = `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`
      console.log(`figure: publish → shown over ${transport}, ${name}, 100 at 40/s: ${times}`)
    }
  })
})

/** Publishes at a steady pace and notes when each is in the other page's document; both clocks are the machine's. */
async function measure(from: Tab, to: Tab, count: number): Promise<number[]> {
  const shown = await to.page.evaluateHandle(() => {
    const times = new Map<string, number>()
    const list = document.querySelector('#records') as Element
    new MutationObserver((changes) => {
      const now = performance.timeOrigin + performance.now()
      for (const added of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
        const text = added instanceof Element ? added.querySelector('.text')?.textContent : undefined
        if (text && !times.has(text)) times.set(text, now)
      }
    }).observe(list, { childList: true, subtree: true })
    return times
  })
  const sent = await from.page.evaluate(async (count) => {
    const field = document.querySelector('#text') as HTMLTextAreaElement
    const sent: [string, number][] = []
    for (let index = 0; index < count; index++) {
      field.value = `${document.title} ${performance.now()}`
      sent.push([field.value, performance.timeOrigin + performance.now()])
      field.form?.requestSubmit()
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    return sent
  }, count)
  const all = (times: Map<string, number>, texts: string[]) => texts.every((text) => times.has(text))
  await to.page.waitForFunction(all, { timeout: 60_000, polling: 100 }, shown, sent.map(([text]) => text))
  const times = new Map(await to.page.evaluate((times) => [...times], shown))
  return sent.map(([text, at]) => (times.get(text) ?? Number.NaN) - at).toSorted((a, b) => a - b)
}
