import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StreamError } from '../../../src/protocols/errors.js'
import { NS } from '../../../src/protocols/namespaces.js'
import {
  type ComponentHeader,
  type Effect,
  type Environment,
  type Event,
  initial,
  type State,
  transition,
} from '../../../src/protocols/stream/component.js'

const environment: Environment = {
  defaultHost: 'localhost',
  hosts: ['localhost', 'capulet.example'],
  password: 'secret',
}

const opened = (over: Partial<ComponentHeader> = {}, attributes: Record<string, string> = {}): Event => ({
  type: 'opened',
  id: 'abc',
  header: {
    name: 'stream',
    ns: NS.stream,
    defaultNs: NS.component,
    to: 'echo.localhost',
    attributes: new Map(Object.entries(attributes)),
    ...over,
  },
})
const proof = (id: string, password: string) => createHash('sha1').update(`${id}${password}`).digest('hex')
const handshake = (text = proof('abc', 'secret'), over: { name?: string; ns?: string } = {}): Event => ({
  type: 'received',
  name: 'handshake',
  ns: NS.component,
  text,
  ...over,
})

function run(events: Event[]): { state: State; effects: Effect[] } {
  let state: State = initial
  const effects: Effect[] = []
  for (const event of events) {
    const step = transition(state, event, environment)
    state = step.state
    effects.push(...step.effects)
  }
  return { state, effects }
}

const header = { type: 'open', id: 'abc', from: 'echo.localhost' }
const closing = (effects: Effect[]) => effects.find(effect => effect.type === 'close')

describe('the component machine at the stream header (§3.3.1)', () => {
  it('answers with the name that was asked for, as it was written', () => {
    expect(run([opened({ to: 'ECHO.localhost' })])).toEqual({
      state: { phase: 'handshaking', id: 'abc', domains: ['echo.localhost'] },
      effects: [{ ...header, from: 'ECHO.localhost' }],
    })
  })

  it.each([
    ['another default namespace', opened({ defaultNs: NS.client }), 'invalid-namespace', 'echo.localhost'],
    ['no default namespace', opened({ defaultNs: '' }), 'invalid-namespace', 'echo.localhost'],
    ['another stream namespace', opened({ ns: 'urn:x' }), 'invalid-namespace', 'echo.localhost'],
    ['no to', opened({ to: undefined }), 'improper-addressing', 'localhost'],
    ['an empty to', opened({ to: '' }), 'improper-addressing', 'localhost'],
    ['an address with a localpart', opened({ to: 'a@echo.localhost' }), 'host-unknown', 'a@echo.localhost'],
    ['no domain at all', opened({ to: 'no domain' }), 'host-unknown', 'no domain'],
    ['a label that makes no domain', opened({ to: '-x' }, { is_subdomain: 'true' }), 'host-unknown', '-x'],
  ] as const)('%s is refused behind a header of ours', (_what, event, condition, from) => {
    expect(run([event])).toEqual({
      state: { phase: 'closed' },
      effects: [
        { type: 'open', id: 'abc', from },
        { type: 'close', error: new StreamError(condition) },
      ],
    })
  })

  it('answers what is no stream with the id none, from the first host', () => {
    expect(run([{ type: 'broken', error: new StreamError('not-well-formed') }])).toEqual({
      state: { phase: 'closed' },
      effects: [
        { type: 'open', id: 'none', from: 'localhost' },
        { type: 'close', error: new StreamError('not-well-formed') },
      ],
    })
  })

  it('is_subdomain (§3.3.3): means one name under each served host, in that spelling only', () => {
    expect(run([opened({ to: 'GW' }, { is_subdomain: 'true' })]).state).toMatchObject({
      domains: ['gw.localhost', 'gw.capulet.example'],
    })
    for (const spelling of ['TRUE', '1', 'yes', 'false', '']) {
      expect(run([opened({ to: 'gw' }, { is_subdomain: spelling })]).state).toMatchObject({ domains: ['gw'] })
    }
  })
})

