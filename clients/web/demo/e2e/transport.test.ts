// Networks that swallow UDP: the page goes on over WebSocket by itself, from the start and in the middle.

import { expect, it } from 'vitest'
import { Stage } from './stage.ts'

const stage = new Stage(() => ({ proxied: true }))

it('where UDP is swallowed, pages connect over WebSocket and say why', async () => {
  const { udp } = stage.server
  if (udp === undefined) throw new Error('there is no proxy')
  udp.isSwallowing = true
  const [ada, bob] = await stage.openBoth('blocked')
  for (const [tab, name] of [[ada, 'chromium'], [bob, 'firefox']] as const) {
    const ms = await tab.over('WebSocket')
    expect(await tab.why()).toContain('webtransport did not answer in time')
    console.log(`figure: page open → connected over WebSocket, UDP swallowed, ${name}: ${ms.toFixed(0)} ms`)
  }
  await ada.send('from ada')
  await bob.send('from bob')
  await stage.expectAll('blocked', [ada, bob], ['from ada', 'from bob'])
})

it('where UDP is swallowed in the middle, pages go on over WebSocket and lose and repeat nothing', async () => {
  const { udp } = stage.server
  if (udp === undefined) throw new Error('there is no proxy')
  const both = await stage.openBoth('middle')
  await Promise.all(both.map((tab) => tab.over('WebTransport')))
  const wanted: string[] = []
  const send = async (count: number) => {
    for (const tab of both) {
      wanted.push(`${both.indexOf(tab)} ${count}`)
      await tab.send(`${both.indexOf(tab)} ${count}`)
    }
  }
  for (let count = 0; count < 20; count++) {
    await send(count)
    if (count === 10) udp.isSwallowing = true
  }
  const since = performance.now()
  await Promise.all(both.map(async (tab) => {
    await tab.over('WebSocket')
    console.log(`figure: UDP swallowed → connected over WebSocket: ${(performance.now() - since).toFixed(0)} ms`)
    expect(await tab.why()).toContain('webtransport has fallen silent')
  }))
  await send(20)
  await stage.expectAll('middle', both, wanted)
})
