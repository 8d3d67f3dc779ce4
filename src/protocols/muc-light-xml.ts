import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import { Jid } from './jid.js'
import {
  type Affiliation,
  affiliationOf,
  type Configuration,
  type Occupant,
  type OccupantChange,
  type Room,
} from './muc-light.js'
import { NS } from './namespaces.js'

/*
 * Light group chat as XML: what users ask, and what they are told. spec/muc-light.md §5
 */

const bad = (text: string) => new StanzaError('bad-request', text)

/** What is asked, of the request's own namespace or none of ours. Throws `bad-request`. */
export function queryOf(iq: Element, ns: string): Element {
  const query = iq.getChildElements()[0]
  if (query === undefined || query.getName() !== 'query' || query.getNS() !== ns) throw bad('there is no such request')
  return query
}

/** The version that the requester knows; '' for none. ML-18 */
export const versionIn = (query: Element): string => query.getChildText('version') ?? ''

/** What fields are to be, by name; the last of a name counts. An element with elements in it is no field. ML-19, ML-21 */
export function readFields(parent: Element): Map<string, string> {
  const fields = new Map<string, string>()
  for (const child of elementsIn(parent)) {
    if (child.getChildElements().length === 0) fields.set(child.getName(), child.getText())
  }
  return fields
}

/** The two parts of a creation. ML-13 */
export function readCreation(query: Element): { fields: Map<string, string>; occupants: OccupantChange[] } {
  const [configuration, occupants] = ['configuration', 'occupants'].map(name => query.getChild(name))
  return {
    fields: configuration ? readFields(configuration) : new Map(),
    occupants: occupants ? readOccupants(occupants) : [],
  }
}

/** `<user affiliation="…">JID</user>` items. ML-23 */
export function readOccupants(parent: Element): OccupantChange[] {
  return elementsIn(parent).map(item => {
    const { affiliation } = item.attrs
    if (item.getName() !== 'user') throw bad('only users have affiliations')
    if (affiliation !== 'owner' && affiliation !== 'member' && affiliation !== 'none') {
      throw bad('an affiliation is owner, member or none')
    }
    return { jid: bareJidIn(item), affiliation }
  })
}

/** Whose invitations a user does not want: anybody's into a room, or somebody's into any. */
export interface Block {
  readonly kind: 'room' | 'user'
  /** Bare JID in canonical form. */
  readonly jid: string
}

/** What a blocking list is to hold more, and what no longer. ML-29 */
export function readBlocking(query: Element): { deny: Block[]; allow: Block[] } {
  const wanted = new Map<string, { block: Block; isDenied: boolean }>()
  for (const item of elementsIn(query)) {
    const kind = item.getName()
    const { action } = item.attrs
    if (kind !== 'room' && kind !== 'user') throw bad('rooms and users are blocked, nothing else')
    if (action !== 'deny' && action !== 'allow') throw bad('an action is deny or allow')
    const block: Block = { kind, jid: bareJidIn(item) }
    wanted.set(`${kind} ${block.jid}`, { block, isDenied: action === 'deny' })
  }
  const items = [...wanted.values()]
  return {
    deny: items.filter(({ isDenied }) => isDenied).map(({ block }) => block),
    allow: items.filter(({ isDenied }) => !isDenied).map(({ block }) => block),
  }
}

/** The child elements; white space between them is all else that there may be. */
function elementsIn(parent: Element): Element[] {
  const text = parent.children.some(child => typeof child === 'string' && child.trim() !== '')
  if (text) throw bad('there is text between the elements')
  return parent.getChildElements()
}

/** A room or a user: somebody at a server. */
function bareJidIn(item: Element): string {
  const jid = Jid.parse(item.getText().trim())
  if (jid === undefined || jid.local === '') throw bad('an item holds the address of a user or a room')
  return jid.bareText
}

/** The answer to what was asked of a room; undefined for a requester who knows the current version. ML-18, ML-22, ML-27 */
export function roomQuery(
  part: 'configuration' | 'affiliations' | 'info',
  room: Room,
  known: string,
): Element | undefined {
  if (known === room.version) return undefined
  const ns = { configuration: NS.mucLightConfiguration, affiliations: NS.mucLightAffiliations, info: NS.mucLightInfo }
  const query = new Element('query', { xmlns: ns[part] })
  query.c('version').t(room.version)
  if (part !== 'affiliations') addFields(part === 'info' ? query.c('configuration') : query, room.configuration)
  if (part !== 'configuration') addUsers(part === 'info' ? query.c('occupants') : query, room.occupants)
  return query
}

