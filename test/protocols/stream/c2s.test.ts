import fc from 'fast-check'
import { type Element, parse } from 'ltx'
import { describe, expect, it } from 'vitest'
import { StreamError } from '../../../src/protocols/errors.js'
import { NS } from '../../../src/protocols/namespaces.js'
import type { SaslExchange, SaslStep } from '../../../src/protocols/sasl/mechanism.js'
import {
  type ClientHeader,
  type Effect,
  type Environment,
  type Event,
  initial,
  type State,
  transition,
} from '../../../src/protocols/stream/c2s.js'

const environment = (over: Partial<Environment> = {}): Environment => ({
  defaultHost: 'localhost',
  language: 'en',
  startTls: 'offered',
  offersCompression: false,
  hidesServiceName: false,
  serves: host => host === 'localhost' || host === 'capulet.example',
  managesStreams: () => false,
  ...over,
})

const opened = (over: Partial<ClientHeader> = {}): Event => ({
  type: 'opened',
  header: { name: 'stream', ns: NS.stream, to: 'localhost', version: '1.0', lang: undefined, ...over },
})
const received = (xml: string): Event => ({ type: 'received', element: parse(xml) as Element })

class ScriptedExchange implements SaslExchange {
  constructor(private readonly steps: SaslStep[]) {}
  start = (): SaslStep => this.next()
  respond = (): SaslStep => this.next()
  credentials = (): SaslStep => this.next()
  verified = (): SaslStep => this.next()
  private next(): SaslStep {
    return this.steps.shift() ?? { type: 'failure', condition: 'not-authorized' }
  }
}

/** Runs events through the machine; answers each `exchange` effect with `exchange`. */
function run(events: Event[], env = environment(), exchange?: SaslExchange, isEncrypted = false) {
  let state: State = initial(isEncrypted)
  const effects: Effect[] = []
  const queue = [...events]
  for (let event = queue.shift(); event; event = queue.shift()) {
    const step = transition(state, event, env)
    state = step.state
    effects.push(...step.effects)
    for (const effect of step.effects) {
      if (effect.type === 'exchange') queue.unshift({ type: 'exchangeStarted', exchange, initial: effect.initial })
    }
  }
  return { state, effects }
}

const auth = received(`<auth xmlns='${NS.sasl}' mechanism='PLAIN'>AGp1bGlldABwdw==</auth>`)
const bindIq = (resource = '<resource>balcony</resource>') =>
  received(`<iq xmlns='${NS.client}' type='set' id='b1'><bind xmlns='${NS.bind}'>${resource}</bind></iq>`)
const juliet = () => new ScriptedExchange([{ type: 'success', username: 'juliet' }])
const loggedIn = [opened(), auth, opened()]
const closing = (effects: Effect[]) => effects.find(effect => effect.type === 'close')

