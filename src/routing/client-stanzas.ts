import { StanzaError } from '../protocols/errors.js'
import { errorReply, mayBounce, type Stanza } from '../protocols/stanza/stanza.js'
import { isSubscriptionType } from '../protocols/subscription.js'
import type { Session } from '../sessions/session.js'
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

function throughModules(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  const hook = routing.hooksOf(session.jid.domain).sent
  if (hook.isEmpty) return handle(routing, session, stanza)
  const result = hook.run(stanza, session)
  if (result instanceof Promise)
    return result.then(later => (later === drop ? undefined : handle(routing, session, later)))
  if (result !== drop) return handle(routing, session, result)
}

function handle(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  const { isAddressed } = stanza
  if (stanza.kind === 'presence') return presence(routing, session, stanza, isAddressed)
  // RFC 6120 §10.3.1, §10.3.3: without an addressee it is for the sender's own account
  const addressed = isAddressed ? stanza : stanza.addressed({ to: session.jid.bare })
  if (stanza.kind === 'message') return message(routing, session, addressed)
  checkIq(stanza)
  return routing.route(addressed)
}

function message(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  const hook = routing.hooksOf(session.jid.domain).leaving
  if (hook.isEmpty) return routing.route(stanza)
  const begun = hook.run(stanza, session)
  return routing.route(stanza, begun instanceof Promise ? begun : undefined)
}

function presence(routing: Routing, session: Session, stanza: Stanza, isAddressed: boolean): void | Promise<void> {
  const { type, to } = stanza
  if (isAddressed && to === undefined) throw new StanzaError('jid-malformed', 'the address is not valid')
  if (type === '' || type === 'unavailable') {
    return to ? routing.presence.direct(session, stanza) : routing.presence.broadcast(session, stanza)
  }
  if (!to) throw new StanzaError('bad-request', `presence of type ${type} has an addressee`)
  if (type === 'probe' || type === 'error') return routing.route(stanza)
  if (!isSubscriptionType(type)) throw new StanzaError('bad-request', 'there is no such type of presence')
  const account = session.jid.bare
  // RFC 6121 §4.2.2: every account sees its own presence anyway
  if (to.bareText === account.text) throw new StanzaError('not-allowed', 'no account subscribes to itself')
  // RFC 6121 §3: both sides of a subscription are bare JIDs
  return routing.subscriptions.outbound(account, to.bare, type, stanza)
}

function refuse(routing: Routing, session: Session, stanza: Stanza, error: unknown): void {
  const condition = routing.explain(error)
  // Past the modules: it comes from us, though in the name of the addressee, whom the user may have blocked.
  if (mayBounce(stanza)) session.deliver(errorReply(stanza, condition))
}
