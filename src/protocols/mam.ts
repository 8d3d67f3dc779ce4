import { Element } from 'ltx'
import { boundBefore, isArchiveId, timeOf } from './archive-id.js'
import { StanzaError } from './errors.js'
import { Jid } from './jid.js'
import { NS } from './namespaces.js'
import { type PageRequest, pageElement, readPageRequest } from './rsm.js'
import { Stanza } from './stanza/stanza.js'
import { interest } from './xml/frame.js'

/*
 * What is archived, and what a client asks of its archive. XEP-0313, XEP-0334, XEP-0359, XEP-0441
 */

// ---- what is archived

export type Direction = 'sent' | 'received'

export interface ArchivingRules {
  /** Group chat goes to the archives of those who receive it. */
  readonly hasGroupchat: boolean
  /** Chat markers without a text are archived. XEP-0333 */
  readonly hasChatMarkers: boolean
}

const chatMarkers = 'urn:xmpp:chat-markers:0' // XEP-0333
const markers = ['received', 'displayed', 'acknowledged']
/** What has a hint, or may have a marker, is looked at as a tree. */
const isWorthALook = interest(NS.hints) | interest(chatMarkers)

/** Whether the message belongs into the archive of its sender or its addressee. XEP-0313 §6.1.1, XEP-0334 §5 */
export function isArchivable(message: Stanza, direction: Direction, rules: ArchivingRules): boolean {
  const { type } = message
  if (type === 'error') return false
  if (type === 'groupchat' && !(rules.hasGroupchat && direction === 'received')) return false
  return isWorthKeeping(message, rules, hasBody)
}

/** Whether a message to a room belongs into the room's archive: one with a text or a subject. XEP-0313 §6.1.2, XEP-0334 §5 */
export const isArchivableInRoom = (message: Stanza, rules: Pick<ArchivingRules, 'hasChatMarkers'>): boolean =>
  message.type === 'groupchat' && isWorthKeeping(message, rules, hasBodyOrSubject)

function isWorthKeeping(
  message: Stanza,
  rules: Pick<ArchivingRules, 'hasChatMarkers'>,
  hasContent: (message: Stanza) => boolean,
): boolean {
  const { type } = message
  if ((message.mask & isWorthALook) === 0) return type !== 'headline' && hasContent(message)
  const children = message.element.getChildElements()
  const hasHint = (name: string) => children.some(child => child.is(name, NS.hints))
  if (hasHint('no-store') || hasHint('no-permanent-store')) return false
  if (hasHint('store')) return true
  if (type === 'headline') return false
  return hasContent(message) || (rules.hasChatMarkers && children.some(isMarker))
}

const hasBodyOrSubject = (message: Stanza) =>
  hasBody(message) || message.element.getChildElements().some(child => child.getName() === 'subject')

/** Most often the body comes first, and then no tree is needed. */
function hasBody(message: Stanza): boolean {
  const { payload } = message
  if (payload === undefined) return false
  if (payload.name === 'body' && payload.ns === NS.client) return true
  return message.element.getChildElements().some(child => child.getName() === 'body')
}

const isMarker = (child: Element) => child.getNS() === chatMarkers && markers.includes(child.getName())

/** Of a message with a child in the namespace of ids, which need not be one of ours. */
const hasIds = interest(NS.stanzaIds)

/** True where the message claims to have an id of this archive: only the archive gives those. XEP-0359 §5 */
export const claimsId = (message: Stanza, by: string) =>
  (message.mask & hasIds) !== 0 && message.element.getChildElements().some(child => isIdBy(child, by))

/** The message without the ids of this archive that it claims to have. */
export function withoutIds(message: Stanza, by: string): Element {
  const element = new Element(message.element.name)
  element.attrs = message.element.attrs
  // Not `cnode`, which would take the children from the tree that others share.
  element.children = message.element.children.filter(child => !(child instanceof Element && isIdBy(child, by)))
  return element
}

/** Of a message with a child that says who a sender is, as only a room may. */
const hasSender = interest(NS.mucUser)

