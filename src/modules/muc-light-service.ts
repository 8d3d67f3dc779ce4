import { Element } from 'ltx'
import { type DiscoInfo, infoElement } from '../protocols/disco.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { claimsId, stanzaIdXml, withoutIds } from '../protocols/mam.js'
import {
  affiliate,
  affiliationOf,
  type Creation,
  checkAffiliations,
  checkCreation,
  checkDestruction,
  configureRoom,
  createRoom,
  type OccupantChange,
  type Room,
  type RoomChange,
  type RoomRules,
  stampAfter,
} from '../protocols/muc-light.js'
import {
  affiliatedNotice,
  blockingQuery,
  configuredNotice,
  createdNotice,
  destroyedNotice,
  foundedNotice,
  joinedNotice,
  keptNotice,
  leftNotice,
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
import { iqResult, Stanza } from '../protocols/stanza/stanza.js'
import { checkIq, type IqAnswer } from '../routing/iq.js'
import { StoreUnavailable } from '../storage/store.js'
import type { Discovery } from './discovery.js'
import type { ModuleServer } from './module.js'
import { additions, Rooms } from './muc-light-rooms.js'

/** What one service of light group chat is to do. */
export interface MucLightOptions {
  readonly domain: Jid
  readonly rules: RoomRules
  /** Rooms that a user may be in; Infinity for any number, as for the next. */
  readonly roomsPerUser: number
  readonly roomsPerPage: number
  readonly isBlocking: boolean
}

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

/** One domain of rooms. spec/muc-light.md */
export class MucLightService {
  readonly #server: ModuleServer
  readonly #options: MucLightOptions
  readonly #discovery: Discovery
  readonly #rooms: Rooms
  readonly #ofRooms: Readonly<Record<string, Handler>>
  readonly #ofService: Readonly<Record<string, Handler>>
  /** Of the last version, or the last room that the server named. */
  #lastStamp = 0

  constructor(server: ModuleServer, options: MucLightOptions, discovery: Discovery) {
    this.#server = server
    this.#options = options
    this.#discovery = discovery
    const { domain, rules, roomsPerUser } = options
    this.#rooms = new Rooms(server.store.mucLight, domain.text, rules.fields, roomsPerUser)
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
    const found = await this.#rooms.findSettled(room.local)
    if (found === undefined || affiliationOf(found.room, sender.bareText) === undefined) throw notFound()
    const from = room.withResource(sender.bareText)
    if (from === undefined) throw new StanzaError('not-acceptable', 'the address of the sender is too long')
    const copy = (stanza.id ? stanza : withId(stanza, this.#stamp())).addressed({ from })
    const told = await this.#keep(room, copy, sender)
    for (const to of found.addressees) this.#server.routing.send(told.addressed({ to }))
  }

  /** A message as occupants get it, once it is in the archive. Who speaks while others do so is written together with them. ML-35 */
  async #keep(room: Jid, given: Stanza, sender: Jid): Promise<Stanza> {
    // Only the room says under which id it keeps something. XEP-0359 §5
    const message = claimsId(given, room.text) ? Stanza.fromElement(withoutIds(given, room.text)) : given
    const archive = this.#archive
    if (archive?.wants(message) !== true) return message
    const id = archive.newId()
    await archive.append({ room, id, message, sender: sender.bareText })
    return archive.givesIds ? message.withChild(stanzaIdXml(room.text, id), NS.stanzaIds) : message
  }

  /** The same for a notice; resolves with its id, where occupants are told that. */
  async #keepNotice(room: Jid, notice: Element): Promise<string | undefined> {
    const archive = this.#archive
    if (archive === undefined) return undefined
    const id = archive.newId()
    const message = Stanza.fromElement(notice).addressed({ from: room })
    try {
      await archive.append({ room, id, message, sender: undefined })
    } catch (error) {
      // The room has changed: that is told, though the store failed since.
      if (error instanceof StoreUnavailable) return undefined
      throw error
    }
    return archive.givesIds ? id : undefined
  }

  get #archive() {
    return this.#server.routing.rooms.archiveOf(this.#options.domain.text)
  }

  /** ML-35 */
  async mayRead(room: Jid, reader: Jid): Promise<{ seesRealJids: boolean }> {
    occupied(await this.#rooms.find(room.local), reader.bareText)
    return { seesRealJids: true }
  }

  /** ML-32 */
  #info(): DiscoInfo {
    const { info } = this.#discovery
    const archive = this.#archive
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
    const creation = { creator: user, ...readCreation(queryOf(iq.element, NS.mucLightCreate)) }
    checkCreation(creation, this.#options.rules)
    if (name !== '' && (await this.#rooms.find(name)) !== undefined) throw taken()
    for (;;) {
      const chosen = name === '' ? this.#stamp() : name
      const jid = Jid.of(chosen, this.#options.domain.text)! // it came as a JID, or is made of digits
      const room = await this.#newRoom(creation, jid)
      const made = await this.#rooms.create(jid.local, room)
      if (made === 'done') {
        const kept = await this.#keepNotice(jid, foundedNotice(id, room))
        for (const one of room.occupants) this.#tell(jid, one.jid, createdNotice(id, room, one), kept)
        return undefined
      }
      // Somebody was faster with the name, or an occupant with getting into other rooms: those are left out of the next attempt.
      if (made === 'exists' && name !== '') throw taken()
    }
  }

  async #newRoom(creation: Creation, room: Jid): Promise<Room> {
    const { creator, occupants } = creation
    const users = [creator, ...occupants.map(({ jid }) => jid)]
    const [own, ...others] = await this.#standing(users, creator, room)
    if (own!.rooms >= this.#options.roomsPerUser) throw new StanzaError('bad-request', 'you are in too many rooms')
    const leftOut = new Set(occupants.filter((_, index) => this.#isLeftOut(others[index]!)).map(({ jid }) => jid))
    return createRoom(creation, leftOut, this.#options.rules, this.#stamp())
  }

  #standing(users: readonly string[], requester: string, room: Jid) {
    const blocks = this.#options.isBlocking
      ? ([
          { kind: 'user', jid: requester },
          { kind: 'room', jid: room.text },
        ] as const)
      : []
    return this.#server.store.mucLight.standing(this.#options.domain.text, users, blocks)
  }

  #isLeftOut({ rooms, isBlocking }: { rooms: number; isBlocking: boolean }): boolean {
    return isBlocking || rooms >= this.#options.roomsPerUser
  }

  /** ML-18, ML-22, ML-27 */
  async #show(part: 'configuration' | 'affiliations' | 'info', { iq, user, name }: Request): Promise<IqAnswer> {
    const room = occupied(await this.#rooms.find(name), user)
    return roomQuery(part, room, versionIn(iq.element.getChildElements()[0]!))
  }

  /** ML-19, ML-20 */
  async #configure({ iq, id, user, name }: Request): Promise<IqAnswer> {
    // Who is no occupant learns nothing, not even that the request is wrong. ML-8
    const fields = () => readFields(queryOf(iq.element, NS.mucLightConfiguration))
    await this.#rooms.change(
      name,
      room => configureRoom(occupied(room, user), user, fields(), this.#options.rules, this.#stamp()),
      async ({ before, after, changes }) => {
        const notice = configuredNotice(id, before, after!, changes)
        const kept = await this.#keepNotice(iq.to!, notice)
        this.#tellAll(
          iq.to!,
          after!.occupants.map(({ jid }) => jid),
          notice,
          kept,
        )
      },
    )
    return undefined
  }

  /** ML-23 to ML-26 */
  async #affiliate({ iq, id, user, name }: Request): Promise<IqAnswer> {
    const { rules } = this.#options
    await this.#rooms.change(
      name,
      async found => {
        const room = occupied(found, user)
        const wanted = readOccupants(queryOf(iq.element, NS.mucLightAffiliations))
        checkAffiliations(room, user, wanted, rules)
        const leftOut = await this.#notToBeAdded(additions(room, wanted), user, iq.to!)
        return affiliate(
          room,
          wanted.filter(({ jid }) => !leftOut.has(jid)),
          rules,
          this.#stamp(),
        )
      },
      change => this.#tellAffiliated(iq.to!, id, change),
    )
    return undefined
  }

  /** ML-24 */
  async #notToBeAdded(newcomers: readonly OccupantChange[], requester: string, room: Jid): Promise<Set<string>> {
    if (newcomers.length === 0) return new Set()
    const users = newcomers.map(({ jid }) => jid)
    const standing = await this.#standing(users, requester, room)
    return new Set(users.filter((_, index) => this.#isLeftOut(standing[index]!)))
  }

  /** ML-25 */
  async #tellAffiliated(room: Jid, id: string, { before, after, changes }: RoomChange<OccupantChange>): Promise<void> {
    const kept = after && (await this.#keepNotice(room, keptNotice(id, after, changes)))
    const left = new Set(changes.filter(({ affiliation }) => affiliation === 'none').map(({ jid }) => jid))
    const joined = new Set(additions(before, changes).map(({ jid }) => jid))
    for (const jid of left) this.#tell(room, jid, leftNotice(id, jid))
    if (after === undefined) return
    const stayed = after.occupants.map(({ jid }) => jid).filter(jid => !joined.has(jid))
    if (stayed.length > 0) this.#tellAll(room, stayed, affiliatedNotice(id, before, after, changes), kept)
    for (const jid of joined) this.#tell(room, jid, joinedNotice(id, after, jid), kept)
  }

  /** ML-28 */
  async #destroy({ iq, id, user, name }: Request): Promise<IqAnswer> {
    await this.#rooms.change<never>(
      name,
      found => {
        const room = occupied(found, user)
        checkDestruction(room, user)
        return { before: room, after: undefined, changes: [] }
      },
      ({ before }) => {
        for (const { jid } of before.occupants) this.#tell(iq.to!, jid, destroyedNotice(id, jid))
      },
    )
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
    const page = await this.#rooms.roomsOf(user, {
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
    const found = await this.#rooms.roomsOf(account.bareText, { limit: Number.POSITIVE_INFINITY })
    items.push(...(found?.rooms ?? []).map(rosterItem))
  }

  /** An account is gone: so it is from its rooms, and what it blocked is forgotten. ML-36 */
  async accountRemoved(account: Jid): Promise<void> {
    const user = account.bareText
    const { mucLight } = this.#server.store
    const service = this.#options.domain.text
    const found = await this.#rooms.roomsOf(user, { limit: Number.POSITIVE_INFINITY })
    for (const { jid } of found?.rooms ?? []) {
      const room = Jid.parse(jid)
      if (room !== undefined) await this.#leave(room, user)
    }
    await mucLight.block(service, user, [], await mucLight.blocked(service, user))
  }

  #leave(room: Jid, user: string): Promise<void> {
    return this.#rooms.change(
      room.local,
      found => {
        if (found === undefined || affiliationOf(found, user) === undefined) return undefined
        return affiliate(found, [{ jid: user, affiliation: 'none' }], this.#options.rules, this.#stamp())
      },
      change => this.#tellAffiliated(room, this.#stamp(), change),
    )
  }

  #tell(room: Jid, jid: string, notice: Element, kept?: string): void {
    this.#tellAll(room, [jid], notice, kept)
  }

  /** One text for all of them, with the id under which the archive has what happened. */
  #tellAll(room: Jid, jids: readonly string[], notice: Element, kept?: string): void {
    const bare = Stanza.fromElement(notice).addressed({ from: room })
    const stanza = kept === undefined ? bare : bare.withChild(stanzaIdXml(room.text, kept), NS.stanzaIds)
    for (const jid of jids) {
      const to = Jid.parse(jid)
      if (to !== undefined) this.#server.routing.send(stanza.addressed({ to }))
    }
  }

  #stamp(): string {
    const { micros, text } = stampAfter(this.#server.clock.wall(), this.#lastStamp)
    this.#lastStamp = micros
    return text
  }
}

const notFound = () => new StanzaError('item-not-found')
const taken = () => new StanzaError('conflict', 'there is a room of this name')

/** The room, for an occupant of it; others cannot tell it from one that is not there. ML-8 */
function occupied(room: Room | undefined, user: string): Room {
  if (room === undefined || affiliationOf(room, user) === undefined) throw notFound()
  return room
}

function noNode(iq: Stanza): undefined {
  if (iq.element.getChildElements()[0]?.attrs.node !== undefined) throw new StanzaError('item-not-found')
}

/** The same message with an id. */
function withId(stanza: Stanza, id: string): Stanza {
  const { element } = stanza
  const copy = new Element(element.name, { ...element.attrs, id })
  copy.children = element.children
  return Stanza.fromElement(copy)
}
