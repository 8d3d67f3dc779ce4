import { Element } from 'ltx'
import { randomText } from '../auth/random-text.js'
import { archiveId, secretLength } from '../protocols/archive-id.js'
import { infoElement, itemsElement } from '../protocols/disco.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import type { RoomConfig } from '../protocols/muc/config.js'
import type { Effects } from '../protocols/muc/effects.js'
import type { Beginning, Room, RoomLimits, RoomOptions, Surroundings } from '../protocols/muc/room.js'
import { NS } from '../protocols/namespaces.js'
import { pageElement, readPageRequest } from '../protocols/rsm.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { IqAnswer } from '../routing/iq.js'
import type { End, Residence, ResidentActor, Work } from '../routing/residence.js'
import type { RoomService } from '../routing/room-archive.js'
import type { Discovery } from './discovery.js'
import { type ModuleServer, OfferKey } from './module.js'
import type { MucOptions } from './muc-options.js'
import { roomConfigOf } from './muc-options.js'
import { MucRoom, type RoomServices } from './muc-room.js'

/** The rooms of a host, for `operations/`. */
export const mucRooms = new OfferKey<MucService>('rooms')

/** Rooms on a page of service discovery. */
const roomsPerPage = 100
/** Bytes of the secret that occupant ids are made with. XEP-0421 §5 */
const saltLength = 32

interface Entry {
  actor: ResidentActor | undefined
  room: MucRoom | undefined
}

/** One domain of rooms: gives each stanza to the room that it is for, and says what rooms there are. XEP-0045 */
export class MucService implements RoomService {
  readonly #server: ModuleServer
  readonly #options: MucOptions
  readonly #domain: Jid
  readonly #residence: Residence
  readonly #discovery: Discovery
  readonly #services: RoomServices
  readonly #config: RoomConfig
  /** In memory, by localpart. */
  readonly #rooms = new Map<string, Entry>()
  /** Rooms that a user is in, by bare JID. */
  readonly #places = new Map<string, Set<string>>()
  #isClosed = false
  /** Of the last id, in microseconds since 1970: the next is later, whatever the clock says. */
  readonly #lastTime: { value: number }

  constructor(server: ModuleServer, options: MucOptions, domain: Jid, residence: Residence, discovery: Discovery) {
    this.#server = server
    this.#options = options
    this.#domain = domain
    this.#residence = residence
    this.#discovery = discovery
    this.#config = roomConfigOf(options)
    this.#lastTime = server.kept('ids', () => ({ value: 0 }))
    this.#services = this.#roomServices()
  }

  close(): void {
    this.#isClosed = true
  }

  /** Takes a stanza for the service or a room of it. */
  take(stanza: Stanza): void | Promise<void> {
    const to = stanza.to!
    if (to.local === '') return this.#takeItself(stanza, to)
    if (!this.#mayUse(stanza)) {
      throw new StanzaError('forbidden', 'this service is not for everybody')
    }
    if (!to.isFull && stanza.kind === 'iq') {
      const answer = this.#answerOf('account', stanza)
      if (answer !== undefined) return answer
    }
    this.#give(to.local, actor => actor.deliver(stanza))
  }

