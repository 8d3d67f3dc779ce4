import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { ArchivedMessage, Effects, Part, Tombstone } from '../protocols/muc/effects.js'
import { type Beginning, Room, type RoomOptions } from '../protocols/muc/room.js'
import type { OccupantSnapshot, RoomSnapshot } from '../protocols/muc/snapshot.js'
import { NS } from '../protocols/namespaces.js'
import { Act } from '../protocols/stanza/act.js'
import { errorReply, mayBounce, type Stanza } from '../protocols/stanza/stanza.js'
import { bounceStanza } from '../routing/bounce.js'
import type { End, Resident, ResidentActor } from '../routing/residence.js'
import type { Routing } from '../routing/services.js'
import {
  type MucAffiliation,
  type MucChange,
  type MucListing,
  type MucRepository,
  StoreUnavailable,
} from '../storage/store.js'
import { type PaceOptions, paceOf } from './muc-pace.js'

/** What a room needs of its service; one value for all. */
export interface RoomServices {
  readonly routing: Routing
  readonly store: MucRepository
  /** The domain of the rooms. */
  readonly domain: string
  readonly pace: PaceOptions
  /** Milliseconds that a room without occupants stays in memory after the last stanza; Infinity: for ever. */
  readonly restAfter: number
  /** Rooms come to rest at multiples of this many milliseconds; 0: each at its time. */
  readonly restEvery: number
  /** Milliseconds on a monotonic clock. */
  now(): number
  optionsOf(jid: Jid): RoomOptions
  /** What a room begins with that this user makes by entering it. Throws the `StanzaError` for a user who may not. */
  beginning(room: Jid, founder: Jid): Beginning
  /** Throws when the user, who is about to enter, is in too many rooms. */
  checkPlaces(user: Jid, room: string): void
  /** Users came into the room, or left it: bare JIDs. */
  moved(room: string, came: readonly string[], left: readonly string[]): void
  /** The room is not in memory any more; these stanzas and this work are for whoever comes next. */
  gone(room: MucRoom, end: Pick<End, 'stanzas' | 'work'>): void
}

/** Milliseconds that a temporary room waits for its occupants to enter again, after a failure. */
const COME_BACK_MS = 60_000
/** Milliseconds after which it is tried again to tell them, when the store was away. */
const RETRY_MS = 1_000

/** What the store has of a room as `configuration`. */
type Stored = Pick<RoomSnapshot, 'config' | 'isLocked' | 'salt' | 'vcard'>

/** What the store holds, to find out what has changed, and to go back to. */
interface Saved {
  readonly stored: Stored
  readonly subject: RoomSnapshot['subject']
  /** By JID, each as text. */
  readonly affiliations: ReadonlyMap<string, string>
}

/** Parts that are written before anybody is told. */
const lasting: readonly Part[] = ['config', 'affiliations', 'subject', 'vcard']

/**
 * One room in memory: stanzas go through the rules of `protocols/muc`, what has to last is written, and then everybody is told. It is
 * made when a stanza comes for a room, and goes when nobody is in it.
 */
export class MucRoom implements Resident {
  /** Undefined until it is loaded, and where there is none. */
  #room: Room | undefined
  #saved: Saved | undefined
  /** Bare JIDs of who is inside. */
  #users: ReadonlySet<string> = new Set()
  /** Some of them are not ours. */
  #hasStrangers = false
  #isHistoryUnwritten = false
  /** When it comes to rest, unless something happens; undefined: somebody is inside. */
  #restAt: number | undefined
  readonly #pace
  readonly #options: RoomOptions

  constructor(
    readonly jid: Jid,
    private readonly actor: ResidentActor,
    private readonly services: RoomServices,
    /** Who was inside when the room failed: they are told, and may enter again. */
    private former: readonly OccupantSnapshot[],
  ) {
    this.#options = services.optionsOf(jid)
    this.#pace = paceOf(services.pace, services.now())
  }

  inspected(): Record<string, string | number | boolean> {
    return { room: this.jid.text, occupants: this.#users.size }
  }

  /** Those who were inside before a failure are told at once. */
  async started(): Promise<void> {
    if (this.former.length > 0) await this.#tellFormer()
  }

  take(stanza: Stanza): void | Promise<void> {
    return this.#guarded(stanza, () =>
      this.#room === undefined ? this.#load().then(() => this.#admit(stanza)) : this.#admit(stanza),
    )
  }

