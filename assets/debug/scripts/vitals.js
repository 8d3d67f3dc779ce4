/*
 * How the whole server does: one number and one line each.
 */
import { element, setText } from './dom.js'
import { History, sparkline } from './sparkline.js'

/**
 * Draws a tile for each; `update` takes their values by name.
 * @param {{ name: string, title: string, unit?: string, show(value: number): string }[]} tiles
 */
export function startVitals(place, tiles) {
  const shown = new Map(
    tiles.map(({ name, title, unit, show }) => {
      const number = element('span', {}, '\u2013')
      const spark = element('div', { class: 'spark' })
      const id = `vital-${name}`
      const output = element('output', { id, 'aria-live': 'off' }, number, unit && element('small', {}, ` ${unit}`))
      place.append(element('div', { class: 'vital' }, element('h3', {}, title), output, spark))
      const history = new History()
      return [name, { number, history, show, line: sparkline(spark, history) }]
    }),
  )
  return {
    update(at, values) {
      for (const [name, { number, history, show, line }] of shown) {
        const value = values[name]
        if (value === undefined) continue
        setText(number, show(value))
        history.push(at, value)
        line.update()
      }
    },
  }
}
