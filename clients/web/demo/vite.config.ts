import { defaultClientConditions, defineConfig } from 'vite'

export default defineConfig({
  // The page uses the SDK's sources, so that both are built at once.
  resolve: { conditions: ['loquic-source', ...defaultClientConditions] },
  // With `npm run dev` the page is Vite's and the rest is the server's.
  server: { proxy: { '/v1': { target: 'http://127.0.0.1:8080', changeOrigin: true } } },
  build: { target: 'es2022', sourcemap: true },
})
