import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { carbonCopy, type Direction, isEligible } from '../protocols/carbons.js'
import { StanzaError } from '../protocols/errors.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { IqAnswer } from '../routing/iq.js'
import { isSession, type Sender, type Session } from '../sessions/session.js'
import { entries } from '../storage/remembered.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

/** Copied messages whose errors are copied too. */
const rememberedCopies = 10_000

export const carboncopy = defineModule({
  name: 'mod_carboncopy',
  implements: ['XEP-0280', 'XEP-0297', 'XEP-0334'],
  features: [NS.carbons, NS.carbonsRules],
  shipped: {},
  config: z
    .strictObject({ iqdisc: iqdisc() })
    .meta({ description: "Copies of a user's messages for the user's other resources.", example: {} }),
  unsupported: unsupportedIqdisc,

  start(server) {
    const carbons = new Carbons(server)
    const { hooks } = server
    server.onIq('account', 'set', NS.carbons, 'enable', iq => carbons.enable(iq))
    server.onIq('account', 'set', NS.carbons, 'disable', iq => carbons.disable(iq))
    // Behind the archive, whose id the copy bears. XEP-0313 §3.5
    server.onStop(hooks.leaving.observe({ kinds: ['message'] }, (stanza, sender) => carbons.sent(stanza, sender)))
    server.onStop(
      hooks.delivered.observe({ kinds: ['message'] }, (stanza, session) => carbons.delivered(stanza, session)),
    )
    server.onStop(hooks.sessionClosed.observe(({ session }) => carbons.forget(session)))
  },
})

class Carbons {
  readonly #server: ModuleServer
  /** The sessions that want copies, by account. */
  readonly #enabled = new Map<string, Set<Session>>()
  /** The same: a client asks once. */
  readonly #wanting: WeakSet<Session>
  /** By account, addressee and id, of messages that were copied. */
  readonly #copied = new LRUCache<string, true>(entries(rememberedCopies))

  constructor(server: ModuleServer) {
    this.#server = server
    this.#wanting = server.kept('enabled', () => new WeakSet<Session>())
    for (const session of server.routing.sessions.on(server.host)) if (this.#wanting.has(session)) this.#add(session)
  }

  /** XEP-0280 §4 */
  enable(iq: Stanza): IqAnswer {
    const session = this.#sessionOf(iq)
    this.#wanting.add(session)
    this.#add(session)
    return undefined
  }

  #add(session: Session): void {
    const { bareText } = session.jid
    this.#enabled.set(bareText, (this.#enabled.get(bareText) ?? new Set()).add(session))
  }

  /** XEP-0280 §5 */
  disable(iq: Stanza): IqAnswer {
    this.forget(this.#sessionOf(iq))
    return undefined
  }

  forget(session: Session): void {
    this.#wanting.delete(session)
    const { bareText } = session.jid
    const sessions = this.#enabled.get(bareText)
    if (sessions?.delete(session) && sessions.size === 0) this.#enabled.delete(bareText)
  }

  /** XEP-0280 §8 */
  sent(stanza: Stanza, sender: Sender): void {
    const account = sender.jid.bareText
    const enabled = this.#enabled.get(account)
    if (enabled === undefined || (enabled.size === 1 && isSession(sender) && enabled.has(sender))) return
    const to = stanza.to?.bareText ?? account
    // What users send to themselves arrives: that is copied.
    if (to === account || !isEligible(stanza, 'sent')) return
    if (stanza.id !== undefined) this.#copied.set(`${account} ${to} ${stanza.id}`, true)
    this.#copy(stanza, 'sent', sender, enabled, other => other === sender)
  }

  /** XEP-0280 §7 */
  delivered(stanza: Stanza, session: Session): void {
    const enabled = this.#enabled.get(session.jid.bareText)
    if (enabled === undefined || (enabled.size === 1 && enabled.has(session))) return
    if (!this.#isWorthReceiving(stanza, session)) return
    const isForOne = stanza.to?.text === session.jid.text
    const sender = stanza.from?.text
    const hasIt = (other: Session) =>
      other === session || other.jid.text === sender || (!isForOne && isAsAvailable(other, session))
    this.#copy(stanza, 'received', session, enabled, hasIt)
  }

  /** An error is copied where the message that it answers was. XEP-0280 §6.1 */
  #isWorthReceiving(stanza: Stanza, { jid }: Session): boolean {
    if (stanza.type !== 'error') return isEligible(stanza, 'received')
    return this.#copied.has(`${jid.bareText} ${stanza.from?.bareText} ${stanza.id}`)
  }

  #copy(
    stanza: Stanza,
    direction: Direction,
    { jid }: Sender,
    enabled: Iterable<Session>,
    hasIt: (other: Session) => boolean,
  ): void {
    let copy: Stanza | undefined
    for (const other of enabled) {
      if (hasIt(other)) continue
      copy ??= carbonCopy(stanza, direction, jid.bare)
      this.#server.routing.deliver(other, copy.addressed({ to: other.jid }))
    }
  }

  /** Carbons are a client's own matter. XEP-0280 §4.1, §5.1 */
  #sessionOf(iq: Stanza): Session {
    const session = this.#server.routing.sessions.byFull(iq.from!.text)
    if (session === undefined || iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('not-allowed')
    return session
  }
}

/** Both took a message for the account, which went to all resources of the highest priority. RFC 6121 §8.5.2.1.1 */
const isAsAvailable = (other: Session, taker: Session) =>
  other.presence !== undefined && other.priority === taker.priority
