// Builds the page with nothing but the SDK, once for all tests.

import { join } from 'node:path'
import { build, defaultClientConditions } from 'vite'

/** Where it is. */
export const BARE = join(import.meta.dirname, 'dist')

export default async function setup(): Promise<void> {
  await build({
    root: import.meta.dirname,
    configFile: false,
    logLevel: 'warn',
    resolve: { conditions: ['loquic-source', ...defaultClientConditions] },
    build: { target: 'es2022', outDir: BARE, emptyOutDir: true },
  })
}