describe('the c2s machine at the stream header (§3.1.1)', () => {
  it('answers a good header with its own and offers features for this point', () => {
    const { state, effects } = run([opened({ lang: 'de' })])
    expect(state).toEqual({ phase: 'negotiating', isEncrypted: false, host: 'localhost', attemptsLeft: 5 })
    expect(effects).toEqual([
      { type: 'remember', lang: 'de' },
      { type: 'open', from: 'localhost', hasVersion: true },
      {
        type: 'offer',
        host: 'localhost',
        features: { startTls: 'offered', hasCompression: false, isAuthenticated: false },
      },
    ])
  })

  it("takes to='LOCALHOST' for the served host (§4 trap 37)", () => {
    expect(run([opened({ to: 'LOCALHOST' })]).state).toMatchObject({ phase: 'negotiating', host: 'localhost' })
  })

  it('ignores a language tag of more than 35 bytes', () => {
    const { effects } = run([opened({ lang: 'x'.repeat(36) })])
    expect(effects.some(effect => effect.type === 'remember')).toBe(false)
  })

  it.each([
    ['invalid-namespace', opened({ ns: 'urn:x' })],
    ['invalid-namespace', opened({ name: 'flood' })],
    ['host-unknown', opened({ to: 'elsewhere.example' })],
    ['host-unknown', opened({ to: undefined })],
    ['host-unknown', opened({ to: 'juliet@localhost' })],
    ['unsupported-version', opened({ version: undefined })],
    ['unsupported-version', opened({ version: '0.9' })],
    ['unsupported-version', opened({ version: '1' })],
  ])('sends a header without version and then %s', (condition, event) => {
    const { state, effects } = run([event])
    expect(state).toEqual({ phase: 'closed' })
    expect(effects).toEqual([
      { type: 'open', from: 'localhost', hasVersion: false },
      { type: 'close', error: new StreamError(condition as 'host-unknown') },
    ])
  })

  it('reports the first fault in the order of the table: namespace, host, version', () => {
    expect(closing(run([opened({ ns: 'urn:x', to: 'nowhere', version: '9' })]).effects)).toEqual({
      type: 'close',
      error: new StreamError('invalid-namespace'),
    })
    expect(closing(run([opened({ to: 'nowhere', version: '9' })]).effects)).toEqual({
      type: 'close',
      error: new StreamError('host-unknown'),
    })
  })

  it('sends a header with version and not-well-formed for bytes that are no stream', () => {
    const { effects } = run([{ type: 'broken', error: new StreamError('not-well-formed') }])
    expect(effects).toEqual([
      { type: 'open', from: 'localhost', hasVersion: true },
      { type: 'close', error: new StreamError('not-well-formed') },
    ])
  })

  it('closes silently instead when hide_service_name is on (§2.1), and only then', () => {
    const hiding = environment({ hidesServiceName: true })
    const broken: Event = { type: 'broken', error: new StreamError('not-well-formed') }
    expect(run([broken], hiding).effects).toEqual([{ type: 'close', isSilent: true }])
    expect(run([opened(), broken], hiding).effects.at(-1)).toEqual({
      type: 'close',
      error: new StreamError('not-well-formed'),
    })
    expect(closing(run([opened({ to: 'nowhere' })], hiding).effects)).toEqual({
      type: 'close',
      error: new StreamError('host-unknown'),
    })
  })
})

describe('the c2s machine before login (§3.1.3, §3.1.4)', () => {
  const required = environment({ startTls: 'required' })

  it('answers anything but starttls with policy-violation where TLS is required', () => {
    for (const event of [auth, received(`<iq xmlns='${NS.client}' type='get' id='1'/>`)]) {
      expect(closing(run([opened(), event], required).effects)).toEqual({
        type: 'close',
        error: new StreamError('policy-violation', 'Use of STARTTLS required'),
      })
    }
  })

  it('proceeds with STARTTLS and then expects a new stream on the encrypted connection', () => {
    const { state, effects } = run([opened(), received(`<starttls xmlns='${NS.tls}'/>`), { type: 'secured' }], required)
    expect(effects.slice(-3)).toEqual([
      { type: 'send', xml: `<proceed xmlns='${NS.tls}'/>` },
      { type: 'startTls' },
      { type: 'restart' },
    ])
    expect(state).toMatchObject({ phase: 'opening', isEncrypted: true })
  })

  it.each([
    ['without TLS', environment({ startTls: 'none' }), false],
    ['on an encrypted stream', environment(), true],
  ])('refuses STARTTLS %s with failure and closes', (_name, env, isEncrypted) => {
    const { effects } = run([opened(), received(`<starttls xmlns='${NS.tls}'/>`)], env, undefined, isEncrypted)
    expect(effects.slice(-2)).toEqual([{ type: 'send', xml: `<failure xmlns='${NS.tls}'/>` }, { type: 'close' }])
  })

  it('offers an IQ to registration and drops messages and presences', () => {
    const iq = received(`<iq xmlns='${NS.client}' type='get' id='r'><query xmlns='${NS.register}'/></iq>`)
    expect(run([opened(), iq]).effects.at(-1)).toMatchObject({ type: 'offerIq', host: 'localhost' })
    const message = received(`<message xmlns='${NS.client}' to='romeo@localhost'><body>x</body></message>`)
    expect(run([opened(), message]).effects).toEqual(run([opened()]).effects)
  })

  it('answers a second stream header with policy-violation', () => {
    expect(closing(run([opened(), opened()]).effects)).toEqual({
      type: 'close',
      error: new StreamError('policy-violation'),
    })
  })

  it('writes nothing when the peer breaks the stream while TLS is negotiated', () => {
    const events = [opened(), received(`<starttls xmlns='${NS.tls}'/>`), { type: 'timedOut' } as Event]
    expect(run(events).effects.at(-1)).toEqual({ type: 'close', isSilent: true })
  })
})