/** A message of a room as its archive has it: to nobody, and without what its sender says who it is. XEP-0313 §6.1.2, §9.4 */
export function withoutReceiver(message: Stanza): Stanza {
  if (!message.isAddressed && (message.mask & hasSender) === 0) return message
  const { name, attrs, children } = message.element
  const { to: _, ...kept } = attrs
  const element = new Element(name)
  element.attrs = kept
  element.children = children.filter(child => !(child instanceof Element && child.is('x', NS.mucUser)))
  return Stanza.fromElement(element)
}

const occupantIds = 'urn:xmpp:occupant-id:0' // XEP-0421

/** What is left of a kept message that was retracted: its ids, and `retracted`, XML that declares its namespace. XEP-0424 §4 */
export function tombstone(message: Stanza, retracted: string): Stanza {
  const { name, attrs, children } = message.element
  const element = new Element(name)
  element.attrs = attrs
  element.children = children.filter(
    child => child instanceof Element && [NS.stanzaIds, occupantIds].includes(child.getNS() ?? ''),
  )
  const { children: left } = Stanza.parse(`<message>${retracted}</message>`).element
  element.children.push(...left)
  return Stanza.fromElement(element)
}

/** By the same address, however it is spelled. */
function isIdBy(child: Element, by: string): boolean {
  return child.is('stanza-id', NS.stanzaIds) && Jid.parse(child.attrs.by ?? '')?.text === by
}

// ---- queries

export interface ArchiveQuery {
  /** For the client to know the results by. */
  readonly queryId: string | undefined
  /** The bare or full JID that messages are exchanged with. */
  readonly with: Jid | undefined
  /** Ids between which the results are; they need not exist. */
  readonly after: string | undefined
  readonly before: string | undefined
  /** Ids that have to be in the archive, or the query fails. */
  readonly known: readonly string[]
  /** Only these messages. */
  readonly ids: readonly string[] | undefined
  readonly max: number | undefined
  /** A page from the beginning or the end of all results: not behind or in front of another page. */
  readonly isOutermost: boolean
  /** The last page of the results, not the first. */
  readonly isLast: boolean
  /** The newest first. */
  readonly isFlipped: boolean
}

/** Messages that one query may ask for by id. */
const idsPerQuery = 100

const noFields: Fields = new Map()
type Fields = ReadonlyMap<string, readonly string[]>

/** Every field that a query may have, with its type in the form. XEP-0313 §4.1 */
const fieldTypes = {
  with: 'jid-single',
  start: 'text-single',
  end: 'text-single',
  'before-id': 'text-single',
  'after-id': 'text-single',
  ids: 'list-multi',
} as const

/** Reads a `<query/>`. Throws `bad-request`, `feature-not-implemented` for a field that nobody knows, `item-not-found` for an id that cannot be. */
export function readArchiveQuery(query: Element): ArchiveQuery {
  if (query.attrs.node !== undefined) throw new StanzaError('item-not-found', 'there is one archive')
  const form = query.getChild('x', NS.data)
  const fields = form === undefined ? noFields : readFields(form)
  const page = readPageRequest(query)
  const ids = fields.get('ids')
  if (ids !== undefined && ids.length > idsPerQuery) throw new StanzaError('policy-violation', 'too many ids')
  const known = [page.before, page.after, one(fields, 'before-id'), one(fields, 'after-id')].filter(isGiven)
  if (![...known, ...(ids ?? [])].every(isArchiveId)) throw new StanzaError('item-not-found', 'no message has this id')
  return {
    queryId: query.attrs.queryid,
    with: readWith(fields),
    ...readBounds(fields, page),
    known,
    ids,
    max: page.max,
    isOutermost: page.after === undefined && !isGiven(page.before),
    isLast: page.before !== undefined,
    isFlipped: query.getChild('flip-page') !== undefined,
  }
}

/** An empty `<before/>` names no message. */
const isGiven = (id: string | undefined): id is string => id !== undefined && id !== ''

