import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64, type SaslStep } from '../../src/protocols/sasl/mechanism.js'
import { saslMechanisms, startExchange } from '../../src/protocols/sasl/mechanisms.js'
import { fakeScramKeys } from '../../src/protocols/sasl/scram-keys.js'

const offered = Object.values(saslMechanisms).map(({ wire }) => wire)
const secret = Buffer.from('secret')
const context = {
  host: 'example.net',
  offered,
  channelBindings: new Map([['tls-exporter', Buffer.alloc(32, 1)]]),
  nonce: 'servernonce',
  secret,
  iterations: 4096,
  anonymousName: 'anonymous1',
}

// Pieces of real messages, so that the runs get behind the first check
const piece = fc.constantFrom(
  ...[
    'n',
    'y',
    'p=',
    'tls-exporter',
    'tls-unique',
    ',',
    ',,',
    'a=',
    'n=',
    'r=',
    'c=',
    'm=',
    'x=1',
    'p=AAAA',
    'biws',
    '=2C',
    '=3D',
    '=',
    '\0',
    '@',
  ],
  ...[
    'romeo',
    'romeo@example.net',
    'abc',
    'abcservernonce',
    '\u00e9',
    '\ufeff',
    'n,,n=romeo,r=abc',
    'c=biws,r=abcservernonce,p=AAAA',
  ],
)
const message = fc.oneof(
  fc.array(piece, { maxLength: 10 }).map(pieces => Buffer.from(pieces.join(''))),
  fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes)),
  fc.constant(Buffer.alloc(10_000, 'a')),
)
const call = fc.oneof(
  fc.record({ name: fc.constant('start' as const), data: fc.option(message, { nil: undefined }) }),
  fc.record({ name: fc.constant('respond' as const), data: message }),
  fc.record({ name: fc.constant('credentials' as const), isKnown: fc.boolean() }),
)
const stepTypes = ['challenge', 'lookup', 'verify', 'success', 'failure']

describe('an exchange with any client', () => {
  it('never throws, answers every call with a step, and never lets in a client that proved nothing', () => {
    fc.assert(
      fc.property(fc.constantFrom(...offered), fc.array(call, { minLength: 1, maxLength: 6 }), (mechanism, calls) => {
        const exchange = startExchange(mechanism, context)!
        for (const { name, ...given } of [{ name: 'start' as const, data: undefined }, ...calls].slice(
          calls.length % 2,
        )) {
          let step: SaslStep
          if (name === 'start') step = exchange.start('data' in given ? given.data : undefined)
          else if (name === 'respond')
            step = exchange.respond('data' in given && given.data ? given.data : Buffer.alloc(0))
          else {
            const isKnown = 'isKnown' in given && given.isKnown
            const scram = { sha256: fakeScramKeys(secret, 'sha256', 'x', 1), sha: fakeScramKeys(secret, 'sha', 'x', 1) }
            step = exchange.credentials(isKnown ? { scram } : undefined)
          }
          expect(stepTypes).toContain(step.type)
          if (step.type === 'success') expect(mechanism).toBe('ANONYMOUS')
          if (step.type === 'lookup' || step.type === 'verify') expect(step.username.length).toBeLessThanOrEqual(8192)
          if (step.type === 'challenge') expect(step.data.length).toBeLessThan(1024)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('one that wrote a good first message ends in failure, whatever its last message holds', () => {
    fc.assert(
      fc.property(message, fc.boolean(), (last, isKnown) => {
        const exchange = startExchange('SCRAM-SHA-256', context)!
        expect(exchange.start(Buffer.from('n,,n=romeo,r=abc')).type).toBe('lookup')
        const keys = fakeScramKeys(secret, 'sha256', 'x', 1)
        expect(exchange.credentials(isKnown ? { scram: { sha256: keys } } : undefined).type).toBe('challenge')
        expect(exchange.respond(last).type).toBe('failure')
      }),
      { numRuns: 1000 },
    )
  })

  it('base64 text is decoded only if encoding gives it back', () => {
    fc.assert(
      fc.property(fc.oneof(fc.base64String(), fc.string({ unit: 'binary' }), fc.string()), text => {
        const data = decodeBase64(text)
        if (data !== undefined && text !== '=') expect(data.toString('base64')).toBe(text)
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.uint8Array(), bytes => {
        expect(decodeBase64(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes))
      }),
    )
  })
})
