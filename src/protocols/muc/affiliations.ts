import type { Jid } from '../jid.js'
import type { Affiliation } from './privileges.js'
import type { AffiliationSnapshot } from './snapshot.js'

/** What a room keeps of a user. */
export type Affiliated = AffiliationSnapshot

/** Who is affiliated with a room, and which nicks are registered. XEP-0045 §5.2, §7.10 */
export class Affiliations {
  private readonly byJid = new Map<string, Affiliated>()
  private readonly byNick = new Map<string, string>()
  private owners = 0

  constructor(entries: Iterable<Affiliated> = []) {
    for (const entry of entries) this.put(entry)
  }

  /** A user's own, or else that of his server. */
  of(user: Jid): Affiliation {
    const own = this.byJid.get(user.bareText)?.affiliation ?? 'none'
    return own === 'none' ? (this.byJid.get(user.domain)?.affiliation ?? 'none') : own
  }

  /** Of exactly this bare JID. */
  at(jid: string): Affiliated | undefined {
    return this.byJid.get(jid)
  }

  get ownerCount(): number {
    return this.owners
  }

  get size(): number {
    return this.byJid.size
  }

  all(): Affiliated[] {
    return [...this.byJid.values()]
  }

  with(affiliation: Affiliation): Affiliated[] {
    return this.all().filter(entry => entry.affiliation === affiliation)
  }

  set(jid: string, affiliation: Affiliation, reason?: string): void {
    // An outcast's nick is free again. XEP-0045 §9.1
    const nick = affiliation === 'outcast' ? undefined : this.byJid.get(jid)?.nick
    this.put({ jid, affiliation, ...(nick !== undefined && { nick }), ...(reason && { reason }) })
  }

  /** Reserves a nick that nobody else has; undefined gives up the one that was. */
  register(jid: string, nick: string | undefined): void {
    const { nick: _, ...entry } = this.byJid.get(jid) ?? { jid, affiliation: 'none' as const }
    this.put(nick === undefined ? entry : { ...entry, nick })
  }

  /** The bare JID of who has reserved it. */
  holderOf(nick: string): string | undefined {
    return this.byNick.get(nick)
  }

  private put(entry: Affiliated): void {
    const before = this.byJid.get(entry.jid)
    if (before?.affiliation === 'owner') this.owners -= 1
    if (before?.nick !== undefined) this.byNick.delete(before.nick)
    if (entry.affiliation === 'none' && entry.nick === undefined) this.byJid.delete(entry.jid)
    else this.byJid.set(entry.jid, entry)
    if (entry.affiliation === 'owner') this.owners += 1
    if (entry.nick !== undefined) this.byNick.set(entry.nick, entry.jid)
  }
}
