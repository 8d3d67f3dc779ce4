import type { Element } from 'ltx'
import { type DiscoInfo, infoElement } from '../protocols/disco.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { affiliationOf } from '../protocols/muc-light.js'
import {
  blockingQuery,
  queryOf,
  readBlocking,
  readCreation,
  readFields,
  readOccupants,
  roomQuery,
  roomsQuery,
  rosterItem,
  versionIn,
} from '../protocols/muc-light-xml.js'
import { NS } from '../protocols/namespaces.js'
import { pageElement, readPageRequest } from '../protocols/rsm.js'
import { iqResult, type Stanza } from '../protocols/stanza/stanza.js'
import { checkIq, type IqAnswer } from '../routing/iq.js'
import type { Discovery } from './discovery.js'
import type { ModuleServer } from './module.js'
import type { MucLightDomain, MucLightOptions } from './muc-light-domain.js'
import { withId } from './muc-light-notices.js'

/** A request to the service, or to a room of it; its sender is a user. */
interface Request {
  readonly iq: Stanza
  readonly id: string
  /** The bare JID of who asks. */
  readonly user: string
  /** The room's localpart; '' for the service. */
  readonly name: string
}

type Handler = (request: Request) => IqAnswer | Promise<IqAnswer>

/** The stanzas for one domain of rooms; what they ask is done by `MucLightDomain`. spec/muc-light.md */
export class MucLightService {
  readonly #server: ModuleServer
  readonly #options: MucLightOptions
  readonly #domain: MucLightDomain
  readonly #discovery: Discovery
  readonly #ofRooms: Readonly<Record<string, Handler>>
  readonly #ofService: Readonly<Record<string, Handler>>

