import type { RoomConfig } from './config.js'
import type { Affiliation, Role } from './privileges.js'

/*
 * What of a room outlives its actor: plain data, fit for JSON (Infinity as null: see `Room.restore`). Stanzas are XML texts.
 */

export interface RoomSnapshot {
  readonly config: RoomConfig
  /** Made, but its owner has not said yet how it is to be. XEP-0045 §10.1.1 */
  readonly isLocked: boolean
  readonly affiliations: readonly AffiliationSnapshot[]
  readonly subject: SubjectSnapshot | undefined
  /** The oldest first. */
  readonly history: readonly HistorySnapshot[]
  readonly occupants: readonly OccupantSnapshot[]
  /** Of occupant ids: never to be told anybody, never to change. XEP-0421 §5 */
  readonly salt: string
  /** The room's vCard (`<vCard/>` as XML); undefined for none. */
  readonly vcard: string | undefined
}

export interface AffiliationSnapshot {
  /** Bare JID in canonical form; a domain stands for all its users (XEP-0045 §9.2). */
  readonly jid: string
  /** `none`: has a nick reserved, but no affiliation. */
  readonly affiliation: Affiliation
  /** Registered with the room. XEP-0045 §7.10 */
  readonly nick?: string
  readonly reason?: string
}

export interface SubjectSnapshot {
  /** The whole message, from `room/nick`. */
  readonly message: string
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface HistorySnapshot {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly at: number
  /** The whole message, from `room/nick`. */
  readonly message: string
  /** Bare JID. */
  readonly sender: string
}

export interface OccupantSnapshot {
  readonly nick: string
  /** Full JIDs of its sessions. */
  readonly jids: readonly string[]
  readonly role: Role
}
