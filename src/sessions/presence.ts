import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { presenceOf, priorityOf } from '../protocols/presence.js'
import { Act } from '../protocols/stanza/act.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { SessionRegistry } from './registry.js'
import type { Rosters, RosterView } from './rosters.js'
import type { Session } from './session.js'

/** Entities that a session may have directed presence to at one time. */
export const directedLimit = 1000

/** What the presence rules ask of the rest of the server. */
export interface PresenceServices {
  readonly sessions: SessionRegistry
  readonly rosters: Rosters
  /** True for a domain whose accounts are ours. */
  isHost(domain: string): boolean
  /** False when the session's presence is not to go to that contact, who otherwise may see it. */
  shows(session: Session, stanza: Stanza, contact: Jid, roster: RosterView): boolean
  /** Hands a stanza to a session of ours. */
  deliver(session: Session, stanza: Stanza): boolean
  /** Sends a stanza of the server's own making on its way, without waiting for it. */
  send(stanza: Stanza): void
  /** Does what nobody waits for; a failure is reported and goes no further. */
  inBackground(work: () => void | Promise<void>): void
  /** Sends a stanza on its way. */
  route(stanza: Stanza): void | Promise<void>
  /** The session is now available with a priority of zero or more, and was not before. */
  becameAvailable(session: Session): void | Promise<void>
  /** The session was available and is not any more. */
  becameUnavailable(session: Session): void
}

/** Who is told that a user is available, and who is not any more. RFC 6121 §4 */
export class Presence {
  readonly #services: PresenceServices

  constructor(services: PresenceServices) {
    this.#services = services
  }

  /** A presence without addressee from a client: available or `unavailable`. Throws `bad-request` for a bad priority. */
  broadcast(session: Session, stanza: Stanza): void | Promise<void> {
    if (stanza.type === 'unavailable')
      return this.#withRoster(session, roster => this.#unavailable(session, stanza, roster))
    const priority = priorityOf(stanza)
    return this.#withRoster(session, roster => this.#available(session, stanza, priority, roster))
  }

  /** A presence with an addressee, available or `unavailable`, from a client. RFC 6121 §4.6 */
  direct(session: Session, stanza: Stanza): void | Promise<void> {
    const to = stanza.to
    if (to && to.bareText !== session.jid.bareText) {
      if (stanza.type === 'unavailable') session.directed?.delete(to.text)
      else remember(session, to)
    }
    return this.#services.route(stanza)
  }

  /** The session's connection is gone: everybody who saw it as available is told. The second time does nothing. RFC 6121 §4.5.2 */
  ended(session: Session, status?: string): void | Promise<void> {
    if (session.presence === undefined && session.directed === undefined) return
    const stanza = presenceOf(session.jid, undefined, 'unavailable', status)
    const roster = this.#services.rosters.get(session.jid.bare)
    // Unavailable from here on, even when the roster has to be read before anybody can be told.
    const farewell = this.#farewell(session)
    if (roster instanceof Promise) return roster.then(loaded => farewell(stanza, loaded))
    return farewell(stanza, roster)
  }

  /** A presence probe for an account of ours. RFC 6121 §4.3.2 */
  probed(account: Jid, prober: Jid): void | Promise<void> {
    const roster = this.#services.rosters.get(account)
    if (roster instanceof Promise) return roster.then(loaded => this.#answerProbe(account, prober, loaded, true))
    return this.#answerProbe(account, prober, roster, true)
  }

  /** Tells a contact what each available resource last said. RFC 6121 §3.1.5 */
  sendPresenceTo(account: Jid, contact: Jid): void {
    for (const session of this.#availableOf(account)) this.#show(session, lastPresence(session), contact)
  }

  /** Tells a contact that no resource is available to it any more. RFC 6121 §3.2.2 */
  sendUnavailableTo(account: Jid, contact: Jid): void {
    for (const session of this.#availableOf(account))
      this.#show(session, presenceOf(session.jid, contact, 'unavailable'), contact)
  }

  #show(session: Session, stanza: Stanza, contact: Jid): void {
    const roster = this.#services.rosters.get(session.jid.bare)
    const send = (loaded: RosterView) => {
      if (this.#services.shows(session, stanza, contact, loaded)) this.#services.send(stanza.addressed({ to: contact }))
    }
    if (roster instanceof Promise) this.#services.inBackground(() => roster.then(send))
    else send(roster)
  }

  #withRoster(session: Session, act: (roster: RosterView) => void | Promise<void>): void | Promise<void> {
    const roster = this.#services.rosters.get(session.jid.bare)
    if (!(roster instanceof Promise)) return act(roster)
    return roster.then(loaded => {
      if (this.#services.sessions.byFull(session.jid.text) === session) return act(loaded)
      return undefined
    })
  }

  #available(session: Session, stanza: Stanza, priority: number, roster: RosterView): void | Promise<void> {
    const isInitial = session.presence === undefined
    const wasReachable = !isInitial && session.priority >= 0
    session.presence = stanza.toString()
    session.priority = priority
    const act = this.#act()
    this.#tell(session, stanza, roster, act)
    if (isInitial) {
      this.#learn(session, roster, act)
      this.#deliverRequests(session, roster, act)
    }
    if (priority >= 0 && !wasReachable) return this.#services.becameAvailable(session)
  }

  #unavailable(session: Session, stanza: Stanza, roster: RosterView): void {
    if (session.presence !== undefined) this.#services.deliver(session, stanza.addressed({ to: session.jid.bare }))
    this.#farewell(session)(stanza, roster)
  }

  /** Makes the session unavailable now; the returned function tells the others. */
  #farewell(session: Session): (stanza: Stanza, roster: RosterView) => void {
    const wasAvailable = session.presence !== undefined
    const directed = session.directed
    session.presence = undefined
    session.directed = undefined
    if (wasAvailable) this.#services.becameUnavailable(session)
    return (stanza, roster) => {
      const act = this.#act()
      if (wasAvailable) this.#tell(session, stanza, roster, act)
      for (const text of directed ?? []) this.#tellDirected(session, text, stanza, roster, wasAvailable, act)
    }
  }

