import { LRUCache } from 'lru-cache'
import { boundBefore } from '../protocols/archive-id.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import {
  archiveForm,
  claimsId,
  isArchivable,
  type Preferences,
  preferencesElement,
  readPreferences,
  stanzaIdXml,
  verdictOn,
  withoutIds,
} from '../protocols/mam.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { drop, type Transformed } from '../routing/hooks.js'
import type { IqAnswer } from '../routing/iq.js'
import { entries } from '../storage/remembered.js'
import { mamOptions, type PersonalOptions, personalOptions, roomOptions, unsupportedMam } from './mam-options.js'
import { ArchiveReader, type ArchiveView, payloadOf } from './mam-reader.js'
import { keepRooms } from './mam-rooms.js'
import { ArchiveIds, bytesOf } from './mam-writing.js'
import { defineModule, type ModuleServer } from './module.js'

/** Accounts whose preferences are remembered. */
const rememberedPreferences = 50_000
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
    const { retention_days: days } = options
    const rooms = roomOptions(options)
    if (rooms !== undefined) {
      const domain = rooms.host.replaceAll('@HOST@', server.host)
      keepRooms(server, domain, rooms)
      if (days !== undefined) server.onStop(keepExpiring(server, domain, days))
    }
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
    server.onStop(hooks.leaving.transform(messages, (stanza, { jid }) => archive.leaving(stanza, jid)))
    server.onStop(hooks.arriving.transform(messages, (stanza, to) => archive.arriving(stanza, to)))
    server.onStop(hooks.accountRemoved.observe(account => archive.removed(account)))
    server.onStop(hooks.accountChanged.observe(account => archive.forget(account)))
    for (const feature of [NS.mam, NS.mamExtended]) server.onStop(server.discovery.account.addFeature(feature))
    if (!personal.no_stanzaid_element) server.onStop(server.discovery.account.addFeature(NS.stanzaIds))
    if (days !== undefined) server.onStop(keepExpiring(server, server.host, days))
  },
})

/** The message without ids that only our archive may give. XEP-0359 §5 */
const cleaned = (stanza: Stanza, by: string) =>
  claimsId(stanza, by) ? Stanza.fromElement(withoutIds(stanza, by)) : stanza

class Archive {
  readonly #server: ModuleServer
  readonly #options: PersonalOptions
  readonly #rules
  readonly #preferences = new LRUCache<string, { stored: Preferences | undefined }>(entries(rememberedPreferences))
  readonly #reader: ArchiveReader
  readonly #ids: ArchiveIds
  /** Grows with each change of preferences: tells whether an answer of the store may be out of date. */
  #changes = 0
  /** The last message as bytes: its sender's archive and its addressee's come after one another. */
  #encoded: { message: Stanza; xml: Uint8Array } | undefined

  constructor(server: ModuleServer, options: PersonalOptions) {
    this.#server = server
    this.#options = options
    this.#reader = new ArchiveReader(server, options, { lookups: 'modMamLookups', results: 'modMamForwarded' })
    this.#ids = server.kept('ids', () => new ArchiveIds(server.clock))
    this.#rules = { hasGroupchat: options.archive_groupchats, hasChatMarkers: options.archive_chat_markers }
  }

  // ---- what comes by

