import { countSent } from '../observability/metrics/host-counters.js'
import { StanzaError } from '../protocols/errors.js'
import { errorReply, mayBounce, type Stanza } from '../protocols/stanza/stanza.js'
import { isSubscriptionType } from '../protocols/subscription.js'
import { isSession, type Sender, type Session } from '../sessions/session.js'
import { drop } from './hooks.js'
import { checkIq } from './iq.js'
import type { Routing } from './services.js'

/**
 * A stanza of an established client session, its `from` stamped with the full JID. Never throws and never rejects:
 * what goes wrong is told to the client. Where a promise comes back, the session's next stanza waits for it.
 */
export function handleClientStanza(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  try {
    const waiting = throughModules(routing, session, stanza)
    if (waiting instanceof Promise) return waiting.catch(error => refuse(routing, session, stanza, error))
  } catch (error) {
    refuse(routing, session, stanza, error)
  }
}

/**
 * A stanza of an account of this server that sends without a session. Resolves when what must be stored is stored. Rejects with the
 * `StanzaError` of what a client could not send either, and with `StoreUnavailable`; what goes wrong later is told to the account's sessions.
 */
export async function handleStanzaOf(routing: Routing, sender: Sender, stanza: Stanza): Promise<void> {
  const { counters, sent, leaving } = routing.hooksOf(sender.jid.domain)
  countSent(counters, stanza.kind)
  const passed = await sent.run(stanza, sender)
  if (passed === drop) return
  if (passed.kind !== 'message') return handle(routing, sender, passed)
  const message = passed.isAddressed ? passed : passed.addressed({ to: sender.jid.bare })
  const begun = leaving.run(message, sender)
  await routing.attempt(message, begun instanceof Promise ? begun : undefined)
}

function throughModules(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  const { counters, sent: hook } = routing.hooksOf(session.jid.domain)
  countSent(counters, stanza.kind)
  if (hook.isEmpty) return handle(routing, session, stanza)
  const result = hook.run(stanza, session)
  if (result instanceof Promise)
    return result.then(later => (later === drop ? undefined : handle(routing, session, later)))
  if (result !== drop) return handle(routing, session, result)
}

function handle(routing: Routing, sender: Sender, stanza: Stanza): void | Promise<void> {
  const { isAddressed } = stanza
  if (stanza.kind === 'presence') return presence(routing, sender, stanza, isAddressed)
  // RFC 6120 §10.3.1, §10.3.3: without an addressee it is for the sender's own account
  const addressed = isAddressed ? stanza : stanza.addressed({ to: sender.jid.bare })
  if (stanza.kind === 'message') return message(routing, sender, addressed)
  checkIq(stanza)
  return routing.route(addressed)
}

function message(routing: Routing, sender: Sender, stanza: Stanza): void | Promise<void> {
  const hook = routing.hooksOf(sender.jid.domain).leaving
  if (hook.isEmpty) return routing.route(stanza)
  const begun = hook.run(stanza, sender)
  return routing.route(stanza, begun instanceof Promise ? begun : undefined)
}

function presence(routing: Routing, sender: Sender, stanza: Stanza, isAddressed: boolean): void | Promise<void> {
  const { type, to } = stanza
  if (isAddressed && to === undefined) throw new StanzaError('jid-malformed', 'the address is not valid')
  if (type === '' || type === 'unavailable') {
    // Only a session can be available.
    if (!isSession(sender)) return routing.route(stanza)
    return to ? routing.presence.direct(sender, stanza) : routing.presence.broadcast(sender, stanza)
  }
  if (!to) throw new StanzaError('bad-request', `presence of type ${type} has an addressee`)
  if (type === 'probe' || type === 'error') return routing.route(stanza)
  if (!isSubscriptionType(type)) throw new StanzaError('bad-request', 'there is no such type of presence')
  const account = sender.jid.bare
  // RFC 6121 §4.2.2: every account sees its own presence anyway
  if (to.bareText === account.text) throw new StanzaError('not-allowed', 'no account subscribes to itself')
  // RFC 6121 §3: both sides of a subscription are bare JIDs
  return routing.subscriptions.outbound(account, to.bare, type, stanza)
}

function refuse(routing: Routing, session: Session, stanza: Stanza, error: unknown): void {
  const condition = routing.explain(error)
  // Past the modules: it comes from us, though in the name of the addressee, whom the user may have blocked.
  if (mayBounce(stanza)) routing.deliverAnyway(session, errorReply(stanza, condition))
}
