/*
 * What is known of the tree as rows for the view.
 *
 * A family is the children of one kind of one actor. A small one stands open; of a large one there is a bucket, which opens page by page.
 */
import { compact, counted, measured } from './format.js'

/** Members of a family that stand without a bucket. */
export const SMALL = 8
/** Members of a family on a page. */
export const PAGE = 25

/** The id of a bucket: its parent's path and the kind. */
export const bucketId = (path, kind) => `${path}#${kind}`

/** `acceptor-17` → `acceptor-`: members of a family are numbered. */
export const stemOf = name => name.replace(/\d+$/, '')

/**
 * What the rows are made of.
 * @typedef {{ open: Map<string, number>, families: Map<string, Family[]>, pages: Map<string, { items: Actor[], offset: number, total: number }>,
 *   rates: Map<string, { rate: number, hasWorked: boolean }>, waits: Map<string, { shown: number }>, listeners: Map<string, { connections: number }> }} Known
 */

export function actorRow(known, actor, level, branch) {
  const { path, name, kind, state, faults, childCount, details } = actor
  const isExpanded = known.open.has(path) && known.families.has(path)
  const rate = known.rates.get(path)?.rate ?? 0
  const waiting = known.waits.get(path)?.shown ?? 0
  const connections = known.listeners.get(path)?.connections
  const shown = actor.jid ?? details?.jid ?? name
  return {
    id: path,
    kind: 'actor',
    actor,
    name: shown,
    label: spoken([
      shown,
      kind,
      state,
      connections === undefined
        ? childCount > 0 && counted(childCount, 'child', 'children')
        : counted(connections, 'connection'),
      ...figures({ rate, waiting, faults }),
    ]),
    level,
    branch,
    count: connections === undefined ? (childCount > 0 ? compact(childCount) : '') : `${compact(connections)} online`,
    rate,
    hasWorked: known.rates.get(path)?.hasWorked === true,
    waiting,
    faults,
    state,
    mosaic: undefined,
    isTall: false,
    mayExpand: childCount > 0,
    isExpanded,
    children: isExpanded ? familyRows(known, path, level + 1, branch) : [],
  }
}

function familyRows(known, path, level, branch) {
  // In the order of the tree, a bucket where the first of its family stands.
  const places = (known.families.get(path) ?? []).flatMap(family =>
    family.total <= SMALL
      ? family.items.map((actor, index) => ({ at: family.places[index], actor }))
      : [{ at: family.places[0], family }],
  )
  places.sort((one, other) => one.at - other.at)
  return places.map(({ actor, family }, index) => {
    const own = branchOf(branch, level, index)
    return family === undefined ? actorRow(known, actor, level, own) : bucketRow(known, path, family, level, own)
  })
}

function bucketRow(known, path, family, level, branch) {
  const id = bucketId(path, family.kind)
  const page = known.open.has(id) ? known.pages.get(id) : undefined
  const isExpanded = page !== undefined
  const { total, below, mosaic, faults } = family
  const waiting = known.waits.get(id)?.shown ?? 0
  const name = plural(family.kind)
  return {
    id,
    kind: 'bucket',
    parentPath: path,
    family,
    name,
    label: spoken([
      counted(total, name, name),
      below > 0 && `${counted(below, 'actor')} below`,
      ...figures({ rate: 0, waiting, faults }),
    ]),
    level,
    branch,
    count: compact(total),
    rate: 0,
    waiting,
    faults,
    state: 'bucket',
    mosaic,
    isTall: true,
    mayExpand: true,
    isExpanded,
    children: isExpanded ? pageRows(known, id, page, level + 1, branch) : [],
  }
}

function pageRows(known, id, { items, offset, total }, level, branch) {
  const rows = items.map(actor => actorRow(known, actor, level, branch))
  const more = (to, name) => ({ ...moreRow, id: `${id}@${name}`, bucket: id, to, name, label: name, level, branch })
  const until = offset + items.length
  if (offset > 0) {
    const from = Math.max(0, offset - PAGE)
    rows.unshift({ ...more(from, `${from + 1}\u2013${offset} of ${total}`), id: `${id}@before` })
  }
  if (until < total) {
    const to = Math.min(until + PAGE, total)
    rows.push({ ...more(until, `${until + 1}\u2013${to} of ${total}`), id: `${id}@after` })
  }
  return rows
}

export function filterRow(known, { title, offset }, found) {
  const items = found?.items ?? []
  const name = found === undefined ? `${title} \u2026` : items.length === 0 ? `${title}: none` : title
  const more = (to, text, end) => ({
    ...moreRow,
    id: `#found@${end}`,
    bucket: '#found',
    to,
    name: text,
    label: text,
    level: 2,
    branch: 0,
  })
  const children = items.map(actor => ({
    ...actorRow(known, actor, 2, 5),
    mayExpand: false,
    isExpanded: false,
    children: [],
  }))
  if (offset > 0) children.unshift(more(Math.max(0, offset - PAGE), 'back', 'before'))
  if (found?.isWhole === false) children.push(more(found.next ?? offset + PAGE, 'more', 'after'))
  return {
    ...moreRow,
    id: '#found',
    kind: 'bucket',
    name,
    label: name,
    level: 1,
    branch: 0,
    state: 'bucket',
    isExpanded: true,
    children,
  }
}

const moreRow = {
  kind: 'more',
  count: '',
  rate: 0,
  waiting: 0,
  faults: 0,
  state: 'more',
  mosaic: undefined,
  isTall: false,
  mayExpand: false,
  isExpanded: false,
  children: [],
}

/** The branches of the root have colours of their own, in turn. */
const branchOf = (branch, level, index) => (level === 2 ? 1 + (index % 6) : branch)

/** `HttpAcceptor` → `http acceptors`. */
const plural = kind => {
  const words = kind.replaceAll(/([a-z\d])([A-Z])/g, '$1 $2').toLowerCase()
  return words.endsWith('s') ? words : `${words}s`
}

const figures = ({ rate, waiting, faults }) => [
  rate >= 0.05 && `${measured(rate)} messages per second`,
  waiting > 0 && `${waiting} waiting`,
  faults > 0 && counted(faults, 'fault'),
]

const spoken = parts => parts.filter(Boolean).join(', ')