describe('the component machine at the handshake (§3.3.2)', () => {
  it.each([
    ['in lower case', proof('abc', 'secret')],
    ['in upper case', proof('abc', 'secret').toUpperCase()],
    ['between white space', `\n ${proof('abc', 'secret')} `],
  ])('the digest %s goes on to the route table, and only then is the component in', (_what, text) => {
    const { state, effects } = run([opened(), handshake(text)])
    expect(state).toEqual({ phase: 'registering', domains: ['echo.localhost'] })
    expect(effects).toEqual([header, { type: 'register', domains: ['echo.localhost'] }])
    expect(transition(state, { type: 'registered' }, environment)).toEqual({
      state: { phase: 'established', domains: ['echo.localhost'] },
      effects: [{ type: 'send', xml: '<handshake/>' }, { type: 'established' }],
    })
  })

  it.each([
    ['a wrong password', handshake(proof('abc', 'Secret')), 'Invalid Handshake'],
    ['a wrong id', handshake(proof('abd', 'secret')), 'Invalid Handshake'],
    ['no digest', handshake(''), 'Invalid Handshake'],
    ['half a digest', handshake(proof('abc', 'secret').slice(0, 20)), 'Invalid Handshake'],
    ['a longer one', handshake(`${proof('abc', 'secret')}0`), 'Invalid Handshake'],
    ['letters beyond ASCII', handshake('ſ'.repeat(40)), 'Invalid Handshake'],
    ['a handshake of another namespace', handshake(undefined, { ns: NS.client }), undefined],
    ['a stanza', handshake('', { name: 'message' }), undefined],
  ] as const)('%s is not-authorized, once and for all', (_what, event, text) => {
    const { state, effects } = run([opened(), event])
    expect(state).toEqual({ phase: 'closed' })
    expect(effects).toEqual([
      header,
      { type: 'refused', domains: ['echo.localhost'], condition: 'not-authorized' },
      { type: 'close', error: new StreamError('not-authorized', text) },
    ])
    expect(transition(state, handshake(), environment).effects).toEqual([])
  })

  it('a name that is taken is a conflict (§3.3.5)', () => {
    const { state, effects } = run([opened(), handshake(), { type: 'refused', condition: 'conflict' }])
    expect(state).toEqual({ phase: 'closed' })
    expect(closing(effects)).toEqual({ type: 'close', error: new StreamError('conflict') })
  })
})

describe('the component machine at any time', () => {
  const phases = [[], [opened()], [opened(), handshake()], [opened(), handshake(), { type: 'registered' }]] as Event[][]

  it.each(phases)('ends with connection-timeout when the time is over, behind a header', (...events) => {
    const { state, effects } = run([...events, { type: 'timedOut' }])
    expect(state).toEqual({ phase: 'closed' })
    expect(closing(effects)).toEqual({ type: 'close', error: new StreamError('connection-timeout') })
    expect(effects.filter(({ type }) => type === 'open')).toHaveLength(1)
  })

  it('answers the end of the stream with its own', () => {
    expect(run([opened(), { type: 'ended' }]).effects).toEqual([header, { type: 'close' }])
  })

  const error = fc.constantFrom('not-well-formed', 'policy-violation', 'bad-format').map(name => new StreamError(name))
  const event: fc.Arbitrary<Event> = fc.oneof(
    fc
      .record({
        name: fc.constantFrom('stream', 'x'),
        ns: fc.constantFrom(NS.stream, 'urn:x'),
        defaultNs: fc.constantFrom(NS.component, NS.client, ''),
        to: fc.option(fc.oneof(fc.string(), fc.constant('echo.localhost')), { nil: undefined }),
        attributes: fc.constantFrom(new Map<string, string>(), new Map([['is_subdomain', 'true']])),
      })
      .map((header): Event => ({ type: 'opened', id: 'abc', header })),
    fc.constant(opened()),
    fc.constantFrom('handshake', 'message', 'iq').map(name => handshake(undefined, { name })),
    fc.string().map(text => handshake(text)),
    error.map((error): Event => ({ type: 'broken', error })),
    fc.constantFrom<Event>(
      { type: 'registered' },
      { type: 'refused', condition: 'conflict' },
      { type: 'ended' },
      { type: 'timedOut' },
    ),
  )

  it('never throws, opens and closes at most once, says nothing behind the end, and lets nobody in without the password', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), events => {
        const { state, effects } = run(events)
        const types = effects.map(({ type }) => type)
        expect(types.filter(type => type === 'open').length).toBeLessThanOrEqual(1)
        expect(types.indexOf('close') === -1 || types.indexOf('close') === types.length - 1).toBe(true)
        expect(types.includes('close')).toBe(state.phase === 'closed')
        if (types.includes('close')) expect(types[0]).toBe('open')
        if (types.includes('established')) {
          expect(types.indexOf('register')).toBeLessThan(types.indexOf('established'))
          expect(types).toContain('register')
        }
        const isProven = events.some(one => one.type === 'received' && one.text === proof('abc', 'secret'))
        if (!isProven) expect(types).not.toContain('register')
      }),
    )
  })
})
