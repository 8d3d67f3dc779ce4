import { randomUUID } from 'node:crypto'
import { Element } from 'ltx'
import { textOf } from '../modules/mam-reader.js'
import { boundBefore, timeOf } from '../protocols/archive-id.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { ArchivedMessage, ArchiveFilter, ArchiveRepository } from '../storage/store.js'
import { sendAs } from './sender.js'
import type { OperationServices } from './services.js'

/** Bytes of a message as XML: what a client may send at most, by whatever way. */
const longestMessage = 8_000_000
/** Messages that are read at one time, and bytes of them after which no more are. */
const messagesAtOnce = 50
const mostBytes = 32 * 1024 * 1024
/** Times beyond it, in milliseconds since 1970, are no bound for anything. */
const lastTime = Number.MAX_SAFE_INTEGER / 1000 - 1

/**
 * Sends a chat message and resolves with its id, a UUID, once it is stored where it must be. Nobody need be there to take it: a bounce goes
 * to the sender's sessions. Rejects with `policy-violation` for one of more than 8 000 000 bytes. RM-1, RM-2, A-9
 */
export async function sendMessage(
  services: OperationServices,
  { from, to, body }: { from: Jid; to: Jid; body: string },
): Promise<string> {
  const id = randomUUID()
  const element = new Element('message', { type: 'chat', id, from: from.text, to: to.text })
  element.c('body').t(body)
  await sendElement(services, from, element)
  return id
}

/** Sends a message that was made here. Rejects with `policy-violation` for one of more than 8 000 000 bytes. */
export async function sendElement(services: OperationServices, from: Jid, element: Element): Promise<void> {
  const message = Stanza.fromElement(element)
  // What escapes can make of it is five times as long.
  if (message.encodedLength() > longestMessage) throw new StanzaError('policy-violation', 'the message is too long')
  await sendAs(services, from, message)
}

/** A message of an archive. */
export interface RecentMessage {
  /** The whole stanza; never change it. */
  readonly element: Element
  readonly from: Jid
  readonly to: Jid
  /** As its sender called it; '' for none. */
  readonly id: string
  /** When it came, in milliseconds since 1970. */
  readonly at: number
}

/**
 * The newest `limit` messages in the archive of an account that came not later than `before` (milliseconds since 1970), oldest first.
 * `with` leaves only those that were exchanged with that JID; a bare one stands for all of its resources. Of more than
 * 50 the oldest are missing where the others have 32 MiB together. RM-3, A-10
 */
export async function recentMessages(
  { store }: OperationServices,
  account: Jid,
  wanted: { with?: Jid | undefined; before?: number | undefined; limit: number },
): Promise<RecentMessage[]> {
  const { with: contact, before, limit } = wanted
  const filter: ArchiveFilter = {
    ...(contact !== undefined && { contact: contact.bareText }),
    ...(contact !== undefined && contact.resource !== '' && { resource: contact.resource }),
    // That millisecond belongs to it.
    ...(before !== undefined && before < lastTime && { before: boundBefore(before + 1) }),
  }
  const found = await lastMessages(store.archive, account, filter, limit)
  return found.map(message => readArchived(message, account.bare))
}

/** A page at a time, so that nobody fills the memory with what others wrote. */
async function lastMessages(
  archive: ArchiveRepository,
  { local, domain }: Jid,
  filter: ArchiveFilter,
  limit: number,
): Promise<ArchivedMessage[]> {
  let found: ArchivedMessage[] = []
  let bytes = 0
  while (found.length < limit && bytes < mostBytes) {
    const asked = Math.min(messagesAtOnce, limit - found.length)
    const before = found[0]?.id
    const page = { ...filter, ...(before !== undefined && { before }), limit: asked, isLast: true }
    const older = (await archive.page(local, domain, page)) ?? []
    for (const { xml } of older) bytes += xml.length
    found = [...older, ...found]
    if (older.length < asked) break
  }
  return found
}

function readArchived({ id, xml, contact }: ArchivedMessage, account: Jid): RecentMessage {
  const stanza = Stanza.parse(textOf(xml))
  const other = Jid.parse(contact) ?? account
  const { from = other, to = from.bareText === account.text ? other : account } = stanza
  return { element: stanza.element, from, to, id: stanza.id ?? '', at: timeOf(id) }
}
