import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { archiveForm, isArchivableInRoom, tombstone, withoutReceiver } from '../protocols/mam.js'
import { NS } from '../protocols/namespaces.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { IqHandler } from '../routing/iq.js'
import type { RoomArchive, RoomMessage, RoomTombstone } from '../routing/room-archive.js'
import type { ArchiveFilter } from '../storage/store.js'
import type { RoomOptions } from './mam-options.js'
import { ArchiveReader, type ArchiveView, textOf } from './mam-reader.js'
import { ArchiveIds, bytesOf } from './mam-writing.js'
import type { ModuleServer } from './module.js'

/** Keeps what is said in the rooms of one domain, whoever serves them, and answers for the rooms what is asked about it. XEP-0313 §6.1.2 */
export function keepRooms(server: ModuleServer, domain: string, options: RoomOptions): void {
  const { routing } = server
  const rooms = new RoomKeeper(server, domain, options)
  server.onStop(routing.rooms.keep(domain, rooms))
  const answer = (type: 'get' | 'set', name: string, handler: IqHandler) =>
    server.onStop(routing.iq.register({ domain, target: 'account', type, ns: NS.mam, name, handler }))
  answer('get', 'query', iq => rooms.form(iq))
  answer('set', 'query', iq => rooms.query(iq))
  answer('get', 'metadata', iq => rooms.metadata(iq))
  answer('get', 'prefs', iq => rooms.preferences(iq))
  answer('set', 'prefs', iq => rooms.preferences(iq))
}

class RoomKeeper implements RoomArchive {
  readonly givesIds: boolean
  readonly features: readonly string[]
  readonly #server: ModuleServer
  readonly #domain: string
  readonly #rules: { readonly hasChatMarkers: boolean }
  readonly #reader: ArchiveReader
  readonly #ids: ArchiveIds
  /** The last batch of messages, and when all up to it are written. */
  #batch: Promise<void> | undefined
  #written: Promise<void> = Promise.resolve()

  constructor(server: ModuleServer, domain: string, options: RoomOptions) {
    this.#server = server
    this.#domain = domain
    this.#rules = { hasChatMarkers: options.archive_chat_markers }
    this.#reader = new ArchiveReader(server, options, {
      lookups: 'modMucMamLookups',
      results: 'modMucMamForwarded',
    })
    this.#ids = server.kept('ids of rooms', () => new ArchiveIds(server.clock))
    this.givesIds = !options.no_stanzaid_element
    this.features = [NS.mam, NS.mamExtended, ...(this.givesIds ? [NS.stanzaIds] : [])]
  }

  // ---- what rooms say

  newId(): string {
    return this.#ids.next()
  }

  wants(message: Stanza): boolean {
    return isArchivableInRoom(message, this.#rules)
  }

  append({ room, id, message, sender = room.text }: RoomMessage): Promise<void> {
    if (!this.wants(message)) return this.#written
    const nick = message.from?.resource
    this.#server.hooks.counters.modMucMamArchived++
    const written = this.#server.store.archive.append({
      user: room.local,
      host: room.domain,
      id,
      contact: sender,
      resource: '',
      ...(nick && { nick }),
      xml: bytesOf(withoutReceiver(message)),
    })
    return this.#inOrder(written)
  }

  /** A store may have written a later batch before an earlier one. */
  #inOrder(batch: Promise<void>): Promise<void> {
    if (batch === this.#batch) return this.#written
    this.#batch = batch
    const mine = () => batch
    this.#written = this.#written.then(mine, mine)
    return this.#written
  }

  async retract({ room, id, retracted, author }: RoomTombstone): Promise<void> {
    const { archive } = this.#server.store
    const [found] = (await archive.pick(room.local, room.domain, [id], {})) ?? []
    if (found === undefined || (author !== undefined && found.contact !== author)) return
    await archive.replace(room.local, room.domain, id, bytesOf(tombstone(Stanza.parse(textOf(found.xml)), retracted)))
  }

  // ---- what is asked about it

  async form(iq: Stanza) {
    await this.#view(iq)
    return archiveForm()
  }

  async query(iq: Stanza) {
    return this.#reader.query(iq, await this.#view(iq))
  }

  async metadata(iq: Stanza) {
    return this.#reader.metadata(await this.#view(iq))
  }

  /** A room keeps what is said in it, whatever single occupants want. */
  async preferences(iq: Stanza): Promise<never> {
    await this.#view(iq)
    throw new StanzaError('feature-not-implemented', 'rooms have no preferences')
  }

  /** What the sender of the request may see of the room's archive. */
  async #view(iq: Stanza): Promise<ArchiveView> {
    const service = this.#server.routing.rooms.serviceOf(this.#domain)
    if (service === undefined) throw new StanzaError('service-unavailable')
    const owner = iq.to!.bare
    const { seesRealJids } = await service.mayRead(owner, iq.from!)
    return {
      owner,
      filter: jid => saidBy(jid, owner, seesRealJids),
      senderOf: ({ contact }) => (seesRealJids && contact !== owner.text ? contact : undefined),
    }
  }
}

/** Messages of an occupant, by its JID in the room, or its own where the reader knows that. XEP-0313 §4.1.1 */
function saidBy(jid: Jid, room: Jid, seesRealJids: boolean): ArchiveFilter {
  if (jid.bareText === room.text) return jid.resource === '' ? {} : { nick: jid.resource }
  // The archive knows no resources of users.
  if (seesRealJids) return { contact: jid.bareText }
  throw new StanzaError('forbidden', 'who the occupants are is not told here')
}
