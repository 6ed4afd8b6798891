import { expect, it } from 'vitest'
import { type Inline, parse, parseInline } from '../src/text/parse.ts'

/** A short spelling of a tree. */
function spell(nodes: Inline[]): string {
  return nodes
    .map((node) => {
      switch (node.type) {
        case 'text':
          return node.text
        case 'code':
          return `<code ${node.text}>`
        case 'link':
          return `<link ${node.text}>`
        default:
          return `<${node.type} ${spell(node.children)}>`
      }
    })
    .join('')
}

it.each([
  ['plain', 'plain'],
  ['a **b** c', 'a <strong b> c'],
  ['*a* and **b *c* d**', '<emphasis a> and <strong b <emphasis c> d>'],
  ['`**a**` *`b`*', '<code **a**> <emphasis <code b>>'],
  ['2*3*4 a*b*c', '2*3*4 a*b*c'],
  ['* a * b *', '* a * b *'],
  ['**', '**'],
  ['****', '****'],
  ['**a', '**a'],
  ['`a', '`a'],
  ['``', '``'],
  ['_a_ and *_b_*, __c__, snake_case_name', '<emphasis a> and <emphasis <emphasis b>>, __c__, snake_case_name'],
  ['(*a*), *b*.', '(<emphasis a>), <emphasis b>.'],
])('marks: %s', (text, wanted) => {
  expect(spell(parseInline(text))).toBe(wanted)
})

it.each([
  ['see https://a.example/b?c=d#e.', 'see <link https://a.example/b?c=d#e>.'],
  ['(https://a.example/x_(y))', '(<link https://a.example/x_(y)>)'],
  ['**https://a.example/**', '<strong <link https://a.example/>>'],
  ['http://localhost:8080/', '<link http://localhost:8080/>'],
  ['https://', 'https://'],
  ['javascript:alert(1) data:text/html,x', 'javascript:alert(1) data:text/html,x'],
  ['ftp://a vbscript:x', 'ftp://a vbscript:x'],
  ['xhttps://a.example', 'xhttps://a.example'],
  ['https://bank.example@evil.example/', 'https://bank.example@evil.example/'],
  ['https://a.example/\u202egnp.exe', '<link https://a.example/>\u202egnp.exe'],
  ['https://a.example/"onmouseover="x', '<link https://a.example/>"onmouseover="x'],
  ['https://a.example/<b>', '<link https://a.example/><b>'],
])('links: %s', (text, wanted) => {
  expect(spell(parseInline(text))).toBe(wanted)
})

it('takes blocks of code out of the paragraphs', () => {
  expect(parse('before\n```rust\nfn main() {}\n**x**\n```\nafter')).toEqual([
    { type: 'paragraph', children: [{ type: 'text', text: 'before' }] },
    { type: 'code', text: 'fn main() {}\n**x**', language: 'rust' },
    { type: 'paragraph', children: [{ type: 'text', text: 'after' }] },
  ])
  expect(parse('```one line```')).toEqual([{ type: 'code', text: 'one line', language: '' }])
  expect(parse('```open')).toHaveLength(1)
})

/** Everything that was written is there, in its order, whatever the marks. */
it('loses no character but the marks', () => {
  const text = (nodes: Inline[]): string =>
    nodes.map((node) => ('children' in node ? text(node.children) : node.text)).join('')
  let seed = 1
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below
  for (let round = 0; round < 2_000; round++) {
    const parts = ['*', '**', '`', ' ', 'a', 'https://a.example', '(', ')', '\n', '<b>', '😀']
    const written = Array.from({ length: random(24) }, () => parts[random(parts.length)]).join('')
    expect(text(parseInline(written)).replaceAll(/[*`]/g, '')).toBe(written.replaceAll(/[*`]/g, ''))
  }
})

it('takes a text of nothing but marks without searching it again for each', () => {
  for (const part of ['*', '**', '`', '*a', '**a', '* a', '`a` ', 'https://(', ')', '(*', '*a **b ', 'a*b ']) {
    // Squared, this would take minutes.
    expect(parse(`https://a${part.repeat(60_000)}`).length).toBeGreaterThan(0)
  }
})
