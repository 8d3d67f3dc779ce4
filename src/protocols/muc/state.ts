import { createHmac } from 'node:crypto'
import { Jid } from '../jid.js'
import { Stanza } from '../stanza/stanza.js'
import { Affiliations } from './affiliations.js'
import { defaultConfig, type RoomConfig } from './config.js'
import { History } from './history.js'
import { type Occupant, Occupants, sessionJids } from './occupants.js'
import type { Affiliation, Standing } from './privileges.js'
import type { OccupantSnapshot, RoomSnapshot } from './snapshot.js'

/** What a room cannot know by itself. */
export interface Surroundings {
  /** Milliseconds since 1970. */
  now(): number
  /** An id for a message of the room: never the same twice, and the next message's is behind it in the archive (`archiveId`). */
  newId(): string
  /** Users who have the privileges of an owner in every room (`access_admin`). */
  isServiceAdmin(user: Jid): boolean
  /** Users who may make a room persistent (`access_persistent`). */
  mayPersist(user: Jid): boolean
}

/** What the operator chose for all rooms of the service. */
export interface RoomLimits {
  /** Messages of history kept in the room (`history_size`). */
  readonly historySize: number
  /** Characters (`max_room_name`, `max_room_desc`); Infinity for any number. */
  readonly maxName: number
  readonly maxDescription: number
  /** The most that `maxUsers` of a room may be (`max_users`). */
  readonly maxUsers: number
  /** Admins and owners who get in over `maxUsers` (`max_users_admin_threshold`). */
  readonly adminThreshold: number
  /** There is an archive, so rooms may be archived and offer `urn:xmpp:mam:2`. */
  readonly hasArchive: boolean
}

export interface RoomOptions {
  /** The room's bare JID. */
  readonly jid: Jid
  readonly limits: RoomLimits
  readonly surroundings: Surroundings
}

/** A message that tells the subject, and when it was set. */
export interface Subject {
  readonly stanza: Stanza
  readonly at: number
}

/** Requests under way between occupants that one of several sessions waits for; the oldest are forgotten. */
const pendingRequests = 1000

/** All that a room is. The use cases read and change it; `room.ts` puts them together. */
export class RoomState {
  readonly jid: Jid
  readonly limits: RoomLimits
  readonly surroundings: Surroundings
  config: RoomConfig
  isLocked: boolean
  /** Nobody has entered yet: who does makes the room, and owns it. */
  isNew = false
  affiliations: Affiliations
  readonly occupants = new Occupants()
  readonly history: History
  subject: Subject | undefined
  /** `<vCard/>` as XML. */
  vcard: string | undefined
  readonly salt: string
  /** By responder, nick and id: the session that asked. */
  readonly requests = new Map<string, Jid>()

  constructor({ jid, limits, surroundings }: RoomOptions, snapshot: RoomSnapshot) {
    this.jid = jid
    this.limits = limits
    this.surroundings = surroundings
    const { maxUsers } = snapshot.config
    // JSON has no Infinity.
    this.config = { ...defaultConfig, ...snapshot.config, maxUsers: maxUsers ?? Number.POSITIVE_INFINITY }
    this.isLocked = snapshot.isLocked
    this.affiliations = new Affiliations(snapshot.affiliations)
    this.history = new History(jid, limits.historySize, snapshot.history)
    const { subject } = snapshot
    this.subject = subject && { stanza: Stanza.parse(subject.message), at: subject.at }
    this.vcard = snapshot.vcard
    this.salt = snapshot.salt
    for (const stored of snapshot.occupants) this.reseat(stored)
  }

  snapshot(): RoomSnapshot {
    const { config, isLocked, salt, vcard, subject } = this
    return {
      config,
      isLocked,
      salt,
      vcard,
      affiliations: this.affiliations.all(),
      subject: subject && { message: subject.stanza.toString(), at: subject.at },
      history: this.history.snapshot(),
      occupants: this.occupants
        .all()
        .map(occupant => ({ nick: occupant.nick, role: occupant.role, jids: sessionJids(occupant).map(String) })),
    }
  }

  private reseat({ nick, jids, role }: OccupantSnapshot): void {
    const sessions = jids.map(text => ({ jid: Jid.parse(text)!, presence: [] }))
    const user = sessions[0]!.jid.bare
    this.occupants.put({ nick, jid: this.nickJid(nick), user, id: this.occupantId(user), role, sessions })
  }

  /** `room/nick` for a nick that is one. */
  nickJid(nick: string): Jid {
    return this.jid.withResource(nick)!
  }

  /** The same user has the same in this room and another one in any other. XEP-0421 §5 */
  occupantId(user: Jid): string {
    return createHmac('sha256', this.salt).update(`${this.jid.text} ${user.bareText}`).digest('hex')
  }

  /** What counts: the operator's admins are owners everywhere. */
  affiliationOf(user: Jid): Affiliation {
    return this.surroundings.isServiceAdmin(user.bare) ? 'owner' : this.affiliations.of(user)
  }

  /** Of a full JID that may be inside. */
  standing(session: Jid): Standing {
    return { affiliation: this.affiliationOf(session), role: this.occupants.withSession(session)?.role ?? 'none' }
  }

  /** True where an occupant sees real JIDs. XEP-0045 §4.2 */
  seesJids({ role }: Occupant): boolean {
    return role === 'moderator' || this.config.whois === 'anyone'
  }

  isShown({ role }: Pick<Occupant, 'role'>): boolean {
    return role !== 'none' && this.config.presenceBroadcast.includes(role)
  }

  /** Messages are archived, not just kept for those who enter. */
  get isArchived(): boolean {
    return this.limits.hasArchive && this.config.isArchived
  }

  remember(request: string, requester: Jid): void {
    this.requests.set(request, requester)
    if (this.requests.size > pendingRequests) this.requests.delete(this.requests.keys().next().value!)
  }
}
