// The chat: what the SDK does, as a product would show it.

import './style/base.css'
import './style/layout.css'
import './style/messages.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './App.tsx'
import { applyTheme } from './theme.ts'

applyTheme()
const root = document.getElementById('app')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
