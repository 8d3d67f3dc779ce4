import { createHash } from 'node:crypto'
import { Element } from 'ltx'
import { archiveId, isArchiveId, microsecondOf, secretLength, timeOf } from './archive-id.js'
import { StanzaError } from './errors.js'
import { standalone } from './fragment.js'
import { Jid } from './jid.js'
import { type Preferences, preferencesElement, readPreferences } from './mam.js'
import { NS } from './namespaces.js'
import { listElement, type PrivacyList, readPrivacySet } from './privacy.js'
import { itemElement, type RosterEntry, readRosterSet } from './roster.js'
import type { ScramHash, ScramKeys } from './sasl/credentials.js'
import { scramHashes } from './sasl/scram-keys.js'
import { Stanza } from './stanza/stanza.js'
import { serialize } from './xml/serialize.js'
import { escapeValue } from './xml/text.js'

/*
 * Accounts as a document that any server reads: the portable format of XEP-0227, and what stands in it, to and from values. Pure.
 */

export const pieNs = {
  pie: 'urn:xmpp:pie:0',
  scram: 'urn:xmpp:pie:0#scram',
  archive: 'urn:xmpp:pie:0#mam',
  include: 'http://www.w3.org/2001/XInclude',
  /** Ours: when the account was last connected. No namespace of the format has a place for that. */
  lastActivity: 'urn:meerkat:last-activity:0',
} as const

/** What is wrong with a part of the document; the message is for the operator. */
export class PieError extends Error {
  override name = 'PieError'
}

/** The elements that are read child by child; the others stand in `user` and come whole. */
export const pieContainers = {
  offline: { ns: pieNs.pie, name: 'offline-messages' },
  roster: { ns: NS.roster, name: 'query' },
  private: { ns: NS.privateXml, name: 'query' },
  privacy: { ns: NS.privacy, name: 'query' },
  archive: { ns: pieNs.archive, name: 'archive' },
} as const

export type PieContainer = keyof typeof pieContainers
/** Where a part stands. */
export type PiePlace = PieContainer | 'user'

export const isPieContainer = (ns: string, name: string): PieContainer | undefined =>
  (Object.keys(pieContainers) as PieContainer[]).find(
    key => pieContainers[key].ns === ns && pieContainers[key].name === name,
  )

// ---- values to XML

const mechanisms: Readonly<Record<ScramHash, string>> = {
  sha: 'SCRAM-SHA-1',
  sha224: 'SCRAM-SHA-224',
  sha256: 'SCRAM-SHA-256',
  sha384: 'SCRAM-SHA-384',
  sha512: 'SCRAM-SHA-512',
}

