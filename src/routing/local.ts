import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { isSubscriptionType } from '../protocols/subscription.js'
import { type Session, takesMessages } from '../sessions/session.js'
import { drop } from './hooks.js'
import type { IqTarget } from './iq.js'
import type { Routing } from './services.js'

/*
 * Stanzas for our own domains and accounts. RFC 6121 §8
 * Comments name the cells of the table in §8.5.4.
 */

/** A stanza for a served domain itself. RFC 6120 §10.5.1, §10.5.2 */
export function toHost(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  switch (stanza.kind) {
    case 'iq':
      return answer(routing, 'host', stanza, to)
    case 'message':
      if (stanza.type !== 'error' && stanza.type !== 'headline') throw new StanzaError('service-unavailable')
      return
    case 'presence':
      // Nobody is there to subscribe to. RFC 6121 §3.1.3 item 1
      if (stanza.type === 'subscribe')
        return routing.subscriptions.inbound(to.bare, stanza.from!.bare, 'subscribe', stanza)
  }
}

/** A stanza for an account of ours, or for one that does not exist. */
export function toAccount(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  switch (stanza.kind) {
    case 'message':
      return to.resource === '' ? messageToBare(routing, stanza, to) : messageToNobody(routing, stanza, to)
    case 'presence':
      return presence(routing, stanza, to)
    case 'iq':
      return to.resource === '' ? iqToBare(routing, stanza, to) : iqToNobody(stanza)
  }
}

/** RFC 6121 §8.5.2 */
function messageToBare(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  const resources = routing.sessions.resources(to.bareText)
  switch (stanza.type) {
    case 'error': // §8.5.2.1.1, §8.5.2.2.1: ignored
      return
    case 'groupchat': // E
      // But rooms of ours address their occupants so, and those who are away miss it. spec/muc-light.md §12, ML-12
      if (routing.routes.get(stanza.from!.domain)?.kind !== 'service') throw new StanzaError('service-unavailable')
      return toMostAvailable(routing, resources, stanza)?.storing
    case 'headline': // A, or S when there is nobody
      for (const session of resources) if (takesMessages(session)) routing.deliver(session, stanza)
      return
    default: {
      // normal (and what nobody knows, §5.2.2) and chat: M, or O
      const taker = toMostAvailable(routing, resources, stanza)
      return taker === undefined ? undeliverable(routing, stanza, to) : taker.storing
    }
  }
}

/** A message for a full JID that is not online. RFC 6121 §8.5.3.2.1 */
function messageToNobody(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  switch (stanza.type) {
    case 'chat': {
      // M, or O
      const taker = toMostAvailable(routing, routing.sessions.resources(to.bareText), stanza)
      return taker === undefined ? undeliverable(routing, stanza, to.bare) : taker.storing
    }
    case 'error':
    case 'headline': // S: ignored
      return
    default: // S: of "ignore" and "error" the one that tells the sender
      throw new StanzaError('service-unavailable')
  }
}

/** Hands a message to all resources of the highest priority that take it: the last of them, if any. RFC 6121 §8.5.2.1.1 */
function toMostAvailable(routing: Routing, resources: readonly Session[], stanza: Stanza): Session | undefined {
  let below = 128
  for (;;) {
    let highest = -1
    for (const session of resources) {
      if (takesMessages(session) && session.priority < below && session.priority > highest) highest = session.priority
    }
    if (highest < 0) return undefined
    let taker: Session | undefined
    for (const session of resources) {
      if (takesMessages(session) && session.priority === highest && routing.deliver(session, stanza)) taker = session
    }
    if (taker !== undefined) {
      delivered(routing, taker, stanza)
      return taker
    }
    below = highest
  }
}

/** Tells the modules of a message that a session took. */
export function delivered(routing: Routing, session: Session, stanza: Stanza): void {
  const hook = routing.hooksOf(session.jid.domain).delivered
  if (hook.isEmpty) return
  try {
    hook.run(stanza, session)
  } catch (error) {
    routing.onBug(error)
  }
}

