// What strangers write is text, in browsers that would run it.

import { expect, it } from 'vitest'
import { HOSTILE } from '../test/hostile.ts'
import { KINDS, Stage } from './stage.ts'

const stage = new Stage()

it.each(KINDS)('hostile texts are shown and do nothing, in %s', async (kind) => {
  const tab = await stage.open(kind, 'hostile', 'ada')
  await tab.state('online')
  const dialogs: string[] = []
  tab.page.on('dialog', (dialog) => {
    dialogs.push(dialog.message())
    void dialog.dismiss()
  })
  const violations = await tab.page.evaluateHandle(() => {
    const seen: string[] = []
    addEventListener('securitypolicyviolation', ({ violatedDirective }) => seen.push(violatedDirective))
    return seen
  })
  const before = tab.page.url()
  for (const text of HOSTILE) await stage.server.post('hostile', text)
  await tab.settled(HOSTILE.length)
  expect(await tab.rows()).toHaveLength(HOSTILE.length)
  const attributes = await tab.page.$$eval('#records .text, #records .text *', (all) =>
    all.flatMap((element) => element.getAttributeNames().filter((name) => name.startsWith('on'))),
  )
  expect(attributes).toEqual([])
  const links = await tab.page.$$eval('#records .text a', (all) => all.map((link) => (link as HTMLAnchorElement).href))
  for (const link of links) expect(link).toMatch(/^https?:/)
  const tags = await tab.page.$$eval('#records .text, #records .text *', (all) => all.map(({ tagName }) => tagName))
  for (const tag of tags) expect(['A', 'BUTTON', 'CODE', 'DIV', 'EM', 'P', 'PRE', 'STRONG']).toContain(tag)
  expect(await violations.jsonValue()).toEqual([])
  expect(dialogs).toEqual([])
  expect(tab.page.url()).toBe(before)
})
