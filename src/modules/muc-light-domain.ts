import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
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
  configuredNotice,
  createdNotice,
  destroyedNotice,
  foundedNotice,
  joinedNotice,
  keptNotice,
  leftNotice,
} from '../protocols/muc-light-xml.js'
import type { MucLightPageRequest } from '../storage/store.js'
import { type ModuleServer, OfferKey } from './module.js'
import { Notices } from './muc-light-notices.js'
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

/** Who does something in which room. */
export interface Doing {
  /** Bare JID. */
  readonly room: Jid
  /** The bare JID of who does it. */
  readonly user: string
  /** What the notices are called: as the IQ that asked for it. ML-14, ML-20, ML-25 */
  readonly id: string
}

/** The rooms of a host's service, for `operations/`. */
export const lightRooms = new OfferKey<MucLightDomain>('light rooms')

/**
 * What users do with the rooms of one domain, and who hears of it, whether an IQ asks or somebody without a session. Whoever is no
 * occupant cannot tell a room from one that is not there: both reject with `item-not-found`. ML-8
 */
export class MucLightDomain {
  readonly notices: Notices
  readonly #server: ModuleServer
  readonly #options: MucLightOptions
  readonly #rooms: Rooms
  /** Of the last version, or the last room that the server named. */
  #lastStamp = 0

  constructor(server: ModuleServer, options: MucLightOptions) {
    const { domain, rules, roomsPerUser } = options
    this.#server = server
    this.#options = options
    this.#rooms = new Rooms(server.store.mucLight, domain.text, rules.fields, roomsPerUser)
    this.notices = new Notices(server.routing, domain.text)
  }

  get jid(): Jid {
    return this.#options.domain
  }

  get rules(): RoomRules {
    return this.#options.rules
  }

  find(name: string): Promise<Room | undefined> {
    return this.#rooms.find(name)
  }

