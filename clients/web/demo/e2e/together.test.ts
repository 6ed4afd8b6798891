// Who is there, what was read, and what was deleted: the same in both browsers.

import { expect, it } from 'vitest'
import type { Tab } from './browser.ts'
import { Stage } from './stage.ts'

const stage = new Stage()

/** Waits until the list of people is this one: `name` or `name ×sessions`. */
async function people(tab: Tab, wanted: string[]): Promise<void> {
  const shows = (wanted: string) => {
    const button = document.querySelector<HTMLElement>('.people-button')
    if (button?.getAttribute('aria-expanded') === 'false') button.click()
    const rows = [...document.querySelectorAll('#people li')].map((row) => {
      const sessions = row.querySelector('[title$="sessions"]')?.textContent
      return `${row.querySelector('.name')?.textContent}${sessions === undefined ? '' : ` ${sessions}`}`
    })
    return rows.toSorted().join() === wanted
  }
  await tab.page.waitForFunction(shows, { timeout: 60_000, polling: 50 }, wanted.join())
}

it('pages see each other come, open a second session, and leave', async () => {
  const [ada, bob] = await stage.openBoth('people')
  for (const tab of [ada, bob]) await people(tab, ['ada', 'bob'])
  const second = await stage.open('firefox', 'people', 'bob')
  for (const tab of [ada, bob, second]) await people(tab, ['ada', 'bob ×2'])
  await second.page.close()
  for (const tab of [ada, bob]) await people(tab, ['ada', 'bob'])
  await bob.page.close()
  await people(ada, ['ada'])
})

it('a deleted message is gone in the other browser, and after a reload', async () => {
  const [ada, bob] = await stage.openBoth('deleted')
  await ada.send('regretted')
  await ada.send('kept')
  await stage.expectAll('deleted', [ada, bob], ['regretted', 'kept'])
  await ada.page.$eval('[data-offset="1"] .erase', (button) => (button as HTMLElement).click())
  const sure = await ada.page.waitForSelector('[data-offset="1"] .danger')
  await sure?.evaluate((button) => (button as HTMLElement).click())
  const gone = async (tab: Tab) => {
    await tab.page.waitForSelector('[data-offset="1"] .gone', { timeout: 60_000 })
    expect(await tab.page.evaluate(() => document.body.textContent)).not.toContain('regretted')
  }
  for (const tab of [ada, bob]) await gone(tab)
  for (const { page } of [ada, bob]) await page.reload()
  for (const tab of [ada, bob]) await gone(tab)
  await stage.server.kill()
  const log = await stage.server.cat('deleted')
  expect(log.map(({ payload }) => payload)).not.toContain('regretted')
})

it('what was read in one browser is read in the other', async () => {
  const badge = (tab: Tab, wanted: string) => {
    const shows = (wanted: string) =>
      (document.querySelector('.room[title="chat:random"] .badge')?.textContent ?? '') === wanted
    return tab.page.waitForFunction(shows, { timeout: 60_000, polling: 50 }, wanted)
  }
  const here = await stage.open('chromium', 'chat:lobby', 'ada')
  const there = await stage.open('firefox', 'chat:lobby', 'ada')
  await Promise.all([here, there].map((tab) => tab.state('online')))
  for (const text of ['1', '2', '3']) await stage.server.publish('chat:random', text)
  await Promise.all([here, there].map((tab) => badge(tab, '3')))
  await here.page.bringToFront()
  await here.page.$eval('.room[title="chat:random"]', (link) => (link as HTMLElement).click())
  await Promise.all([here, there].map((tab) => badge(tab, '')))
  await stage.server.publish('chat:random', '4')
  // Read at once where it is open, so it is unread nowhere in the end.
  await here.settled(4)
  await there.page.reload()
  await badge(there, '')
})