/** O: a module stores it, or the sender gets an error. RFC 6121 §8.5.1, §8.5.2.2.1 */
function undeliverable(routing: Routing, stanza: Stanza, account: Jid): void | Promise<void> {
  const exists = accountExists(routing, account)
  if (typeof exists !== 'boolean') return exists.then(found => offerToModules(routing, stanza, account, found))
  return offerToModules(routing, stanza, account, exists)
}

function offerToModules(routing: Routing, stanza: Stanza, account: Jid, exists: boolean): void | Promise<void> {
  const hook = routing.hooksOf(account.domain).undeliverable
  if (!exists || hook.isEmpty) throw new StanzaError('service-unavailable')
  const result = hook.run(stanza, account)
  if (result instanceof Promise) return result.then(refuseUnlessDropped)
  refuseUnlessDropped(result)
}

function refuseUnlessDropped(result: Stanza | typeof drop): void {
  if (result !== drop) throw new StanzaError('service-unavailable')
}

function accountExists(routing: Routing, account: Jid): boolean | Promise<boolean> {
  return routing.sessions.isConnected(account.bareText) || routing.accounts.exists(account.local, account.domain)
}

/** RFC 6121 §8.5.1, §8.5.2.1.2, §8.5.2.2.2, §8.5.3.1, §8.5.3.2.2 */
function presence(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  const { type, from } = stanza
  if (isSubscriptionType(type)) {
    return onBehalf(routing, stanza, to, () => routing.subscriptions.inbound(to.bare, from!.bare, type, stanza))
  }
  if (type === 'probe') return onBehalf(routing, stanza, to, () => routing.presence.probed(to.bare, from!))
  if (to.resource !== '') {
    const session = routing.sessions.byFull(to.text)
    if (session) routing.deliver(session, stanza)
    return
  }
  for (const session of routing.sessions.resources(to.bareText)) {
    if (session.presence !== undefined) routing.deliver(session, stanza)
  }
}

/** The server answers for the account. RFC 6121 §8.5.2.1.3, §8.5.2.2.3 */
function iqToBare(routing: Routing, stanza: Stanza, to: Jid): void | Promise<void> {
  if (stanza.from!.bareText === to.bareText) return answer(routing, 'account', stanza, to)
  const exists = accountExists(routing, to)
  if (typeof exists !== 'boolean') return exists.then(found => answerIf(routing, stanza, to, found))
  return answerIf(routing, stanza, to, exists)
}

function answerIf(routing: Routing, stanza: Stanza, to: Jid, exists: boolean): void | Promise<void> {
  if (exists) return onBehalf(routing, stanza, to, () => answer(routing, 'account', stanza, to))
  throw new StanzaError('service-unavailable') // RFC 6121 §8.5.1
}

/** Does for an account what somebody else asks of it, unless a module forbids. */
function onBehalf(
  routing: Routing,
  stanza: Stanza,
  account: Jid,
  act: () => void | Promise<void>,
): void | Promise<void> {
  const hook = routing.hooksOf(account.domain).onBehalf
  if (hook.isEmpty) return act()
  const result = hook.run(stanza, account)
  if (result instanceof Promise) return result.then(later => (later === drop ? undefined : act()))
  if (result !== drop) return act()
}

function answer(routing: Routing, target: IqTarget, stanza: Stanza, to: Jid): void | Promise<void> {
  const reply = routing.iq.answer(to.domain, target, stanza)
  if (reply instanceof Promise) return reply.then(later => (later ? routing.route(later) : undefined))
  if (reply) return routing.route(reply)
}

/** RFC 6121 §8.5.3.2.3 */
function iqToNobody(stanza: Stanza): void {
  if (stanza.type !== 'result' && stanza.type !== 'error') throw new StanzaError('service-unavailable')
}