function readFields(form: Element): Fields {
  if (form.attrs.type !== 'submit') throw new StanzaError('bad-request', 'the form is to be submitted')
  const fields = new Map<string, readonly string[]>()
  for (const field of form.getChildren('field')) {
    const name: string | undefined = field.attrs.var
    const values = field.getChildren('value').map(value => value.getText())
    if (name === undefined || fields.has(name)) throw new StanzaError('bad-request', 'a field has a name of its own')
    if (name !== 'FORM_TYPE' && !Object.hasOwn(fieldTypes, name)) {
      throw new StanzaError('feature-not-implemented', 'there is no such field')
    }
    if (name !== 'ids' && values.length > 1) throw new StanzaError('bad-request', `${name} has one value`)
    if (values.length > 0) fields.set(name, values)
  }
  if (one(fields, 'FORM_TYPE') !== NS.mam) throw new StanzaError('bad-request', `the FORM_TYPE is ${NS.mam}`)
  return fields
}

const one = (fields: Fields, name: string) => fields.get(name)?.[0]

function readWith(fields: Fields): Jid | undefined {
  const text = one(fields, 'with')
  if (text === undefined) return undefined
  const jid = Jid.parse(text)
  if (jid === undefined) throw new StanzaError('bad-request', 'with is a JID')
  return jid
}

