import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import { Jid } from './jid.js'
import { NS } from './namespaces.js'
import type { Stanza } from './stanza/stanza.js'
import type { SubscriptionState } from './subscription.js'

/*
 * Privacy lists (XEP-0016) and the block list (XEP-0191), which is a view of the default one: what a list says of a stanza,
 * and how both are written. Pure.
 */

/** What an item may be for, if not for everything: incoming messages, incoming IQs, presence in either direction. */
export type StanzaClass = 'message' | 'iq' | 'presence-in' | 'presence-out'

/** A rule of a privacy list. XEP-0016 §2.1 */
export interface PrivacyItem {
  /** `fall-through` matches everybody. */
  type: 'jid' | 'group' | 'subscription' | 'fall-through'
  /** A JID in canonical form, a roster group, or a state of subscription; '' for `fall-through`. */
  value: string
  action: 'allow' | 'deny'
  /** What it is for; empty for every stanza, in both directions. */
  stanzas: StanzaClass[]
  order: number
}

export interface PrivacyList {
  name: string
  /** In ascending order of `order`. */
  items: PrivacyItem[]
}

/** Limits of one account. */
export const privacyLimits = { lists: 50, items: 1000, nameLength: 256 } as const

/** What the user's roster says of somebody. */
export interface Relation {
  readonly subscription: SubscriptionState['subscription']
  readonly groups: readonly string[]
}

/** What a stanza is to a list; `other` is what only items for every stanza are about. */
export type Kind = StanzaClass | 'other'

/** XEP-0016 §2.1: presence notifications are those without a type and `unavailable`. */
const isNotification = ({ type }: Stanza) => type === '' || type === 'unavailable'

export function incomingKind(stanza: Stanza): Kind {
  if (stanza.kind !== 'presence') return stanza.kind
  return isNotification(stanza) ? 'presence-in' : 'other'
}

export function outgoingKind(stanza: Stanza): Kind {
  return stanza.kind === 'presence' && isNotification(stanza) ? 'presence-out' : 'other'
}

/** A list made ready for many questions: what one costs does not grow with the JIDs in it. */
export class PrivacyRules {
  /** The positions of items, by the JID they are about. */
  readonly #byJid = new Map<string, number[]>()
  /** The positions of the others. */
  readonly #general: number[] = []
  /** Some item asks what the roster says. */
  readonly needsRoster: boolean

  constructor(readonly list: PrivacyList) {
    list.items.forEach(({ type, value }, at) => {
      if (type === 'jid') this.#byJid.set(value, [...(this.#byJid.get(value) ?? []), at])
      else this.#general.push(at)
    })
    this.needsRoster = list.items.some(({ type }) => type === 'group' || type === 'subscription')
  }

  /** True when the list keeps a stanza of that kind, from or to that address, away. XEP-0016 §2.2 */
  denies(kind: Kind, other: Jid, relation: Relation | undefined): boolean {
    let first = this.list.items.length
    for (const text of [other.text, other.bareText, `${other.domain}/${other.resource}`, other.domain]) {
      const at = this.#byJid.get(text)?.find(position => isFor(this.list.items[position]!, kind))
      if (at !== undefined && at < first) first = at
    }
    for (const at of this.#general) {
      if (at > first) break
      const item = this.list.items[at]!
      if (isFor(item, kind) && matches(item, relation)) {
        first = at
        break
      }
    }
    return this.list.items[first]?.action === 'deny'
  }

  /** The JIDs that the list blocks altogether. XEP-0191 §5 */
  get blocked(): string[] {
    return this.list.items.filter(isBlock).map(({ value }) => value)
  }
}

const isFor = ({ stanzas }: PrivacyItem, kind: Kind) =>
  stanzas.length === 0 || (kind !== 'other' && stanzas.includes(kind))

function matches({ type, value }: PrivacyItem, relation: Relation | undefined): boolean {
  if (type === 'group') return relation?.groups.includes(value) ?? false
  if (type === 'subscription') return (relation?.subscription ?? 'none') === value
  return true
}

const isBlock = ({ type, action, stanzas }: PrivacyItem) => type === 'jid' && action === 'deny' && stanzas.length === 0

/** The list with these JIDs blocked as well: blocks come first. XEP-0191 §5 */
export function withBlocked(list: PrivacyList, jids: readonly string[]): PrivacyList {
  const known = new Set(list.items.filter(isBlock).map(({ value }) => value))
  const added = [...new Set(jids)]
    .filter(jid => !known.has(jid))
    .map((value): PrivacyItem => ({ type: 'jid', value, action: 'deny', stanzas: [], order: 0 }))
  const items = [...added, ...list.items]
  if (items.length > privacyLimits.items) throw new StanzaError('resource-constraint', 'too many are blocked')
  return { name: list.name, items: numbered(items) }
}

/** The list without blocks of these JIDs; of none at all where none are named. */
export function withoutBlocked(list: PrivacyList, jids: readonly string[] | undefined): PrivacyList {
  return {
    name: list.name,
    items: list.items.filter(item => !isBlock(item) || (jids !== undefined && !jids.includes(item.value))),
  }
}

