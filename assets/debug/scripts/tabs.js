/*
 * The panels beside the tree: one is shown. Arrow keys go from tab to tab.
 */

const chosen = new EventTarget()

/** Makes the tabs of the element work. */
export function startTabs(list) {
  // A panel scrolls, and may hold nothing else that the keyboard reaches.
  for (const tab of shown(list)) document.getElementById(tab.getAttribute('aria-controls')).tabIndex = 0
  list.addEventListener('click', event => {
    const tab = event.target.closest('[role="tab"]')
    if (tab !== null) showTab(tab.id)
  })
  list.addEventListener('keydown', event => {
    const tabs = shown(list)
    const at = tabs.indexOf(document.activeElement)
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key]
    if (at < 0 || to === undefined) return
    event.preventDefault()
    const tab = tabs[(to + tabs.length) % tabs.length]
    showTab(tab.id)
    tab.focus()
  })
}

const shown = list => [...list.querySelectorAll('[role="tab"]')].filter(tab => !tab.hidden)

/** Shows the panel of the tab, and hides the others. */
export function showTab(id) {
  const tab = document.getElementById(id)
  for (const other of tab.parentElement.children) {
    const isChosen = other === tab
    other.setAttribute('aria-selected', String(isChosen))
    other.tabIndex = isChosen ? 0 : -1
    document.getElementById(other.getAttribute('aria-controls')).hidden = !isChosen
  }
  chosen.dispatchEvent(new CustomEvent('chosen', { detail: id }))
}

export const isShown = id => document.getElementById(id).getAttribute('aria-selected') === 'true'

/** Tells the id of each tab that is shown from now on. */
export const onTab = tell => chosen.addEventListener('chosen', event => tell(event.detail))
