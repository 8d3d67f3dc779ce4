import fc from 'fast-check'
import { parse } from 'ltx'
import { describe, expect, it } from 'vitest'
import { dialbackKey } from '../../../src/protocols/dialback.js'
import { StreamError } from '../../../src/protocols/errors.js'
import { NS } from '../../../src/protocols/namespaces.js'
import * as incoming from '../../../src/protocols/stream/s2s-in.js'
import * as outgoing from '../../../src/protocols/stream/s2s-out.js'
import { Header } from '../../../src/protocols/xml/framer.js'

const HERE = 'verona.example'
const THERE = 'mantua.example'

const header = (attributes: Record<string, string>, defaultNs: string = NS.server) =>
  new Header('stream', NS.stream, defaultNs, new Map([['db', NS.dialback]]), new Map(Object.entries(attributes)))

const element = (xml: string) =>
  parse(`<s xmlns:db='${NS.dialback}' xmlns:stream='${NS.stream}'>${xml}</s>`).getChildElements()[0]! // the one that was written

const trusted: incoming.PeerCertificate = { problem: undefined, names: domain => domain === THERE }
const untrusted: incoming.PeerCertificate = { problem: 'CERT_HAS_EXPIRED', names: () => true }

const inside = (startTls: incoming.StartTlsPolicy): incoming.Environment => ({
  startTls,
  serves: domain => domain === HERE || domain === 'padua.example',
  allows: (_, remote) => remote !== 'denied.example',
  secretOf: () => 's3cret',
})

function runIn(startTls: incoming.StartTlsPolicy, ...events: readonly incoming.Event[]): incoming.Step {
  const environment = inside(startTls)
  return events.reduce<incoming.Step>(({ state }, event) => incoming.transition(state, event, environment), {
    state: incoming.initial(),
    effects: [],
  })
}

const from = (attributes = { to: HERE, from: THERE, version: '1.0' }): incoming.Event => ({
  type: 'opened',
  header: header(attributes),
  id: 'our-id',
})
const received = (xml: string) => ({ type: 'received', element: element(xml) }) as const
const startTls = received(`<starttls xmlns='${NS.tls}'/>`)
const auth = received(`<auth xmlns='${NS.sasl}' mechanism='EXTERNAL'>=</auth>`)
const claim = (domain = THERE, to = HERE) => received(`<db:result from='${domain}' to='${to}'>key</db:result>`)
const proof = (isValid: boolean): incoming.Event => ({
  type: 'verified',
  pair: { originating: THERE, receiving: HERE },
  isValid,
})

const sent = ({ effects }: { effects: readonly { type: string }[] }) =>
  effects.map(effect => ('xml' in effect ? String(effect.xml) : '')).join('')
const errorOf = ({ effects }: incoming.Step | outgoing.Step) =>
  effects.flatMap(effect => (effect.type === 'close' && effect.error !== undefined ? [effect.error.condition] : []))[0]