describe('the c2s machine during SASL (§3.1.5)', () => {
  it('relays challenges and checks, and wants a new stream after success', () => {
    const exchange = new ScriptedExchange([
      { type: 'challenge', data: Buffer.from('r=1') },
      { type: 'lookup', username: 'juliet', hash: 'sha' },
    ])
    const response = received(`<response xmlns='${NS.sasl}'>Yz1iaXdz</response>`)
    const { state, effects } = run([opened(), auth, response], environment(), exchange)
    expect(effects).toContainEqual({ type: 'send', xml: `<challenge xmlns='${NS.sasl}'>cj0x</challenge>` })
    expect(effects.at(-1)).toMatchObject({ type: 'check', host: 'localhost' })
    const done = transition(
      state,
      { type: 'checked', exchange, step: { type: 'success', username: 'juliet', data: Buffer.from('v=x') } },
      environment(),
    )
    expect(done.state).toMatchObject({ phase: 'opening', account: 'juliet' })
    expect(done.effects.slice(1)).toEqual([
      { type: 'send', xml: `<success xmlns='${NS.sasl}'>dj14</success>` },
      { type: 'restart' },
    ])
  })

  it('ignores the answer to an exchange that the client gave up', () => {
    const exchange = new ScriptedExchange([{ type: 'lookup', username: 'juliet', hash: 'sha' }])
    const { state } = run([opened(), auth], environment(), exchange)
    const stale = { type: 'checked', exchange: juliet(), step: { type: 'success', username: 'x' } } as const
    expect(transition(state, stale, environment())).toEqual({ state, effects: [] })
  })

  it.each([
    ['invalid-mechanism', [opened(), auth], undefined],
    ['incorrect-encoding', [opened(), received(`<auth xmlns='${NS.sasl}' mechanism='PLAIN'>AA*A</auth>`)], juliet()],
    ['not-authorized', [opened(), auth], new ScriptedExchange([{ type: 'success', username: 'a b' }])],
    ['not-authorized', [opened(), auth], new ScriptedExchange([{ type: 'success', username: '' }])],
    [
      'temporary-auth-failure',
      [opened(), auth],
      new ScriptedExchange([{ type: 'failure', condition: 'temporary-auth-failure' }]),
    ],
  ] as [string, Event[], SaslExchange | undefined][])(
    'answers with %s and lets the client try again',
    (condition, events, exchange) => {
      const { state, effects } = run(events, environment(), exchange)
      expect(effects.at(-1)).toEqual({ type: 'send', xml: `<failure xmlns='${NS.sasl}'><${condition}/></failure>` })
      expect(state).toMatchObject({ phase: 'negotiating', attemptsLeft: 4 })
    },
  )

  it('answers abort with failure aborted', () => {
    const exchange = new ScriptedExchange([{ type: 'challenge', data: Buffer.from('x') }])
    const { effects, state } = run([opened(), auth, received(`<abort xmlns='${NS.sasl}'/>`)], environment(), exchange)
    expect(effects.at(-1)).toEqual({ type: 'send', xml: `<failure xmlns='${NS.sasl}'><aborted/></failure>` })
    expect(state.phase).toBe('negotiating')
  })

  it('closes with policy-violation after the fifth failed login', () => {
    const { state, effects } = run([opened(), auth, auth, auth, auth, auth])
    expect(effects.filter(effect => effect.type === 'loginFailed')).toHaveLength(5)
    expect(effects.at(-1)).toMatchObject({ type: 'close', error: { condition: 'policy-violation' } })
    expect(state.phase).toBe('closed')
  })

  it('lets a client that has no channel binding in common with us try one mechanism after the other', () => {
    const step = { type: 'failure', condition: 'not-authorized', isMismatch: true } as const
    const exchange = new ScriptedExchange(Array(10).fill(step))
    const { state } = run([opened(), ...Array(10).fill(auth)], environment(), exchange)
    expect(state).toMatchObject({ phase: 'negotiating', attemptsLeft: 5 })
  })

  it('does not forget failed logins when TLS is negotiated in between', () => {
    const { state } = run([opened(), auth, received(`<starttls xmlns='${NS.tls}'/>`), { type: 'secured' }, opened()])
    expect(state).toMatchObject({ phase: 'negotiating', attemptsLeft: 4 })
  })
})