const numbered = (items: readonly PrivacyItem[]) => items.map((item, index) => ({ ...item, order: index + 1 }))

/** What a client asks of its lists. */
export type PrivacySet =
  | { readonly action: 'active' | 'default'; readonly name: string | undefined }
  | { readonly action: 'put'; readonly list: PrivacyList }
  | { readonly action: 'remove'; readonly name: string }

/** Reads a privacy set; throws the `StanzaError` of XEP-0016 §2.1 to §2.8. */
export function readPrivacySet(query: Element): PrivacySet {
  const [child, ...others] = query.getChildElements()
  if (child === undefined || others.length > 0) throw new StanzaError('bad-request', 'one change at a time')
  const given: string | undefined = child.attrs.name
  switch (child.getName()) {
    case 'active':
    case 'default':
      return { action: child.getName() === 'active' ? 'active' : 'default', name: given }
    case 'list': {
      const name = checkedName(given)
      const items = child.getChildElements().map(readItem)
      if (items.length === 0) return { action: 'remove', name }
      return { action: 'put', list: { name, items: checkedItems(items) } }
    }
    default:
      throw new StanzaError('bad-request', 'an active, a default, or a list')
  }
}

/** The name of the one list that is asked for; undefined asks for all names. XEP-0016 §2.3 */
export function readPrivacyGet(query: Element): string | undefined {
  const [child, ...others] = query.getChildElements()
  if (child === undefined) return undefined
  if (others.length > 0 || child.getName() !== 'list') throw new StanzaError('bad-request', 'one list at a time')
  return checkedName(child.attrs.name)
}

function checkedName(name: string | undefined): string {
  if (name === undefined || name === '') throw new StanzaError('bad-request', 'a list has a name')
  if (name.length > privacyLimits.nameLength) throw new StanzaError('not-acceptable', 'the name is too long')
  return name
}

function checkedItems(items: PrivacyItem[]): PrivacyItem[] {
  if (items.length > privacyLimits.items) throw new StanzaError('resource-constraint', 'the list is too long')
  if (new Set(items.map(({ order }) => order)).size < items.length) {
    throw new StanzaError('bad-request', 'no two items have the same order')
  }
  return items.sort((a, b) => a.order - b.order)
}

const classes: readonly StanzaClass[] = ['message', 'iq', 'presence-in', 'presence-out']

function readItem(element: Element): PrivacyItem {
  const { action, order, type = 'fall-through', value = '' } = element.attrs
  if (element.getName() !== 'item') throw new StanzaError('bad-request', 'a list holds items')
  if (action !== 'allow' && action !== 'deny') throw new StanzaError('bad-request', 'an item allows or denies')
  const number = /^\d{1,10}$/.test(order ?? '') ? Number(order) : Number.NaN
  if (!(number <= 0xffff_ffff)) throw new StanzaError('bad-request', 'an item has an order')
  const names = element.getChildElements().map(child => child.getName())
  const stanzas = classes.filter(name => names.includes(name))
  if (stanzas.length < new Set(names).size) throw new StanzaError('bad-request', 'there is no such kind of stanza')
  return { ...readMatch(type, value), action, stanzas, order: number }
}

function readMatch(type: string, value: string): Pick<PrivacyItem, 'type' | 'value'> {
  switch (type) {
    case 'jid':
      return { type, value: canonical(value) }
    case 'group':
      return { type, value }
    case 'subscription':
      if (!['none', 'to', 'from', 'both'].includes(value)) throw new StanzaError('bad-request', 'no such subscription')
      return { type, value }
    case 'fall-through':
      return { type, value: '' }
    default:
      throw new StanzaError('bad-request', 'there is no such type of item')
  }
}

function canonical(text: string): string {
  const jid = Jid.parse(text)
  if (jid === undefined) throw new StanzaError('jid-malformed', 'the address is not valid')
  return jid.text
}

/** XEP-0016 §2.3 */
export function listsElement(
  names: Iterable<string>,
  active: string | undefined,
  defaultName: string | undefined,
): Element {
  const query = new Element('query', { xmlns: NS.privacy })
  if (active !== undefined) query.c('active', { name: active })
  if (defaultName !== undefined) query.c('default', { name: defaultName })
  for (const name of names) query.c('list', { name })
  return query
}

export function listElement({ name, items }: PrivacyList): Element {
  const query = new Element('query', { xmlns: NS.privacy })
  const list = query.c('list', { name })
  for (const { type, value, action, stanzas, order } of items) {
    const item = list.c('item', { action, order: String(order) })
    if (type !== 'fall-through') Object.assign(item.attrs, { type, value })
    for (const stanza of stanzas) item.c(stanza)
  }
  return query
}

/** The JIDs of a block or unblock command, in canonical form. XEP-0191 §3.3, §3.4 */
export function readBlockItems(command: Element): string[] {
  return command.getChildren('item').map(item => canonical(item.attrs.jid ?? ''))
}

/** XEP-0191 §3.2 to §3.5 */
export function blockElement(name: 'blocklist' | 'block' | 'unblock', jids: readonly string[]): Element {
  const element = new Element(name, { xmlns: NS.blocking })
  for (const jid of jids) element.c('item', { jid })
  return element
}
