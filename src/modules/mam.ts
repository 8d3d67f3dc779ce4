import { setImmediate as nextTurn } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { randomText } from '../auth/random-text.js'
import { archiveId, boundBefore, secretLength } from '../protocols/archive-id.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import {
  type ArchiveQuery,
  archiveForm,
  claimsId,
  finElement,
  isArchivable,
  metadataElement,
  type Preferences,
  preferencesElement,
  readArchiveQuery,
  readPreferences,
  resultXml,
  stanzaIdXml,
  verdictOn,
  withoutIds,
} from '../protocols/mam.js'
import { NS } from '../protocols/namespaces.js'
import { iqResult, Stanza } from '../protocols/stanza/stanza.js'
import { drop, type Transformed } from '../routing/hooks.js'
import { answered, type IqAnswer } from '../routing/iq.js'
import type { Session } from '../sessions/session.js'
import type { ArchivedMessage, ArchiveFilter } from '../storage/store.js'
import { mamOptions, type PersonalOptions, personalOptions, unsupportedMam } from './mam-options.js'
import { defineModule, type ModuleServer } from './module.js'

/** Accounts whose preferences are remembered. */
const rememberedPreferences = 50_000
/** Results handed over at a time. Few, because the client's queue may be short (`max_fsm_queue`). */
const resultsAtOnce = 8
/** Pages that may wait for one client. */
const pagesAtOnce = 10
/** Milliseconds between two looks whether the client has taken them. */
const paceMs = 50
/** How far results are counted, where a client asks how many there are. */
const countLimit = 100_000
/** Milliseconds between two times that old messages are looked for, and between the batches of one time. */
const expiryMs = 60 * 60 * 1000
const expiryPaceMs = 100
/** Messages removed at a time: writing waits that long. */
const expiryBatch = 500

const dayMs = 24 * 60 * 60 * 1000

export const mam = defineModule({
  name: 'mod_mam_meta',
  implements: ['XEP-0059', 'XEP-0313', 'XEP-0334', 'XEP-0359', 'XEP-0441'],
  features: [],
  shipped: false,
  config: mamOptions,
  unsupported: unsupportedMam,

  start(server, options) {
    const personal = personalOptions(options)
    if (personal === undefined) return
    const archive = new Archive(server, personal)
    const { hooks } = server
    const messages = { kinds: ['message'] } as const
    server.onIq('account', 'get', NS.mam, 'query', iq => archive.form(iq))
    server.onIq('account', 'set', NS.mam, 'query', iq => archive.query(iq))
    server.onIq('account', 'get', NS.mam, 'metadata', iq => archive.metadata(iq))
    server.onIq('account', 'get', NS.mam, 'prefs', iq => archive.preferences(iq))
    server.onIq('account', 'set', NS.mam, 'prefs', iq => archive.setPreferences(iq))
    server.onStop(hooks.sent.transform(messages, (stanza, { jid }) => cleaned(stanza, jid.bareText)))
    server.onStop(hooks.leaving.observe(messages, (stanza, session) => archive.leaving(stanza, session.jid)))
    server.onStop(hooks.arriving.transform(messages, (stanza, to) => archive.arriving(stanza, to)))
    server.onStop(hooks.accountRemoved.observe(account => archive.forget(account)))
    for (const feature of [NS.mam, NS.mamExtended]) server.onStop(server.discovery.account.addFeature(feature))
    if (!personal.no_stanzaid_element) server.onStop(server.discovery.account.addFeature(NS.stanzaIds))
    if (personal.days !== undefined) server.onStop(keepExpiring(server, personal.days))
  },
})

/** The message without ids that only our archive may give. XEP-0359 §5 */
const cleaned = (stanza: Stanza, by: string) =>
  claimsId(stanza, by) ? Stanza.fromElement(withoutIds(stanza, by)) : stanza

