/*
 * A list of what happened, the newest first, no longer than it is useful.
 */
import { element, setText } from './dom.js'
import { timeOfDay } from './format.js'

const MOST = 200
/** How long the same, of actors beside one another, is one thing that happened, in ms. */
const TOGETHER_MS = 1000

/**
 * A feed in the panel, with `nothing` while it is empty.
 * @param {(path: string) => void} show goes to the actor with the path
 */
export function makeFeed(panel, { title, nothing, show }) {
  let newest
  const note = element('p', { class: 'note' }, nothing)
  const list = element('ol', { class: 'feed', 'aria-label': title })
  panel.append(note, list)
  return {
    /** Puts one happening on top; what happens beside it at once is counted with it. */
    add({ at, what, light, path, cause }) {
      note.hidden = true
      const key = `${what} ${path.slice(0, path.lastIndexOf('/'))} ${cause ?? ''}`
      if (newest?.key === key && at - newest.at < TOGETHER_MS) {
        setText(newest.more, `and ${++newest.count} more beside it`)
        return
      }
      const more = element('span', { class: 'when' })
      newest = { key, at, more, count: 0 }
      const where = element('button', {
        type: 'button',
        class: 'where mono',
        title: path,
        on: { click: () => show(path) },
      })
      // The end of a path says more than its beginning, so that the beginning is cut.
      where.append(element('bdi', {}, path))
      list.prepend(
        element(
          'li',
          {},
          element('time', { class: 'when', datetime: new Date(at).toISOString() }, timeOfDay(at)),
          element('span', { class: 'what', 'data-light': light }, what),
          where,
          more,
          cause === undefined ? undefined : element('p', { class: 'cause' }, cause),
        ),
      )
      if (list.childElementCount > MOST) list.lastElementChild.remove()
    },
  }
}
