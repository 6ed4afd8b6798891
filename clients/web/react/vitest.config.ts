import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['loquic-source'] },
  ssr: { resolve: { conditions: ['loquic-source'] } },
  test: { include: ['test/**/*.test.{ts,tsx}'], environment: 'happy-dom' },
})
