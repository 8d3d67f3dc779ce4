import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { bounceStanza } from '../routing/bounce.js'
import { handleStanzaOf } from '../routing/client-stanzas.js'
import { StoreUnavailable } from '../storage/store.js'
import type { OperationServices } from './services.js'

/**
 * Sends a stanza as a client of `from` would, who need not be connected: modules see it, archives keep it, subscriptions follow it. Its
 * `from` is replaced. Resolves when what must be stored is stored. What goes wrong on the way is told to the sessions that are
 * available (RM-2, A-9). Rejects with `StoreUnavailable` only.
 */
export async function sendAs(services: OperationServices, from: Jid, stanza: Stanza): Promise<void> {
  const { routing } = services
  const sent = stanza.addressed({ from })
  // Nobody's modules and archives are asked about what servers and others say.
  if (from.local === '' || !routing.routes.isHost(from.domain)) return routing.attempt(sent)
  try {
    await handleStanzaOf(routing, { jid: from }, sent)
  } catch (error) {
    if (error instanceof StoreUnavailable) throw error
    await bounceStanza(routing, sent, routing.explain(error))
  }
}

/** The same, but that what the sender may not send rejects with the `StanzaError` that its client would get. */
export function performAs({ routing }: OperationServices, account: Jid, stanza: Stanza): Promise<void> {
  return handleStanzaOf(routing, { jid: account }, stanza.addressed({ from: account }))
}
