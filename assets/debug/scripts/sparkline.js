/*
 * A line of the last two minutes, by uPlot. Its colour is the `color` of the element that it stands in.
 */
const { uPlot } = globalThis

/** Points that a line keeps; what is older leaves at the left. */
const KEPT = 120

/** A ring of measurements, [seconds, value]. */
export class History {
  times = []
  values = []

  push(atMs, value) {
    this.times.push(atMs / 1000)
    this.values.push(value)
    if (this.times.length <= KEPT) return
    this.times.shift()
    this.values.shift()
  }

  get last() {
    return this.values.at(-1)
  }
}

/** Lines that exist, for when the colours change. */
const drawn = new Set()

/** Draws the history into `place`, which has a size of its own; `update` after each push, `remove` when the place goes. */
export function sparkline(place, history) {
  const colour = () => getComputedStyle(place).color
  const wash = () => colour().replace(/^rgb\(([^)]+)\)$/, 'rgba($1, 0.13)')
  const chart = new uPlot(
    {
      width: Math.max(place.clientWidth, 20),
      height: Math.max(place.clientHeight, 10),
      padding: [3, 3, 3, 3],
      legend: { show: false },
      cursor: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: { x: { time: false }, y: { range: (_chart, _least, most) => [0, Math.max(most, 1) * 1.1] } },
      series: [{}, { stroke: colour, fill: wash, width: 1.5, points: { show: false } }],
    },
    dataOf(history),
    place,
  )
  chart.root.setAttribute('aria-hidden', 'true')
  const resized = new ResizeObserver(() => {
    if (place.clientWidth > 0) chart.setSize({ width: place.clientWidth, height: place.clientHeight })
  })
  resized.observe(place)
  drawn.add(chart)
  return {
    update: () => chart.setData(dataOf(history)),
    remove() {
      resized.disconnect()
      drawn.delete(chart)
      chart.destroy()
    },
  }
}

const dataOf = ({ times, values }) => [times, values]

/** Draws every line again, in the colours that hold now. */
export function redrawSparklines() {
  for (const chart of drawn) chart.redraw(false)
}
