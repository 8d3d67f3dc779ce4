import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certificateIdentity } from '../../src/auth/certificate-identity.js'
import { jwtMethod } from '../../src/auth/jwt.js'
import { systemClock } from '../../src/observability/clock.js'
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
  iterations: [4096],
  anonymousName: 'anonymous1',
  identity: { addresses: ['romeo@example.net', 'x'], commonName: 'romeo' },
  identitySources: ['standard', 'common_name', 'auth_id'] as const,
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
    'username="romeo",',
    'realm="example.net",nonce="servernonce",',
    'cnonce="c",nc=00000001,qop=auth,',
    'digest-uri="xmpp/example.net",',
    `response=${'0'.repeat(32)},`,
    'authzid="romeo",',
    '"\\"',
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
const stepTypes = ['challenge', 'lookup', 'verify', 'identify', 'success', 'failure']

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
            const scram = {
              sha256: fakeScramKeys(secret, 'sha256', 'x', [1]),
              sha: fakeScramKeys(secret, 'sha', 'x', [1]),
            }
            step = exchange.credentials(isKnown ? { scram, password: 'secret' } : undefined)
          }
          expect(stepTypes).toContain(step.type)
          if (step.type === 'success') expect(mechanism).toBe('ANONYMOUS')
          if (step.type === 'lookup' || step.type === 'verify') expect(step.username.length).toBeLessThanOrEqual(8192)
          // Only who the certificate or the client, where it is trusted, names; and never without being asked about.
          if (step.type === 'identify') expect(mechanism).toBe('EXTERNAL')
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
        const keys = fakeScramKeys(secret, 'sha256', 'x', [1])
        expect(exchange.credentials(isKnown ? { scram: { sha256: keys } } : undefined).type).toBe('challenge')
        expect(exchange.respond(last).type).toBe('failure')
      }),
      { numRuns: 1000 },
    )
  })

  it('a digest-response is read or refused, and lets nobody in whatever else stands in it', () => {
    const good =
      'username="romeo",realm="example.net",nonce="servernonce",cnonce="c",nc=00000001,digest-uri="xmpp/example.net"'
    fc.assert(
      fc.property(
        message,
        fc
          .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 32, maxLength: 32 })
          .map(digits => digits.join('')),
        (more, response) => {
          const exchange = startExchange('DIGEST-MD5', context)!
          expect(exchange.start().type).toBe('challenge')
          const text = Buffer.concat([Buffer.from(`${good},response=${response},`), more])
          const step = exchange.respond(text)
          expect(['lookup', 'failure']).toContain(step.type)
          if (step.type === 'lookup') {
            expect(exchange.credentials({ scram: {}, password: 'secret' }).type).toBe('failure')
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('any bytes for a certificate are read without a throw', () => {
    const pem = readFileSync(new URL('../support/certificates/rsa-certificate.pem', import.meta.url))
    const { raw } = new X509Certificate(pem)
    fc.assert(
      fc.property(fc.nat(raw.length - 1), fc.nat(255), fc.nat(raw.length), (at, byte, length) => {
        const broken = Buffer.from(raw)
        broken[at] = byte
        const certificate = { raw: broken.subarray(0, length) } as X509Certificate // only its bytes are read
        const { addresses, commonName } = certificateIdentity(certificate)
        expect(Array.isArray(addresses)).toBe(true)
        expect(['string', 'undefined']).toContain(typeof commonName)
      }),
      { numRuns: 1000 },
    )
  })

  it('any token of method jwt that nobody signed is refused without a throw', async () => {
    const jwt = { secret: { value: 'secret' }, algorithm: 'HS256', username_key: 'sub' } as const
    const { verify } = jwtMethod(jwt, systemClock)
    const encoded = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url')
    const header = fc.oneof(
      fc.record(
        {
          alg: fc.constantFrom('HS256', 'none', 'RS256', 'dir', 1),
          crit: fc.constantFrom(['b64'], ['exp'], [], 'x'),
          b64: fc.boolean(),
          typ: fc.string(),
          jwk: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
      fc.jsonValue(),
    )
    const part = fc.oneof(fc.jsonValue().map(encoded), fc.string({ maxLength: 20 }))
    await fc.assert(
      fc.asyncProperty(header, part, part, async (head, payload, signature) => {
        expect(await verify?.('romeo', `${encoded(head)}.${payload}.${signature}`)).toBe(false)
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
