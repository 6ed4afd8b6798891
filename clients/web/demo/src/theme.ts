// Light or dark: as the system says, until somebody says otherwise.

export type Theme = 'light' | 'dark'

const KEY = 'loquic-demo/theme'

export function theme(): Theme {
  const kept = localStorage.getItem(KEY)
  if (kept === 'light' || kept === 'dark') return kept
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

/** Shows what was said before, if something was. */
export function applyTheme(): void {
  const kept = localStorage.getItem(KEY)
  if (kept !== null) document.documentElement.dataset['theme'] = kept
}

export function toggleTheme(): Theme {
  const next = theme() === 'dark' ? 'light' : 'dark'
  localStorage.setItem(KEY, next)
  applyTheme()
  return next
}
