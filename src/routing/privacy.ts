import { Element } from 'ltx'
import type { HostCounters } from '../observability/metrics/host-counters.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { presenceOf } from '../protocols/presence.js'
import { incomingKind, type Kind, outgoingKind, type PrivacyRules } from '../protocols/privacy.js'
import { Act } from '../protocols/stanza/act.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { noLists, PrivacyLists, type PrivacyView } from '../sessions/privacy-lists.js'
import type { RosterView } from '../sessions/rosters.js'
import type { Sender, Session } from '../sessions/session.js'
import type { PrivacyRepository } from '../storage/store.js'
import { bounceStanza } from './bounce.js'
import { drop, type Offered, refuse, type Showing, type Transformed } from './hooks.js'
import type { Routing } from './services.js'
import { reroute } from './session-lifecycle.js'

/*
 * Keeps stanzas away that an account's lists deny: one engine for privacy lists (XEP-0016) and the block list (XEP-0191).
 * An account without lists costs one look-up per stanza and direction.
 */

/** Stanzas that wait for one session while its lists or its roster are being read. */
const heldLimit = 1000

export class Privacy {
  readonly lists: PrivacyLists
  readonly #routing: Routing
  readonly #host: string
  readonly #counters: HostCounters
  /** Names of the lists that sessions have chosen for themselves. */
  readonly #active: WeakMap<Sender, string>
  readonly #held = new Map<Session, Stanza[]>()

  constructor(routing: Routing, host: string, repository: PrivacyRepository, active: WeakMap<Sender, string>) {
    this.#routing = routing
    this.#host = host
    this.#active = active
    this.#counters = routing.hooksOf(host).counters
    this.lists = new PrivacyLists(repository, account => routing.sessions.isConnected(account))
  }