function addFields(parent: Element, fields: Configuration | readonly (readonly [string, string | number])[]): void {
  for (const [field, value] of fields) parent.c(field).t(String(value))
}

function addUsers(parent: Element, users: readonly OccupantChange[]): void {
  for (const { jid, affiliation } of users) parent.c('user', { affiliation }).t(jid)
}

/** The answer to a request for the blocking list. ML-29 */
export function blockingQuery(blocks: readonly Block[]): Element {
  const query = new Element('query', { xmlns: NS.mucLightBlocking })
  for (const { kind, jid } of blocks) query.c(kind, { action: 'deny' }).t(jid)
  return query
}

/** A message of a room about itself. */
function notice(id: string, ...payloads: Element[]): Element {
  const message = new Element('message', { type: 'groupchat', id })
  for (const payload of payloads) message.cnode(payload)
  message.c('body')
  return message
}

/** What of the versions a notice tells. */
interface Versions {
  before?: string
  now?: string
}

function affiliationsElement({ before, now }: Versions, users: readonly OccupantChange[]): Element {
  const x = new Element('x', { xmlns: NS.mucLightAffiliations })
  if (before !== undefined) x.c('prev-version').t(before)
  if (now !== undefined) x.c('version').t(now)
  addUsers(x, users)
  return x
}

/** To each occupant of a new room. ML-14 */
export const createdNotice = (id: string, room: Room, occupant: Occupant): Element =>
  notice(id, affiliationsElement({ now: room.version }, [occupant]))

/** For the archive of a new room. ML-35 */
export const foundedNotice = (id: string, room: Room): Element =>
  notice(id, affiliationsElement({ now: room.version }, room.occupants))

/** For the archive, of affiliations that were changed. ML-35 */
export const keptNotice = (id: string, after: Room, changes: readonly OccupantChange[]): Element =>
  notice(id, affiliationsElement({ now: after.version }, changes))

/** To all occupants, of fields that were changed. ML-20 */
export function configuredNotice(
  id: string,
  before: Room,
  after: Room,
  fields: readonly (readonly [string, string | number])[],
): Element {
  const x = new Element('x', { xmlns: NS.mucLightConfiguration })
  x.c('prev-version').t(before.version)
  x.c('version').t(after.version)
  addFields(x, fields)
  return notice(id, x)
}

/** To those who were in the room and stay. ML-25 */
export const affiliatedNotice = (id: string, before: Room, after: Room, changes: readonly OccupantChange[]): Element =>
  notice(id, affiliationsElement({ before: before.version, now: after.version }, changes))

/** To a newcomer. ML-25 */
export const joinedNotice = (id: string, room: Room, jid: string): Element =>
  notice(id, affiliationsElement({ now: room.version }, [{ jid, affiliation: affiliationIn(room, jid) }]))

/** To somebody who is no occupant any more. ML-25 */
export const leftNotice = (id: string, jid: string): Element =>
  notice(id, affiliationsElement({}, [{ jid, affiliation: 'none' }]))

/** To each occupant of a room that is no more. ML-28 */
export const destroyedNotice = (id: string, jid: string): Element =>
  notice(id, new Element('x', { xmlns: NS.mucLightDestroy }), affiliationsElement({}, [{ jid, affiliation: 'none' }]))

function affiliationIn(room: Room, jid: string): Affiliation {
  const affiliation = affiliationOf(room, jid)
  if (affiliation === undefined) throw new Error(`${jid} is not in the room`)
  return affiliation
}

/** A room as it is listed. */
export interface ListedRoom {
  readonly jid: string
  readonly name: string
  readonly version: string
}

/** The rooms of a user, with the page that they are of, if there is one. ML-33 */
export function roomsQuery(rooms: readonly ListedRoom[], page: Element | undefined): Element {
  const query = new Element('query', { xmlns: NS.discoItems })
  for (const { jid, name, version } of rooms) query.c('item', { jid, name, version })
  if (page !== undefined) query.cnode(page)
  return query
}

/** A room among contacts. ML-34 */
export function rosterItem({ jid, name, version }: ListedRoom): Element {
  const item = new Element('item', { jid, name, subscription: 'to' })
  item.c('group').t(NS.mucLight)
  item.c('version').t(version)
  return item
}