  /**
   * Lets somebody else than a stanza act. Where there is no such room it begins for the founder, who enters it; without one it rejects
   * with `item-not-found`.
   */
  async act<Result>(work: (room: Room) => { effects?: Effects; result: Result }, founder?: Jid): Promise<Result> {
    if (this.#room === undefined) await this.#load()
    try {
      if (founder !== undefined) this.services.checkPlaces(founder, this.jid.local)
      const room = this.#room ?? (founder && this.#begun(founder))
      if (room === undefined) throw notFound()
      const { effects, result } = work(room)
      if (effects !== undefined) await this.#perform(room, effects)
      return result
    } finally {
      this.#settle()
    }
  }

  woken(): void | Promise<void> {
    const now = this.services.now()
    if (this.former.length > 0 && this.#room === undefined) return this.#tellFormer()
    if (this.#restAt !== undefined && now >= this.#restAt) return this.#rest()
    return this.#release(now)
  }

  /** Only without occupants: what they last said of themselves is in no record. */
  pack(): string | undefined {
    const room = this.#room
    if (room === undefined || !room.isEmpty || room.isNew) return undefined
    this.#room = undefined
    return JSON.stringify(room.snapshot())
  }

  unpack(record: string): void {
    this.#room = Room.restore(this.#options, JSON.parse(record) as RoomSnapshot) // of `pack`
  }

  async ended({ reason, isRestarting, stanzas, work }: End): Promise<void> {
    this.services.moved(this.jid.local, [], [...this.#users])
    const room = this.#room
    if (isRestarting) {
      this.former = room === undefined ? this.former : room.snapshot().occupants
      return
    }
    // After too many failures, and when the server stops: nobody comes who would tell them.
    if (room !== undefined && !room.isEmpty) this.#deliver(room.shutDown())
    const saving = reason === 'shutdown' ? this.#saveHistory() : undefined
    this.services.gone(this, { stanzas, work })
    await saving
  }

  /** For the successor of one that failed. */
  get formerOccupants(): readonly OccupantSnapshot[] {
    return this.former
  }

  // ---- one stanza

  /** Does it for a stanza: what it may not is told to its sender, anything else is a failure of the room. */
  #guarded(stanza: Stanza, work: () => void | Promise<void>): void | Promise<void> {
    try {
      const waiting = work()
      if (!(waiting instanceof Promise)) return this.#settle()
      return waiting.catch(error => this.#refuse(stanza, error)).then(() => this.#settle())
    } catch (error) {
      this.#refuse(stanza, error)
      this.#settle()
    }
  }

  #refuse(stanza: Stanza, error: unknown): void {
    const { routing } = this.services
    const isExpected = error instanceof StanzaError || error instanceof StoreUnavailable
    const told = isExpected ? routing.explain(error) : new StanzaError('internal-server-error')
    if (stanza.kind !== 'presence') void bounceStanza(routing, stanza, told)
    else if (mayBounce(stanza) && !isLeaving(stanza)) routing.send(refusalOf(stanza, told))
    if (!isExpected) throw error
  }

  /** What comes too fast waits. */
  #admit(stanza: Stanza): void | Promise<void> {
    if (this.#pace !== undefined && this.#room?.nickOf(stanza.from!) !== undefined) {
      if (!this.#pace.admits(stanza, this.services.now())) return
    }
    return this.#enact(stanza)
  }

  async #release(now: number): Promise<void> {
    for (const stanza of this.#pace?.released(now) ?? []) await this.#guarded(stanza, () => this.#enact(stanza))
    this.#settle()
  }

  #enact(stanza: Stanza): void | Promise<void> {
    const room = this.#room ?? this.#found(stanza)
    const isEntering = stanza.kind === 'presence' && stanza.type === '' && room.nickOf(stanza.from!) === undefined
    if (isEntering) this.services.checkPlaces(stanza.from!, this.jid.local)
    const effects = room.take(stanza)
    if (effects === undefined) throw new StanzaError('service-unavailable')
    return this.#perform(room, effects)
  }

  /** The room that begins with this stanza. XEP-0045 §10.1 */
  #found(stanza: Stanza): Room {
    const { kind, type, from, to } = stanza
    if (kind !== 'presence' || type !== '' || !to!.isFull) throw notFound()
    return this.#begun(from!)
  }

  #begun(founder: Jid): Room {
    return Room.create(this.#options, this.services.beginning(this.jid, founder))
  }

  // ---- what comes of it

  /** Writes what has to last, then tells everybody. */
  #perform(room: Room, effects: Effects): void | Promise<void> {
    const { changed, archived, tombstones } = effects
    if (changed.has('history')) this.#isHistoryUnwritten = true
    const isFirst = this.#room === undefined
    const isOver = effects.isDestroyed || (room.isEmpty && !room.config.isPersistent)
    const isSaved = !isFirst && !isOver && !lasting.some(part => changed.has(part))
    if (isSaved && archived.length === 0 && tombstones.length === 0) {
      this.#tell(room, effects)
      return
    }
    const done = (isKept: boolean) => {
      this.#room = isKept ? room : undefined
      this.#tell(room, effects)
    }
    return this.#write(room, effects, isFirst, isOver).then(
      () => done(!isOver),
      error => {
        // Whoever leaves has left, and the room ends as soon as the store is there again.
        if (!isOver || effects.isDestroyed || !(error instanceof StoreUnavailable)) throw error
        done(true)
      },
    )
  }

