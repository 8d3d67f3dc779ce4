/*
 * Presence subscriptions as RFC 6121 §3 and its appendix A state them: one user's side of the relation to one contact.
 * Pure: a state and a stanza's type give the next state and what has to be done.
 */

export type SubscriptionType = 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed'

/** The user's side of the relation. RFC 6121 appendix A.1 names nine combinations of the first three. */
export interface SubscriptionState {
  /** `to`: we see the contact's presence; `from`: the contact sees ours. */
  readonly subscription: 'none' | 'to' | 'from' | 'both'
  /** Pending Out: our request waits for the contact's answer. */
  readonly ask: boolean
  /** Pending In: the contact's request waits for our answer. */
  readonly pendingIn: boolean
  /** The contact's next request is approved in advance. RFC 6121 §3.4 */
  readonly approved: boolean
}

/** The relation to somebody never heard of. */
export const stranger: SubscriptionState = { subscription: 'none', ask: false, pendingIn: false, approved: false }

/** What the contact is told of our presence: the last one of every available resource, or that they are gone. */
export type PresenceChange = 'available' | 'unavailable'

/** RFC 6121 appendix A.2 */
export interface OutboundStep {
  readonly state: SubscriptionState
  /** The stanza goes to the contact. */
  readonly route: boolean
  /** `unavailable` is sent before the stanza, `available` after it. RFC 6121 §3.1.5, §3.2.2 */
  readonly presence?: PresenceChange
}

/** RFC 6121 appendix A.3 */
export interface InboundStep {
  readonly state: SubscriptionState
  /** The stanza goes to the user's resources. */
  readonly deliver: boolean
  /** The server's answer on behalf of the user. RFC 6121 §3.1.3 */
  readonly reply?: 'subscribed'
  readonly presence?: PresenceChange
}

export function isSubscriptionType(type: string): type is SubscriptionType {
  return type === 'subscribe' || type === 'subscribed' || type === 'unsubscribe' || type === 'unsubscribed'
}

const sees = (state: SubscriptionState) => state.subscription === 'to' || state.subscription === 'both'
const isSeen = (state: SubscriptionState) => state.subscription === 'from' || state.subscription === 'both'

function changed(
  state: SubscriptionState,
  change: { to?: boolean; from?: boolean; ask?: boolean; pendingIn?: boolean; approved?: boolean },
): SubscriptionState {
  const to = change.to ?? sees(state)
  const from = change.from ?? isSeen(state)
  return {
    subscription: to ? (from ? 'both' : 'to') : from ? 'from' : 'none',
    ask: change.ask ?? state.ask,
    pendingIn: change.pendingIn ?? state.pendingIn,
    approved: change.approved ?? state.approved,
  }
}

/** The user's client sent a subscription stanza to the contact. RFC 6121 appendix A.2 */
export function outbound(state: SubscriptionState, type: SubscriptionType): OutboundStep {
  switch (type) {
    case 'subscribe': // A.2.1
      return { state: sees(state) ? state : changed(state, { ask: true }), route: true }
    case 'unsubscribe': // A.2.2
      return { state: changed(state, { to: false, ask: false }), route: true }
    case 'subscribed': // A.2.3
      if (state.pendingIn) {
        const approved = changed(state, { from: true, pendingIn: false, approved: false })
        return { state: approved, route: true, presence: 'available' }
      }
      return { state: isSeen(state) ? state : changed(state, { approved: true }), route: false } // §3.4.2
    case 'unsubscribed': {
      // A.2.4; §3.2.2 withdraws a pre-approval too
      const next = changed(state, { from: false, pendingIn: false, approved: false })
      if (isSeen(state)) return { state: next, route: true, presence: 'unavailable' }
      return { state: next, route: state.pendingIn }
    }
  }
}

/** A subscription stanza from the contact arrived for the user. RFC 6121 appendix A.3 */
export function inbound(state: SubscriptionState, type: SubscriptionType): InboundStep {
  switch (type) {
    case 'subscribe': // A.3.1
      if (isSeen(state)) return { state, deliver: false, reply: 'subscribed' }
      if (state.approved) {
        // §3.4.2; an approval in advance serves one request, so that a later cancellation stands
        const approved = changed(state, { from: true, pendingIn: false, approved: false })
        return { state: approved, deliver: false, reply: 'subscribed', presence: 'available' }
      }
      return { state: changed(state, { pendingIn: true }), deliver: !state.pendingIn }
    case 'unsubscribe': // A.3.2
      if (isSeen(state)) {
        return { state: changed(state, { from: false, pendingIn: false }), deliver: true, presence: 'unavailable' }
      }
      return { state: changed(state, { pendingIn: false }), deliver: state.pendingIn }
    case 'subscribed': // A.3.3
      if (!state.ask || sees(state)) return { state, deliver: false }
      return { state: changed(state, { to: true, ask: false }), deliver: true }
    case 'unsubscribed': // A.3.4
      if (!state.ask && !sees(state)) return { state, deliver: false }
      return { state: changed(state, { to: false, ask: false }), deliver: true }
  }
}

/** What the contact is told when the user removes the roster item, in order. RFC 6121 §2.5.2 */
export function removal(state: SubscriptionState): { stanzas: SubscriptionType[]; presence?: 'unavailable' } {
  const stanzas: SubscriptionType[] = []
  // A request that still waits is withdrawn or denied as well: an item that is gone leaves nothing pending on either side.
  if (sees(state) || state.ask) stanzas.push('unsubscribe')
  if (isSeen(state) || state.pendingIn) stanzas.push('unsubscribed')
  return isSeen(state) ? { stanzas, presence: 'unavailable' } : { stanzas }
}

/** True when a roster push has to tell the difference. RFC 6121 §2.1.6 */
export function isVisibleChange(before: SubscriptionState, after: SubscriptionState): boolean {
  return before.subscription !== after.subscription || before.ask !== after.ask || before.approved !== after.approved
}