  /** Joins the hooks of the host and returns the undo. */
  start(): () => void {
    const hooks = this.#routing.hooksOf(this.#host)
    const undos = [
      hooks.sessionOpened.observe(({ jid }) => this.#connected(jid)),
      hooks.sessionClosed.observe(({ session }) => this.#closed(session)),
      hooks.accountRemoved.observe(account => this.lists.forget(account)),
      hooks.accountChanged.observe(account => this.lists.forget(account)),
      hooks.sent.transform({}, (stanza, session) => this.#sent(stanza, session)),
      hooks.received.transform({}, (stanza, session) => this.#received(stanza, session)),
      hooks.shown.transform({}, (stanza, showing) => (this.#isShown(stanza, showing) ? stanza : drop)),
      hooks.onBehalf.transform({}, (stanza, account) => this.#onBehalf(stanza, account)),
      hooks.undeliverable.transform({}, (stanza, account) => this.#onBehalf(stanza, account)),
    ]
    // Those that were there before the modules were started again.
    for (const { jid } of this.#routing.sessions.on(this.#host)) {
      this.#routing.inBackground(() => this.#connected(jid))
    }
    return () => {
      for (const undo of undos) undo()
    }
  }

  activeOf(session: Session): string | undefined {
    return this.#active.get(session)
  }

  /** Chooses the list of a session, or none; its contacts are told what that changes. XEP-0016 §2.4 */
  setActive(session: Session, name: string | undefined, lists: PrivacyView): Promise<void> {
    const before = this.#rulesOf(session, lists)
    if (name === undefined) this.#active.delete(session)
    else this.#active.set(session, name)
    return this.#tell([[session, before, this.#rulesOf(session, lists)]])
  }

  /** True when a session other than `except` follows the list. */
  isInUse(account: Jid, name: string, lists: PrivacyView, except: Session | undefined): boolean {
    return this.#routing.sessions
      .resources(account.bareText)
      .some(session => session !== except && this.#rulesOf(session, lists)?.list.name === name)
  }

  /** Tells contacts and sessions what the change of an account's lists shows and hides. XEP-0016 §2.10, §2.11, XEP-0191 §3.3, §3.4 */
  tellChange(account: Jid, before: PrivacyView, after: PrivacyView): Promise<void> {
    const sessions = this.#routing.sessions.resources(account.bareText)
    return this.#tell(sessions.map(session => [session, this.#rulesOf(session, before), this.#rulesOf(session, after)]))
  }

  async #connected(jid: Jid): Promise<void> {
    const account = jid.bare
    this.lists.connected(account, await this.lists.get(account))
  }

  #closed(session: Session): void {
    this.#release(session, stanza => void reroute(this.#routing, session, stanza))
    if (!this.#routing.sessions.isConnected(session.jid.bareText)) this.lists.disconnected(session.jid.bare)
  }

  /** The list that counts for a session: its own, or else the account's. Without a session it is the account's. XEP-0016 §2.2 */
  #rulesOf(sender: Sender, view: PrivacyView): PrivacyRules | undefined {
    if (view === noLists) return undefined
    const active = this.#active.get(sender)
    return (active === undefined ? undefined : view.lists.get(active)) ?? defaultOf(view)
  }

  /** A client's stanza on its way out. XEP-0016 §2.14, XEP-0191 §3.3 */
  #sent(stanza: Stanza, sender: Sender): Transformed | Promise<Transformed> {
    const view = this.lists.peek(sender.jid.bareText)
    if (view === noLists) return stanza
    if (view !== undefined) return this.#checkSent(stanza, sender, view)
    const { kind, to } = stanza
    if (kind !== 'presence' && (to === undefined || this.#isOwn(sender.jid, to))) return stanza
    // Presence waits too where it has no addressee: whom it is shown to is asked at once afterwards.
    const loaded = this.lists.get(sender.jid.bare)
    if (!(loaded instanceof Promise)) return this.#checkSent(stanza, sender, loaded)
    return loaded.then(later => this.#checkSent(stanza, sender, later))
  }

  #checkSent(stanza: Stanza, sender: Sender, view: PrivacyView): Transformed | Promise<Transformed> {
    const rules = this.#rulesOf(sender, view)
    const { to } = stanza
    if (rules === undefined || to === undefined || this.#isOwn(sender.jid, to)) return stanza
    const denied = this.#denies(rules, outgoingKind(stanza), sender.jid, to)
    const decide = (isDenied: boolean) => {
      if (!isDenied) return stanza
      this.#counters.modPrivacyStanzaBlocked++
      throw blockedError()
    }
    return denied instanceof Promise ? denied.then(decide) : decide(denied)
  }

  /** Somebody's stanza for a client. XEP-0016 §2.14: what is denied finds the user as if offline. */
  #received(stanza: Stanza, session: Session): Offered {
    if (this.#held.size > 0 && this.#held.has(session)) return this.#hold(stanza, session)
    const view = this.lists.peek(session.jid.bareText)
    if (view === noLists) return stanza
    if (view === undefined) {
      const { from } = stanza
      if (from === undefined || this.#isOwn(session.jid, from)) return stanza
      const loaded = this.lists.get(session.jid.bare)
      if (loaded instanceof Promise) return this.#hold(stanza, session, loaded)
      return this.#checkReceived(stanza, session, loaded)
    }
    return this.#checkReceived(stanza, session, view)
  }

  #checkReceived(stanza: Stanza, session: Session, view: PrivacyView): Offered {
    const rules = this.#rulesOf(session, view)
    const { from } = stanza
    if (rules === undefined || from === undefined || this.#isOwn(session.jid, from)) return stanza
    const denied = this.#denies(rules, incomingKind(stanza), session.jid, from)
    if (denied instanceof Promise) return this.#hold(stanza, session, denied)
    if (!denied) return stanza
    this.#counters.modPrivacyStanzaDenied++
    return refuse
  }

  /** Keeps a stanza until something is read; those behind it wait too, so that their order stays. */
  #hold(stanza: Stanza, session: Session, reading?: Promise<unknown>): Offered {
    const queue = this.#held.get(session)
    if (queue === undefined) this.#held.set(session, [stanza])
    else if (queue.length >= heldLimit) return refuse
    else queue.push(stanza)
    if (reading !== undefined) {
      void reading.then(
        () => this.#release(session, one => this.#deliverLate(one, session)),
        (error: unknown) => this.#release(session, one => bounce(this.#routing, one, this.#routing.explain(error))),
      )
    }
    return drop
  }

  #release(session: Session, act: (stanza: Stanza) => void): void {
    const waiting = this.#held.get(session) ?? []
    this.#held.delete(session)
    for (const one of waiting) act(one)
  }

  #deliverLate(stanza: Stanza, session: Session): void {
    if (this.#routing.deliver(session, stanza)) return
    // A message for the account may be with other resources already.
    if (stanza.to?.resource !== '') bounce(this.#routing, stanza, new StanzaError('service-unavailable'))
  }

  /** What the server does for an account itself: the default list decides. XEP-0016 §2.2 */
  #onBehalf(stanza: Stanza, account: Jid): Transformed | Promise<Transformed> {
    const view = this.lists.get(account)
    if (view instanceof Promise) return view.then(loaded => this.#checkOnBehalf(stanza, account, loaded))
    return this.#checkOnBehalf(stanza, account, view)
  }

  #checkOnBehalf(stanza: Stanza, account: Jid, view: PrivacyView): Transformed | Promise<Transformed> {
    const rules = defaultOf(view)
    const { from } = stanza
    if (rules === undefined || from === undefined || this.#isOwn(account, from)) return stanza
    const denied = this.#denies(rules, incomingKind(stanza), account, from)
    const decide = (isDenied: boolean) => {
      if (!isDenied) return stanza
      this.#counters.modPrivacyStanzaDenied++
      if (stanza.kind === 'presence') return drop
      throw new StanzaError('service-unavailable')
    }
    return denied instanceof Promise ? denied.then(decide) : decide(denied)
  }

  #isShown(stanza: Stanza, { session, contact, roster }: Showing): boolean {
    const view = this.lists.peek(session.jid.bareText) ?? this.lists.get(session.jid.bare)
    if (view === noLists) return true
    // Not known any more, because the store failed: that somebody is gone is no secret.
    if (view instanceof Promise) return stanza.type === 'unavailable'
    const rules = this.#rulesOf(session, view)
    return rules === undefined || !rules.denies('presence-out', contact, relationIn(roster, contact))
  }

  /** Nobody blocks their own resources, nor the server that carries out what they ask. XEP-0016 §2.1 */
  #isOwn(account: Jid, other: Jid): boolean {
    return other.bareText === account.bareText || other.text === this.#host
  }

  #denies(rules: PrivacyRules, kind: Kind, account: Jid, other: Jid): boolean | Promise<boolean> {
    this.#counters.modPrivacyStanzaAll++
    if (!rules.needsRoster) return rules.denies(kind, other, undefined)
    const roster = this.#routing.rosters.get(account.bare)
    if (!(roster instanceof Promise)) return rules.denies(kind, other, relationIn(roster, other))
    return roster.then(loaded => rules.denies(kind, other, relationIn(loaded, other)))
  }

  async #tell(
    changes: readonly (readonly [Session, PrivacyRules | undefined, PrivacyRules | undefined])[],
  ): Promise<void> {
    const [first] = changes
    if (first === undefined) return
    const roster = await this.#routing.rosters.get(first[0].jid.bare)
    for (const [session, before, after] of changes) {
      if (session.presence === undefined || before === after) continue
      const act = new Act(this.#routing.routes.isHost)
      this.#tellOutgoing(session, before, after, roster, act)
      this.#tellIncoming(session, before, after, roster, act)
    }
  }

  /** Contacts learn that the session is gone, or there again. */
  #tellOutgoing(
    session: Session,
    before: PrivacyRules | undefined,
    after: PrivacyRules | undefined,
    roster: RosterView,
    act: Act,
  ): void {
    const send = (stanza: Stanza, to: Jid) => this.#routing.send(stanza.addressed({ to, follows: act.follows(to) }))
    const hides = (rules: PrivacyRules | undefined, contact: Jid) =>
      rules?.denies('presence-out', contact, relationIn(roster, contact)) ?? false
    for (const contact of roster.subscribers) {
      const [was, is] = [hides(before, contact), hides(after, contact)]
      if (is && !was) send(presenceOf(session.jid, undefined, 'unavailable'), contact)
      if (was && !is) send(Stanza.parse(session.presence!), contact)
    }
    const told = new Set(roster.subscribers.map(({ text }) => text))
    for (const text of session.directed ?? []) {
      const contact = Jid.parse(text)
      if (contact === undefined || told.has(contact.bareText) || hides(before, contact) || !hides(after, contact))
        continue
      send(presenceOf(session.jid, undefined, 'unavailable'), contact)
    }
  }

  /** The session learns that contacts are gone for it, or there again. XEP-0016 §2.10 */
  #tellIncoming(
    session: Session,
    before: PrivacyRules | undefined,
    after: PrivacyRules | undefined,
    roster: RosterView,
    act: Act,
  ): void {
    const hides = (rules: PrivacyRules | undefined, contact: Jid) =>
      rules?.denies('presence-in', contact, relationIn(roster, contact)) ?? false
    const { sessions, routes, send } = this.#routing
    for (const contact of roster.subscriptions) {
      const [was, is] = [hides(before, contact), hides(after, contact)]
      if (was && !is) send(presenceOf(session.jid, contact, 'probe').addressed({ follows: act.follows(contact) }))
      if (was || !is) continue
      const resources = routes.isHost(contact.domain) ? sessions.resources(contact.bareText) : []
      for (const other of resources) {
        // Past the modules, which keep everything of this contact away by now.
        if (other.presence === undefined) continue
        const presence = presenceOf(other.jid, session.jid, 'unavailable')
        this.#routing.deliverAnyway(session, presence.addressed({ follows: act.follows(session.jid) }))
      }
    }
  }
}

const defaultOf = ({ defaultName, lists }: PrivacyView): PrivacyRules | undefined =>
  defaultName === undefined ? undefined : lists.get(defaultName)

function relationIn(roster: RosterView, other: Jid) {
  const { subscription } = roster.stateOf(other.bareText)
  return { subscription, groups: roster.items.get(other.bareText)?.groups ?? [] }
}

function bounce(routing: Routing, stanza: Stanza, error: StanzaError): void {
  if (stanza.kind !== 'presence') void bounceStanza(routing, stanza, error)
}

/** XEP-0191 §3.3, XEP-0016 §2.14 */
const blockedError = () =>
  new StanzaError(
    'not-acceptable',
    'you have blocked this address',
    undefined,
    new Element('blocked', { xmlns: NS.blockingErrors }),
  )

/** The engine of a host, which its two modules share; it works while one of them runs. */
const running = new WeakMap<object, { privacy: Privacy; users: number; stop: () => void }>()
/** By the hooks of a host: what sessions have chosen counts for as long as they last, however often the modules are started. */
const chosen = new WeakMap<object, WeakMap<Sender, string>>()

export function sharePrivacy(
  routing: Routing,
  host: string,
  repository: PrivacyRepository,
): { privacy: Privacy; release: () => void } {
  const hooks = routing.hooksOf(host)
  let shared = running.get(hooks)
  if (shared === undefined) {
    const active = chosen.get(hooks) ?? new WeakMap<Sender, string>()
    chosen.set(hooks, active)
    const privacy = new Privacy(routing, host, repository, active)
    shared = { privacy, users: 0, stop: privacy.start() }
    running.set(hooks, shared)
  }
  const own = shared
  own.users += 1
  return {
    privacy: own.privacy,
    release() {
      own.users -= 1
      if (own.users > 0) return
      own.stop()
      running.delete(hooks)
    },
  }
}
