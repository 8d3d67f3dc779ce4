/*
 * Asks once more before something is done that cannot be undone.
 */
import { byId } from './dom.js'

/** Resolves with whether the user wants it. `verb` stands on the button that does it. */
export function confirmed(title, text, verb) {
  const dialog = byId('confirm')
  byId('confirm-title').textContent = title
  byId('confirm-text').textContent = text
  const [yes, no] = [byId('confirm-yes'), byId('confirm-no')]
  yes.textContent = verb
  return new Promise(resolve => {
    const answers = new AbortController()
    const { signal } = answers
    const answer = isYes => {
      answers.abort()
      dialog.close()
      resolve(isYes)
    }
    yes.addEventListener('click', () => answer(true), { signal })
    no.addEventListener('click', () => answer(false), { signal })
    // Escape
    dialog.addEventListener('cancel', () => answer(false), { signal })
    dialog.showModal()
    no.focus()
  })
}
