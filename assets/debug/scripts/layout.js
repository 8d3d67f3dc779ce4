/*
 * Where each row of the tree stands. Pure: rows and sizes in, positions out.
 */
import { hierarchy, tree } from '../vendor/d3-hierarchy.js'

/** Height of a plain row, and of one with a mosaic below its name, in pixels. */
export const ROW = 34
export const TALL_ROW = 60
const MARGIN = 20
/** Between the widest row of a level and the next level, in pixels. */
export const GAP = 38
const INDENT = 20

/**
 * @typedef {{ id: string, width: number, isTall: boolean, children: Row[] }} Row
 * @typedef {{ x: number, y: number }} Place the left end and the middle of a row
 */

/**
 * From left to right where there is room: parents beside the middle of their children, each level as wide as its widest row.
 * @returns {{ places: Map<string, Place>, links: [string, string][], width: number, height: number }}
 */
export function wide(root) {
  const top = hierarchy(root, row => row.children)
  const half = node => (node.data.isTall ? TALL_ROW : ROW) / 2
  tree()
    .nodeSize([1, 1])
    .separation((a, b) => half(a) + half(b) + (a.parent === b.parent ? 0 : 10))(top)
  const nodes = top.descendants()
  const widths = []
  for (const { depth, data } of nodes) widths[depth] = Math.max(widths[depth] ?? 0, data.width)
  const lefts = [MARGIN]
  for (const [depth, width] of widths.entries()) lefts.push(lefts[depth] + width + GAP)
  const least = Math.min(...nodes.map(node => node.x - half(node)))
  const most = Math.max(...nodes.map(node => node.x + half(node)))
  const places = new Map(nodes.map(node => [node.data.id, { x: lefts[node.depth], y: node.x - least + MARGIN }]))
  return { places, links: linksOf(top), width: lefts.at(-1) - GAP + MARGIN, height: most - least + 2 * MARGIN }
}

/** One row below the other, as deep as it is indented: for narrow windows. */
export function narrow(root) {
  const top = hierarchy(root, row => row.children)
  const places = new Map()
  let y = 8
  let width = 0
  top.eachBefore(({ data, depth }) => {
    const height = data.isTall ? TALL_ROW : ROW
    places.set(data.id, { x: 8 + depth * INDENT, y: y + height / 2 })
    y += height
    width = Math.max(width, 8 + depth * INDENT + data.width)
  })
  return { places, links: linksOf(top), width, height: y + 8 }
}

const linksOf = top => top.links().map(({ source, target }) => [source.data.id, target.data.id])
