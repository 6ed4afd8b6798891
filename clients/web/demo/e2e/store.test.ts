// What was published and has no answer, over reloads, closed tabs and other users.

import { describe, expect, it } from 'vitest'
import { BARE } from './bare/build.ts'
import type { Bare } from './bare/bare.ts'
import { KINDS, Stage } from './stage.ts'

declare const bare: Bare

const texts = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `p${from + index}`)

describe('the SDK alone', () => {
  const stage = new Stage(() => ({ page: BARE }))

  it.each(KINDS)('a reload amid 1,000 publishes loses and repeats none that was stored, in %s', async (kind) => {
    const { page } = await stage.visit(kind, stage.server.origin)
    const publish = (texts: string[]) => void bare.publish('ada', 'thousand', texts)
    await page.evaluate(publish, texts(0, 1_000))
    await page.waitForFunction(() => bare.kept().length >= 500, { polling: 1, timeout: 30_000 })
    await page.reload()
    const kept = await page.evaluate(() => bare.kept())
    console.log(`figure: reloaded after ${kept.length} of 1,000, ${kind}`)
    await page.evaluate(publish, texts(1_000, 1_010))
    await page.evaluate(() => bare.settle())
    const found = (await stage.server.read('thousand')).map(({ payload }) => payload)
    const all = await page.evaluate(() => bare.kept())
    expect(kept.length).toBeLessThan(1_000)
    expect(found.filter((text) => all.includes(text)).toSorted()).toEqual(all.toSorted())
    expect(new Set(found).size).toBe(found.length)
  })
})

describe('the chat', () => {
  const stage = new Stage()

  it.each(KINDS)('tabs, a copy and another user share a store, and nobody sends for another, in %s', async (kind) => {
    const [first, second] = [await stage.open(kind, 'shared', 'ada'), await stage.open(kind, 'shared', 'ada')]
    await Promise.all([first, second].map((tab) => tab.state('online')))
    const copy = await stage.duplicate(second)
    await copy.state('online')
    await stage.server.kill()
    const left = [[first, 'first'], [second, 'second'], [copy, 'copy']] as const
    for (const [tab, text] of left) {
      await tab.send(text)
      await tab.waiting(text)
    }
    await stage.server.start()
    // The same tab, now somebody else's: what it leaves behind is Ada's.
    await second.page.goto(stage.server.page('shared', 'eve'))
    await second.send('from eve')
    await stage.expectAll('shared', [first, second, copy], ['first', 'second', 'copy', 'from eve'])
    const senders = (await stage.server.read('shared')).map(({ sender, payload }) => `${sender}: ${payload}`)
    expect(senders.toSorted()).toEqual(['ada: copy', 'ada: first', 'ada: second', 'eve: from eve'])
  })

  it.each(KINDS)('what a user has left behind waits until that user is back, in %s', async (kind) => {
    const tab = await stage.open(kind, 'switch', 'ada')
    await tab.state('online')
    await stage.server.kill()
    await tab.send('from ada')
    await tab.waiting('from ada')
    await stage.server.start()
    await tab.page.goto(stage.server.page('switch', 'eve'))
    await tab.send('from eve')
    await stage.expectAll('switch', [tab], ['from eve'])
    await tab.page.goto(stage.server.page('switch', 'ada'))
    await stage.expectAll('switch', [tab], ['from eve', 'from ada'])
    const senders = (await stage.server.read('switch')).map(({ sender, payload }) => `${sender}: ${payload}`)
    expect(senders).toEqual(['eve: from eve', 'ada: from ada'])
  })
})
