import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'

/*
 * Where rooms and whoever keeps their messages meet. A service of rooms says who may read what; the archive keeps. Neither knows the other.
 */

/** A message that the rules of a room say to keep. */
export interface RoomMessage {
  /** The room's bare JID. */
  readonly room: Jid
  /** Of `newId`, or made the same way. */
  readonly id: string
  /** As occupants get it, but for `to`: from the occupant's JID in the room. */
  readonly message: Stanza
  /** Who sent it: the bare JID of a user, whatever the room shows of it; undefined: the room itself. */
  readonly sender: string | undefined
}

/** What takes the place of a message that was retracted. XEP-0424 §4, XEP-0425 §4 */
export interface RoomTombstone {
  readonly room: Jid
  /** Of the message; it stays that of the tombstone. */
  readonly id: string
  /** The `<retracted/>` element, as XML that declares its namespace: all that is left beside the ids. */
  readonly retracted: string
  /** Bare JID: a message of anybody else is left alone. Undefined: whoever sent it. */
  readonly author: string | undefined
}

/** Keeps the messages of the rooms of one service, for as long as the store has the room. XEP-0313 §3.1 */
export interface RoomArchive {
  /** Whether occupants are given the id as `<stanza-id by='the room'/>`. XEP-0359 */
  readonly givesIds: boolean
  /** What the rooms say in service discovery because of it. */
  readonly features: readonly string[]
  /** False for what is not worth keeping, such as typing notifications; `append` does nothing with that. XEP-0313 §6.1.2, XEP-0334 §5 */
  wants(message: Stanza): boolean
  /** An id (`archiveId`) for the next message of a room: no other of the archive has its time. */
  newId(): string
  /** Resolves after commit; rejects when the message is not kept. In the order of the calls. */
  append(message: RoomMessage): Promise<void>
  /** Resolves after commit; does nothing when there is no such message. */
  retract(tombstone: RoomTombstone): Promise<void>
}

/** What the archive asks of the service whose rooms they are. */
export interface RoomService {
  /**
   * Whether this user may read the room's archive, and whether it sees who the senders really were. Rejects with the `StanzaError` that
   * the user is told: `item-not-found` where there is no such room.
   */
  mayRead(room: Jid, reader: Jid): Promise<{ readonly seesRealJids: boolean }>
}

/** Who keeps the messages of which domain of rooms; modules enter themselves. The order in which both sides come does not matter. */
export class RoomArchives {
  readonly #archives = new Map<string, RoomArchive>()
  readonly #services = new Map<string, RoomService>()

  /** Undefined: nobody keeps what is said there. */
  archiveOf(domain: string): RoomArchive | undefined {
    return this.#archives.get(domain)
  }

  /** Undefined: nobody serves rooms there. */
  serviceOf(domain: string): RoomService | undefined {
    return this.#services.get(domain)
  }

  /** Returns the undo. Throws when the domain has an archive. */
  keep(domain: string, archive: RoomArchive): () => void {
    return enter(this.#archives, domain, archive)
  }

  /** Returns the undo. Throws when somebody serves the rooms of the domain. */
  serve(domain: string, service: RoomService): () => void {
    return enter(this.#services, domain, service)
  }
}

function enter<Value>(table: Map<string, Value>, domain: string, value: Value): () => void {
  if (table.has(domain)) throw new Error(`the rooms of ${domain} are taken care of already`)
  table.set(domain, value)
  return () => table.delete(domain)
}
