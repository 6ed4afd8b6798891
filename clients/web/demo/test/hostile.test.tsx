// Goal: what strangers write is text, whatever it looks like.

import { cleanup, render } from '@testing-library/react'
import { afterEach, expect, it } from 'vitest'
import { Formatted } from '../src/text/Formatted.tsx'
import { showName } from '../src/text/words.ts'
import { HOSTILE } from './hostile.ts'

afterEach(cleanup)

/** What formatting may make. */
const ALLOWED = ['A', 'BUTTON', 'CODE', 'DIV', 'EM', 'P', 'PRE', 'STRONG']
const ATTRIBUTES = ['aria-label', 'class', 'href', 'rel', 'tabindex', 'target', 'title', 'type']

it.each(HOSTILE)('shows as text: %s', (text) => {
  const { container } = render(<Formatted value={text} />)
  for (const element of container.querySelectorAll('*')) {
    expect(ALLOWED).toContain(element.tagName)
    for (const name of element.getAttributeNames()) expect(ATTRIBUTES).toContain(name)
  }
  for (const link of container.querySelectorAll('a')) {
    expect(link.getAttribute('href')).toMatch(/^https?:\/\//)
    expect(link.rel).toContain('noopener')
  }
  // Nothing is swallowed but marks, and the language of a block, which is its label.
  const plain = (text: string) => text.replaceAll(/[*`\s]/g, '')
  const language = container.querySelector('pre')?.getAttribute('aria-label')?.split(', ')[1] ?? ''
  expect(language + plain(container.textContent)).toBe(plain(text))
})

it.each(HOSTILE)('shows as part of JSON: %s', (text) => {
  const { container } = render(<Formatted value={{ [text]: text }} />)
  const tags = [...container.querySelectorAll('*')].map(({ tagName }) => tagName)
  expect(tags.filter((tag) => !ALLOWED.includes(tag))).toEqual([])
})

it('takes apart names that steer the text around them', () => {
  expect(showName('ada\u202egnp.exe')).toBe('ada\ufffdgnp.exe')
  expect(showName('a\nb\u0000c\u2066d\u200be')).toBe('a\ufffdb\ufffdc\ufffdd\ufffde')
  expect(showName('👩‍💻 José')).toBe('👩‍💻 José')
})

it('shortens what is too long, and shows it all when asked', () => {
  const { container, getByRole } = render(<Formatted value={'x'.repeat(50_000)} />)
  expect(container.textContent.length).toBeLessThan(5_000)
  expect(getByRole('button').textContent).toBe('Show all 50,000 characters')
})
