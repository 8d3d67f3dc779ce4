import { describe, expect, it, test } from 'vitest'
import {
  inbound,
  isVisibleChange,
  outbound,
  removal,
  type SubscriptionState,
  type SubscriptionType,
  stranger,
} from '../../src/protocols/subscription.js'

/** The nine states of RFC 6121 appendix A.1. */
const states = {
  None: { ...stranger },
  'None + Pending Out': { ...stranger, ask: true },
  'None + Pending In': { ...stranger, pendingIn: true },
  'None + Pending Out+In': { ...stranger, ask: true, pendingIn: true },
  To: { ...stranger, subscription: 'to' },
  'To + Pending In': { ...stranger, subscription: 'to', pendingIn: true },
  From: { ...stranger, subscription: 'from' },
  'From + Pending Out': { ...stranger, subscription: 'from', ask: true },
  Both: { ...stranger, subscription: 'both' },
} satisfies Record<string, SubscriptionState>
type Name = keyof typeof states

const approved = (name: Name): SubscriptionState => ({ ...states[name], approved: true })

/** A row says: the state, whether the stanza goes on, the state after it ('=' is no change, '+' is pre-approved). */
type Row = [Name, boolean, Name | '=' | '+']
const yes = true
const no = false

const outboundTables: Record<string, [SubscriptionType, Row[]]> = {
  'A.2.1': [
    'subscribe',
    [
      ['None', yes, 'None + Pending Out'],
      ['None + Pending Out', yes, '='],
      ['None + Pending In', yes, 'None + Pending Out+In'],
      ['None + Pending Out+In', yes, '='],
      ['To', yes, '='],
      ['To + Pending In', yes, '='],
      ['From', yes, 'From + Pending Out'],
      ['From + Pending Out', yes, '='],
      ['Both', yes, '='],
    ],
  ],
  'A.2.2': [
    'unsubscribe',
    [
      ['None', yes, '='],
      ['None + Pending Out', yes, 'None'],
      ['None + Pending In', yes, '='],
      ['None + Pending Out+In', yes, 'None + Pending In'],
      ['To', yes, 'None'],
      ['To + Pending In', yes, 'None + Pending In'],
      ['From', yes, '='],
      ['From + Pending Out', yes, 'From'],
      ['Both', yes, 'From'],
    ],
  ],
  'A.2.3': [
    'subscribed',
    [
      ['None', no, '+'],
      ['None + Pending Out', no, '+'],
      ['None + Pending In', yes, 'From'],
      ['None + Pending Out+In', yes, 'From + Pending Out'],
      ['To', no, '+'],
      ['To + Pending In', yes, 'Both'],
      ['From', no, '='],
      ['From + Pending Out', no, '='],
      ['Both', no, '='],
    ],
  ],
  'A.2.4': [
    'unsubscribed',
    [
      ['None', no, '='],
      ['None + Pending Out', no, '='],
      ['None + Pending In', yes, 'None'],
      ['None + Pending Out+In', yes, 'None + Pending Out'],
      ['To', no, '='],
      ['To + Pending In', yes, 'To'],
      ['From', yes, 'None'],
      ['From + Pending Out', yes, 'None + Pending Out'],
      ['Both', yes, 'To'],
    ],
  ],
}

const inboundTables: Record<string, [SubscriptionType, Row[]]> = {
  'A.3.1': [
    'subscribe',
    [
      ['None', yes, 'None + Pending In'],
      ['None + Pending Out', yes, 'None + Pending Out+In'],
      ['None + Pending In', no, '='],
      ['None + Pending Out+In', no, '='],
      ['To', yes, 'To + Pending In'],
      ['To + Pending In', no, '='],
      ['From', no, '='],
      ['From + Pending Out', no, '='],
      ['Both', no, '='],
    ],
  ],
  'A.3.2': [
    'unsubscribe',
    [
      ['None', no, '='],
      ['None + Pending Out', no, '='],
      ['None + Pending In', yes, 'None'],
      ['None + Pending Out+In', yes, 'None + Pending Out'],
      ['To', no, '='],
      ['To + Pending In', yes, 'To'],
      ['From', yes, 'None'],
      ['From + Pending Out', yes, 'None + Pending Out'],
      ['Both', yes, 'To'],
    ],
  ],
  'A.3.3': [
    'subscribed',
    [
      ['None', no, '='],
      ['None + Pending Out', yes, 'To'],
      ['None + Pending In', no, '='],
      ['None + Pending Out+In', yes, 'To + Pending In'],
      ['To', no, '='],
      ['To + Pending In', no, '='],
      ['From', no, '='],
      ['From + Pending Out', yes, 'Both'],
      ['Both', no, '='],
    ],
  ],
  'A.3.4': [
    'unsubscribed',
    [
      ['None', no, '='],
      ['None + Pending Out', yes, 'None'],
      ['None + Pending In', no, '='],
      ['None + Pending Out+In', yes, 'None + Pending In'],
      ['To', yes, 'None'],
      ['To + Pending In', yes, 'None + Pending In'],
      ['From', no, '='],
      ['From + Pending Out', yes, 'From'],
      ['Both', yes, 'From'],
    ],
  ],
}

