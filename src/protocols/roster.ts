import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import { Jid } from './jid.js'
import { NS } from './namespaces.js'

/** What a roster item shows to the client. RFC 6121 §2.1.2 */
export interface RosterEntry {
  readonly jid: string
  readonly name: string
  readonly subscription: 'none' | 'to' | 'from' | 'both'
  readonly ask: boolean
  readonly approved: boolean
  readonly groups: readonly string[]
}

/** What a client may ask to change. RFC 6121 §2.3, §2.5 */
export type RosterSet =
  | { readonly action: 'put'; readonly jid: Jid; readonly name: string; readonly groups: string[] }
  | { readonly action: 'remove'; readonly jid: Jid }

/** Limits of one item; the sizes are bytes of UTF-8. */
export const rosterLimits = {
  nameBytes: 1023,
  groupBytes: 1023,
  groupsPerItem: 100,
  items: 10_000,
  requests: 500,
} as const

/** The `<item/>` of a roster entry. RFC 6121 §2.1.2 */
export function itemElement(entry: RosterEntry): Element {
  const item = new Element('item', { jid: entry.jid, subscription: entry.subscription })
  if (entry.name !== '') item.attrs.name = entry.name
  if (entry.ask) item.attrs.ask = 'subscribe'
  if (entry.approved) item.attrs.approved = 'true'
  for (const group of entry.groups) item.c('group').t(group)
  return item
}

/** The `<item/>` that tells of a removal. RFC 6121 §2.5.2 */
export function removedElement(jid: string): Element {
  return new Element('item', { jid, subscription: 'remove' })
}

/** The `<query/>` around items; `ver` only where roster versioning is on. RFC 6121 §2.6 */
export function rosterQuery(items: Iterable<Element>, ver: string | undefined): Element {
  const query = new Element('query', { xmlns: NS.roster })
  if (ver !== undefined) query.attrs.ver = ver
  for (const item of items) query.cnode(item)
  return query
}

/** Reads a roster set; throws the `StanzaError` of RFC 6121 §2.3.3. What only the server may set (subscription, ask, approved) is ignored. */
export function readRosterSet(query: Element): RosterSet {
  const [item, ...more] = query.getChildren('item')
  if (!item || more.length > 0) throw new StanzaError('bad-request', 'a roster set holds exactly one item')
  const text: unknown = item.attrs.jid
  if (typeof text !== 'string') throw new StanzaError('bad-request', 'the item has no jid')
  const jid = Jid.parse(text)
  if (!jid) throw new StanzaError('jid-malformed', 'the jid of the item is not valid')
  if (item.attrs.subscription === 'remove') return { action: 'remove', jid }
  return { action: 'put', jid, name: readName(item), groups: readGroups(item) }
}

function readName(item: Element): string {
  const name: unknown = item.attrs.name
  if (typeof name !== 'string') return ''
  if (Buffer.byteLength(name) > rosterLimits.nameBytes) throw new StanzaError('not-acceptable', 'the name is too long')
  return name
}

function readGroups(item: Element): string[] {
  const groups = item.getChildren('group').map(group => group.getText())
  if (groups.length > rosterLimits.groupsPerItem)
    throw new StanzaError('not-acceptable', 'the item is in too many groups')
  for (const group of groups) {
    if (group === '') throw new StanzaError('not-acceptable', 'a group has no name')
    if (Buffer.byteLength(group) > rosterLimits.groupBytes) {
      throw new StanzaError('not-acceptable', 'the name of a group is too long')
    }
  }
  if (new Set(groups).size !== groups.length) throw new StanzaError('bad-request', 'a group is named twice')
  return groups
}