  /** Who may not enter may still leave, and answer. */
  #mayUse({ kind, type, from }: Stanza): boolean {
    if (type === 'error' || type === 'result' || (kind === 'presence' && type === 'unavailable')) return true
    return this.#allows(this.#options.access, from!)
  }

  #takeItself(stanza: Stanza, to: Jid): void | Promise<void> {
    if (stanza.kind === 'presence') return
    if (stanza.kind !== 'iq' || to.isFull) throw new StanzaError('service-unavailable')
    if (stanza.type !== 'get' && stanza.type !== 'set') return
    const answer = this.#answerOf('host', stanza)
    if (answer === undefined) throw new StanzaError('service-unavailable')
    return answer
  }

  /** What another module, or we ourselves, answer past the rooms; undefined: nobody does. */
  #answerOf(target: 'host' | 'account', stanza: Stanza): Promise<void> | undefined {
    const { routing } = this.#server
    if (!routing.iq.has(this.#domain.text, target, stanza)) return undefined
    const answer = async () => {
      const reply = await routing.iq.answer(this.#domain.text, target, stanza)
      if (reply !== undefined) await routing.route(reply)
    }
    return answer()
  }

  // ---- the rooms

  /** The domain of the rooms. */
  get jid(): Jid {
    return this.#domain
  }

  /**
   * Lets something be done in a room; rejects with the `StanzaError` of the rules, and with `item-not-found` where there is no such room
   * and nobody who founds it.
   */
  inRoom<Result>(
    room: string,
    work: (room: Room) => { effects?: Effects; result: Result },
    founder?: Jid,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const act = () => this.#rooms.get(room)?.room?.act(work, founder) ?? Promise.reject(busy())
      const done = () => act().then(resolve, reject)
      try {
        this.#give(room, actor => actor.perform(done))
      } catch (error) {
        reject(error)
      }
    })
  }

  async mayRead(room: Jid, reader: Jid): Promise<{ seesRealJids: boolean }> {
    return this.inRoom(room.local, found => {
      if (!found.mayReadArchive(reader)) throw new StanzaError('forbidden', 'who may not enter may not read')
      const affiliation = found.affiliationOf(reader)
      const isAdmin = affiliation === 'owner' || affiliation === 'admin'
      return { result: { seesRealJids: found.config.whois === 'anyone' || isAdmin } }
    })
  }

  #give(room: string, give: (actor: ResidentActor) => boolean): void {
    const entry = this.#rooms.get(room) ?? this.#open(room)
    if (entry.actor === undefined || !give(entry.actor)) throw busy()
  }

  #open(room: string): Entry {
    if (this.#isClosed) throw new StanzaError('service-unavailable')
    const entry: Entry = { actor: undefined, room: undefined }
    const jid = Jid.of(room, this.#domain.text)
    if (jid === undefined) throw new StanzaError('jid-malformed')
    this.#rooms.set(room, entry)
    try {
      // Again, after a failure.
      this.#residence.move(room, actor => {
        entry.actor = actor
        entry.room = new MucRoom(jid, actor, this.#services, entry.room?.formerOccupants ?? [])
        return entry.room
      })
    } catch (error) {
      this.#rooms.delete(room)
      throw error
    }
    return entry
  }

  /** What a room did not come to before it went to rest is for the same room, awake. */
  #gone(room: MucRoom, { stanzas, work }: Pick<End, 'stanzas' | 'work'>): void {
    const { local } = room.jid
    if (this.#rooms.get(local)?.room === room) this.#rooms.delete(local)
    if (this.#isClosed || stanzas.length + work.length === 0) return
    const { routing } = this.#server
    // Its actor has its name until it has ended.
    routing.inBackground(async () => {
      await Promise.resolve()
      for (const stanza of stanzas) void routing.route(stanza)
      for (const one of work) this.#give(local, actor => actor.perform(one as Work))
    })
  }

  #roomServices(): RoomServices {
    const { routing, store, clock, shaperRate } = this.#server
    const options = this.#options
    const limits = this.#limits()
    const surroundings = this.#surroundings()
    return {
      routing,
      store: store.muc,
      domain: this.#domain.text,
      pace: {
        messageInterval: options.min_message_interval * 1000,
        presenceInterval: options.min_presence_interval * 1000,
        messageRate: shaperRate(options.user_message_shaper),
        presenceRate: shaperRate(options.user_presence_shaper),
        roomRate: shaperRate(options.room_shaper),
      },
      restAfter: numberOf(options.hibernate_timeout) + numberOf(options.hibernated_room_timeout),
      restEvery: options.hibernated_room_check_interval === 'infinity' ? 0 : options.hibernated_room_check_interval,
      now: () => clock.now(),
      optionsOf: (jid): RoomOptions => ({ jid, limits, surroundings }),
      beginning: (room, founder) => this.#beginning(room, founder),
      checkPlaces: (user, room) => this.#checkPlaces(user, room),
      moved: (room, came, left) => this.#moved(room, came, left),
      gone: (room, end) => this.#gone(room, end),
    }
  }

  #limits(): RoomLimits {
    const { rooms } = this.#server.routing
    const domain = this.#domain.text
    const { history_size, max_room_name, max_room_desc, max_users, max_users_admin_threshold } = this.#options
    return {
      historySize: history_size,
      maxName: numberOf(max_room_name),
      maxDescription: numberOf(max_room_desc),
      maxUsers: max_users,
      adminThreshold: max_users_admin_threshold,
      get hasArchive() {
        return rooms.archiveOf(domain) !== undefined
      },
    }
  }

  #surroundings(): Surroundings {
    const { clock, routing } = this.#server
    const domain = this.#domain.text
    return {
      now: () => clock.wall(),
      newId: () => routing.rooms.archiveOf(domain)?.newId() ?? this.#newId(),
      isServiceAdmin: user => this.#allows(this.#options.access_admin, user),
      mayPersist: user => this.#allows(this.#options.access_persistent, user),
    }
  }

  #newId(): string {
    this.#lastTime.value = Math.max(this.#lastTime.value + 1, this.#server.clock.wall() * 1000)
    return archiveId(this.#lastTime.value, randomText(secretLength / 2, 'hex'))
  }

  #allows(rule: string, user: Jid): boolean {
    if (rule === 'all' || rule === 'none') return rule === 'all'
    return this.#server.access(this.#server.host, rule, user) === 'allow'
  }

  // ---- new rooms, and who is where

  #beginning(room: Jid, founder: Jid): Beginning {
    const { access_create, max_room_id, default_room } = this.#options
    if (!this.#allows(access_create, founder)) throw new StanzaError('not-allowed', 'you may not make rooms')
    if ([...room.local].length > numberOf(max_room_id)) {
      throw new StanzaError('not-allowed', 'the name of the room is too long')
    }
    const affiliations = default_room.affiliations.flatMap(({ user, server, affiliation }) =>
      affiliation === 'none' ? [] : [{ jid: Jid.of(user, server)!.text, affiliation }],
    )
    const subject = this.#firstSubject(room)
    return {
      config: this.#config,
      salt: randomText(saltLength, 'base64'),
      affiliations,
      ...(subject !== undefined && { subject }),
    }
  }

  #firstSubject(room: Jid): Beginning['subject'] {
    const { subject, subject_author } = this.#options.default_room
    if (subject === '') return undefined
    const from = (subject_author !== '' && room.withResource(subject_author)) || room
    const message = new Element('message', { from: from.text, type: 'groupchat' })
    message.c('subject').t(subject)
    return { message: message.toString(), at: this.#server.clock.wall() }
  }

  #checkPlaces(user: Jid, room: string): void {
    const { max_user_conferences } = this.#options
    const places = this.#places.get(user.bareText)
    if (max_user_conferences === 0 || places === undefined || places.has(room)) return
    if (places.size < max_user_conferences) return
    throw new StanzaError('resource-constraint', 'you are in too many rooms')
  }

  #moved(room: string, came: readonly string[], left: readonly string[]): void {
    for (const user of came) {
      const places = this.#places.get(user)
      if (places === undefined) this.#places.set(user, new Set([room]))
      else places.add(room)
    }
    for (const user of left) {
      const places = this.#places.get(user)
      places?.delete(room)
      if (places?.size === 0) this.#places.delete(user)
    }
  }

  /** An account is gone, and with it what it was in the rooms. */
  async accountRemoved(account: Jid): Promise<void> {
    const affiliated = await this.#server.store.muc.affiliated(this.#domain.text, account.bareText)
    for (const room of affiliated) {
      await this.inRoom(room, found => {
        try {
          return { effects: found.setAffiliation(account.bare, 'none'), result: undefined }
        } catch (error) {
          // A room is not left without any owner: the operator sees to it.
          if (error instanceof StanzaError) return { result: undefined }
          throw error
        }
      })
    }
    // It may be in rooms without a client that would leave them.
    for (const room of [...(this.#places.get(account.bareText) ?? [])]) {
      await this.inRoom(room, found => ({ effects: found.drop(account.bare), result: undefined })).catch(unlessGone)
    }
  }

  // ---- what the service says of itself

  info(iq: Stanza): IqAnswer {
    noNode(iq)
    this.#checkAccess(iq)
    return infoElement(this.#discovery.info, undefined)
  }

  /** The public rooms, page by page. XEP-0045 §6.3 */
  async listRooms(iq: Stanza): Promise<IqAnswer> {
    noNode(iq)
    this.#checkAccess(iq)
    const { max, after, before, index } = readPageRequest(payloadOf(iq), { isNumbered: true })
    const {
      count,
      index: first,
      rooms,
    } = await this.#server.store.muc.list(this.#domain.text, {
      limit: Math.min(max ?? roomsPerPage, roomsPerPage),
      ...(after !== undefined && { after: this.#nameOf(after) }),
      ...(before !== undefined && { before: before === '' ? '' : this.#nameOf(before) }),
      ...(index !== undefined && { index }),
    })
    const items = rooms.map(({ room, name }) => ({ jid: `${room}@${this.#domain.text}`, name }))
    const query = itemsElement(items, undefined)
    const isAsked = payloadOf(iq).getChild('set', NS.resultSets) !== undefined
    if (isAsked || items.length < count) {
      const ends = items.length > 0 && { first: items[0]!.jid, index: first, last: items.at(-1)!.jid }
      query.cnode(pageElement({ ...ends, count }))
    }
    return query
  }

  /** XEP-0054: what a client shows of the service. */
  vcard(iq: Stanza): IqAnswer {
    this.#checkAccess(iq)
    const { name, url } = this.#server.software
    const card = new Element('vCard', { xmlns: NS.vcard })
    card.c('FN').t(`${name}/mod_muc`)
    card.c('URL').t(url)
    card.c('DESC').t('Multi-user chat')
    return card
  }

  #checkAccess(iq: Stanza): void {
    if (!this.#allows(this.#options.access, iq.from!)) throw new StanzaError('forbidden')
  }

  /** The localpart of a room of ours that a client names. */
  #nameOf(text: string): string {
    const jid = Jid.parse(text)
    if (jid === undefined || jid.local === '' || jid.domain !== this.#domain.text) {
      throw new StanzaError('item-not-found', 'there is no such page')
    }
    return jid.local
  }
}

/** A room that is not there any more needs nobody to leave it. */
function unlessGone(error: unknown): void {
  if (!(error instanceof StanzaError && error.condition === 'item-not-found')) throw error
}

const busy = () => new StanzaError('resource-constraint', 'too much waits for this room')
const numberOf = (option: number | 'infinity') => (option === 'infinity' ? Number.POSITIVE_INFINITY : option)
const payloadOf = (iq: Stanza) => iq.element.getChildElements()[0]! // a request has exactly one

function noNode(iq: Stanza): void {
  if (payloadOf(iq).attrs.node !== undefined) throw new StanzaError('item-not-found')
}