  /** Contacts that see us, and our own resources. RFC 6121 §4.2.2, §4.4.2, §4.5.2 */
  #tell(session: Session, stanza: Stanza, roster: RosterView, act: Act): void {
    const { shows } = this.#services
    for (const contact of roster.subscribers) {
      if (shows(session, stanza, contact, roster)) this.#toContact(contact, stanza, act)
    }
    this.#toContact(session.jid.bare, stanza, act)
  }

  #toContact(contact: Jid, stanza: Stanza, act: Act): void {
    const { sessions, isHost, deliver, send } = this.#services
    if (contact.local === '' || !isHost(contact.domain)) {
      send(stanza.addressed({ to: contact, follows: act.follows(contact) }))
      return
    }
    let addressed: Stanza | undefined
    for (const session of sessions.resources(contact.bareText)) {
      if (session.presence === undefined) continue
      addressed ??= stanza.addressed({ to: contact })
      deliver(session, addressed)
    }
  }

  #tellDirected(
    session: Session,
    text: string,
    stanza: Stanza,
    roster: RosterView,
    wereSubscribersTold: boolean,
    act: Act,
  ): void {
    const to = Jid.parse(text)
    if (!to) return
    const { subscription } = roster.stateOf(to.bareText)
    if (wereSubscribersTold && (subscription === 'from' || subscription === 'both')) return
    if (!this.#services.shows(session, stanza, to, roster)) return
    this.#services.send(stanza.addressed({ to, follows: act.follows(to) }))
  }

  /** The new resource learns who is available. RFC 6121 §4.2.2, §4.3.1 */
  #learn(session: Session, roster: RosterView, act: Act): void {
    const { jid } = session
    for (const other of this.#availableOf(jid)) {
      if (other === session) continue
      this.#services.deliver(session, lastPresence(other).addressed({ to: jid, follows: act.follows(jid) }))
    }
    for (const contact of roster.subscriptions) this.#probe(session, contact, act)
  }

  #probe(session: Session, contact: Jid, act: Act): void {
    if (contact.local === '' || !this.#services.isHost(contact.domain)) {
      const follows = act.follows(contact)
      this.#services.send(presenceOf(session.jid, contact, 'probe').addressed({ follows }))
      return
    }
    // RFC 6121 §4.3.2 item 3: silence may stand for "nobody is available", and saves a stanza per absent contact.
    if (this.#availableOf(contact).length === 0) return
    const theirs = this.#services.rosters.get(contact)
    if (!(theirs instanceof Promise)) this.#answerProbe(contact, session.jid, theirs, false)
    else {
      this.#services.inBackground(() => theirs.then(loaded => this.#answerProbe(contact, session.jid, loaded, false)))
    }
  }

  /** An answer does not count where stanzas wait: whoever comes online asks all contacts at once. */
  #answerProbe(account: Jid, prober: Jid, roster: RosterView, answersAbsence: boolean): void {
    const send = (stanza: Stanza, to: Jid) => this.#services.send(stanza.addressed({ to, follows: true }))
    const state = roster.stateOf(prober.bareText)
    const isOwn = prober.bareText === account.bareText
    if (!isOwn && state.subscription !== 'from' && state.subscription !== 'both') {
      // An answer to somebody whose request still waits would take the request back.
      if (!state.pendingIn && !this.#hasDirectedTo(account, prober) && !this.#hidesFrom(account, prober, roster)) {
        send(presenceOf(account, undefined, 'unsubscribed'), prober.bare)
      }
      return
    }
    const available = this.#availableOf(account)
    for (const session of available) {
      const last = lastPresence(session)
      if (isOwn || this.#services.shows(session, last, prober, roster)) send(last, prober)
    }
    if (available.length === 0 && answersAbsence) send(presenceOf(account, undefined, 'unavailable'), prober)
  }

  /** Requests wait until they are answered, and are shown to every new resource. RFC 6121 §3.1.3 item 4 */
  #deliverRequests(session: Session, roster: RosterView, act: Act): void {
    for (const xml of roster.requests.values()) {
      this.#services.deliver(session, Stanza.parse(xml).addressed({ follows: act.follows(session.jid) }))
    }
  }

  #act(): Act {
    return new Act(this.#services.isHost)
  }

  #availableOf(account: Jid): Session[] {
    return this.#services.sessions.resources(account.bareText).filter(session => session.presence !== undefined)
  }

  /** True when all of the account's resources keep their presence from the entity. */
  #hidesFrom(account: Jid, entity: Jid, roster: RosterView): boolean {
    const available = this.#availableOf(account)
    const isShown = (session: Session) => this.#services.shows(session, lastPresence(session), entity, roster)
    return available.length > 0 && !available.some(isShown)
  }

  #hasDirectedTo(account: Jid, entity: Jid): boolean {
    return this.#services.sessions
      .resources(account.bareText)
      .some(session => session.directed?.has(entity.text) || session.directed?.has(entity.bareText))
  }
}

/** RFC 6121 §4.6.3: who got directed presence is told when the session goes. */
function remember(session: Session, to: Jid): void {
  session.directed ??= new Set()
  if (session.directed.size >= directedLimit && !session.directed.has(to.text)) {
    throw new StanzaError('resource-constraint', 'too much directed presence')
  }
  session.directed.add(to.text)
}

/** The last presence a session broadcast. */
function lastPresence(session: Session): Stanza {
  return Stanza.parse(session.presence!)
}
