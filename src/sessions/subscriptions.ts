import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { presenceOf } from '../protocols/presence.js'
import { rosterLimits } from '../protocols/roster.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import {
  inbound,
  isVisibleChange,
  outbound,
  type PresenceChange,
  removal,
  type SubscriptionState,
  type SubscriptionType,
} from '../protocols/subscription.js'
import type { RosterChange, RosterItem } from '../storage/store.js'
import type { AccountLookup } from './accounts.js'
import type { Presence } from './presence.js'
import type { SessionRegistry } from './registry.js'
import { type PushServices, pushItem } from './roster-push.js'
import type { Rosters, RosterView } from './rosters.js'

/** What the subscription rules ask of the rest of the server. */
export interface SubscriptionServices extends PushServices {
  readonly sessions: SessionRegistry
  readonly rosters: Rosters
  readonly accounts: AccountLookup
  readonly presence: Presence
  route(stanza: Stanza): void | Promise<void>
}

/** Carries out RFC 6121 §3: changes the roster, pushes it, and tells the other side. */
export class Subscriptions {
  readonly #services: SubscriptionServices

  constructor(services: SubscriptionServices) {
    this.#services = services
  }

  /** A subscription stanza that a client of the account sent to a contact. Resolves after commit. */
  async outbound(account: Jid, contact: Jid, type: SubscriptionType, stanza: Stanza): Promise<void> {
    const { rosters, presence, route } = this.#services
    const step = await rosters.change(account, roster => {
      const before = roster.stateOf(contact.text)
      const decided = outbound(before, type)
      const change = transition(roster, contact, before, decided.state)
      return {
        ...(change && { change }),
        committed: committed => {
          this.#push(account, contact, before, decided.state, committed)
          return decided
        },
      }
    })
    if (step.presence === 'unavailable') presence.sendUnavailableTo(account, contact)
    if (step.route) await route(stanza.addressed({ from: account, to: contact }))
    if (step.presence === 'available') presence.sendPresenceTo(account, contact)
  }

  /** A subscription stanza from a contact for a bare JID of ours, whether it is an account or not. Resolves after commit. */
  async inbound(account: Jid, contact: Jid, type: SubscriptionType, stanza: Stanza): Promise<void> {
    const { rosters, route, accounts, sessions } = this.#services
    if (account.bareText === contact.bareText) return
    const exists =
      account.local !== '' && (sessions.isConnected(account.text) || accounts.exists(account.local, account.domain))
    if (!(typeof exists === 'boolean' ? exists : await exists)) {
      // RFC 6121 §3.1.3 item 1
      if (type === 'subscribe') await route(presenceOf(account, contact, 'unsubscribed'))
      return
    }
    this.#count(account, type)
    const addressed = stanza.addressed({ from: contact, to: account })
    const step = await rosters.change(account, roster => {
      const before = roster.stateOf(contact.text)
      const decided = inbound(before, type)
      const change = transition(roster, contact, before, decided.state, addressed)
      return {
        ...(change && { change }),
        committed: committed => {
          // RFC 6121 §3.1.6: the stanza comes before the push that it explains
          if (decided.deliver) this.#deliver(account, type, addressed)
          this.#push(account, contact, before, decided.state, committed)
          return decided
        },
      }
    })
    if (step.reply) await route(presenceOf(account, contact, step.reply))
    this.#present(account, contact, step.presence)
  }

