// The package as others get it: it loads where there is no browser, and it is small.

import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
let dist = ''

beforeAll(async () => {
  dist = await mkdtemp(`${root}dist-`)
  await run('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', dist], { cwd: root })
}, 120_000)

afterAll(() => rm(dist, { recursive: true, force: true }))

/** What a program prints that runs in plain Node. */
async function node(program: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: root })
  return stdout.trim()
}

it('loads in Node, touches nothing, and says what is missing when it is used', async () => {
  const program = `
    const before = Object.keys(globalThis).join()
    const { createClient } = await import('${dist}/index.js')
    if (Object.keys(globalThis).join() !== before) throw new Error('it leaves something behind')
    delete globalThis.WebSocket
    const client = createClient({ url: 'https://127.0.0.1:1', name: 'ada' })
    for await (const { state, error } of client.status()) if (state === 'closed') console.log(error.kind)
  `
  expect(await node(program)).toBe('invalid')
})

it('the mock server works in Node as it is', async () => {
  const program = `
    const { MockServer } = await import('${dist}/testing/index.js')
    await using client = new MockServer().client()
    console.log((await client.room('r').publish('a')).offset)
  `.replace('await using', 'const')
  expect(await node(`${program}; process.exit(0)`)).toBe('1')
})

/** What an application takes in, all exports counted, without what is loaded when needed. */
const SIZE_MAX = 20_000

it('is small, and what many pages never need is in chunks of their own', async () => {
  // As of an application: what its own chunks share with those loaded later stays in them.
  const preserveEntrySignatures = 'allow-extension'
  const bundle = await rolldown({ input: `${dist}/index.js`, preserveEntrySignatures, cwd: root })
  const { output } = await bundle.generate({ format: 'esm', minify: true, comments: false })
  const chunks = output.filter((part) => part.type === 'chunk')
  const sizes = new Map(chunks.map(({ name, code }) => [name, gzipSync(code, { level: 9 }).length]))
  console.log('gzip, index at once and the others when needed:', Object.fromEntries(sizes))
  expect([...sizes.keys()].sort()).toEqual(['adoption', 'index', 'questions', 'websocket'])
  expect(sizes.get('websocket')).toBeGreaterThan(5_000)
  expect(sizes.get('index')).toBeLessThan(SIZE_MAX)
}, 60_000)