describe('the receiving side of a stream between servers (§3.2.1 - §3.2.4)', () => {
  it('offers TLS, then EXTERNAL to a trusted certificate of the domain, then nothing', () => {
    expect(sent(runIn('optional', from()))).toContain(`<starttls xmlns='${NS.tls}'></starttls>`)
    expect(sent(runIn('required', from()))).toBe(
      `<stream:features><starttls xmlns='${NS.tls}'><required/></starttls></stream:features>`,
    )
    const overTls: incoming.Event[] = [from(), startTls, { type: 'secured', certificate: trusted }, from()]
    expect(sent(runIn('required', ...overTls))).toContain('<mechanism>EXTERNAL</mechanism>')
    expect(sent(runIn('required', ...overTls, auth, from()))).toBe('<stream:features></stream:features>')
  })

  it.each<[string, incoming.StartTlsPolicy, incoming.Event[], string]>([
    ['dialback before TLS', 'required', [from(), claim()], 'policy-violation'],
    ['no version where TLS is required', 'required', [from({ to: HERE, from: THERE } as never)], 'policy-violation'],
    [
      'a certificate that is not trusted',
      'required_trusted',
      [from(), startTls, { type: 'secured', certificate: untrusted }, from()],
      'policy-violation',
    ],
    ['a second header', 'optional', [from(), from()], 'policy-violation'],
    [
      'another sender after EXTERNAL',
      'optional',
      [
        from(),
        startTls,
        { type: 'secured', certificate: trusted },
        from(),
        auth,
        from({ to: HERE, from: 'evil.example', version: '1.0' }),
      ],
      'invalid-from',
    ],
    ['a domain that is denied', 'false', [from(), claim('denied.example')], 'invalid-from'],
    ['a domain of ours', 'false', [from(), claim('padua.example')], 'invalid-from'],
    ['a host that is not ours', 'false', [from(), claim(THERE, 'elsewhere.example')], 'host-unknown'],
    ['something else without a proof', 'false', [from(), received(`<x xmlns='x'/>`)], 'not-authorized'],
    ['silence', 'false', [from(), { type: 'timedOut' }], 'connection-timeout'],
  ])('ends with an error for %s', (_, policy, events, condition) => {
    const step = runIn(policy, ...events)
    expect(errorOf(step)).toBe(condition)
    expect(step.state.phase).toBe('closed')
  })

  it('asks about a key once, with the id of its own header', () => {
    const step = runIn('false', from(), claim())
    expect(step.effects).toContainEqual({
      type: 'verify',
      pair: { originating: THERE, receiving: HERE },
      id: 'our-id',
      key: 'key',
    })
    expect(runIn('false', from(), claim(), claim()).effects).toEqual([])
    expect(sent(runIn('false', from(), claim(), proof(true), claim()))).toContain('type="valid"')
  })

  it('takes no proof that it did not ask for', () => {
    expect(runIn('false', from(), proof(true)).effects).toEqual([])
  })

  describe('where stanzas go back on it (XEP-0288)', () => {
    const bidi = received(`<bidi xmlns='${NS.bidi}'/>`)
    const back = { type: 'lend', pair: { originating: HERE, receiving: THERE } }
    const overTls = (certificate: incoming.PeerCertificate): incoming.Event[] => [
      from(),
      startTls,
      { type: 'secured', certificate },
      from(),
    ]

    it('is offered until the peer has proven anything, and never before TLS where that is required', () => {
      const offer = `<bidi xmlns='${NS.bidiFeature}'/>`
      expect(sent(runIn('optional', from())).replace('></bidi>', '/>')).toContain(offer)
      expect(sent(runIn('required', from()))).not.toContain('bidi')
      expect(sent(runIn('required', ...overTls(trusted)))).toContain('bidi')
      expect(sent(runIn('required', ...overTls(trusted), bidi, auth, from()))).not.toContain('bidi')
    })

    it('is lent for the inverse of each pair that dialback proves, and not before', () => {
      expect(runIn('optional', from(), bidi, claim()).effects).not.toContainEqual(back)
      expect(runIn('optional', from(), bidi, claim(), proof(true)).effects.at(-1)).toEqual(back)
      expect(runIn('optional', from(), bidi, claim(), proof(false)).effects).not.toContainEqual(back)
      expect(runIn('optional', from(), claim(), proof(true)).effects).not.toContainEqual(back)
    })

    it('is lent after EXTERNAL for the domain that the new stream is for', () => {
      const padua = from({ to: 'padua.example', from: THERE, version: '1.0' })
      expect(runIn('optional', ...overTls(trusted), bidi, auth, from()).effects).toContainEqual(back)
      expect(runIn('optional', ...overTls(trusted), bidi, auth, padua).effects).toContainEqual({
        type: 'lend',
        pair: { originating: 'padua.example', receiving: THERE },
      })
      expect(runIn('optional', ...overTls(trusted), auth, from()).effects).not.toContainEqual(back)
    })

    it.each<[string, incoming.StartTlsPolicy, incoming.Event[]]>([
      ['asked for before TLS', 'optional', [from(), bidi, ...overTls(trusted).slice(1), claim(), proof(true)]],
      ['asked for after the proof', 'optional', [from(), claim(), proof(true), bidi, claim(THERE, 'padua.example')]],
      ['where nothing is negotiated', 'false', [from(), bidi, claim(), proof(true)]],
      [
        'with required_trusted and a certificate for somebody else',
        'required_trusted',
        [...overTls({ problem: undefined, names: domain => domain === 'evil.example' }), bidi, claim(), proof(true)],
      ],
    ])('is not lent when %s', (_, policy, events) => {
      const step = runIn(policy, ...events)
      expect(step.state.phase).toBe('open')
      expect(step.effects).not.toContainEqual(back)
    })
  })

  it('lets in what was proven only, whatever the peer sends', () => {
    const domains = fc.constantFrom(THERE, 'evil.example', 'denied.example', HERE, 'padua.example', 'elsewhere.example')
    const event = fc.oneof(
      fc.constant(from()),
      fc.constant(startTls),
      fc.constant(auth),
      fc.tuple(domains, domains).map(([domain, to]) => claim(domain, to)),
      fc.constantFrom<incoming.Event>(
        { type: 'secured', certificate: trusted },
        { type: 'secured', certificate: untrusted },
        proof(false),
      ),
      fc.constantFrom<incoming.Event>(
        { type: 'timedOut' },
        { type: 'ended' },
        { type: 'broken', error: new StreamError('not-well-formed') },
      ),
      fc.string().map(text => received(`<x xmlns='x'>${text.replace(/[^a-z]/g, '')}</x>`)),
    )
    const policies = fc.constantFrom<incoming.StartTlsPolicy>('false', 'optional', 'required', 'required_trusted')
    fc.assert(
      fc.property(policies, fc.array(event, { maxLength: 12 }), domains, domains, (policy, events, sender, to) => {
        const { state } = runIn(policy, ...events)
        // No key was ever found valid here, so only the certificate can have proven anything.
        const mayBeTrusted = sender === THERE && policy !== 'false' && inside(policy).serves(to)
        if (incoming.mayRelay(state, sender, to, inside(policy).serves)) expect(mayBeTrusted).toBe(true)
      }),
    )
  })
})

