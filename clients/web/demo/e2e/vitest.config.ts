import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Browsers and a server start for each test; they are slow on two processors, and nothing here depends on how slow.
  test: {
    dir: import.meta.dirname,
    globalSetup: `${import.meta.dirname}/bare/build.ts`,
    include: ['*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    // Two browsers and a server are what two processors can do.
    fileParallelism: false,
  },
})
