/*
 * Finds sessions by what their JID contains; a combobox as WAI-ARIA's pattern has it.
 */
import { get } from './api.js'
import { byId, element } from './dom.js'
import { counted } from './format.js'
import { tell } from './told.js'

const SHOWN = 12
/** How long to wait for the next letter, in ms. */
const PAUSE = 180

/** @param {(path: string) => void} show goes to the actor of a session */
export function startSearch(show) {
  const [form, input, list] = [byId('search'), byId('search-text'), byId('search-found')]
  let timer
  let asked = 0
  let chosen = -1

  const options = () => [...list.querySelectorAll('[role="option"]')]
  const close = () => {
    list.hidden = true
    chosen = -1
    input.setAttribute('aria-expanded', 'false')
    input.removeAttribute('aria-activedescendant')
  }
  const choose = index => {
    const all = options()
    if (all.length === 0) return
    chosen = (index + all.length) % all.length
    for (const [at, option] of all.entries()) option.setAttribute('aria-selected', String(at === chosen))
    all[chosen].scrollIntoView({ block: 'nearest' })
    input.setAttribute('aria-activedescendant', all[chosen].id)
  }
  const take = option => {
    close()
    if (option?.dataset.path) show(option.dataset.path)
  }

  async function ask() {
    const search = input.value.trim()
    const number = ++asked
    if (search === '') return close()
    let found
    try {
      found = await get('sessions', { search, limit: SHOWN })
    } catch (error) {
      found = { items: [], matched: 0, error: error.message }
    }
    // A slow answer must not replace that of what was typed later.
    if (number !== asked) return
    showFound(found)
  }

  function showFound({ items, matched, error }) {
    chosen = -1
    const note = error ?? (matched === 0 ? 'No session has this in its JID' : counted(matched, 'session'))
    const more = matched > items.length ? `${note}, the first ${items.length} shown` : note
    list.replaceChildren(
      ...items.map((session, index) =>
        element(
          'div',
          {
            role: 'option',
            id: `found-${index}`,
            'aria-selected': 'false',
            'data-path': session.path ?? '',
            title: session.jid,
          },
          session.jid,
          element('small', {}, about(session)),
        ),
      ),
      element('div', { class: 'note', role: 'presentation' }, more),
    )
    list.hidden = false
    input.setAttribute('aria-expanded', 'true')
    tell(more)
  }

  const askSoon = () => {
    clearTimeout(timer)
    timer = setTimeout(ask, PAUSE)
  }
  input.addEventListener('input', askSoon)
  input.addEventListener('focus', () => input.value !== '' && ask())
  input.addEventListener('keydown', event => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step !== undefined && !list.hidden) {
      event.preventDefault()
      choose(chosen < 0 && step < 0 ? -1 : chosen + step)
    } else if (event.key === 'Escape') {
      if (list.hidden) input.blur()
      else close()
    }
  })
  form.addEventListener('submit', event => {
    event.preventDefault()
    if (list.hidden) void ask()
    else take(options()[Math.max(chosen, 0)])
  })
  list.addEventListener('click', event => take(event.target.closest('[role="option"]')))
  form.parentElement.addEventListener('focusout', event => {
    if (!form.parentElement.contains(event.relatedTarget)) setTimeout(close, 150)
  })
  addEventListener('keydown', event => {
    const isTyping = /^(?:input|select|textarea)$/i.test(event.target.tagName ?? '')
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    input.focus()
    input.select()
  })
}

const about = ({ listener, address, isDetached, isAvailable, priority, path }) =>
  [
    listener,
    address,
    isDetached ? 'waits to be resumed' : isAvailable ? `available, priority ${priority}` : 'not available',
    path === null ? 'not in this tree' : undefined,
  ]
    .filter(Boolean)
    .join(', ')