const pair = { originating: HERE, receiving: THERE }
const outside = (startTlsPolicy: incoming.StartTlsPolicy, mayUseExternal = true): outgoing.Environment => ({
  pair,
  startTls: startTlsPolicy,
  mayUseExternal,
  secret: 's3cret',
})

function runOut(environment: outgoing.Environment, ...events: readonly outgoing.Event[]): outgoing.Step {
  return events.reduce<outgoing.Step>(
    ({ state }, event) => outgoing.transition(state, event, environment),
    outgoing.begin(environment),
  )
}

const answered: outgoing.Event = { type: 'opened', header: header({ id: 'their-id', version: '1.0' }) }
const plain: outgoing.Event = { type: 'opened', header: header({ id: 'their-id' }) }
const offering = (text: string) => received(`<stream:features>${text}</stream:features>`)
const offersTls = offering(`<starttls xmlns='${NS.tls}'/>`)
const offersExternal = offering(`<mechanisms xmlns='${NS.sasl}'><mechanism>EXTERNAL</mechanism></mechanisms>`)
const wanted: outgoing.Event = { type: 'wanted' }
const proceed = received(`<proceed xmlns='${NS.tls}'/>`)
const secured: outgoing.Event = { type: 'secured', certificate: trusted }
const question: outgoing.Question = { pair: { originating: THERE, receiving: HERE }, id: 'i', key: 'k' }