function after(before: Name, name: Row[2]): SubscriptionState {
  if (name === '=') return states[before]
  return name === '+' ? approved(before) : states[name]
}

for (const [clause, [type, rows]] of Object.entries(outboundTables)) {
  describe(`RFC 6121 appendix ${clause}: outbound ${type}`, () => {
    for (const [before, routes, next] of rows) {
      test(`in "${before}" it is ${routes ? '' : 'not '}routed and the state after it is "${next}"`, () => {
        const step = outbound(states[before], type)
        expect(step.route).toBe(routes)
        expect(step.state).toEqual(after(before, next))
      })
    }
  })
}

for (const [clause, [type, rows]] of Object.entries(inboundTables)) {
  describe(`RFC 6121 appendix ${clause}: inbound ${type}`, () => {
    for (const [before, delivers, next] of rows) {
      test(`in "${before}" it is ${delivers ? '' : 'not '}delivered and the state after it is "${next}"`, () => {
        const step = inbound(states[before], type)
        expect(step.deliver).toBe(delivers)
        expect(step.state).toEqual(after(before, next))
      })
    }
  })
}

describe('what goes with a subscription stanza', () => {
  it('answers a request of somebody who is subscribed already with subscribed (A.3.1 note 2, §3.1.3 item 2)', () => {
    for (const name of ['From', 'From + Pending Out', 'Both'] as const) {
      expect(inbound(states[name], 'subscribe').reply).toBe('subscribed')
    }
    for (const name of ['None', 'None + Pending In', 'To'] as const) {
      expect(inbound(states[name], 'subscribe').reply).toBeUndefined()
    }
  })

  it('sends current presence behind an approval (§3.1.5)', () => {
    for (const name of ['None + Pending In', 'None + Pending Out+In', 'To + Pending In'] as const) {
      expect(outbound(states[name], 'subscribed').presence).toBe('available')
    }
  })

  it('sends unavailable presence before a cancellation, and only to those who saw more (§3.2.2)', () => {
    for (const name of ['From', 'From + Pending Out', 'Both'] as const) {
      expect(outbound(states[name], 'unsubscribed').presence).toBe('unavailable')
    }
    expect(outbound(states['None + Pending In'], 'unsubscribed').presence).toBeUndefined()
  })

  it('sends unavailable presence to somebody who unsubscribed (§3.3.3)', () => {
    expect(inbound(states.Both, 'unsubscribe').presence).toBe('unavailable')
    expect(inbound(states['None + Pending In'], 'unsubscribe').presence).toBeUndefined()
  })
})

describe('pre-approval (RFC 6121 §3.4)', () => {
  for (const [before, next] of [
    ['None', 'From'],
    ['None + Pending Out', 'From + Pending Out'],
    ['To', 'Both'],
  ] as const) {
    test(`a request that was approved in "${before}" is answered, not delivered, and leads to "${next}" (§3.4.2)`, () => {
      expect(inbound(approved(before), 'subscribe')).toEqual({
        state: states[next],
        deliver: false,
        reply: 'subscribed',
        presence: 'available',
      })
    })

    test(`unsubscribed in "${before}" takes the approval back and is not routed (§3.2.2 item 2)`, () => {
      expect(outbound(approved(before), 'unsubscribed')).toEqual({ state: states[before], route: false })
    })
  }

  it('keeps the approval while other stanzas pass', () => {
    expect(outbound(approved('None'), 'subscribe').state).toEqual(approved('None + Pending Out'))
    expect(inbound(approved('None + Pending Out'), 'subscribed').state).toEqual(approved('To'))
  })
})

describe('removing a roster item (RFC 6121 §2.5.2)', () => {
  test.each<[Name, SubscriptionType[]]>([
    ['None', []],
    ['None + Pending Out', ['unsubscribe']],
    ['None + Pending In', ['unsubscribed']],
    ['None + Pending Out+In', ['unsubscribe', 'unsubscribed']],
    ['To', ['unsubscribe']],
    ['To + Pending In', ['unsubscribe', 'unsubscribed']],
    ['From', ['unsubscribed']],
    ['From + Pending Out', ['unsubscribe', 'unsubscribed']],
    ['Both', ['unsubscribe', 'unsubscribed']],
  ])('in "%s" the contact is sent %j', (name, stanzas) => {
    expect(removal(states[name]).stanzas).toEqual(stanzas)
  })

  it('lets only those who saw the user see it go', () => {
    expect(removal(states.From).presence).toBe('unavailable')
    expect(removal(states.To).presence).toBeUndefined()
  })
})

it('pushes a change of subscription, ask or approval, and none of a request that waits (RFC 6121 §3.1.3)', () => {
  expect(isVisibleChange(states.None, states['None + Pending In'])).toBe(false)
  expect(isVisibleChange(states.None, states['None + Pending Out'])).toBe(true)
  expect(isVisibleChange(states.None, states.To)).toBe(true)
  expect(isVisibleChange(states.None, approved('None'))).toBe(true)
})
