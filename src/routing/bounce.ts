import type { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { errorReply, mayBounce, type Stanza } from '../protocols/stanza/stanza.js'
import type { Routing } from './services.js'

/** Tells the sender of a stanza that it did not get through, where the sender may be told. Never throws and never rejects. */
export function bounceStanza(routing: Routing, stanza: Stanza, error: StanzaError): void | Promise<void> {
  const { kind, from } = stanza
  if (from === undefined || !mayBounce(stanza)) return
  if (kind === 'message') countBounce(routing, stanza)
  const reply = errorReply(stanza, error)
  if (kind === 'message' && isAccount(routing, from)) return tellSessions(routing, from, reply)
  return routing.route(reply)
}

/** Somebody who sent without a session. RM-2 */
const isAccount = ({ routes }: Routing, { local, resource, domain }: Jid) =>
  resource === '' && local !== '' && routes.isHost(domain)

/** RFC 6121 §8.5.2.1.1 has errors for an account ignored, as whoever sends them may invent them; this one is ours. */
function tellSessions(routing: Routing, account: Jid, reply: Stanza): void {
  for (const session of routing.sessions.resources(account.text)) {
    // Past the modules: it comes in the name of the addressee, whom the user may have blocked.
    if (session.presence !== undefined) routing.deliverAnyway(session, reply)
  }
}

/** It counts for the host that could not take it, or else for its sender's. */
function countBounce({ routes, hooksOf }: Routing, { from, to }: Stanza): void {
  const ours = [to, from].find(jid => jid !== undefined && routes.isHost(jid.domain))
  if (ours !== undefined) hooksOf(ours.domain).counters.xmppMessageBounced++
}
