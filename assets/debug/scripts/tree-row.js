/*
 * One row of the tree as an element: made once, then written over as what it shows changes.
 */
import { element, setAttribute, setText } from './dom.js'
import { compact, measured } from './format.js'
import { TALL_ROW } from './layout.js'
import { mosaicWidth, paintMosaic } from './mosaic.js'

/**
 * What a row shows.
 * @typedef {object} RowShown
 * @property {string} id
 * @property {'actor' | 'bucket' | 'more'} kind
 * @property {string} name
 * @property {string} label all of it, for who cannot see it
 * @property {number} level from 1
 * @property {number} branch 0 for the root
 * @property {string} count how many are in it or below it
 * @property {number} rate messages per second
 * @property {boolean} hasWorked whether it ever had a rate
 * @property {number} waiting in the mailbox
 * @property {number} faults
 * @property {string} state
 * @property {readonly number[] | undefined} mosaic
 * @property {boolean} mayExpand
 * @property {boolean} isExpanded
 * @property {boolean} isTall
 * @property {number} width
 * @property {RowShown[]} children
 */

const [MAX_NAME, GAP, NAME_FONT, SMALL_FONT] = [300, 8, '14px', '12px']
const ruler = document.createElement('canvas').getContext('2d')
const measuredTexts = new Map()

function textWidth(text, size) {
  const key = `${size} ${text}`
  let width = measuredTexts.get(key)
  if (width === undefined) {
    ruler.font = `${size} ${getComputedStyle(document.documentElement).fontFamily}`
    width = ruler.measureText(text).width
    if (measuredTexts.size > 2000) measuredTexts.clear()
    measuredTexts.set(key, width)
  }
  return width
}

const rateText = ({ rate }) => (rate >= 0.05 ? `${rate < 10_000 ? measured(rate) : compact(rate)}/s` : '')
const waitText = ({ waiting }) => (waiting > 0 ? `${compact(waiting)} waiting` : '')
const hurtText = ({ faults }) => (faults > 0 ? `${compact(faults)} faulted` : '')

/**
 * Width of the row in pixels. Rates come and go: whoever had one keeps the room for it, so that the tree stands still.
 */
export function rowWidth(row) {
  // As in styles/tree.css: borders and padding, the dot, and a gap before each part.
  let width =
    20 + 10 + GAP + Math.min(textWidth(row.name, row.level === 1 ? `650 ${NAME_FONT}` : NAME_FONT), MAX_NAME) + 2
  if (row.count !== '') width += GAP + 14 + textWidth(row.count, SMALL_FONT)
  if (row.hasWorked) width += GAP + 46
  for (const text of [waitText(row), hurtText(row)]) {
    if (text !== '') width += GAP + textWidth(text, `600 ${SMALL_FONT}`)
  }
  if (row.mayExpand) width += GAP + 10
  if (row.mosaic !== undefined) width = Math.max(width, mosaicWidth(row.mosaic.length) + 22)
  return Math.ceil(width)
}

export function makeRow() {
  const [dot, name, chip, rate, wait, hurt, twist] = ['dot', 'name', 'chip', 'rate', 'wait', 'hurt', 'twist'].map(
    part => element('span', { class: part, 'aria-hidden': 'true' }),
  )
  const made = element(
    'div',
    { class: 'row new', role: 'treeitem', tabindex: '-1' },
    dot,
    name,
    chip,
    rate,
    wait,
    hurt,
    twist,
  )
  return { element: made, parts: { name, chip, rate, wait, hurt, twist }, halo: undefined, mosaic: undefined }
}

export function writeRow(view, row, { position, siblings, isSelected }) {
  const { element: made, parts } = view
  const { id, kind, state, level, branch, label, mayExpand, isExpanded } = row
  made.dataset.id = id
  for (const [name, value] of Object.entries({
    'data-kind': kind,
    'data-state': state,
    'data-level': level,
    'data-branch': branch,
    'data-active': row.rate > 0,
    'aria-level': level,
    'aria-posinset': position,
    'aria-setsize': siblings,
    'aria-expanded': mayExpand ? String(isExpanded) : undefined,
    'aria-selected': String(isSelected),
    'aria-label': label,
    title: row.name.length > 30 ? row.name : undefined,
  })) {
    setAttribute(made, name, value)
  }
  made.classList.toggle('tall', row.isTall)
  setText(parts.name, row.name)
  write(parts.chip, row.count)
  write(parts.rate, rateText(row))
  write(parts.wait, waitText(row))
  write(parts.hurt, hurtText(row))
  parts.twist.hidden = !mayExpand
  made.style.width = `${row.width}px`
  writeMosaic(view, row)
}

function write(part, text) {
  setText(part, text)
  part.hidden = text === ''
}

function writeMosaic(view, { mosaic }) {
  if (mosaic === undefined) {
    view.mosaic?.remove()
    view.mosaic = undefined
    return
  }
  if (view.mosaic === undefined) {
    view.mosaic = element('canvas', { class: 'mosaic', 'aria-hidden': 'true' })
    view.element.append(view.mosaic)
  }
  paintMosaic(view.mosaic, mosaic)
}

/** Height of the element that shows the row, in pixels. */
export const shownHeight = row => (row.isTall ? TALL_ROW - 8 : 28)