  #tell(room: Room, effects: Effects): void {
    if (effects.changed.has('occupants')) this.#count(room)
    this.#deliver(effects)
  }

  async #write(room: Room, effects: Effects, isFirst: boolean, isOver: boolean): Promise<void> {
    // All at once, so that it is one transaction.
    try {
      await Promise.all([
        this.#store(room, effects, isFirst, isOver),
        ...effects.archived.map(message => this.#archive(message)),
        ...effects.tombstones.map(tombstone => this.#retract(tombstone)),
      ])
    } catch (error) {
      if (!isFirst) this.#goBack(room, effects)
      throw error
    }
  }

  async #store(room: Room, { changed }: Effects, isFirst: boolean, isOver: boolean): Promise<void> {
    const { store, domain } = this.services
    const { local } = this.jid
    if (isOver) {
      if (!isFirst) await store.remove(domain, local)
      this.#saved = undefined
      return
    }
    if (!isFirst && !lasting.some(part => changed.has(part))) return
    const now = savedOf(room)
    const before = this.#saved
    if (before === undefined) await this.#make(room, now)
    else await store.update(domain, local, changeOf(before, now, room, changed))
    this.#saved = now
  }

  async #make(room: Room, { stored, subject }: Saved): Promise<void> {
    const { store, domain } = this.services
    const made = await store.create(domain, this.jid.local, {
      configuration: stored,
      listing: listingOf(room),
      ...(subject !== undefined && { subject }),
      history: [],
      affiliations: room.affiliations().map(asStored),
    })
    if (!made) throw new StanzaError('conflict', 'somebody else has just made this room')
  }

  #archive({ id, stanza: message, sender }: ArchivedMessage): Promise<void> | undefined {
    const { routing, domain } = this.services
    return routing.rooms.archiveOf(domain)?.append({ room: this.jid, id, message, sender })
  }

  #retract(tombstone: Tombstone): Promise<void> | undefined {
    const { routing, domain } = this.services
    return routing.rooms.archiveOf(domain)?.retract({ room: this.jid, ...tombstone })
  }

  /** The store has not taken the change: it has not happened. */
  #goBack(room: Room, { archived }: Effects): void {
    const saved = this.#saved
    if (saved === undefined) return
    const ids = new Set(archived.map(({ id }) => id))
    const snapshot = room.snapshot()
    this.#room = Room.restore(this.#options, {
      ...snapshot,
      ...saved.stored,
      subject: saved.subject,
      affiliations: [...saved.affiliations.values()].map(text => JSON.parse(text)),
      history: snapshot.history.filter(({ id }) => !ids.has(id)),
    })
  }

  /** Each occupant gets the same bytes with his own address in them. */
  #deliver({ deliveries }: Effects): void {
    const { routing } = this.services
    // One stanza for each occupant here needs no account.
    const act = deliveries.length > 1 || this.#hasStrangers ? new Act(routing.routes.isHost) : undefined
    for (const { stanza, to } of deliveries) {
      for (const jid of to) {
        const follows = act?.follows(jid) ?? false
        void routing.route(stanza.addressed({ to: jid, follows }))
      }
    }
  }

  #count(room: Room): void {
    const before = this.#users
    const after = new Set<string>()
    const { isHost } = this.services.routing.routes
    this.#hasStrangers = false
    for (const { jids } of room.occupants) {
      for (const jid of jids) {
        after.add(jid.bareText)
        if (!isHost(jid.domain)) this.#hasStrangers = true
      }
    }
    this.#users = after
    this.#pace?.prune(new Set(room.occupants.flatMap(({ jids }) => jids.map(({ text }) => text))))
    const came = [...after].filter(user => !before.has(user))
    const left = [...before].filter(user => !after.has(user))
    if (came.length + left.length > 0) this.services.moved(this.jid.local, came, left)
  }

  // ---- memory and store

  async #load(): Promise<void> {
    const { store, domain } = this.services
    const found = await store.load(domain, this.jid.local)
    const former = this.former
    this.former = []
    if (found === undefined) return
    const snapshot = {
      ...(found.configuration as Stored),
      subject: found.subject as RoomSnapshot['subject'],
      history: found.history as RoomSnapshot['history'],
      affiliations: found.affiliations,
      occupants: former,
    }
    const room = Room.restore(this.#options, snapshot)
    this.#room = room
    this.#saved = savedOf(room)
    // They have to enter again. XEP-0045 §14.3
    if (former.length > 0) this.#deliver(room.shutDown('The room had to start again.'))
  }

  async #tellFormer(): Promise<void> {
    try {
      await this.#load()
      this.#settle()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      this.actor.wakeAt(this.services.now() + RETRY_MS)
    }
  }

  /** What comes next, after each thing it did. */
  #settle(): void {
    const room = this.#room
    if (room === undefined) {
      // There is no such room, or it is over.
      if (this.former.length === 0 && this.actor.isDone) this.actor.stop('gone')
      return
    }
    this.#restAt = room.isEmpty ? this.#restTime(room) : undefined
    const due = this.#pace?.due
    const at = Math.min(this.#restAt ?? Number.POSITIVE_INFINITY, due ?? Number.POSITIVE_INFINITY)
    this.actor.wakeAt(Number.isFinite(at) ? at : undefined)
  }

  #restTime(room: Room): number {
    const { now, restAfter, restEvery } = this.services
    const at = now() + (room.config.isPersistent ? restAfter : COME_BACK_MS)
    return restEvery > 0 ? Math.ceil(at / restEvery) * restEvery : at
  }

  /** Nobody is inside, and nothing has happened for a while: from here on the room is only in the store. */
  async #rest(): Promise<void> {
    const { store, domain } = this.services
    try {
      if (this.#room?.config.isPersistent === false) await store.remove(domain, this.jid.local)
      else await this.#saveHistory()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      // Once more, when the store is there again.
      this.#settle()
      return
    }
    this.actor.stop('rest')
  }

  async #saveHistory(): Promise<void> {
    const room = this.#room
    if (room === undefined || !this.#isHistoryUnwritten || this.#saved === undefined) return
    const { store, domain } = this.services
    this.#isHistoryUnwritten = false
    await store.update(domain, this.jid.local, { history: room.snapshot().history })
  }
}

