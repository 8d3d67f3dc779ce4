import type { Element } from 'ltx'
import type { Jid } from '../jid.js'
import type { Role } from './privileges.js'

/** One nick in a room: a user with one session, or several that share it. XEP-0045 §7.2.8 */
export interface Occupant {
  readonly nick: string
  /** `room/nick` */
  readonly jid: Jid
  /** Bare JID. */
  readonly user: Jid
  /** XEP-0421 */
  readonly id: string
  readonly role: Role
  /** The latest one last; never empty. */
  readonly sessions: readonly Session[]
}

export interface Session {
  /** Full JID. */
  readonly jid: Jid
  /** What its last presence says, without what the room says itself. */
  readonly presence: readonly Element[]
}

/** The session whose presence is shown. */
export const shownSession = (occupant: Occupant): Session => occupant.sessions.at(-1)!

export const sessionJids = (occupant: Occupant): Jid[] => occupant.sessions.map(({ jid }) => jid)

/** Everybody in a room. Occupants are values: a change puts another in the place of the old one. */
export class Occupants {
  private readonly byNick = new Map<string, Occupant>()
  private readonly bySession = new Map<string, Occupant>()
  private allJids: readonly Jid[] | undefined

  get size(): number {
    return this.byNick.size
  }

  all(): Occupant[] {
    return [...this.byNick.values()]
  }

  withNick(nick: string): Occupant | undefined {
    return this.byNick.get(nick)
  }

  withSession(jid: Jid): Occupant | undefined {
    return this.bySession.get(jid.text)
  }

  ofUser(bareJid: string): Occupant[] {
    return this.all().filter(({ user }) => user.text === bareJid)
  }

  ofRole(role: Role): Occupant[] {
    return this.all().filter(occupant => occupant.role === role)
  }

  /** Whom a message of the room goes to: the same array until somebody comes or goes. */
  get sessions(): readonly Jid[] {
    this.allJids ??= this.all().flatMap(sessionJids)
    return this.allJids
  }

  /** Lets an occupant in, or puts what he is now in the place of what he was. */
  put(occupant: Occupant): void {
    this.forgetSessions(occupant.nick)
    this.byNick.set(occupant.nick, occupant)
    for (const { jid } of occupant.sessions) this.bySession.set(jid.text, occupant)
    this.allJids = undefined
  }

  remove(nick: string): void {
    this.forgetSessions(nick)
    this.byNick.delete(nick)
    this.allJids = undefined
  }

  private forgetSessions(nick: string): void {
    for (const { jid } of this.byNick.get(nick)?.sessions ?? []) this.bySession.delete(jid.text)
  }
}