describe('the originating side of a stream between servers (§3.2.2, §3.2.5)', () => {
  it('shows its key for the id of the peer, and is established when that is valid', () => {
    const asked = runOut(outside('false'), wanted, plain)
    expect(sent(asked)).toContain(dialbackKey('s3cret', pair, 'their-id'))
    const valid = received(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    expect(runOut(outside('false'), wanted, plain, valid).effects).toEqual([
      { type: 'established', mechanism: 'dialback' },
    ])
  })

  it('asks what it was told to without showing who it is', () => {
    const step = runOut(outside('false'), { type: 'asked', question }, plain)
    expect(sent(step)).toBe(`<db:verify from="${HERE}" to="${THERE}" id="i">k</db:verify>`)
  })

  it('goes by TLS and EXTERNAL, and by dialback where EXTERNAL was refused before', () => {
    const overTls = [wanted, answered, offersTls, proceed, secured, answered, offersExternal]
    expect(sent(runOut(outside('required'), ...overTls))).toContain(`mechanism='EXTERNAL'`)
    expect(sent(runOut(outside('required', false), ...overTls))).toContain('<db:result')
    const success = received(`<success xmlns='${NS.sasl}'/>`)
    expect(runOut(outside('required'), ...overTls, success, answered, offering('')).effects).toEqual([
      { type: 'established', mechanism: 'EXTERNAL' },
    ])
  })

  it.each<[string, outgoing.Event]>([
    ['a failure', received(`<failure xmlns='${NS.sasl}'><not-authorized/></failure>`)],
    ['an error', received(`<stream:error><policy-violation xmlns='${NS.streamErrors}'/></stream:error>`)],
    ['silence', { type: 'timedOut' }],
    ['something else', received(`<x xmlns='x'/>`)],
  ])('takes %s in the middle of EXTERNAL for a refusal', (_, event) => {
    const { effects } = runOut(
      outside('optional'),
      wanted,
      answered,
      offersTls,
      proceed,
      secured,
      answered,
      offersExternal,
      event,
    )
    expect(effects.map(({ type }) => type)).toEqual(['externalRefused', 'close'])
  })

  it.each<[string, incoming.StartTlsPolicy, outgoing.Event[]]>([
    ['no TLS is offered', 'required', [answered, offering('')]],
    ['the peer has no version', 'required', [plain]],
    [
      'the certificate is not trusted',
      'required_trusted',
      [answered, offersTls, proceed, { type: 'secured', certificate: untrusted }],
    ],
    [
      'the certificate is for another domain',
      'required_trusted',
      [answered, offersTls, proceed, { type: 'secured', certificate: { problem: undefined, names: () => false } }],
    ],
  ])('goes no further when %s', (_, policy, events) => {
    expect(runOut(outside(policy), wanted, ...events).state.phase).toBe('closed')
  })

  describe('where stanzas come back on it (XEP-0288)', () => {
    const bidi = `<bidi xmlns='${NS.bidiFeature}'/>`
    const valid = received(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    const established = [wanted, answered, offering(bidi), valid]
    const step = runOut(outside('optional'), ...established)

    it('is asked for before the proof, where it is offered', () => {
      expect(sent(runOut(outside('optional'), wanted, answered, offering(bidi)))).toMatch(
        /^<bidi xmlns='urn:xmpp:bidi'\/><db:result/,
      )
      expect(sent(runOut(outside('optional'), wanted, answered, offering('')))).not.toContain('bidi')
      const overTls = [wanted, answered, offersTls, proceed, secured, answered]
      const external = offering(`<mechanisms xmlns='${NS.sasl}'><mechanism>EXTERNAL</mechanism></mechanisms>${bidi}`)
      expect(sent(runOut(outside('required'), ...overTls, external))).toMatch(/^<bidi xmlns='urn:xmpp:bidi'\/><auth/)
      const success = received(`<success xmlns='${NS.sasl}'/>`)
      const { state } = runOut(outside('required'), ...overTls, external, success, answered, offering(''))
      expect(outgoing.isTwoWay(state)).toBe(true)
    })

    it('lets in the inverse of its pair, and nothing before the proof or where it was not offered', () => {
      const environment = outside('optional')
      expect(outgoing.mayRelay(step.state, THERE, HERE, environment)).toBe(true)
      for (const [sender, to] of [
        [HERE, THERE],
        ['evil.example', HERE],
        [THERE, 'padua.example'],
      ] as const) {
        expect(outgoing.mayRelay(step.state, sender, to, environment)).toBe(false)
      }
      for (const events of [established.slice(0, -1), [wanted, answered, offering(''), valid]]) {
        expect(outgoing.mayRelay(runOut(environment, ...events).state, THERE, HERE, environment)).toBe(false)
      }
    })

    it('answers questions about its own keys, and sends other domains to streams of their own', () => {
      const environment = outside('optional')
      const key = dialbackKey('s3cret', pair, 'other-id')
      const ask = (text: string) => sent(outgoing.transition(step.state, received(text), environment))
      expect(ask(`<db:verify from='${THERE}' to='${HERE}' id='other-id'>${key}</db:verify>`)).toContain('type="valid"')
      expect(ask(`<db:verify from='${THERE}' to='${HERE}' id='x'>${key}</db:verify>`)).toContain('type="invalid"')
      expect(ask(`<db:result from='rooms.${THERE}' to='${HERE}'>k</db:result>`)).toBe(
        `<db:result from="${HERE}" to="rooms.${THERE}" type="error"><error type="cancel"><not-allowed xmlns="${NS.stanzaErrors}"/></error></db:result>`,
      )
    })
  })

  it('never throws, and is established by a proof only, whatever the peer says', () => {
    const xml = fc.constantFrom(
      `<db:result from='${THERE}' to='${HERE}' type='invalid'/>`,
      `<db:result from='evil.example' to='${HERE}' type='valid'/>`,
      `<db:verify from='${THERE}' to='${HERE}' id='i' type='valid'/>`,
      `<db:result from='${THERE}' to='${HERE}'>key</db:result>`,
      `<message/>`,
      `<x xmlns='x'/>`,
    )
    const event = fc.oneof(
      xml.map(received),
      fc.constantFrom<outgoing.Event>(answered, plain, offersTls, offersExternal, wanted, proceed, secured),
      fc.constantFrom<outgoing.Event>({ type: 'asked', question }, { type: 'timedOut' }, { type: 'ended' }),
    )
    const policies = fc.constantFrom<incoming.StartTlsPolicy>('false', 'optional', 'required', 'required_trusted')
    fc.assert(
      fc.property(policies, fc.array(event, { maxLength: 12 }), (policy, events) => {
        const environment = outside(policy)
        let { state } = outgoing.begin(environment)
        for (const one of events) {
          const step = outgoing.transition(state, one, environment)
          expect(step.effects.map(({ type }) => type)).not.toContain('established')
          expect(outgoing.limitOf(step.state)).toBeGreaterThan(0)
          ;({ state } = step)
        }
      }),
    )
  })
})
