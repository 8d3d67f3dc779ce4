import type { Jid } from '../protocols/jid.js'
import {
  archivedXml,
  containerEnd,
  containerStart,
  documentEnd,
  documentStart,
  fragmentXml,
  lastActivityXml,
  type PieContainer,
  preferencesXml,
  privacyXml,
  rosterItemXml,
  scramXml,
  stanzaXml,
} from '../protocols/pie.js'
import type { ScramHash, ScramKeys } from '../protocols/sasl/credentials.js'
import type { Store } from '../storage/store.js'
import { ControlError } from './socket.js'

/*
 * An account as a document (XEP-0227), piece by piece: no piece needs more than the one before it tells.
 */

/** Where a piece goes on; made and read here alone. */
export type ExportCursor =
  | { readonly step: 'start' | 'user' }
  | { readonly step: 'offline'; readonly after: number; readonly isOpen: boolean }
  | { readonly step: 'private'; readonly after: { ns: string; name: string }; readonly isOpen: boolean }
  | { readonly step: 'archive'; readonly after: string; readonly isOpen: boolean }

export interface ExportPiece {
  xml: string
  /** Absent behind the last piece. */
  cursor?: ExportCursor
  /** Messages in the piece. */
  messages: number
  /** Messages of the account; only in the first piece. */
  total?: number
}

type ExportStore = Omit<Store, 'close' | 'mucLight' | 'muc' | 'meta'>

/** Messages in a piece, and fragments of private XML. */
const pageSize = 100
/** As far as messages are counted. */
const countLimit = 1_000_000_000
const hashes: readonly ScramHash[] = ['sha', 'sha224', 'sha256', 'sha384', 'sha512']

/** The piece of an account at the cursor. Rejects with ControlError when there is no such account. */
export function exportPiece(store: ExportStore, account: Jid, cursor: ExportCursor): Promise<ExportPiece> {
  switch (cursor.step) {
    case 'start':
      return start(store, account)
    case 'offline':
      return offline(store, account, cursor)
    case 'user':
      return user(store, account)
    case 'private':
      return privateXml(store, account, cursor)
    case 'archive':
      return archive(store, account, cursor)
  }
}

async function start(store: ExportStore, { text, local, domain }: Jid): Promise<ExportPiece> {
  const credentials = await store.accounts.credentials(local, domain)
  if (credentials === undefined) throw new ControlError('not-found', `there is no account ${text}`)
  const [waiting, archived] = await Promise.all([
    store.offline.count(local, domain),
    store.archive.count(local, domain, {}, countLimit),
  ])
  return {
    xml: documentStart(domain, local, credentials.password),
    cursor: { step: 'offline', after: 0, isOpen: false },
    messages: 0,
    total: waiting + archived,
  }
}

/** Elements of a container; `after` is absent behind the last of them, and then `next` is what follows. */
function piece<After>(
  container: PieContainer,
  isOpen: boolean,
  elements: readonly string[],
  after: After | undefined,
  next: ExportCursor | undefined,
  toCursor: (after: After) => ExportCursor,
): Pick<ExportPiece, 'xml' | 'cursor'> {
  const opens = !isOpen && elements.length > 0
  const closes = after === undefined && (isOpen || opens)
  const cursor = after === undefined ? next : toCursor(after)
  return {
    xml:
      (opens ? containerStart(container) : '') +
      elements.map(xml => `${xml}\n`).join('') +
      (closes ? containerEnd(container) : ''),
    ...(cursor && { cursor }),
  }
}

async function offline(
  store: ExportStore,
  { local, domain }: Jid,
  cursor: ExportCursor & { step: 'offline' },
): Promise<ExportPiece> {
  const page = await store.offline.page(local, domain, { after: cursor.after, limit: pageSize })
  const elements = page.map(({ xml }) => stanzaXml(xml))
  const after = page.length < pageSize ? undefined : page.at(-1)!.id
  const next = { step: 'user' } as const
  const rest = piece('offline', cursor.isOpen, elements, after, next, id => ({
    step: 'offline',
    after: id,
    isOpen: true,
  }))
  return { ...rest, messages: page.length }
}

async function user(store: ExportStore, { local, domain }: Jid): Promise<ExportPiece> {
  const [credentials, roster, vcard, privacy, preferences, last] = await Promise.all([
    store.accounts.credentials(local, domain),
    store.rosters.load(local, domain),
    store.vcards.get(local, domain),
    store.privacy.load(local, domain),
    store.archive.preferences(local, domain),
    store.lastActivity.get(local, domain),
  ])
  const keys = hashes.map(hash => [hash, credentials?.scram[hash]] as const)
  const lists = privacyXml(privacy.lists, privacy.defaultName)
  const lines = [
    ...keys.filter((pair): pair is [ScramHash, ScramKeys] => pair[1] !== undefined).map(pair => scramXml(...pair)),
    ...contained('roster', roster.items.map(rosterItemXml).join('\n')),
    ...roster.requests.map(({ xml }) => stanzaXml(xml)),
    ...(vcard === undefined ? [] : [fragmentXml(vcard)]),
    ...contained('privacy', lists),
    ...(preferences === undefined ? [] : [preferencesXml(preferences)]),
    ...(last === undefined ? [] : [lastActivityXml(last)]),
  ]
  const cursor = { step: 'private', after: { ns: '', name: '' }, isOpen: false } as const
  return { xml: lines.map(line => `${line}\n`).join(''), cursor, messages: 0 }
}

const contained = (container: PieContainer, inside: string) =>
  inside === '' ? [] : [`${containerStart(container)}${inside}\n${containerEnd(container).trimEnd()}`]

async function privateXml(
  store: ExportStore,
  { local, domain }: Jid,
  cursor: ExportCursor & { step: 'private' },
): Promise<ExportPiece> {
  const page = await store.privateXml.list(local, domain, { after: cursor.after, limit: pageSize })
  const elements = page.map(({ xml }) => fragmentXml(xml))
  const last = page.length < pageSize ? undefined : page.at(-1)
  const next = { step: 'archive', after: '', isOpen: false } as const
  const rest = piece('private', cursor.isOpen, elements, last, next, ({ ns, name }) => ({
    step: 'private',
    after: { ns, name },
    isOpen: true,
  }))
  return { ...rest, messages: 0 }
}

async function archive(
  store: ExportStore,
  { local, domain }: Jid,
  cursor: ExportCursor & { step: 'archive' },
): Promise<ExportPiece> {
  const filter = cursor.after === '' ? {} : { after: cursor.after }
  const page = (await store.archive.page(local, domain, { ...filter, limit: pageSize })) ?? []
  const elements = page.map(({ id, xml }) => archivedXml({ id, xml: Buffer.from(xml).toString() }))
  const after = page.length < pageSize ? undefined : page.at(-1)!.id
  const rest = piece('archive', cursor.isOpen, elements, after, undefined, id => ({
    step: 'archive',
    after: id,
    isOpen: true,
  }))
  return { ...rest, xml: after === undefined ? rest.xml + documentEnd : rest.xml, messages: page.length }
}