export function documentStart(host: string, user: string, password: string | undefined): string {
  const secret = password === undefined ? '' : ` password="${escapeValue(password)}"`
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<server-data xmlns="${pieNs.pie}">\n` +
    `<host jid="${escapeValue(host)}">\n<user name="${escapeValue(user)}"${secret}>\n`
  )
}

export const documentEnd = '</user>\n</host>\n</server-data>\n'

export const containerStart = (container: PieContainer) => {
  const { ns, name } = pieContainers[container]
  return ns === pieNs.pie ? `<${name}>\n` : `<${name} xmlns="${ns}">\n`
}

export const containerEnd = (container: PieContainer) => `</${pieContainers[container].name}>\n`

/** XEP-0227 §4.3 */
export function scramXml(hash: ScramHash, { salt, iterations, storedKey, serverKey }: ScramKeys): string {
  const element = new Element('scram-credentials', { xmlns: pieNs.scram, mechanism: mechanisms[hash] })
  element.c('iter-count').t(String(iterations))
  element.c('salt').t(salt.toString('base64'))
  element.c('server-key').t(serverKey.toString('base64'))
  element.c('stored-key').t(storedKey.toString('base64'))
  return serialize(element)
}

export const rosterItemXml = (entry: RosterEntry) => serialize(itemElement(entry))

/** A stored stanza: an offline message, or a request for subscription. */
export const stanzaXml = (stored: string) => serialize(inClientNamespace(Stanza.parse(stored).element))

/** A stored fragment that says its namespace itself. */
export const fragmentXml = (stored: string) =>
  serialize(Stanza.parse(`<iq>${stored}</iq>`).element.getChildElements()[0]!)

export function privacyXml(lists: readonly PrivacyList[], defaultName: string | undefined): string {
  const chosen = defaultName === undefined ? [] : [new Element('default', { name: defaultName })]
  return [...chosen, ...lists.map(list => listElement(list).getChild('list')!)].map(serialize).join('\n')
}

export const preferencesXml = (preferences: Preferences) => serialize(preferencesElement(preferences))

export function lastActivityXml({ at, status }: { at: number; status: string }): string {
  const element = new Element('last-activity', { xmlns: pieNs.lastActivity, stamp: new Date(at).toISOString() })
  if (status !== '') element.t(status)
  return serialize(element)
}

/** XEP-0227 §4.10 */
export function archivedXml({ id, xml }: { id: string; xml: string }): string {
  const result = new Element('result', { xmlns: NS.mam, id })
  const forwarded = result.c('forwarded', { xmlns: NS.forward })
  forwarded.c('delay', { xmlns: NS.delay, stamp: new Date(timeOf(id)).toISOString() })
  forwarded.cnode(inClientNamespace(Stanza.parse(xml).element))
  return serialize(result)
}

function inClientNamespace(element: Element): Element {
  const copy = new Element(element.name, { xmlns: NS.client, ...element.attrs })
  copy.children = element.children
  return copy
}

// ---- XML to values

export type PiePart =
  | { readonly kind: 'credentials'; readonly hash: ScramHash; readonly keys: ScramKeys }
  | { readonly kind: 'rosterItem'; readonly item: RosterEntry & { groups: string[] } }
  | { readonly kind: 'request'; readonly jid: string; readonly xml: string }
  | { readonly kind: 'offline'; readonly xml: string; readonly at: number | undefined }
  | { readonly kind: 'private'; readonly ns: string; readonly name: string; readonly xml: string }
  | { readonly kind: 'vcard'; readonly element: Element; readonly xml: string }
  | { readonly kind: 'privacyList'; readonly list: PrivacyList }
  | { readonly kind: 'privacyDefault'; readonly name: string }
  | { readonly kind: 'preferences'; readonly preferences: Preferences }
  | { readonly kind: 'lastActivity'; readonly at: number; readonly status: string }
  | { readonly kind: 'archived'; readonly message: ArchivedPart }
  /** Something that this server does not keep, such as nodes of PEP. */
  | { readonly kind: 'unknown' }

export interface ArchivedPart {
  /** As the document has it. */
  readonly id: string
  /** In milliseconds since 1970. */
  readonly at: number
  /** The other side. */
  readonly contact: Jid
  readonly xml: string
}

/** Reads one element of an account; throws PieError. */
export function readPart(element: Element, place: PiePlace, account: Jid): PiePart {
  try {
    return readIn(element, place, account)
  } catch (error) {
    if (error instanceof StanzaError) throw new PieError(error.text ?? error.condition)
    throw error
  }
}

const unknown: PiePart = { kind: 'unknown' }

function readIn(element: Element, place: PiePlace, account: Jid): PiePart {
  const isOne = (name: string, ns: string) => element.is(name, ns)
  switch (place) {
    case 'offline':
      return isOne('message', NS.client) ? readOffline(element, account.domain) : unknown
    case 'roster':
      return isOne('item', NS.roster) ? { kind: 'rosterItem', item: readRosterItem(element) } : unknown
    case 'private':
      return readFragment(element)
    case 'privacy':
      if (isOne('default', NS.privacy)) return { kind: 'privacyDefault', name: attribute(element, 'name') }
      return isOne('list', NS.privacy) ? readList(element) : unknown
    case 'archive':
      return isOne('result', NS.mam) ? { kind: 'archived', message: readArchived(element, account) } : unknown
    case 'user':
      return readOfUser(element)
  }
}

function readOfUser(element: Element): PiePart {
  if (element.is('scram-credentials', pieNs.scram)) return readCredentials(element)
  if (element.is('presence', NS.client) && element.attrs.type === 'subscribe') return readRequest(element)
  if (element.is('vCard', NS.vcard)) return { kind: 'vcard', element, xml: serialize(standalone(element)) }
  if (element.is('prefs', NS.mam)) return { kind: 'preferences', preferences: readPreferences(element) }
  if (element.is('last-activity', pieNs.lastActivity)) {
    return { kind: 'lastActivity', at: instantOf(attribute(element, 'stamp')), status: element.getText() }
  }
  return unknown
}

/** Iterations that make a login no burden for either side. */
const mostIterations = 10_000_000
const longestSalt = 1024

/** XEP-0227 §4.3; a mechanism that nobody here knows is none of ours. */
function readCredentials(element: Element): PiePart {
  const mechanism = attribute(element, 'mechanism')
  const hash = (Object.keys(mechanisms) as ScramHash[]).find(key => mechanisms[key] === mechanism)
  if (hash === undefined) return unknown
  const text = (name: string) => {
    const [child, another] = element.getChildren(name)
    if (child === undefined || another !== undefined) throw new PieError(`${mechanism} has one <${name}/>`)
    return child.getText().trim()
  }
  const bytes = (name: string, length: number | undefined) => {
    const value = text(name)
    const found = Buffer.from(value, 'base64')
    if (found.toString('base64') !== value) throw new PieError(`<${name}/> of ${mechanism} is not base64`)
    const isGood = length === undefined ? found.length > 0 && found.length <= longestSalt : found.length === length
    if (!isGood) throw new PieError(`<${name}/> of ${mechanism} has the wrong length`)
    return found
  }
  const iterations = /^[1-9]\d{0,8}$/.test(text('iter-count')) ? Number(text('iter-count')) : Number.NaN
  if (!(iterations <= mostIterations)) {
    throw new PieError(`<iter-count/> of ${mechanism} is a number from 1 to ${mostIterations}`)
  }
  const length = scramHashes[hash].bytes
  const [serverKey, storedKey] = [bytes('server-key', length), bytes('stored-key', length)]
  return { kind: 'credentials', hash, keys: { salt: bytes('salt', undefined), iterations, storedKey, serverKey } }
}

const subscriptions: readonly string[] = ['none', 'to', 'from', 'both'] satisfies RosterEntry['subscription'][]

function readRosterItem(element: Element): RosterEntry & { groups: string[] } {
  const { subscription = 'none', ask, approved } = element.attrs
  if (!subscriptions.includes(subscription)) throw new PieError(`there is no subscription "${subscription}"`)
  const query = new Element('query', { xmlns: NS.roster })
  query.children = [element]
  const wanted = readRosterSet(query)
  if (wanted.action !== 'put') throw new PieError('a roster holds no removed item')
  return {
    jid: wanted.jid.text,
    name: wanted.name,
    groups: wanted.groups,
    subscription,
    ask: ask === 'subscribe',
    approved: approved === 'true' || approved === '1',
  }
}

function readRequest(element: Element): PiePart {
  const jid = Jid.parse(attribute(element, 'from'))
  if (jid === undefined) throw new PieError('the request comes from no JID')
  return { kind: 'request', jid: jid.bareText, xml: storable(element) }
}

function readOffline(element: Element, host: string): PiePart {
  const delays = element.getChildren('delay', NS.delay)
  const delay = delays.find(({ attrs }) => attrs.from === host) ?? delays[0]
  return { kind: 'offline', xml: storable(element), at: delay && instantOf(attribute(delay, 'stamp')) }
}

function readFragment(element: Element): PiePart {
  const ns = element.getNS() ?? ''
  if (ns === '' || ns === NS.privateXml) throw new PieError('a private fragment has a namespace of its own')
  return { kind: 'private', ns, name: element.getName(), xml: serialize(standalone(element)) }
}

function readList(element: Element): PiePart {
  const query = new Element('query', { xmlns: NS.privacy })
  query.children = [element]
  const wanted = readPrivacySet(query)
  if (wanted.action !== 'put') throw new PieError('a privacy list has items')
  return { kind: 'privacyList', list: wanted.list }
}

/** XEP-0227 §4.10 */
function readArchived(element: Element, account: Jid): ArchivedPart {
  const forwarded = element.getChild('forwarded', NS.forward)
  const message = forwarded?.getChildElements().find(child => child.is('message', NS.client))
  const delay = forwarded?.getChild('delay', NS.delay)
  if (message === undefined || delay === undefined) throw new PieError('a result holds a message and its time')
  const [from, to] = [jidIn(message, 'from'), jidIn(message, 'to')]
  const contact = from === undefined || from.bareText === account.text ? (to ?? from) : from
  if (contact === undefined) throw new PieError('a message in the archive says from whom or to whom it is')
  const at = instantOf(attribute(delay, 'stamp'))
  // What users send to themselves comes from them.
  const other = contact.bareText === account.text ? (from ?? contact) : contact
  return { id: attribute(element, 'id'), at, contact: other, xml: storable(message) }
}

function jidIn(element: Element, name: 'from' | 'to'): Jid | undefined {
  const text: string | undefined = element.attrs[name]
  if (text === undefined) return undefined
  const jid = Jid.parse(text)
  if (jid === undefined) throw new PieError(`${name} of a message is no JID: ${JSON.stringify(text)}`)
  return jid
}

/** The stanza as it is stored: what it does not say is in the namespace of a client's stream. */
function storable(element: Element): string {
  const copy = standalone(element)
  if (!copy.name.includes(':')) {
    delete copy.attrs.xmlns
    return serialize(copy)
  }
  return Stanza.fromElement(copy).toString()
}

function attribute(element: Element, name: string): string {
  const value: string | undefined = element.attrs[name]
  if (value === undefined) throw new PieError(`<${element.getName()}/> has no ${name}`)
  return value
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** XEP-0082 §3.2 */
function instantOf(text: string): number {
  const time = dateTime.test(text) ? Date.parse(text) : Number.NaN
  if (!(time >= 0)) throw new PieError(`${JSON.stringify(text)} is no DateTime since 1970`)
  return time
}

/**
 * The id by which an imported message is kept: its own when it is one of ours, else one that its time and its own id always lead to, so
 * that a message that is imported again is found. `after` is the microsecond of the one before it in the document.
 */
export function importedId({ id, at }: Pick<ArchivedPart, 'id' | 'at'>, after: number): string {
  if (isArchiveId(id) && timeOf(id) === at && microsecondOf(id) > after) return id
  if (at * 1000 + 999 < after - driftMicroseconds) throw new PieError('the archive is not in the order of time')
  const secret = createHash('sha256').update(id).digest('hex').slice(0, secretLength)
  return archiveId(Math.max(after + 1, at * 1000), secret)
}

/** How far ids may run ahead of the times that messages have in common. */
const driftMicroseconds = 10_000_000
