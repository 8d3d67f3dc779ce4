import type { Element } from 'ltx'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import { presenceOf } from '../protocols/presence.js'
import type { RosterEntry } from '../protocols/roster.js'
import type { SubscriptionType } from '../protocols/subscription.js'
import { performAs } from './sender.js'
import type { OperationServices } from './services.js'

/** Somebody in the roster of an account, or who wants to be. */
export interface Contact {
  readonly jid: string
  readonly subscription: RosterEntry['subscription']
  /** `out`: the account's request waits for an answer; `in`: the contact's does; `both`. */
  readonly ask: 'none' | 'out' | 'in' | 'both'
}

/** All contacts of an account, those too that have only asked to be, and the rooms that modules show among them. RK-1, A-12 */
export async function contacts({ routing, accounts }: OperationServices, account: Jid): Promise<Contact[]> {
  // A domain that is not served has no modules to ask.
  if (!accounts.hosts.includes(account.domain)) return []
  const { items, requests } = await routing.rosters.get(account)
  const found = new Map<string, Contact>()
  for (const { jid, subscription, ask } of items.values()) {
    found.set(jid, { jid, subscription, ask: askOf(ask, requests.has(jid)) })
  }
  for (const jid of requests.keys()) if (!found.has(jid)) found.set(jid, { jid, subscription: 'none', ask: 'in' })
  for (const added of await addedContacts({ routing }, account)) if (!found.has(added.jid)) found.set(added.jid, added)
  return [...found.values()]
}

/** Whether `contacts` has this one of the account's own making. */
export async function isContact({ routing }: OperationServices, account: Jid, contact: Jid): Promise<boolean> {
  const { items, requests } = await routing.rosters.get(account)
  return items.has(contact.text) || requests.has(contact.text)
}

/**
 * Puts somebody into the roster, without a name or groups, and tells the account's clients. Who is there loses both. Rejects with
 * `not-allowed` for the account itself and where the roster is full. RK-2, A-13
 */
export function addContact({ routing }: OperationServices, account: Jid, contact: Jid): Promise<void> {
  return routing.subscriptions.put(account, { jid: contact, name: '', groups: [] })
}

/** Asks to see the contact's presence. Rejects with the `StanzaError` that a client would get. RK-3, A-14 */
export function subscribe(services: OperationServices, account: Jid, contact: Jid): Promise<void> {
  return change(services, account, contact, 'subscribe')
}

/** Lets the contact see the account's presence, now or when it asks. Rejects as `subscribe` does. RK-3, A-14 */
export function acceptSubscription(services: OperationServices, account: Jid, contact: Jid): Promise<void> {
  return change(services, account, contact, 'subscribed')
}

/** Ends every relation to the contact and tells both sides; false when there is none. RK-4, A-15 */
export async function removeContact(services: OperationServices, account: Jid, contact: Jid): Promise<boolean> {
  const { rosters, subscriptions } = services.routing
  const { items, requests } = await rosters.get(account)
  if (!items.has(contact.text)) {
    if (!requests.has(contact.text)) return false
    await change(services, account, contact, 'unsubscribed')
    return true
  }
  try {
    await subscriptions.remove(account, contact)
    return true
  } catch (error) {
    // Somebody else was faster.
    if (error instanceof StanzaError && error.condition === 'item-not-found') return false
    throw error
  }
}

function change(services: OperationServices, account: Jid, contact: Jid, type: SubscriptionType): Promise<void> {
  return performAs(services, account, presenceOf(account, contact, type))
}

function askOf(isOut: boolean, isIn: boolean): Contact['ask'] {
  if (isOut) return isIn ? 'both' : 'out'
  return isIn ? 'in' : 'none'
}

async function addedContacts({ routing }: Pick<OperationServices, 'routing'>, account: Jid): Promise<Contact[]> {
  const reading = { account, items: [] as Element[] }
  await routing.hooksOf(account.domain).rosterRead.emit(reading)
  return reading.items.map(contactIn)
}

/** RFC 6121 §2.1.2 */
function contactIn({ attrs: { jid, subscription = 'none', ask } }: Element): Contact {
  return { jid, subscription, ask: askOf(ask === 'subscribe', false) }
}