describe('the c2s machine at resource binding (§3.1.6)', () => {
  it('asks for the wanted resource', () => {
    const { effects } = run([...loggedIn, bindIq()], environment(), juliet())
    expect(effects.at(-1)).toEqual({
      type: 'bind',
      host: 'localhost',
      account: 'juliet',
      resource: 'balcony',
      id: 'b1',
    })
  })

  it.each([
    ['an empty one', '<resource/>'],
    ['none', ''],
  ])('leaves %s to the server', (_name, resource) => {
    const { effects } = run([...loggedIn, bindIq(resource)], environment(), juliet())
    expect(effects.at(-1)).toMatchObject({ type: 'bind', resource: undefined })
  })

  it('answers a resource that cannot be prepared with bad-request and waits for another', () => {
    const { state, effects } = run(
      [...loggedIn, bindIq(`<resource>${'x'.repeat(1024)}</resource>`)],
      environment(),
      juliet(),
    )
    const last = effects.at(-1)
    expect(last?.type === 'reply' && String(last.iq)).toContain('bad-request')
    expect(state.phase).toBe('binding')
  })

  it('refuses the account on another host than the one it logged in to', () => {
    const { effects } = run([opened(), auth, opened({ to: 'capulet.example' })], environment(), juliet())
    expect(closing(effects)).toEqual({ type: 'close', error: new StreamError('host-unknown') })
  })

  it('offers no STARTTLS after login', () => {
    const { effects } = run(loggedIn, environment(), juliet())
    expect(effects.at(-1)).toEqual({
      type: 'offer',
      host: 'localhost',
      features: { startTls: 'none', hasCompression: false, isAuthenticated: true },
    })
  })
})

describe('the c2s machine in every phase', () => {
  it('answers the trailer with its own', () => {
    for (const events of [[opened()], loggedIn]) {
      expect(run([...events, { type: 'ended' }], environment(), juliet()).effects.at(-1)).toEqual({ type: 'close' })
    }
  })

  it('closes with connection-timeout, its header first when none was sent', () => {
    expect(run([{ type: 'timedOut' }]).effects).toEqual([
      { type: 'open', from: 'localhost', hasVersion: true },
      { type: 'close', error: new StreamError('connection-timeout') },
    ])
    expect(run([opened(), { type: 'timedOut' }]).effects.at(-1)).toEqual({
      type: 'close',
      error: new StreamError('connection-timeout'),
    })
  })

  it('never throws, closes at most once and never acts after that, whatever comes', () => {
    const event = fc.oneof(
      fc.constantFrom<Event>(
        opened(),
        opened({ to: 'nowhere' }),
        auth,
        bindIq(),
        received(`<starttls xmlns='${NS.tls}'/>`),
        received(`<response xmlns='${NS.sasl}'>AAAA</response>`),
        received(`<abort xmlns='${NS.sasl}'/>`),
        received("<presence xmlns='jabber:client'/>"),
        received("<x xmlns='urn:x'/>"),
        { type: 'secured' },
        { type: 'timedOut' },
        { type: 'ended' },
        { type: 'bindRefused', id: '1', condition: 'not-allowed' },
        { type: 'broken', error: new StreamError('restricted-xml') },
      ),
    )
    const step = fc.constantFrom<SaslStep>(
      { type: 'success', username: 'juliet' },
      { type: 'challenge', data: Buffer.from('x') },
      { type: 'lookup', username: 'juliet', hash: 'sha' },
      { type: 'failure', condition: 'not-authorized' },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), fc.array(step, { maxLength: 4 }), (events, steps) => {
        const { state, effects } = run(events, environment(), new ScriptedExchange(steps))
        const closes = effects.filter(effect => effect.type === 'close')
        expect(closes.length).toBeLessThanOrEqual(1)
        if (closes.length === 1) {
          expect(effects.at(-1)).toBe(closes[0])
          expect(state.phase).toBe('closed')
        }
      }),
    )
  })
})
