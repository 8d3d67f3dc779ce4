import { StanzaError } from '../protocols/errors.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { isSubscriptionType } from '../protocols/subscription.js'
import { bounceStanza } from './bounce.js'
import { checkIq } from './iq.js'
import type { Routing } from './services.js'

/** A stanza that another server sent from a domain it has proven; `from` and `to` are JIDs. Never throws and never rejects. */
export function handleServerStanza(routing: Routing, stanza: Stanza): void | Promise<void> {
  try {
    check(stanza)
  } catch (error) {
    return bounceStanza(routing, stanza, routing.explain(error))
  }
  return routing.route(stanza)
}

/** What a client of ours is held to. */
function check(stanza: Stanza): void {
  const { kind, type } = stanza
  if (kind === 'iq') checkIq(stanza)
  if (kind !== 'presence' || type === '' || type === 'unavailable' || type === 'probe' || type === 'error') return
  if (!isSubscriptionType(type)) throw new StanzaError('bad-request', 'there is no such type of presence')
}
