import { isCarbonCopy } from '../protocols/carbons.js'
import type { StreamCondition } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { type Session, takesMessages } from '../sessions/session.js'
import type { Routing } from './services.js'

/** What a session hears that made room for another. spec/listeners.md §3.1.6 */
const replacedText = 'Replaced by new connection'

/** Registers a session after bind. It replaces one of the same full JID, and the oldest ones above `max_user_sessions`. */
export function openSession(routing: Routing, session: Session): void {
  const account = session.jid.bare
  const replaced = routing.sessions.add(session)
  if (replaced) replace(routing, replaced)
  const surplus = routing.sessions.resources(account.text).length - (routing.maxSessions?.(account) ?? Infinity)
  for (const oldest of routing.sessions.resources(account.text).slice(0, Math.max(surplus, 0))) {
    if (oldest === session) break
    routing.sessions.remove(oldest)
    replace(routing, oldest)
  }
  const { counters, sessionOpened } = routing.hooksOf(account.domain)
  counters.sessionSuccessfulLogins++
  routing.inBackground(() => sessionOpened.emit(session))
}

/** Unregisters a session whose connection is gone and tells those who saw it. After it was replaced, or a second time, it does nothing. */
export function closeSession(routing: Routing, session: Session, status?: string): void {
  if (routing.sessions.remove(session)) depart(routing, session, status)
}

/** Finds another way for a stanza that a session took and could not hand to its client any more. spec/listeners.md §3.1.6 */
export function reroute(routing: Routing, session: Session, stanza: Stanza): void | Promise<void> {
  if (!mayMatterLater(stanza) || isCarbonCopy(stanza, session.jid)) return
  // A message for the account went to every resource of that priority already.
  const others = stanza.to?.resource === '' ? routing.sessions.resources(session.jid.bareText) : []
  if (others.some(other => takesMessages(other) && other.priority >= session.priority)) return
  return routing.routeAgain(stanza)
}

function mayMatterLater({ kind, type }: Stanza): boolean {
  return kind === 'message' || (kind === 'iq' && (type === 'get' || type === 'set'))
}

/** Ends every session of an account; its contacts are told at once. */
export function endSessions(routing: Routing, account: Jid, condition: StreamCondition, text?: string): void {
  for (const session of routing.sessions.resources(account.bareText)) {
    closeSession(routing, session, text)
    session.end(condition, text)
  }
}

/** What the sessions of an account hear that is removed. XEP-0077 §3.2 has `not-authorized` where its user did that; A-7 otherwise. */
const removedText = 'User removed'

export interface Removal {
  /** Runs when the account is gone, while its sessions are still there. */
  readonly committed?: () => void
  /** What its sessions end with; `conflict` when it is left out. */
  readonly condition?: StreamCondition
}

/** Removes an account with everything that is remembered of it, once `remove` has removed it from where accounts are kept. */
export async function removeAccount(
  routing: Routing,
  account: Jid,
  remove: () => Promise<boolean>,
  { committed, condition = 'conflict' }: Removal = {},
): Promise<boolean> {
  const roster = await routing.rosters.get(account)
  if (!(await remove())) return false
  committed?.()
  routing.hooksOf(account.domain).counters.modUnregisterCount++
  endSessions(routing, account, condition, removedText)
  await routing.subscriptions.leaveAll(account, roster)
  routing.rosters.forget(account)
  await routing.hooksOf(account.domain).accountRemoved.emit(account)
  return true
}

function replace(routing: Routing, session: Session): void {
  depart(routing, session, replacedText)
  session.end('conflict', replacedText)
  routing.onReplaced?.(session)
}

function depart(routing: Routing, session: Session, status: string | undefined): void {
  const { counters, sessionClosed } = routing.hooksOf(session.jid.domain)
  counters.sessionLogouts++
  routing.inBackground(() => routing.presence.ended(session, status))
  routing.inBackground(() => sessionClosed.emit({ session, status }))
}