/** The narrowest of all bounds. XEP-0313 §4.1.2, §4.1.3 */
function readBounds(fields: Fields, page: PageRequest): Pick<ArchiveQuery, 'after' | 'before'> {
  const start = readTime(fields, 'start')
  const end = readTime(fields, 'end')
  const after = [page.after, one(fields, 'after-id'), start === undefined ? undefined : boundBefore(start)]
  // The millisecond of the end belongs to it: results are stamped with milliseconds.
  const before = [page.before, one(fields, 'before-id'), end === undefined ? undefined : boundBefore(end + 1)]
  return { after: after.filter(isGiven).sort().at(-1), before: before.filter(isGiven).sort()[0] }
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** XEP-0082 §3.2 */
function readTime(fields: Fields, name: 'start' | 'end'): number | undefined {
  const text = one(fields, name)
  if (text === undefined) return undefined
  const time = dateTime.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new StanzaError('bad-request', `${name} is a DateTime`)
  return time
}

/** The form that tells which fields there are. XEP-0313 §4.1.5 */
export function archiveForm(): Element {
  const query = new Element('query', { xmlns: NS.mam })
  const form = query.c('x', { xmlns: NS.data, type: 'form' })
  form.c('field', { type: 'hidden', var: 'FORM_TYPE' }).c('value').t(NS.mam)
  for (const [name, type] of Object.entries(fieldTypes)) {
    const field = form.c('field', { type, var: name })
    if (name !== 'ids') continue
    field.c('validate', { xmlns: 'http://jabber.org/protocol/xdata-validate', datatype: 'xs:string' }).c('open')
  }
  return query
}

// ---- answers

/** A result, as XML; `message` is the archived stanza as it was stored, `sender` who really sent it to a room. XEP-0313 §4.2, §6.1.2 */
export function resultXml(
  envelope: { from: string; to: string; queryId: string | undefined },
  { id, message, sender }: { id: string; message: string; sender?: string | undefined },
): string {
  const result = new Element('result', { xmlns: NS.mam, queryid: envelope.queryId, id })
  const forwarded = result.c('forwarded', { xmlns: NS.forward })
  forwarded.c('delay', { xmlns: NS.delay, stamp: new Date(timeOf(id)).toISOString() })
  const wrapping = new Element('message', { from: envelope.from, to: envelope.to })
  wrapping.cnode(result)
  // What is stored is well-formed XML whose names have the namespace of a client's stream by default.
  const text = wrapping.toString()
  const end = text.lastIndexOf('</forwarded>')
  const forwardedXml = `<message xmlns="${NS.client}"${message.slice('<message'.length)}`
  return `${text.slice(0, end)}${sender === undefined ? forwardedXml : withSender(forwardedXml, sender)}${text.slice(end)}`
}

/** What is archived has content, and so an end tag. */
function withSender(message: string, sender: string): string {
  const x = new Element('x', { xmlns: NS.mucUser })
  x.c('item', { jid: sender })
  const end = message.lastIndexOf('</')
  return `${message.slice(0, end)}${x}${message.slice(end)}`
}

/** The end of the results. XEP-0313 §4.3.2 */
export function finElement(page: { ids: readonly string[]; isComplete: boolean; count?: number | undefined }): Element {
  const fin = new Element('fin', { xmlns: NS.mam })
  if (page.isComplete) fin.attrs.complete = 'true'
  const [first] = page.ids
  const last = page.ids.at(-1)
  fin.cnode(
    pageElement({
      ...(first !== undefined && last !== undefined && { first, last }),
      ...(page.count !== undefined && { count: page.count }),
    }),
  )
  return fin
}

/** XEP-0313 §5 */
export function metadataElement(ends: { first: string; last: string } | undefined): Element {
  const metadata = new Element('metadata', { xmlns: NS.mam })
  if (ends === undefined) return metadata
  const timestamp = (id: string) => new Date(timeOf(id)).toISOString()
  metadata.c('start', { id: ends.first, timestamp: timestamp(ends.first) })
  metadata.c('end', { id: ends.last, timestamp: timestamp(ends.last) })
  return metadata
}

/** XEP-0359 §3.1. A bare JID holds nothing that XML would have to escape but `&`, which no JID holds either. */
export const stanzaIdXml = (by: string, id: string) => `<stanza-id xmlns="${NS.stanzaIds}" by="${by}" id="${id}"/>`

// ---- preferences

/** What an account wants archived. XEP-0441 §2.1 */
export interface Preferences {
  standard: 'always' | 'never' | 'roster'
  /** JIDs in canonical form. */
  always: string[]
  never: string[]
}

const standards: readonly string[] = ['always', 'never', 'roster'] satisfies Preferences['standard'][]

/** JIDs in both lists together. */
const listedJids = 1000

/** Reads `<prefs/>`. Throws `bad-request`, `jid-malformed`, or `policy-violation` for lists that are too long. */
export function readPreferences(prefs: Element): Preferences {
  const standard: string | undefined = prefs.attrs.default
  if (standard === undefined || !standards.includes(standard)) {
    throw new StanzaError('bad-request', 'default is always, never or roster')
  }
  const [always, never] = [readList(prefs, 'always'), readList(prefs, 'never')]
  if (always.length + never.length > listedJids) throw new StanzaError('policy-violation', 'the lists are too long')
  return { standard: standard as Preferences['standard'], always, never } // just checked
}

function readList(prefs: Element, name: 'always' | 'never'): string[] {
  const jids = prefs.getChild(name)?.getChildren('jid') ?? []
  const texts = jids.map(child => {
    const jid = Jid.parse(child.getText().trim())
    if (jid === undefined) throw new StanzaError('jid-malformed', 'a list holds JIDs')
    return jid.text
  })
  return [...new Set(texts)]
}

/** XEP-0441 §2.1 */
export function preferencesElement({ standard, always, never }: Preferences): Element {
  const prefs = new Element('prefs', { xmlns: NS.mam, default: standard })
  for (const [name, jids] of [
    ['always', always],
    ['never', never],
  ] as const) {
    const list = prefs.c(name)
    for (const jid of jids) list.c('jid').t(jid)
  }
  return prefs
}

/** What the preferences say of a contact; 'roster': it depends on whether the contact is there. XEP-0441 §2.3 */
export function verdictOn(contact: Jid, { standard, always, never }: Preferences): Preferences['standard'] {
  const isIn = (list: readonly string[]) => list.includes(contact.text) || list.includes(contact.bareText)
  // A full JID says more than a bare one.
  if (contact.resource !== '') {
    if (never.includes(contact.text)) return 'never'
    if (always.includes(contact.text)) return 'always'
  }
  if (isIn(never)) return 'never'
  return isIn(always) ? 'always' : standard
}
