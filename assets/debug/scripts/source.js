/*
 * The tree as the server tells of it, cut into families for the forest.
 */
import { find } from './api.js'
import { stemOf } from './forest-rows.js'

/** Children that are looked at one by one; those beyond are counted as the last of these are. */
const LOOKED = 400

/** As many as one answer may hold. */
const MOST_LOOKED = 10_000

/** What a brief answer leaves out. */
const nothing = { messages: 0, mailbox: 0, waitingStanzas: 0, faults: 0, restarts: 0, childCount: 0 }
const whole = (actor, path) => ({ ...nothing, ...actor, path: actor.path ?? path })
const childrenOf = (actor, path) => (actor.children?.items ?? []).map(child => whole(child, `${path}/${child.name}`))

const brief = (path, query) => find('actors', { path, depth: 1, view: 'brief', ...query })

/** The actor at the path (root for '') and the families of its children; undefined when it is gone. */
export async function look(path) {
  const answer = await brief(path, { limit: LOOKED })
  if (answer === undefined) return undefined
  const own = path === '' ? `/${answer.name}` : path
  return { actor: whole(answer, own), families: familiesOf(childrenOf(answer, own), answer.children?.total ?? 0) }
}

function familiesOf(children, total) {
  const families = new Map()
  for (const [index, child] of children.entries()) {
    let family = families.get(child.kind)
    if (family === undefined) {
      family = {
        kind: child.kind,
        stem: stemOf(child.name),
        total: 0,
        waiting: 0,
        faults: 0,
        items: [],
        places: [],
        below: 0,
        mosaic: [],
      }
      families.set(child.kind, family)
    }
    family.total++
    family.waiting += Math.max(child.mailbox, child.waitingStanzas)
    family.faults += child.faults
    family.items.push(child)
    family.places.push(index)
    family.below += child.childCount
  }
  for (const family of families.values()) family.mosaic = mosaicOf(family)
  const last = families.get(children.at(-1)?.kind)
  if (last !== undefined) last.total += total - children.length
  return [...families.values()]
}

/** A number for each member: what is below it, or, of sessions, whether it is awake. */
const mosaicOf = ({ below, items }) =>
  items.map(({ childCount, jid, state }) =>
    below > 0 ? childCount : jid !== undefined && state !== 'hibernated' ? 1 : 0,
  )

/** Members of a family from `offset` on. */
export async function page(path, family, offset, limit) {
  const { kind, items, total, places } = family
  if (offset + limit <= items.length || items.length === total)
    return { total, items: items.slice(offset, offset + limit) }
  const answer = await brief(path, { offset: places[0] + offset, limit })
  return answer && { total, items: childrenOf(answer, path).filter(child => child.kind === kind) }
}

/** Where the member stands in its family, or -1. */
export async function indexOf(path, { items, total, places }, name) {
  const index = items.findIndex(item => item.name === name)
  if (index >= 0 || items.length === total) return index
  const answer = await brief(path, { offset: places[0], limit: MOST_LOOKED })
  return answer?.children.items.findIndex(item => item.name === name) ?? -1
}

/** Actors that pass a filter, wherever they are. */
export async function list(filter, offset, limit) {
  const answer = await find('actors', { ...filter, offset, limit })
  return {
    items: (answer?.items ?? []).map(actor => whole(actor, actor.path)),
    isWhole: answer?.isWhole ?? true,
    next: answer?.next,
  }
}