class Archive {
  readonly #server: ModuleServer
  readonly #options: PersonalOptions
  readonly #rules
  readonly #preferences = new LRUCache<string, { stored: Preferences | undefined }>({ max: rememberedPreferences })
  /** Pages on their way to a session: how many, and when the last of them is there. */
  readonly #giving = new WeakMap<Session, { count: number; last: Promise<void> }>()
  /** Grows with each change of preferences: tells whether an answer of the store may be out of date. */
  #changes = 0
  /** Of the last id, in microseconds since 1970: the next is later, whatever the clock says. */
  #lastTime = 0
  /** The last message as bytes: its sender's archive and its addressee's come after one another. */
  #encoded: { message: Stanza; xml: Uint8Array } | undefined

  constructor(server: ModuleServer, options: PersonalOptions) {
    this.#server = server
    this.#options = options
    this.#rules = { hasGroupchat: options.archive_groupchats, hasChatMarkers: options.archive_chat_markers }
  }

  // ---- what comes by

  /** A message of an account of ours. What it sends to itself arrives, and is archived then. */
  leaving(message: Stanza, sender: Jid): void | Promise<void> {
    const { to } = message
    if (to === undefined || to.bareText === sender.bareText || !isArchivable(message, 'sent', this.#rules)) return
    const wanted = this.#isWanted(sender, to)
    if (wanted instanceof Promise)
      return wanted.then(is => (is ? this.#append(sender, to, message).written : undefined))
    if (wanted) return this.#append(sender, to, message).written
  }

  /** A message for an account of ours; it goes on with its id, once it is in the archive. XEP-0313 §3.5 */
  arriving(given: Stanza, to: Jid): Transformed | Promise<Transformed> {
    const message = cleaned(given, to.bareText)
    const { from } = message
    if (from === undefined || !isArchivable(message, 'received', this.#rules) || !this.#isTaken(message, to))
      return message
    const wanted = this.#mayKeep(message, to, from)
    if (wanted instanceof Promise) return wanted.then(is => (is ? this.#keep(message, to, from) : message))
    return wanted ? this.#keep(message, to, from) : message
  }

  async #keep(message: Stanza, to: Jid, from: Jid): Promise<Stanza> {
    const { id, written } = this.#append(to, from, message)
    await written
    if (this.#options.no_stanzaid_element) return message
    return message.withChild(stanzaIdXml(to.bareText, id), NS.stanzaIds)
  }

  #append(owner: Jid, contact: Jid, message: Stanza): { id: string; written: Promise<void> } {
    const { store, clock, host } = this.#server
    this.#lastTime = Math.max(this.#lastTime + 1, clock.wall() * 1000)
    const id = archiveId(this.#lastTime, randomText(secretLength / 2, 'hex'))
    const { bareText, resource } = contact
    const xml = this.#encode(message)
    return { id, written: store.archive.append({ user: owner.local, host, id, contact: bareText, resource, xml }) }
  }

  #encode(message: Stanza): Uint8Array {
    if (this.#encoded?.message === message) return this.#encoded.xml
    const bytes = Buffer.allocUnsafe(message.encodedLength())
    const xml = bytes.subarray(0, message.encode(bytes, 0))
    this.#encoded = { message, xml }
    return xml
  }

  /** What nobody will be given is not archived. RFC 6121 §8.5.2, §8.5.3.2.1; XEP-0313 §6.1 */
  #isTaken({ type }: Stanza, to: Jid): boolean {
    if (to.resource === '') return type !== 'groupchat'
    return type === 'chat' || this.#server.routing.sessions.byFull(to.text) !== undefined
  }

  /** The account exists, does not block the sender, and wants the message kept. */
  #mayKeep(message: Stanza, account: Jid, from: Jid): boolean | Promise<boolean> {
    const { sessions, accounts } = this.#server.routing
    const exists = sessions.isConnected(account.bareText) || accounts.exists(account.local, account.domain)
    if (exists instanceof Promise) return exists.then(found => found && this.#isLetIn(message, account, from))
    return exists && this.#isLetIn(message, account, from)
  }

  #isLetIn(message: Stanza, account: Jid, from: Jid): boolean | Promise<boolean> {
    const { onBehalf } = this.#server.hooks
    if (onBehalf.isEmpty) return this.#isWanted(account, from)
    const refused = (error: unknown) => {
      if (error instanceof StanzaError) return false
      throw error
    }
    try {
      const passed = onBehalf.run(message, account.bare)
      if (passed instanceof Promise) {
        return passed.then(later => later !== drop && this.#isWanted(account, from), refused)
      }
      return passed !== drop && this.#isWanted(account, from)
    } catch (error) {
      return refused(error)
    }
  }

  // ---- preferences

  #isWanted(owner: Jid, contact: Jid): boolean | Promise<boolean> {
    if (this.#options.user_prefs_store === undefined) return true
    const known = this.#preferences.get(owner.bareText)
    if (known !== undefined) return this.#decide(owner, contact, known.stored)
    return this.#load(owner).then(stored => this.#decide(owner, contact, stored))
  }

  #decide(owner: Jid, contact: Jid, preferences: Preferences | undefined): boolean | Promise<boolean> {
    if (preferences === undefined) return true
    const verdict = verdictOn(contact, preferences)
    if (verdict !== 'roster') return verdict === 'always'
    const roster = this.#server.routing.rosters.get(owner.bare)
    if (roster instanceof Promise) return roster.then(({ items }) => items.has(contact.bareText))
    return roster.items.has(contact.bareText)
  }

  async #load(owner: Jid): Promise<Preferences | undefined> {
    const before = this.#changes
    const stored = await this.#server.store.archive.preferences(owner.local, this.#server.host)
    if (before === this.#changes) this.#preferences.set(owner.bareText, { stored })
    return stored
  }

  forget(account: Jid): void {
    this.#changes += 1
    this.#preferences.delete(account.bareText)
  }

  async preferences(iq: Stanza): Promise<IqAnswer> {
    const account = this.#ownerWithPreferences(iq)
    const stored = this.#preferences.get(account.bareText)?.stored ?? (await this.#load(account))
    return preferencesElement(stored ?? { standard: 'always', always: [], never: [] })
  }

  async setPreferences(iq: Stanza): Promise<IqAnswer> {
    const account = this.#ownerWithPreferences(iq)
    const wanted = readPreferences(payloadOf(iq))
    try {
      await this.#server.store.archive.setPreferences(account.local, this.#server.host, wanted)
    } finally {
      // Nobody knows what was written when that failed.
      this.forget(account)
    }
    return preferencesElement(wanted)
  }

  #ownerWithPreferences(iq: Stanza): Jid {
    const account = ownerOf(iq)
    if (this.#options.user_prefs_store !== undefined) return account
    throw new StanzaError('feature-not-implemented', 'there are no preferences here')
  }

  // ---- queries

  form(iq: Stanza): IqAnswer {
    ownerOf(iq)
    return archiveForm()
  }

  async metadata(iq: Stanza): Promise<IqAnswer> {
    const { local } = ownerOf(iq)
    return metadataElement(await this.#server.store.archive.ends(local, this.#server.host))
  }

  /** The results go to the client before the answer does. XEP-0313 §4 */
  async query(iq: Stanza): Promise<IqAnswer> {
    const account = ownerOf(iq)
    const query = readArchiveQuery(payloadOf(iq))
    if (query.max === 0) return this.#count(account, query)
    const limit = Math.min(query.max ?? this.#options.default_result_limit, this.#options.max_result_limit)
    const found = await this.#find(account, query, limit + 1)
    const isComplete = found.length <= limit
    const page = isComplete ? found : query.isLast ? found.slice(1) : found.slice(0, limit)
    const count = isComplete && query.isOutermost ? page.length : undefined
    const fin = finElement({ ids: page.map(({ id }) => id), isComplete, count })
    const session = this.#server.routing.sessions.byFull(iq.from!.text)
    if (session === undefined || page.length === 0) return fin
    this.#giveInTurn(session, async () => {
      await this.#give(session, query, query.isFlipped ? [...page].reverse() : page)
      session.deliver(iqResult(iq, fin))
    })
    return answered
  }

  /** In the background, because the client's connection takes nothing while it handles a query; one page after another. */
  #giveInTurn(session: Session, give: () => Promise<void>): void {
    const pages = this.#giving.get(session) ?? { count: 0, last: Promise.resolve() }
    if (pages.count >= pagesAtOnce) throw new StanzaError('resource-constraint', 'too many queries at one time')
    this.#giving.set(session, pages)
    pages.count += 1
    const done = () => {
      pages.count -= 1
    }
    const given = pages.last.then(give)
    pages.last = given.then(done, done)
    this.#server.routing.inBackground(() => given)
  }

  async #count(account: Jid, query: ArchiveQuery): Promise<IqAnswer> {
    // What it is asked for may be missing.
    const picked = await this.#find(account, query, query.ids?.length ?? 0)
    const { store, host } = this.#server
    const count = query.ids
      ? picked.length
      : await store.archive.count(account.local, host, filterOf(query), countLimit)
    return finElement({ ids: [], isComplete: count === 0, count })
  }

  /** The first messages that are asked for, or the last, in their order. */
  async #find(account: Jid, query: ArchiveQuery, limit: number): Promise<ArchivedMessage[]> {
    const { store, host } = this.#server
    const { ids, known, isLast } = query
    const filter = filterOf(query)
    const found = await store.archive.page(account.local, host, { ...filter, limit: ids ? 0 : limit, isLast, known })
    const messages = found && ids ? await store.archive.pick(account.local, host, ids, filter) : found
    if (messages === undefined) throw new StanzaError('item-not-found', 'no message has this id')
    if (messages.length <= limit) return messages
    return isLast ? messages.slice(-limit) : messages.slice(0, limit)
  }

  async #give(session: Session, { queryId }: ArchiveQuery, messages: readonly ArchivedMessage[]): Promise<void> {
    const envelope = { from: session.jid.bareText, to: session.jid.text, queryId }
    for (const [index, { id, xml }] of messages.entries()) {
      if (index > 0 && index % resultsAtOnce === 0) await this.#untilTaken(session)
      if (!session.deliver(Stanza.parse(resultXml(envelope, { id, message: textOf(xml) })))) return
    }
  }

  async #untilTaken(session: Session): Promise<void> {
    await nextTurn()
    while (session.waitingStanzas > 0 && this.#server.routing.sessions.byFull(session.jid.text) === session) {
      await new Promise<void>(resolve => this.#server.clock.after(paceMs, resolve))
    }
  }
}

const textOf = (xml: Uint8Array) => Buffer.from(xml.buffer, xml.byteOffset, xml.byteLength).toString()

function filterOf(query: ArchiveQuery): ArchiveFilter {
  const { after, before } = query
  return {
    ...(query.with && { contact: query.with.bareText, resource: query.with.resource }),
    ...(after !== undefined && { after }),
    ...(before !== undefined && { before }),
  }
}

/** Whose archive it is; nobody else sees it. XEP-0313 §8.1 */
function ownerOf(iq: Stanza): Jid {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your archive')
  return iq.to!.bare
}

const payloadOf = (iq: Stanza) => iq.element.getChildElements()[0]! // a request has exactly one

// ---- retention

/** Removes what is older than so many days, again and again, a little at a time; returns the undo. */
function keepExpiring(server: ModuleServer, days: number): () => void {
  let cancel = () => {}
  const after = (ms: number, owner: string) => {
    cancel = server.clock.after(ms, () => server.routing.inBackground(() => step(owner)))
  }
  const step = async (owner: string) => {
    // Taken up again in an hour, also when the store is away.
    after(expiryMs, '')
    const before = boundBefore(server.clock.wall() - days * dayMs)
    const next = await server.store.archive.expire(server.host, { before, after: owner, limit: expiryBatch })
    if (next === undefined || isStopped) return
    cancel()
    after(expiryPaceMs, next)
  }
  let isStopped = false
  after(expiryPaceMs, '')
  return () => {
    isStopped = true
    cancel()
  }
}
