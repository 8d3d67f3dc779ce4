import { microsecondOf } from '../protocols/archive-id.js'
import type { Jid } from '../protocols/jid.js'
import { importedId, type PiePart, type PiePlace, readPart } from '../protocols/pie.js'
import type { Credentials } from '../protocols/sasl/credentials.js'
import { fieldsOf } from '../protocols/vcard.js'
import { elementOf } from '../protocols/xml/document-reader.js'
import type { Store } from '../storage/store.js'
import { ControlError } from './socket.js'

/*
 * What a document (XEP-0227) says of an account, into the store, some elements at a time. What is there already is not there twice
 * afterwards, so an import that was interrupted is done again from the start.
 */

type ImportStore = Omit<Store, 'close' | 'mucLight' | 'muc' | 'meta'>

/** What became of elements: by kind, those that were written and those that were there before. */
export type ImportCounts = Partial<Record<CountedKind, { added: number; known: number }>>
export type CountedKind = Exclude<PiePart['kind'], 'unknown' | 'privacyDefault' | 'credentials'>

export interface ImportedPart {
  counts: ImportCounts
  /** For the next elements of the archive: the microsecond of the last message. */
  after: number
}

/** Fragments of private XML that an account may have: any number that is sensible. */
const fragmentLimit = 1_000
const pageSize = 500

type Of<Kind extends PiePart['kind']> = Extract<PiePart, { kind: Kind }>

/** Writes elements of one place. Rejects with PieError for what cannot be read; then nothing was written. */
export async function importElements(
  store: ImportStore,
  account: Jid,
  place: PiePlace,
  texts: readonly string[],
  after: number,
): Promise<ImportedPart> {
  const parts = texts.map(text => readPart(elementOf(text), place, account))
  const of = <Kind extends PiePart['kind']>(kind: Kind) => parts.filter((part): part is Of<Kind> => part.kind === kind)
  const counts: ImportCounts = {}
  const count = (kind: CountedKind, added: number, known = 0) => {
    if (added + known > 0) counts[kind] = { added, known }
  }
  const { local, domain } = account

  const items = of('rosterItem').map(({ item }) => item)
  const requests = of('request').map(({ jid, xml }) => ({ jid, xml }))
  if (items.length + requests.length > 0)
    await store.rosters.update(local, domain, { put: items, putRequests: requests })
  count('rosterItem', items.length)
  count('request', requests.length)

  const lists = of('privacyList').map(({ list }) => list)
  const chosen = of('privacyDefault').at(-1)
  if (lists.length > 0 || chosen !== undefined) {
    await store.privacy.update(local, domain, { put: lists, ...(chosen && { defaultName: chosen.name }) })
  }
  count('privacyList', lists.length)

  const fragments = of('private').map(({ ns, name, xml }) => ({ ns, name, xml }))
  if (fragments.length > 0 && !(await store.privateXml.put(local, domain, fragments, fragmentLimit))) {
    throw new ControlError('conflict', `${account.text} has more than ${fragmentLimit} private fragments`)
  }
  count('private', fragments.length)

  for (const { element, xml } of of('vcard')) await store.vcards.put(local, domain, xml, fieldsOf(element, local))
  count('vcard', of('vcard').length)
  for (const { preferences } of of('preferences')) await store.archive.setPreferences(local, domain, preferences)
  count('preferences', of('preferences').length)
  for (const { at, status } of of('lastActivity')) await store.lastActivity.put(local, domain, { at, status })
  count('lastActivity', of('lastActivity').length)

  const waiting = of('offline')
  if (waiting.length > 0) {
    const added = await addOffline(store, account, waiting)
    count('offline', added, waiting.length - added)
  }

  let last = after
  const entries = of('archived').map(({ message }) => {
    const id = importedId(message, last)
    last = microsecondOf(id)
    const { contact, xml } = message
    return { id, contact: contact.bareText, resource: contact.resource, xml: Buffer.from(xml) }
  })
  if (entries.length > 0) {
    const added = await store.archive.insert(local, domain, entries)
    count('archived', added, entries.length - added)
  }
  return { counts, after: last }
}

/** Adds the messages that do not wait already, and tells how many these were. */
async function addOffline(
  store: ImportStore,
  { local, domain }: Jid,
  messages: readonly Of<'offline'>[],
): Promise<number> {
  const missing = new Map(messages.map(message => [message.xml, message]))
  for (let after = 0; missing.size > 0; ) {
    const page = await store.offline.page(local, domain, { after, limit: pageSize })
    for (const { xml } of page) missing.delete(xml)
    if (page.length < pageSize) break
    after = page.at(-1)!.id
  }
  const added = [...missing.values()].map(({ xml, at }) =>
    store.offline.add(local, domain, xml, at ?? Date.now(), Number.POSITIVE_INFINITY),
  )
  await Promise.all(added)
  return added.length
}

/** The credentials that elements of a document say. */
export function credentialsOf(texts: readonly string[], account: Jid): Credentials {
  const credentials: Credentials = { scram: {} }
  for (const text of texts) {
    const part = readPart(elementOf(text), 'user', account)
    if (part.kind === 'credentials') credentials.scram[part.hash] = part.keys
  }
  return credentials
}
