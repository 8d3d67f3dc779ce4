/*
 * A family as small squares, one for each member, the fuller the more there is below it: a canvas, so that a thousand cost one element.
 */

const [CELL, STEP, ROWS, MOST] = [4, 5, 3, 120]

/** Members that share a square, and the squares that there are. */
const share = members => Math.ceil(members / MOST)
const cells = members => Math.ceil(members / share(members))

/** Width in pixels for so many members. */
export const mosaicWidth = members => Math.ceil(cells(members) / ROWS) * STEP

/** Paints the numbers in the `color` of the canvas. Above `MOST` members, several share a square. */
export function paintMosaic(canvas, numbers) {
  const squares = gathered(numbers)
  const scale = globalThis.devicePixelRatio || 1
  const width = mosaicWidth(squares.length)
  const height = ROWS * STEP
  const colour = getComputedStyle(canvas).color
  const key = `${squares.join()} ${scale} ${colour}`
  if (canvas.dataset.painted === key) return
  canvas.dataset.painted = key
  canvas.width = width * scale
  canvas.height = height * scale
  canvas.style.width = `${width}px`
  const context = canvas.getContext('2d')
  context.scale(scale, scale)
  context.fillStyle = colour
  const most = Math.max(1, ...squares)
  for (const [index, number] of squares.entries()) {
    context.globalAlpha = number === 0 ? 0.16 : 0.4 + 0.6 * (number / most)
    context.fillRect(Math.floor(index / ROWS) * STEP, (index % ROWS) * STEP, CELL, CELL)
  }
}

function gathered(numbers) {
  const each = share(numbers.length)
  return Array.from({ length: cells(numbers.length) }, (_, cell) =>
    numbers.slice(cell * each, (cell + 1) * each).reduce((sum, number) => sum + number, 0),
  )
}