  /** A message of an account of ours; what it sends to itself arrives, and is archived then. Copies of it for its sender bear its id. */
  leaving(message: Stanza, sender: Jid): Transformed | Promise<Transformed> {
    const { to } = message
    if (to === undefined || to.bareText === sender.bareText || !isArchivable(message, 'sent', this.#rules))
      return message
    const wanted = this.#isWanted(sender, to)
    if (wanted instanceof Promise) return wanted.then(is => (is ? this.#keepSent(message, to, sender) : message))
    return wanted ? this.#keepSent(message, to, sender) : message
  }

  async #keepSent(message: Stanza, to: Jid, sender: Jid): Promise<Stanza> {
    const { id, written } = this.#append(sender, to, message)
    await written
    this.#server.hooks.counters.modMamFlushed++
    // Only the sender's other resources see what is made of it here.
    const own = sender.resource === '' ? 0 : 1
    const isCopied = this.#server.routing.sessions.resources(sender.bareText).length > own
    return isCopied ? this.#withId(message, sender, id) : message
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
    this.#server.hooks.counters.modMamFlushed++
    return this.#withId(message, to, id)
  }

  #withId(message: Stanza, owner: Jid, id: string): Stanza {
    if (this.#options.no_stanzaid_element) return message
    return message.withChild(stanzaIdXml(owner.bareText, id), NS.stanzaIds)
  }

  #append(owner: Jid, contact: Jid, message: Stanza): { id: string; written: Promise<void> } {
    const { store, host, hooks } = this.#server
    hooks.counters.modMamArchived++
    const id = this.#ids.next()
    const { bareText, resource } = contact
    const xml = this.#encode(message)
    return { id, written: store.archive.append({ user: owner.local, host, id, contact: bareText, resource, xml }) }
  }

  #encode(message: Stanza): Uint8Array {
    if (this.#encoded?.message === message) return this.#encoded.xml
    const xml = bytesOf(message)
    this.#encoded = { message, xml }
    return xml
  }

  /** What nobody will be given is not archived. RFC 6121 §8.5.2, §8.5.3.2.1; XEP-0313 §6.1 */
  #isTaken({ type, from }: Stanza, to: Jid): boolean {
    const { routes, sessions } = this.#server.routing
    // Rooms of ours address their occupants so. spec/muc-light.md §5.1
    if (to.resource === '') return type !== 'groupchat' || routes.get(from!.domain)?.kind === 'service'
    return type === 'chat' || sessions.byFull(to.text) !== undefined
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

  removed(account: Jid): void {
    this.#server.hooks.counters.modMamArchiveRemoved++
    this.forget(account)
  }

  forget(account: Jid): void {
    this.#changes += 1
    this.#preferences.delete(account.bareText)
  }

  async preferences(iq: Stanza): Promise<IqAnswer> {
    const account = this.#ownerWithPreferences(iq)
    this.#server.hooks.counters.modMamPrefsGets++
    const stored = this.#preferences.get(account.bareText)?.stored ?? (await this.#load(account))
    return preferencesElement(stored ?? { standard: 'always', always: [], never: [] })
  }

  async setPreferences(iq: Stanza): Promise<IqAnswer> {
    const account = this.#ownerWithPreferences(iq)
    const wanted = readPreferences(payloadOf(iq))
    this.#server.hooks.counters.modMamPrefsSets++
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
    return this.#reader.metadata(view(iq))
  }

  async query(iq: Stanza): Promise<IqAnswer> {
    return this.#reader.query(iq, view(iq))
  }
}

/** The archive of the account that asks. */
const view = (iq: Stanza): ArchiveView => ({
  owner: ownerOf(iq),
  filter: ({ bareText, resource }) => ({ contact: bareText, resource }),
})

/** Whose archive it is; nobody else sees it. XEP-0313 §8.1 */
function ownerOf(iq: Stanza): Jid {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your archive')
  return iq.to!.bare
}

// ---- retention

/** Removes what is older than so many days from the archives of a domain, again and again, a little at a time; returns the undo. */
function keepExpiring(server: ModuleServer, domain: string, days: number): () => void {
  let cancel = () => {}
  const after = (ms: number, owner: string) => {
    cancel = server.clock.after(ms, () => server.routing.inBackground(() => step(owner)))
  }
  const step = async (owner: string) => {
    // Taken up again in an hour, also when the store is away.
    after(expiryMs, '')
    const before = boundBefore(server.clock.wall() - days * dayMs)
    const next = await server.store.archive.expire(domain, { before, after: owner, limit: expiryBatch })
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