  /** The room, for an occupant of it. ML-8 */
  async findFor(user: string, name: string): Promise<Room> {
    return occupied(await this.#rooms.find(name), user)
  }

  /** The room with the addresses of its occupants, once the changes under way are done. */
  findSettled(name: string) {
    return this.#rooms.findSettled(name)
  }

  /** A page of a user's rooms, by what they are called; undefined when there is no such page. */
  roomsOf(user: string, page: MucLightPageRequest) {
    return this.#rooms.roomsOf(user, page)
  }

  /** All of them. */
  async allRoomsOf(user: string) {
    return (await this.roomsOf(user, { limit: Number.POSITIVE_INFINITY }))?.rooms ?? []
  }

  /**
   * Makes a room, of this name or of one that the server chooses (''), and resolves with its JID. `id`: what those who are in it are
   * told is called; without it nobody hears of it, nor does the archive (A-18, RX-4). ML-13 to ML-17
   */
  async create(creation: Creation, name: string, id?: string): Promise<Jid> {
    checkCreation(creation, this.rules)
    if (name !== '' && (await this.#rooms.find(name)) !== undefined) throw taken()
    for (;;) {
      const chosen = name === '' ? this.stamp() : name
      const jid = Jid.of(chosen, this.jid.text)! // it came as a JID, or is made of digits
      const room = await this.#newRoom(creation, jid)
      const made = await this.#rooms.create(jid.local, room)
      if (made === 'done') {
        if (id !== undefined) await this.#tellCreated(jid, id, room)
        return jid
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
    return createRoom(creation, leftOut, this.rules, this.stamp())
  }

  /** ML-14 */
  async #tellCreated(jid: Jid, id: string, room: Room): Promise<void> {
    const kept = await this.notices.keep(jid, foundedNotice(id, room))
    const act = this.notices.newAct()
    for (const one of room.occupants) this.notices.tell(act, jid, one.jid, createdNotice(id, room, one), kept)
  }

  #standing(users: readonly string[], requester: string, room: Jid) {
    const blocks = this.#options.isBlocking
      ? ([
          { kind: 'user', jid: requester },
          { kind: 'room', jid: room.text },
        ] as const)
      : []
    return this.#server.store.mucLight.standing(this.jid.text, users, blocks)
  }

  #isLeftOut({ rooms, isBlocking }: { rooms: number; isBlocking: boolean }): boolean {
    return isBlocking || rooms >= this.#options.roomsPerUser
  }

  /**
   * Changes fields of the configuration. `read` says which: it is asked only when the user is an occupant, who alone learns what is
   * wrong with them. ML-8, ML-19, ML-20
   */
  configure({ room, user, id }: Doing, read: () => ReadonlyMap<string, string>): Promise<void> {
    return this.#rooms.change(
      room.local,
      found => configureRoom(occupied(found, user), user, read(), this.rules, this.stamp()),
      async ({ before, after, changes }) => {
        const notice = configuredNotice(id, before, after!, changes) // no configuration ends a room
        const kept = await this.notices.keep(room, notice)
        this.notices.tellAll(this.notices.newAct(), room, jidsOf(after!), notice, kept)
      },
    )
  }

  /** Changes affiliations. `read` says which, of the room as it is then. ML-8, ML-23 to ML-26 */
  affiliate({ room, user, id }: Doing, read: (room: Room) => readonly OccupantChange[]): Promise<void> {
    return this.#rooms.change(
      room.local,
      async found => {
        const before = occupied(found, user)
        const wanted = read(before)
        checkAffiliations(before, user, wanted, this.rules)
        const leftOut = await this.#notToBeAdded(additions(before, wanted), user, room)
        const left = wanted.filter(({ jid }) => !leftOut.has(jid))
        return affiliate(before, left, this.rules, this.stamp())
      },
      change => this.#tellAffiliated(room, id, change),
    )
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
    const { notices } = this
    const kept = after && (await notices.keep(room, keptNotice(id, after, changes)))
    const left = new Set(changes.filter(({ affiliation }) => affiliation === 'none').map(({ jid }) => jid))
    const joined = new Set(additions(before, changes).map(({ jid }) => jid))
    const act = notices.newAct()
    for (const jid of left) notices.tell(act, room, jid, leftNotice(id, jid))
    if (after === undefined) return
    const stayed = jidsOf(after).filter(jid => !joined.has(jid))
    if (stayed.length > 0) notices.tellAll(act, room, stayed, affiliatedNotice(id, before, after, changes), kept)
    for (const jid of joined) notices.tell(act, room, jid, joinedNotice(id, after, jid), kept)
  }

  /** ML-28 */
  destroy({ room, user, id }: Doing): Promise<void> {
    return this.#rooms.change<never>(
      room.local,
      found => {
        const before = occupied(found, user)
        checkDestruction(before, user)
        return { before, after: undefined, changes: [] }
      },
      ({ before }) => {
        const act = this.notices.newAct()
        for (const jid of jidsOf(before)) this.notices.tell(act, room, jid, destroyedNotice(id, jid))
      },
    )
  }

  /** Somebody is in no room any more. ML-36 */
  async leaveAll(user: string): Promise<void> {
    for (const { jid } of await this.allRoomsOf(user)) {
      const room = Jid.parse(jid)
      if (room !== undefined) await this.#leave(room, user)
    }
  }

  #leave(room: Jid, user: string): Promise<void> {
    return this.#rooms.change(
      room.local,
      found => {
        if (found === undefined || affiliationOf(found, user) === undefined) return undefined
        return affiliate(found, [{ jid: user, affiliation: 'none' }], this.rules, this.stamp())
      },
      change => this.#tellAffiliated(room, this.stamp(), change),
    )
  }

  /** For versions, names of rooms and ids of messages: another one each time. ML-3, ML-4 */
  stamp(): string {
    const { micros, text } = stampAfter(this.#server.clock.wall(), this.#lastStamp)
    this.#lastStamp = micros
    return text
  }
}

const taken = () => new StanzaError('conflict', 'there is a room of this name')
const jidsOf = ({ occupants }: Room) => occupants.map(({ jid }) => jid)

/** The room, for an occupant of it; others cannot tell it from one that is not there. ML-8 */
function occupied(room: Room | undefined, user: string): Room {
  if (room === undefined || affiliationOf(room, user) === undefined) throw new StanzaError('item-not-found')
  return room
}
