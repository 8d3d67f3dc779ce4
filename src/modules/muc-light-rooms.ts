import { LRUCache } from 'lru-cache'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import {
  byUser,
  type Configuration,
  type ConfigurationField,
  type Occupant,
  type OccupantChange,
  type Room,
  type RoomChange,
} from '../protocols/muc-light.js'
import type { ListedRoom } from '../protocols/muc-light-xml.js'
import type { MucLightPageRequest, MucLightRepository, MucLightRoom } from '../storage/store.js'

/** Times that a change is tried again which another node was faster with. */
const attempts = 20
/** What the rooms that are remembered take at most, in bytes, about. */
const rememberedBytes = 16 * 1024 * 1024

/** A room as it is remembered, with what it takes to address its occupants. */
interface Remembered {
  readonly room: Room
  addressees: readonly Jid[] | undefined
}

/**
 * The rooms of one service. What counts is in the store: any node may change any room. A room is remembered to spare reading its
 * occupants for every message; its version is asked for each time, so what is remembered is never older than the store.
 */
export class Rooms {
  readonly #remembered = new LRUCache<string, Remembered>({
    maxSize: rememberedBytes,
    sizeCalculation: ({ room }) => 500 + room.occupants.length * 250 + textLength(room.configuration) * 2,
  })
  /** The last change of a room that is under way. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(
    private readonly store: MucLightRepository,
    private readonly service: string,
    private readonly fields: readonly ConfigurationField[],
    /** Rooms that a user may be in; Infinity for any number. */
    private readonly roomsPerUser: number,
  ) {}

  async find(name: string): Promise<Room | undefined> {
    return (await this.#find(name))?.room
  }

  /** The room with the addresses of its occupants, once the changes under way are done, so that nobody hears of them too late. */
  async findSettled(name: string): Promise<{ room: Room; addressees: readonly Jid[] } | undefined> {
    while (this.#turns.has(name)) await this.#turns.get(name)
    const found = await this.#find(name)
    if (found === undefined) return undefined
    found.addressees ??= found.room.occupants.flatMap(({ jid }) => Jid.parse(jid) ?? [])
    return { room: found.room, addressees: found.addressees }
  }

  async #find(name: string): Promise<Remembered | undefined> {
    const remembered = this.#remembered.get(name)
    const found = await this.store.load(this.service, name, remembered?.room.version)
    if (found === 'current') return remembered
    if (found === undefined) {
      this.#remembered.delete(name)
      return undefined
    }
    return this.#remember(name, this.#unpack(found))
  }

  #remember(name: string, room: Room): Remembered {
    const remembered: Remembered = { room, addressees: undefined }
    this.#remembered.set(name, remembered)
    return remembered
  }

  /** `full`: an occupant is in too many rooms. */
  create(name: string, room: Room): Promise<'done' | 'exists' | 'full'> {
    return this.store.create(this.service, name, this.#pack(room), this.roomsPerUser)
  }

  /**
   * Changes a room: one change after the other, and each on what the last one left, whichever node made it. `decide` is asked again
   * when another node was faster, or when somebody who is to come has got into too many rooms meanwhile. What `committed` does is done
   * before the next change of the room begins.
   */
  async change<Change>(
    name: string,
    decide: (room: Room | undefined) => Promise<RoomChange<Change> | undefined> | RoomChange<Change> | undefined,
    committed: (change: RoomChange<Change>) => unknown,
  ): Promise<void> {
    await this.#inTurn(name, async () => {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const change = await decide(await this.find(name))
        if (change === undefined) return
        if (await this.#write(name, change)) return void (await committed(change))
      }
      throw new StanzaError('resource-constraint', 'too many changes of this room, try again later')
    })
  }

  async #write(name: string, { before, after }: RoomChange<unknown>): Promise<boolean> {
    if (after === undefined) return this.store.remove(this.service, name, before.version)
    const { put, remove } = difference(before.occupants, after.occupants)
    const change = {
      version: after.version,
      ...(after.configuration !== before.configuration && { configuration: this.#packed(after.configuration) }),
      put,
      remove,
    }
    const written = await this.store.update(this.service, name, before.version, change, this.roomsPerUser)
    if (written === 'done') this.#remember(name, after)
    return written === 'done'
  }

  async #inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(name)
    const mine = before === undefined ? work() : before.then(work)
    // The failure is told to whoever asked for the work.
    const done = mine.catch(() => {})
    this.#turns.set(name, done)
    try {
      await mine
    } finally {
      if (this.#turns.get(name) === done) this.#turns.delete(name)
    }
  }

  /** A page of a user's rooms, by what they are called; undefined when there is no such page. */
  async roomsOf(
    jid: string,
    page: MucLightPageRequest,
  ): Promise<{ count: number; index: number; rooms: (ListedRoom & { configuration: Configuration })[] } | undefined> {
    const found = await this.store.roomsOf(this.service, jid, page)
    if (found === undefined) return undefined
    const isNamed = this.fields.some(({ field }) => field === 'roomname')
    const rooms = found.rooms.map(({ room, version, configuration: packed }) => {
      const configuration = this.#unpacked(packed)
      const name = isNamed ? String(configuration.get('roomname')) : room
      return { jid: `${room}@${this.service}`, name, version, configuration }
    })
    return { count: found.count, index: found.index, rooms }
  }

  #pack({ version, configuration, occupants }: Room): MucLightRoom {
    return { version, configuration: this.#packed(configuration), occupants: [...occupants] }
  }

  #packed(configuration: Configuration): Record<string, string | number> {
    return Object.fromEntries(this.fields.map(({ field, key, value }) => [key, configuration.get(field) ?? value]))
  }

  #unpack({ version, configuration, occupants }: MucLightRoom): Room {
    return { version, configuration: this.#unpacked(configuration), occupants: [...occupants].sort(byUser) }
  }

  /** A field that is newer than the room has its default. */
  #unpacked(configuration: Record<string, string | number>): Configuration {
    return new Map(
      this.fields.map(({ field, key, value }) => [
        field,
        Object.hasOwn(configuration, key) ? configuration[key]! : value,
      ]),
    )
  }
}

function difference(before: readonly Occupant[], after: readonly Occupant[]) {
  const known = new Map(before.map(({ jid, affiliation }) => [jid, affiliation]))
  const left = new Set(after.map(({ jid }) => jid))
  return {
    put: after.filter(({ jid, affiliation }) => known.get(jid) !== affiliation),
    remove: before.filter(({ jid }) => !left.has(jid)).map(({ jid }) => jid),
  }
}

const textLength = (configuration: Configuration) =>
  [...configuration].reduce((sum, [field, value]) => sum + field.length + String(value).length, 0)

/** Those of the changes by which somebody comes who was not there. */
export const additions = (room: Room, changes: readonly OccupantChange[]): OccupantChange[] => {
  const known = new Set(room.occupants.map(({ jid }) => jid))
  return changes.filter(({ jid, affiliation }) => affiliation !== 'none' && !known.has(jid))
}
