import { Element } from 'ltx'
import type { HostCounters } from '../observability/metrics/host-counters.js'
import type { Jid } from '../protocols/jid.js'
import { itemElement, type RosterEntry, removedElement, rosterQuery } from '../protocols/roster.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import type { SessionRegistry } from './registry.js'
import type { Session } from './session.js'

/** What sending roster pushes takes. */
export interface PushServices {
  readonly sessions: SessionRegistry
  /** Hosts whose pushes bear a version. RFC 6121 §2.6 */
  readonly rosterVersioning: ReadonlySet<string>
  /** Where a host counts. */
  hooksOf(host: string): { readonly counters: HostCounters }
  deliver(session: Session, stanza: Stanza): boolean
}

let pushes = 0

/** Tells every interested resource of the account what became of an item; a text is the JID of a removed one. RFC 6121 §2.1.6 */
export function pushItem(services: PushServices, account: Jid, item: RosterEntry | string, version: number): void {
  const { counters } = services.hooksOf(account.domain)
  const ver = services.rosterVersioning.has(account.domain) ? String(version) : undefined
  for (const session of services.sessions.resources(account.bareText)) {
    if (!session.isInterested) continue
    pushes += 1
    counters.modRosterPush++
    const push = new Element('iq', { type: 'set', id: `push${pushes}`, from: account.text, to: session.jid.text })
    push.cnode(rosterQuery([typeof item === 'string' ? removedElement(item) : itemElement(item)], ver))
    services.deliver(session, Stanza.fromElement(push))
  }
}