  /**
   * Puts a contact into the roster, or gives it another name and other groups. Resolves after commit; `committed` runs before the pushes.
   * Rejects with `not-allowed` for the account itself, and where the roster is full. RFC 6121 §2.3, §2.4
   */
  async put(
    account: Jid,
    { jid: { text: jid }, name, groups }: { jid: Jid; name: string; groups: readonly string[] },
    committed: () => void = () => {},
  ): Promise<void> {
    if (jid === account.text) throw new StanzaError('not-allowed', 'an account is no contact of its own')
    await this.#services.rosters.change(account, view => {
      const before = view.items.get(jid)
      if (!before && view.items.size >= rosterLimits.items) throw new StanzaError('not-allowed', 'the roster is full')
      const { subscription = 'none', ask = false, approved = false } = before ?? {}
      const item = { jid, name, groups: [...groups], subscription, ask, approved }
      return {
        change: { put: [item] },
        committed: after => {
          committed()
          pushItem(this.#services, account, item, after.version)
        },
      }
    })
  }

  /** Removes a roster item and tells the contact. Resolves after commit; `committed` runs before the pushes. RFC 6121 §2.5 */
  async remove(account: Jid, contact: Jid, committed: () => void = () => {}): Promise<void> {
    const step = await this.#services.rosters.change(account, roster => {
      if (!roster.items.has(contact.text)) throw new StanzaError('item-not-found', 'there is no such roster item')
      const change: RosterChange = { remove: [contact.text], removeRequests: [contact.text] }
      const decided = removal(roster.stateOf(contact.text))
      return {
        change,
        committed: after => {
          committed()
          pushItem(this.#services, account, contact.text, after.version)
          return decided
        },
      }
    })
    if (contact.resource !== '') return
    this.#present(account, contact, step.presence)
    for (const type of step.stanzas) await this.#services.route(presenceOf(account, contact, type))
  }

  /** Ends every relation of an account that is being removed and has no session any more, so that nobody waits for it. */
  async leaveAll(account: Jid, roster: RosterView): Promise<void> {
    const contacts = new Set([...roster.items.keys(), ...roster.requests.keys()])
    for (const text of contacts) {
      const contact = Jid.parse(text)
      if (contact?.resource !== '') continue
      for (const type of removal(roster.stateOf(text)).stanzas)
        await this.#services.route(presenceOf(account, contact, type))
    }
  }

  /** A contact that accepts or ends what the account asked for. */
  #count(account: Jid, type: SubscriptionType): void {
    const { counters } = this.#services.hooksOf(account.domain)
    if (type === 'subscribed') counters.modPresenceSubscriptions++
    if (type === 'unsubscribed') counters.modPresenceUnsubscriptions++
  }

  #present(account: Jid, contact: Jid, change: PresenceChange | undefined): void {
    if (change === 'available') this.#services.presence.sendPresenceTo(account, contact)
    if (change === 'unavailable') this.#services.presence.sendUnavailableTo(account, contact)
  }

  /** A request goes to all available resources, the rest to the interested ones. RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3 */
  #deliver(account: Jid, type: SubscriptionType, stanza: Stanza): void {
    for (const session of this.#services.sessions.resources(account.bareText)) {
      const wanted = type === 'subscribe' ? session.presence !== undefined : session.isInterested
      if (wanted) this.#services.deliver(session, stanza)
    }
  }

  #push(account: Jid, contact: Jid, before: SubscriptionState, after: SubscriptionState, roster: RosterView): void {
    const item = roster.items.get(contact.text)
    if (item && isVisibleChange(before, after)) pushItem(this.#services, account, item, roster.version)
  }
}

/** What the store has to write for a step; undefined when it keeps the state. */
function transition(
  roster: RosterView,
  contact: Jid,
  before: SubscriptionState,
  after: SubscriptionState,
  request?: Stanza,
): RosterChange | undefined {
  const change: RosterChange = {}
  if (isVisibleChange(before, after)) change.put = [itemIn(roster, contact, after)]
  if (after.pendingIn && !before.pendingIn && request) {
    // Bounded, so that strangers cannot fill the store.
    if (roster.requests.size >= rosterLimits.requests) throw new StanzaError('resource-constraint')
    change.putRequests = [{ jid: contact.text, xml: request.toString() }]
  }
  if (before.pendingIn && !after.pendingIn) change.removeRequests = [contact.text]
  return Object.keys(change).length === 0 ? undefined : change
}

function itemIn(roster: RosterView, contact: Jid, state: SubscriptionState): RosterItem {
  const item = roster.items.get(contact.text)
  if (!item && roster.items.size >= rosterLimits.items)
    throw new StanzaError('resource-constraint', 'the roster is full')
  const { subscription, ask, approved } = state
  return { jid: contact.text, name: item?.name ?? '', groups: item?.groups ?? [], subscription, ask, approved }
}
