/*
 * Light, dark, or as the system has it; kept in this browser.
 */
import { redrawSparklines } from './sparkline.js'

const themes = ['auto', 'light', 'dark']
const texts = { auto: 'Auto', light: 'Light', dark: 'Dark' }
const meanings = { auto: 'as the system has them', light: 'light', dark: 'dark' }
const KEY = 'meerkat.theme'

/** Makes the button go through the themes. `changed` is called when colours are others than before. */
export function startTheme(button, changed) {
  let theme = kept()
  const show = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
    button.textContent = texts[theme]
    button.setAttribute('aria-label', `Colours: ${meanings[theme]}`)
    redrawSparklines()
    changed()
  }
  button.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length]
    keep(theme)
    show()
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show)
  show()
}

/** A browser may refuse to keep anything. */
function kept() {
  try {
    const theme = localStorage.getItem(KEY)
    return themes.includes(theme) ? theme : 'auto'
  } catch {
    return 'auto'
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // It holds until the page is left.
  }
}