  constructor(server: ModuleServer, options: MucLightOptions, domain: MucLightDomain, discovery: Discovery) {
    this.#server = server
    this.#options = options
    this.#domain = domain
    this.#discovery = discovery
    this.#ofRooms = {
      [`set ${NS.mucLightCreate}`]: request => this.#create(request),
      [`get ${NS.mucLightConfiguration}`]: request => this.#show('configuration', request),
      [`set ${NS.mucLightConfiguration}`]: request => this.#configure(request),
      [`get ${NS.mucLightAffiliations}`]: request => this.#show('affiliations', request),
      [`set ${NS.mucLightAffiliations}`]: request => this.#affiliate(request),
      [`get ${NS.mucLightInfo}`]: request => this.#show('info', request),
      [`set ${NS.mucLightDestroy}`]: request => this.#destroy(request),
    }
    this.#ofService = {
      [`set ${NS.mucLightCreate}`]: request => this.#create(request),
      [`get ${NS.mucLightBlocking}`]: request => this.#showBlocked(request),
      [`set ${NS.mucLightBlocking}`]: request => this.#block(request),
      [`get ${NS.discoInfo}`]: ({ iq }) => infoElement(this.#info(), noNode(iq)),
      [`get ${NS.discoItems}`]: request => this.#listRooms(request),
    }
  }

  /** Takes a stanza for the service or a room of it. ML-5 to ML-9 */
  take(stanza: Stanza): void | Promise<void> {
    if (stanza.kind === 'presence' || stanza.type === 'error') return
    if (stanza.kind === 'iq' && stanza.type === 'result') return
    if (stanza.to!.isFull) throw new StanzaError('bad-request', 'rooms have no resources')
    return stanza.kind === 'message' ? this.#message(stanza) : this.#iq(stanza)
  }

  /** The same message to every occupant, the sender too. ML-11 */
  async #message(stanza: Stanza): Promise<void> {
    const room = stanza.to!
    const sender = stanza.from!
    if (stanza.type !== 'groupchat' || room.local === '') throw new StanzaError('bad-request', 'rooms take groupchat')
    // Rooms that are occupants of each other would go on for ever. spec/muc-light.md §12
    if (this.#server.routing.routes.get(sender.domain)?.kind === 'service') throw notFound()
    const found = await this.#domain.findSettled(room.local)
    if (found === undefined || affiliationOf(found.room, sender.bareText) === undefined) throw notFound()
    const from = room.withResource(sender.bareText)
    if (from === undefined) throw new StanzaError('not-acceptable', 'the address of the sender is too long')
    const copy = (stanza.id ? stanza : withId(stanza, this.#domain.stamp())).addressed({ from })
    const told = await this.#domain.notices.keepMessage(room, copy, sender)
    this.#domain.notices.send(told, found.addressees)
  }

  /** ML-35 */
  async mayRead(room: Jid, reader: Jid): Promise<{ seesRealJids: boolean }> {
    await this.#domain.findFor(reader.bareText, room.local)
    return { seesRealJids: true }
  }

  /** ML-32 */
  #info(): DiscoInfo {
    const { info } = this.#discovery
    const { archive } = this.#domain.notices
    return archive === undefined ? info : { ...info, features: [...info.features, ...archive.features] }
  }

  #iq(iq: Stanza): void | Promise<void> {
    checkIq(iq)
    if (iq.element.getChildElements().length !== 1) {
      throw new StanzaError('bad-request', 'an IQ request has exactly one child element')
    }
    const { local } = iq.to!
    const key = `${iq.type} ${iq.payload!.ns}`
    const handler = (local === '' ? this.#ofService : this.#ofRooms)[key]
    if (handler === undefined) return this.#passOn(iq)
    const request = { iq, id: iq.id!, user: iq.from!.bareText, name: local }
    return this.#reply(iq, async () => {
      queryOf(iq.element, iq.payload!.ns)
      return handler(request)
    })
  }

  async #reply(iq: Stanza, answer: () => Promise<IqAnswer>): Promise<void> {
    const payload = await answer()
    await this.#server.routing.route(iqResult(iq, payload as Element | undefined)) // no handler of ours sends its result itself
  }

  /** What is not about rooms may be another module's. ML-9 */
  #passOn(iq: Stanza): void | Promise<void> {
    const { routing } = this.#server
    const { domain } = this.#options
    const target = iq.to!.local === '' ? 'host' : 'account'
    if (routing.iq.has(domain.text, target, iq)) {
      const reply = routing.iq.answer(domain.text, target, iq)
      if (reply instanceof Promise) return reply.then(later => (later ? routing.route(later) : undefined))
      return reply && routing.route(reply)
    }
    const { ns } = iq.payload!
    if (ns.startsWith(NS.mucLight) || ns === NS.discoInfo || ns === NS.discoItems) {
      throw new StanzaError('bad-request', 'this is asked otherwise, or somewhere else')
    }
    throw new StanzaError('feature-not-implemented')
  }

  /** ML-13 to ML-17 */
  async #create({ iq, id, user, name }: Request): Promise<IqAnswer> {
    if (iq.from!.local === '') throw new StanzaError('bad-request', 'a user makes a room')
    await this.#domain.create({ creator: user, ...readCreation(queryOf(iq.element, NS.mucLightCreate)) }, name, id)
    return undefined
  }

  /** ML-18, ML-22, ML-27 */
  async #show(part: 'configuration' | 'affiliations' | 'info', { iq, user, name }: Request): Promise<IqAnswer> {
    const room = await this.#domain.findFor(user, name)
    return roomQuery(part, room, versionIn(iq.element.getChildElements()[0]!))
  }

  /** ML-19, ML-20 */
  async #configure({ iq, id, user }: Request): Promise<IqAnswer> {
    const read = () => readFields(queryOf(iq.element, NS.mucLightConfiguration))
    await this.#domain.configure({ room: iq.to!, user, id }, read)
    return undefined
  }

  /** ML-23 to ML-26 */
  async #affiliate({ iq, id, user }: Request): Promise<IqAnswer> {
    const read = () => readOccupants(queryOf(iq.element, NS.mucLightAffiliations))
    await this.#domain.affiliate({ room: iq.to!, user, id }, read)
    return undefined
  }

  /** ML-28 */
  async #destroy({ iq, id, user }: Request): Promise<IqAnswer> {
    await this.#domain.destroy({ room: iq.to!, user, id })
    return undefined
  }

  /** ML-29, ML-30 */
  async #showBlocked({ user }: Request): Promise<IqAnswer> {
    this.#checkBlocking()
    return blockingQuery(await this.#server.store.mucLight.blocked(this.#options.domain.text, user))
  }

  async #block({ iq, user }: Request): Promise<IqAnswer> {
    this.#checkBlocking()
    const { deny, allow } = readBlocking(queryOf(iq.element, NS.mucLightBlocking))
    await this.#server.store.mucLight.block(this.#options.domain.text, user, deny, allow)
    return undefined
  }

  #checkBlocking(): void {
    if (!this.#options.isBlocking) throw new StanzaError('bad-request', 'there are no blocking lists here')
  }

  /** ML-33 */
  async #listRooms({ iq, user }: Request): Promise<IqAnswer> {
    noNode(iq)
    const { max, after, before, index } = readPageRequest(queryOf(iq.element, NS.discoItems), { isNumbered: true })
    const page = await this.#domain.roomsOf(user, {
      limit: Math.min(max ?? this.#options.roomsPerPage, this.#options.roomsPerPage),
      ...(after !== undefined && { after: this.#nameOf(after) }),
      ...(before !== undefined && { before: before === '' ? '' : this.#nameOf(before) }),
      ...(index !== undefined && { index }),
    })
    if (page === undefined) throw new StanzaError('item-not-found', 'there is no such page')
    const { count, rooms } = page
    if (count === 0) return roomsQuery([], undefined)
    const ends = rooms.length > 0 && { first: rooms[0]!.jid, index: page.index, last: rooms.at(-1)!.jid }
    return roomsQuery(rooms, pageElement({ ...ends, count }))
  }

  /** The localpart of a room of ours that a client names. */
  #nameOf(text: string): string {
    const jid = Jid.parse(text)
    if (jid === undefined || jid.local === '' || jid.domain !== this.#options.domain.text) throw notFound()
    return jid.local
  }

  /** ML-34 */
  async addToRoster(account: Jid, items: Element[]): Promise<void> {
    items.push(...(await this.#domain.allRoomsOf(account.bareText)).map(rosterItem))
  }

  /** An account is gone: so it is from its rooms, and what it blocked is forgotten. ML-36 */
  async accountRemoved(account: Jid): Promise<void> {
    const user = account.bareText
    const { mucLight } = this.#server.store
    const service = this.#options.domain.text
    await this.#domain.leaveAll(user)
    await mucLight.block(service, user, [], await mucLight.blocked(service, user))
  }
}

const notFound = () => new StanzaError('item-not-found')
function noNode(iq: Stanza): undefined {
  if (iq.element.getChildElements()[0]?.attrs.node !== undefined) throw new StanzaError('item-not-found')
}