const notFound = () => new StanzaError('item-not-found', 'there is no such room')

/** Who could not enter is told so in a presence of rooms: some clients look for that. XEP-0045 §7.2.5 */
function refusalOf(stanza: Stanza, error: StanzaError): Stanza {
  return errorReply(stanza, error).withChild(`<x xmlns="${NS.muc}"/>`, NS.muc)
}

/** Nobody waits to hear that he could not leave. */
const isLeaving = ({ type }: Stanza) => type === 'unavailable'

const asStored = ({ jid, affiliation, nick, reason }: MucAffiliation): MucAffiliation => ({
  jid,
  affiliation,
  ...(nick !== undefined && { nick }),
  ...(reason !== undefined && { reason }),
})

function listingOf({ config, isLocked, jid }: Room): MucListing {
  return {
    name: config.name === '' ? jid.local : config.name,
    // Nobody may enter before its owner has said how it is to be. XEP-0045 §10.1.1
    isPublic: config.isPublic && !isLocked,
    isPersistent: config.isPersistent,
  }
}

function savedOf(room: Room): Saved {
  const { config, isLocked, salt, vcard, subject } = room.snapshot()
  const affiliations = new Map(room.affiliations().map(one => [one.jid, JSON.stringify(asStored(one))]))
  return { stored: { config, isLocked, salt, vcard }, subject, affiliations }
}

function changeOf(before: Saved, now: Saved, room: Room, changed: ReadonlySet<Part>): MucChange {
  const put = room.affiliations().filter(one => before.affiliations.get(one.jid) !== now.affiliations.get(one.jid))
  const remove = [...before.affiliations.keys()].filter(jid => !now.affiliations.has(jid))
  const isConfigured = changed.has('config') || changed.has('vcard') || before.stored.isLocked !== now.stored.isLocked
  return {
    ...(isConfigured && { configured: { configuration: now.stored, listing: listingOf(room) } }),
    ...(changed.has('subject') && now.subject !== undefined && { subject: now.subject }),
    ...(put.length > 0 && { put: put.map(asStored) }),
    ...(remove.length > 0 && { remove }),
  }
}
