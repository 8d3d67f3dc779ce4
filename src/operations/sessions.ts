import type { Jid } from '../protocols/jid.js'
import { closeSession } from '../routing/session-lifecycle.js'
import type { OperationServices } from './services.js'

/** Who has a session on a host, by full JID: clients by whatever way, and readers of events. None where the host is not served. A-8 */
export function sessionsOn({ routing }: Pick<OperationServices, 'routing'>, host: string): string[] {
  return Array.from(routing.sessions.on(host), ({ jid }) => jid.text)
}

/** Ends a session with the stream error `conflict`; false when there is none of that full JID. A-8, B-29 */
export function kick({ routing }: Pick<OperationServices, 'routing'>, jid: Jid): boolean {
  const session = routing.sessions.byFull(jid.text)
  if (session === undefined) return false
  // Those who see it are told at once, whatever its client makes of the error.
  closeSession(routing, session, kickedText)
  session.end('conflict', kickedText)
  return true
}

const kickedText = 'kicked'
