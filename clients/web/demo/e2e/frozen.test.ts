// Pages that stand still while the room goes on: they catch up, and nothing is lost.

import { expect, it } from 'vitest'
import { KINDS, Stage } from './stage.ts'

const stage = new Stage()

/** Longer than a session waits for answers only where there is time for it: `LOQUIC_LONG=1`. */
const BLOCK_MS = process.env['LOQUIC_LONG'] === undefined ? 5_000 : 30_000

it('a frozen tab catches up when it is thawed', async () => {
  const [ada, bob] = await stage.openBoth('frozen')
  await ada.send('before')
  await stage.expectAll('frozen', [ada, bob], ['before'])
  const control = await ada.page.createCDPSession()
  await control.send('Page.setWebLifecycleState', { state: 'frozen' })
  const wanted = Array.from({ length: 50 }, (_, index) => `while frozen ${index}`)
  for (const text of wanted) await bob.send(text)
  await bob.settled(51)
  await control.send('Page.setWebLifecycleState', { state: 'active' })
  // Chromium keeps it hidden, and draws nothing, until it is the tab in front again.
  await stage.visit('chromium', 'about:blank')
  await ada.page.bringToFront()
  await ada.send('after')
  await stage.expectAll('frozen', [ada, bob], ['before', ...wanted, 'after'])
})

it.each(KINDS)('a page whose main thread is blocked catches up, in %s', async (kind) => {
  const both = await stage.openBoth('blocked')
  const [blocked, other] = kind === 'chromium' ? both : both.toReversed()
  if (blocked === undefined || other === undefined) throw new Error('two tabs were opened')
  const block = blocked.page.evaluate((ms) => {
    const field = document.querySelector('#text') as HTMLTextAreaElement
    field.value = 'just before'
    field.form?.requestSubmit()
    const end = performance.now() + ms
    let isOver = false
    while (!isOver) isOver = performance.now() >= end
    return isOver
  }, BLOCK_MS)
  const wanted = Array.from({ length: 50 }, (_, index) => `while blocked ${index}`)
  for (const text of wanted) await other.send(text)
  await other.settled(50)
  expect(await block).toBe(true)
  await stage.expectAll('blocked', both, [...wanted, 'just before'])
})
