import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { DEFAULT_MECHANISMS } from '../../src/config/auth.js'
import type { Credentials, ScramHash } from '../../src/protocols/sasl/credentials.js'
import { decodeBase64, type SaslContext, type SaslExchange, type SaslStep } from '../../src/protocols/sasl/mechanism.js'
import { type OfferInput, offerMechanisms, saslMechanisms, startExchange } from '../../src/protocols/sasl/mechanisms.js'
import {
  credentialsFor,
  deriveScramKeys,
  fakeScramKeys,
  scramHashes,
  UnusablePassword,
  verifyPassword,
} from '../../src/protocols/sasl/scram-keys.js'
import { digestResponse } from '../support/sasl.js'

const exporterData = Buffer.from('0123456789abcdef0123456789abcdef')

const context = (changes: Partial<SaslContext> = {}): SaslContext => ({
  host: 'example.net',
  offered: Object.values(saslMechanisms).map(({ wire }) => wire),
  channelBindings: new Map([['tls-exporter', exporterData]]),
  nonce: 'servernonce',
  secret: Buffer.from('a secret of the server'),
  iterations: [4096],
  anonymousName: '0123456789abcdef1',
  identity: undefined,
  identitySources: ['standard'],
  ...changes,
})

const begin = (mechanism: string, changes: Partial<SaslContext> = {}): SaslExchange => {
  const exchange = startExchange(mechanism, context(changes))
  if (exchange === undefined) throw new Error(`${mechanism} was not offered`)
  return exchange
}

const text = (step: SaslStep) => ('data' in step && step.data ? step.data.toString() : undefined)
const failed = (condition: string) => expect.objectContaining({ type: 'failure', condition })

const credentialsOf = async (
  password: string,
  hash: ScramHash,
  salt: Buffer,
  iterations = 4096,
): Promise<Credentials> => ({
  scram: { [hash]: await deriveScramKeys(password, hash, salt, iterations) },
})

/** What a client answers to server-first; `changes` falsifies it. */
function clientFinal(
  hash: ScramHash,
  password: string,
  clientFirst: string,
  serverFirst: string,
  changes: { binding?: Buffer; nonce?: string; proof?: string; extensions?: string } = {},
) {
  const { algorithm, bytes } = scramHashes[hash]
  const [, , ...bareFields] = clientFirst.split(',')
  const [r = '', s = '', i = ''] = serverFirst.split(',')
  const gs2Header = clientFirst.split(',').slice(0, 2).join(',').concat(',')
  const salted = pbkdf2Sync(password, Buffer.from(s.slice(2), 'base64'), Number(i.slice(2)), bytes, algorithm)
  const mac = (key: Buffer, data: string) => createHmac(algorithm, key).update(data).digest()
  const clientKey = mac(salted, 'Client Key')
  const storedKey = createHash(algorithm).update(clientKey).digest()
  const binding = (changes.binding ?? Buffer.from(gs2Header)).toString('base64')
  const withoutProof = `c=${binding},r=${changes.nonce ?? r.slice(2)}${changes.extensions ?? ''}`
  const authMessage = `${bareFields.join(',')},${serverFirst},${withoutProof}`
  const signature = mac(storedKey, authMessage)
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString('base64')
  const serverSignature = mac(mac(salted, 'Server Key'), authMessage).toString('base64')
  return { message: Buffer.from(`${withoutProof},p=${changes.proof ?? proof}`), answer: `v=${serverSignature}` }
}

describe('the published SCRAM exchanges, byte for byte', () => {
  it.each([
    {
      source: 'RFC 5802 §5',
      mechanism: 'SCRAM-SHA-1',
      hash: 'sha' as const,
      username: 'user',
      password: 'pencil',
      nonce: '3rfcNHYJY1ZVvWVs7j',
      salt: 'QSXCR+Q6sek8bf92',
      clientFirst: 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL',
      serverFirst: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
      clientFinal: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
      serverFinal: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
    },
    {
      source: 'RFC 6120 §9.1',
      mechanism: 'SCRAM-SHA-1',
      hash: 'sha' as const,
      username: 'juliet',
      password: 'r0m30myr0m30',
      nonce: 'e124695b-69a9-4de6-9c30-b51b3808c59e',
      salt: 'NjhkYTM0MDgtNGY0Zi00NjdmLTkxMmUtNDlmNTNmNDNkMDMz',
      clientFirst: 'n,,n=juliet,r=oMsTAAwAAAAMAAAANP0TAAAAAABPU0AA',
      serverFirst:
        'r=oMsTAAwAAAAMAAAANP0TAAAAAABPU0AAe124695b-69a9-4de6-9c30-b51b3808c59e,s=NjhkYTM0MDgtNGY0Zi00NjdmLTkxMmUtNDlmNTNmNDNkMDMz,i=4096',
      clientFinal:
        'c=biws,r=oMsTAAwAAAAMAAAANP0TAAAAAABPU0AAe124695b-69a9-4de6-9c30-b51b3808c59e,p=UA57tM/SvpATBkH2FXs0WDXvJYw=',
      serverFinal: 'v=pNNDFVEQxuXxCoSEiW8GEZ+1RSo=',
    },
    {
      source: 'RFC 7677 §3',
      mechanism: 'SCRAM-SHA-256',
      hash: 'sha256' as const,
      username: 'user',
      password: 'pencil',
      nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
      salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
      clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
      serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      clientFinal:
        'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
      serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    },
  ])('$source', async sample => {
    const exchange = begin(sample.mechanism, { nonce: sample.nonce })
    const lookup = exchange.start(Buffer.from(sample.clientFirst))
    expect(lookup).toEqual({ type: 'lookup', username: sample.username, hash: sample.hash })
    const found = await credentialsOf(sample.password, sample.hash, Buffer.from(sample.salt, 'base64'))
    const challenge = exchange.credentials(found)
    expect(challenge.type).toBe('challenge')
    expect(text(challenge)).toBe(sample.serverFirst)
    const success = exchange.respond(Buffer.from(sample.clientFinal))
    expect(success).toMatchObject({ type: 'success', username: sample.username })
    expect(text(success)).toBe(sample.serverFinal)
  })
})

const salt = Buffer.from('0123456789abcdef')
const hashOf = {
  'SHA-1': 'sha',
  'SHA-224': 'sha224',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
} as const

/** A SCRAM login up to the last message; `first` is client-first. */
async function login(mechanism: string, hash: ScramHash, first: string, changes: Partial<SaslContext> = {}) {
  const exchange = begin(mechanism, changes)
  const lookup = exchange.start(Buffer.from(first))
  if (lookup.type !== 'lookup') return { exchange, step: lookup, serverFirst: '' }
  const step = exchange.credentials(await credentialsOf('pencil', hash, salt, 100))
  return { exchange, step, serverFirst: text(step) ?? '' }
}

describe('SCRAM', () => {
  it.each(Object.entries(hashOf))(
    'with %s, with and without channel binding, lets the right password in',
    async (name, hash) => {
      const cases: [string, string, Buffer | undefined][] = [
        [`SCRAM-${name}`, 'n,,n=romeo,r=abc', undefined],
        [
          `SCRAM-${name}-PLUS`,
          'p=tls-exporter,,n=romeo,r=abc',
          Buffer.concat([Buffer.from('p=tls-exporter,,'), exporterData]),
        ],
      ]
      for (const [mechanism, first, binding] of cases) {
        const { exchange, serverFirst } = await login(mechanism, hash, first)
        const final = clientFinal(hash, 'pencil', first, serverFirst, binding && { binding })
        const success = exchange.respond(final.message)
        expect(success).toMatchObject({ type: 'success', username: 'romeo' })
        expect(text(success)).toBe(final.answer)
      }
    },
  )

  const first = 'n,,n=romeo,r=abc'
  const finals: [string, string, (serverFirst: string) => Buffer][] = [
    ['a wrong password', 'not-authorized', s => clientFinal('sha', 'wrong', first, s).message],
    [
      'a proof of the wrong length',
      'not-authorized',
      s => clientFinal('sha', 'pencil', first, s, { proof: 'AAAA' }).message,
    ],
    ['an empty proof', 'not-authorized', s => clientFinal('sha', 'pencil', first, s, { proof: '' }).message],
    ['another nonce', 'not-authorized', s => clientFinal('sha', 'pencil', first, s, { nonce: 'abcdef' }).message],
    ['only its own nonce', 'not-authorized', s => clientFinal('sha', 'pencil', first, s, { nonce: 'abc' }).message],
    [
      'a c= that contradicts the GS2 header (§10)',
      'not-authorized',
      s => clientFinal('sha', 'pencil', first, s, { binding: Buffer.from('y,,') }).message,
    ],
    [
      'an empty c=',
      'not-authorized',
      s => clientFinal('sha', 'pencil', first, s, { binding: Buffer.alloc(0) }).message,
    ],
    [
      'a c= with more than the GS2 header',
      'not-authorized',
      s => clientFinal('sha', 'pencil', first, s, { binding: Buffer.from('n,,x') }).message,
    ],
    [
      'a proof that is no base64',
      'malformed-request',
      s => clientFinal('sha', 'pencil', first, s, { proof: '!!!!' }).message,
    ],
    [
      'a mandatory extension',
      'malformed-request',
      s => clientFinal('sha', 'pencil', first, s, { extensions: ',m=x' }).message,
    ],
    [
      'an extension without a value',
      'malformed-request',
      s => clientFinal('sha', 'pencil', first, s, { extensions: ',x' }).message,
    ],
    ['nothing', 'malformed-request', () => Buffer.alloc(0)],
    ['no UTF-8', 'malformed-request', () => Buffer.from([0xff, 0xfe])],
    ['no proof', 'malformed-request', () => Buffer.from('c=biws,r=abcservernonce')],
    ['fields in another order', 'malformed-request', () => Buffer.from('r=abcservernonce,c=biws,p=AAAA')],
    [
      '9000 bytes',
      'malformed-request',
      s => clientFinal('sha', 'pencil', first, s, { extensions: `,x=${'y'.repeat(9000)}` }).message,
    ],
  ]
  it.each(finals)('answers a last message with %s: %s', async (_what, condition, message) => {
    const { exchange, serverFirst } = await login('SCRAM-SHA-1', 'sha', first)
    expect(exchange.respond(message(serverFirst))).toEqual(failed(condition))
  })

  it('ignores an optional extension in either message, and proves it too', async () => {
    const extended = 'n,,n=romeo,r=abc,x=1'
    const { exchange, serverFirst } = await login('SCRAM-SHA-1', 'sha', extended)
    const final = clientFinal('sha', 'pencil', extended, serverFirst, { extensions: ',y=2' })
    expect(exchange.respond(final.message).type).toBe('success')
  })

  it.each([
    ['nothing', ''],
    ['an unknown flag', 'x,,n=romeo,r=abc'],
    ['no authzid field', 'n,n=romeo,r=abc'],
    ['no name', 'n,,r=abc'],
    ['an empty name', 'n,,n=,r=abc'],
    ['no nonce', 'n,,n=romeo'],
    ['an empty nonce', 'n,,n=romeo,r='],
    ['a nonce with a space', 'n,,n=romeo,r=a b'],
    ['a nonce of 513 characters', `n,,n=romeo,r=${'a'.repeat(513)}`],
    ['a name of 3070 characters', `n,,n=${'a'.repeat(3070)},r=abc`],
    ['a lone = in the name', 'n,,n=ro=meo,r=abc'],
    ['=2c in lower case', 'n,,n=ro=2cmeo,r=abc'],
    ['a mandatory extension', 'n,,m=ext,n=romeo,r=abc'],
    ['a mandatory extension at the end', 'n,,n=romeo,r=abc,m=ext'],
    ['no UTF-8', '\u00ff'],
    ['channel binding without -PLUS', 'p=tls-exporter,,n=romeo,r=abc'],
    ['a malformed authzid', 'n,b=romeo,n=romeo,r=abc'],
  ])('answers a first message with %s: malformed-request', (_what, message) => {
    expect(begin('SCRAM-SHA-1').start(Buffer.from(message, 'latin1'))).toEqual(failed('malformed-request'))
  })

  it('decodes =2C and =3D in the name', () => {
    const step = begin('SCRAM-SHA-1').start(Buffer.from('n,,n=a=2Cb=3Dc=3D2C,r=abc'))
    expect(step).toMatchObject({ type: 'lookup', username: 'a,b=c=2C' })
  })

  it('takes an authzid that names the account, and refuses any other one', () => {
    for (const authzid of ['romeo@example.net', 'ROMEO@Example.NET', 'romeo']) {
      expect(begin('SCRAM-SHA-1').start(Buffer.from(`n,a=${authzid},n=Romeo,r=abc`)).type).toBe('lookup')
    }
    for (const authzid of ['juliet@example.net', 'romeo@example.com', 'romeo@example.net/x', 'juliet', 'a@b@c']) {
      expect(begin('SCRAM-SHA-1').start(Buffer.from(`n,a=${authzid},n=romeo,r=abc`))).toEqual(failed('invalid-authzid'))
    }
  })

  it('asks with an empty challenge where <auth/> carried no first message (RFC 6120 §6.4.2)', () => {
    const exchange = begin('SCRAM-SHA-1')
    expect(exchange.start()).toEqual({ type: 'challenge', data: Buffer.alloc(0) })
    expect(exchange.respond(Buffer.from(first)).type).toBe('lookup')
  })
})

describe('channel binding', () => {
  const withoutPlus = { offered: ['SCRAM-SHA-1', 'PLAIN'] }

  it('refuses the flag y when a -PLUS mechanism was offered, with and without -PLUS', async () => {
    const first = Buffer.from('y,,n=romeo,r=abc')
    expect(begin('SCRAM-SHA-1').start(first)).toEqual(failed('not-authorized'))
    expect(begin('SCRAM-SHA-1', { offered: ['SCRAM-SHA-1', 'SCRAM-SHA-256-PLUS'] }).start(first)).toEqual(
      failed('not-authorized'),
    )
    expect(begin('SCRAM-SHA-1-PLUS').start(first)).toEqual(failed('malformed-request'))
  })

  it('takes the flag y when none was offered, and holds the client to it in c=', async () => {
    const first = 'y,,n=romeo,r=abc'
    const good = await login('SCRAM-SHA-1', 'sha', first, withoutPlus)
    expect(good.exchange.respond(clientFinal('sha', 'pencil', first, good.serverFirst).message).type).toBe('success')
    const bad = await login('SCRAM-SHA-1', 'sha', first, withoutPlus)
    const lie = clientFinal('sha', 'pencil', first, bad.serverFirst, { binding: Buffer.from('n,,') })
    expect(bad.exchange.respond(lie.message)).toEqual(failed('not-authorized'))
  })

  it('takes the flag n although -PLUS was offered, but not under -PLUS itself', () => {
    expect(begin('SCRAM-SHA-1').start(Buffer.from('n,,n=romeo,r=abc')).type).toBe('lookup')
    expect(begin('SCRAM-SHA-1-PLUS').start(Buffer.from('n,,n=romeo,r=abc'))).toEqual(failed('malformed-request'))
  })

  it.each(['tls-unique', 'tls-server-end-point', 'constructor'])('refuses %s, which was not offered', type => {
    expect(begin('SCRAM-SHA-1-PLUS').start(Buffer.from(`p=${type},,n=romeo,r=abc`))).toEqual(failed('not-authorized'))
  })

  it.each([
    ['other data', Buffer.from(`p=tls-exporter,,${'x'.repeat(32)}`)],
    ['no data', Buffer.from('p=tls-exporter,,')],
    ['another header', Buffer.concat([Buffer.from('p=tls-unique,,'), exporterData])],
  ])('refuses a c= with %s', async (_what, binding) => {
    const first = 'p=tls-exporter,,n=romeo,r=abc'
    const { exchange, serverFirst } = await login('SCRAM-SHA-256-PLUS', 'sha256', first)
    const final = clientFinal('sha256', 'pencil', first, serverFirst, { binding })
    expect(exchange.respond(final.message)).toEqual(failed('not-authorized'))
  })
})

describe('the iteration count of an account that does not exist (§3.1.5)', () => {
  const secret = Buffer.from('one')
  const count = (name: string, counts: readonly number[]) => fakeScramKeys(secret, 'sha256', name, counts).iterations
  const names = Array.from({ length: 200 }, (_, index) => `name${index}`)

  it('is one of those that accounts have, always the same for one name and hash, and each comes up', () => {
    const counts = [10_000, 4096, 20_000]
    const shown = names.map(name => count(name, counts))
    expect(new Set(shown)).toEqual(new Set(counts))
    expect(names.map(name => count(name, counts))).toEqual(shown)
    expect(names.map(name => fakeScramKeys(secret, 'sha', name, counts).iterations)).toEqual(shown)
  })

  it('changes only to a count that is new', () => {
    for (const name of names) {
      const [before, after] = [count(name, [10_000, 4096]), count(name, [10_000, 4096, 20_000])]
      if (after !== before) expect(after).toBe(20_000)
    }
  })
})

describe('SCRAM for an account that does not exist (§3.1.5)', () => {
  const run = (username: string, hash: ScramHash = 'sha256', secret = Buffer.from('one')) => {
    const exchange = begin(hash === 'sha' ? 'SCRAM-SHA-1' : 'SCRAM-SHA-256', { secret })
    const first = `n,,n=${username},r=abc`
    exchange.start(Buffer.from(first))
    const challenge = exchange.credentials(undefined)
    return { exchange, first, serverFirst: text(challenge) ?? '' }
  }

  it('runs to the end and fails there as a wrong password does', async () => {
    const unknown = run('nobody')
    expect(unknown.serverFirst).toMatch(/^r=abcservernonce,s=[A-Za-z0-9+/]{22}==,i=4096$/)
    const step = unknown.exchange.respond(clientFinal('sha256', 'pencil', unknown.first, unknown.serverFirst).message)
    const { exchange, serverFirst } = await login('SCRAM-SHA-256', 'sha256', 'n,,n=romeo,r=abc')
    const wrong = exchange.respond(clientFinal('sha256', 'wrong', 'n,,n=romeo,r=abc', serverFirst).message)
    expect(step).toEqual(wrong)
  })

  it('shows one salt per name and hash, however the name is written, which nobody foretells without the secret', () => {
    expect(run('nobody').serverFirst).toBe(run('NOBODY').serverFirst)
    expect(run('nobody').serverFirst).not.toBe(run('somebody').serverFirst)
    expect(run('nobody').serverFirst).not.toBe(run('nobody', 'sha').serverFirst)
    expect(run('nobody').serverFirst).not.toBe(run('nobody', 'sha256', Buffer.from('two')).serverFirst)
  })

  it('shows the salt that fakeScramKeys makes, so that a PLAIN login can work with the same keys', () => {
    const keys = fakeScramKeys(Buffer.from('one'), 'sha256', 'nobody', [4096])
    expect(run('nobody').serverFirst).toContain(`s=${keys.salt.toString('base64')},`)
    expect([keys.iterations, keys.salt.length, keys.storedKey.length, keys.serverKey.length]).toEqual([
      4096, 16, 32, 32,
    ])
  })

  it('treats an account without keys for this hash the same', () => {
    const exchange = begin('SCRAM-SHA-256')
    exchange.start(Buffer.from('n,,n=romeo,r=abc'))
    expect(text(exchange.credentials({ scram: {} }))).toMatch(/^r=abcservernonce,s=.{24},i=4096$/)
  })
})

describe('PLAIN (§3.1.5)', () => {
  it.each([
    ['\0romeo\0secret', 'romeo'],
    ['\0romeo@elsewhere\0secret', 'romeo'],
    ['romeo@example.net\0romeo\0secret', 'romeo'],
    ['Romeo@EXAMPLE.net\0romeo@x\0secret', 'romeo'],
    ['romeo\0romeo\0secret', 'romeo'],
  ])('takes %j and asks for the password to be checked', (message, username) => {
    const exchange = begin('PLAIN')
    expect(exchange.start(Buffer.from(message))).toEqual({ type: 'verify', username, password: 'secret' })
    expect(exchange.verified(true)).toEqual({ type: 'success', username })
  })

  it.each([
    ['not-authorized', '\0\0secret'],
    ['not-authorized', '\0romeo\0'],
    ['not-authorized', '\0@example.net\0secret'],
    ['invalid-authzid', 'juliet@example.net\0romeo\0secret'],
    ['invalid-authzid', 'romeo@example.com\0romeo\0secret'],
    ['invalid-authzid', 'romeo@example.net/orchard\0romeo\0secret'],
    ['invalid-authzid', 'example.net\0romeo\0secret'],
    ['invalid-authzid', '@example.net\0ro meo\0secret'],
    ['malformed-request', ''],
    ['malformed-request', 'romeo'],
    ['malformed-request', 'romeo\0secret'],
    ['malformed-request', '\0romeo\0secret\0'],
    ['malformed-request', '\0ro\u00ffmeo\0secret'],
    ['malformed-request', `\0romeo\0${'x'.repeat(9000)}`],
  ])('answers with %s to %j', (condition, message) => {
    expect(begin('PLAIN').start(Buffer.from(message, 'latin1'))).toEqual(failed(condition))
  })

  it('fails with not-authorized when the password is wrong', () => {
    const exchange = begin('PLAIN')
    exchange.start(Buffer.from('\0romeo\0wrong'))
    expect(exchange.verified(false)).toEqual(failed('not-authorized'))
  })

  it('asks with an empty challenge where <auth/> carried nothing', () => {
    const exchange = begin('PLAIN')
    expect(exchange.start()).toEqual({ type: 'challenge', data: Buffer.alloc(0) })
    expect(exchange.respond(Buffer.from('\0romeo\0secret')).type).toBe('verify')
  })
})

describe('ANONYMOUS', () => {
  it.each([undefined, '', 'trace@example.net', '\u00e9'.repeat(255)])(
    'gives the name from outside, for the trace %j',
    trace => {
      const step = begin('ANONYMOUS').start(trace === undefined ? undefined : Buffer.from(trace))
      expect(step).toEqual({ type: 'success', username: '0123456789abcdef1' })
    },
  )

  it.each([Buffer.from('x'.repeat(256)), Buffer.from([0xc3])])(
    'answers a trace that RFC 4505 forbids with malformed-request',
    trace => {
      expect(begin('ANONYMOUS').start(trace)).toEqual(failed('malformed-request'))
    },
  )
})

describe('EXTERNAL (§3.1.5, XEP-0178 §2)', () => {
  const certificate = (addresses: string[], commonName?: string) => ({ identity: { addresses, commonName } })
  const start = (authzid: string, changes: Partial<SaslContext>) =>
    begin('EXTERNAL', changes).start(Buffer.from(authzid))

  it.each([
    ['one address and no authzid', '', ['romeo@example.net'], 'romeo'],
    ['one address in capitals, which is prepared', '', ['ROMEO@EXAMPLE.NET'], 'romeo'],
    ['one address and the same as authzid', 'romeo@example.net', ['romeo@example.net'], 'romeo'],
    [
      'two addresses and one of them as authzid',
      'juliet@example.net',
      ['romeo@example.net', 'juliet@example.net'],
      'juliet',
    ],
    ['two addresses of which one is of this host', '', ['romeo@example.com', 'juliet@example.net'], 'juliet'],
    ['one address that stands there twice', '', ['romeo@example.net', 'romeo@example.net'], 'romeo'],
  ])('standard: asks about the account for %s', (_, authzid, addresses, username) => {
    expect(start(authzid, certificate(addresses))).toEqual({ type: 'identify', username })
  })

  it.each([
    ['no address', '', [], 'not-authorized'],
    ['two addresses and no authzid', '', ['romeo@example.net', 'juliet@example.net'], 'not-authorized'],
    ['an address of another host', '', ['romeo@example.com'], 'not-authorized'],
    ['a full JID', '', ['romeo@example.net/x'], 'not-authorized'],
    ['an address without a localpart', '', ['example.net'], 'not-authorized'],
    ['what is no JID', '', ['a@b@c'], 'not-authorized'],
    ['an authzid that is not among them', 'tybalt@example.net', ['romeo@example.net'], 'invalid-authzid'],
    ['an authzid on another host', 'romeo@example.com', ['romeo@example.com'], 'invalid-authzid'],
    ['a full JID as authzid', 'romeo@example.net/x', ['romeo@example.net'], 'invalid-authzid'],
    ['only a name as authzid', 'romeo', ['romeo@example.net'], 'invalid-authzid'],
    ['a NUL', 'romeo@example.net\0', ['romeo@example.net'], 'malformed-request'],
  ])('standard: refuses %s', (_, authzid, addresses, condition) => {
    expect(start(authzid, certificate(addresses))).toEqual(failed(condition))
  })

  it.each([
    ['no authzid', '', 'Romeo', { type: 'identify', username: 'romeo' }],
    ['the bare JID as authzid', 'romeo@example.net', 'romeo', { type: 'identify', username: 'romeo' }],
    ['somebody else as authzid', 'juliet@example.net', 'romeo', failed('invalid-authzid')],
    ['no common name', '', undefined, failed('not-authorized')],
    ['a common name that is no localpart', '', 'romeo@example.net', failed('not-authorized')],
  ])('common_name: with %s', (_, authzid, commonName, expected) => {
    const changes = { identitySources: ['common_name'] as const, ...certificate(['juliet@example.net'], commonName) }
    expect(start(authzid, changes)).toEqual(expected)
  })

  it.each([
    ['its own host', 'romeo@example.net', { type: 'identify', username: 'romeo' }],
    ['another host', 'romeo@example.com', failed('invalid-authzid')],
    ['no localpart', 'example.net', failed('invalid-authzid')],
    ['nobody', '', failed('not-authorized')],
  ])('auth_id: trusts an authzid of %s', (_, authzid, expected) => {
    expect(start(authzid, { identitySources: ['auth_id'], ...certificate([]) })).toEqual(expected)
  })

  it('tries the sources in order until one gives an account', () => {
    const identitySources = ['standard', 'common_name'] as const
    expect(start('', { identitySources, ...certificate(['romeo@example.net'], 'juliet') })).toMatchObject({
      username: 'romeo',
    })
    expect(start('', { identitySources, ...certificate([], 'juliet') })).toMatchObject({ username: 'juliet' })
    expect(start('', { identitySources: [], ...certificate(['romeo@example.net'], 'juliet') })).toEqual(
      failed('not-authorized'),
    )
  })

  it('succeeds and fails as the method says, and takes the authzid in a response too', () => {
    for (const isRight of [true, false]) {
      const exchange = begin('EXTERNAL', certificate(['romeo@example.net']))
      expect(exchange.start()).toEqual({ type: 'challenge', data: Buffer.alloc(0) })
      expect(exchange.respond(Buffer.alloc(0))).toEqual({ type: 'identify', username: 'romeo' })
      const last = exchange.verified(isRight)
      expect(last).toEqual(isRight ? { type: 'success', username: 'romeo' } : failed('not-authorized'))
      expect(exchange.verified(true)).toEqual(failed('malformed-request'))
    }
  })

  it('fails without a certificate', () => {
    expect(start('romeo@example.net', { identity: undefined, identitySources: ['auth_id'] })).toEqual(
      failed('not-authorized'),
    )
  })
})

describe('DIGEST-MD5 (RFC 2831)', () => {
  const values = {
    username: 'romeo',
    realm: 'example.net',
    nonce: 'servernonce',
    cnonce: 'abc',
    uri: 'xmpp/example.net',
  }
  const response = (changes: Record<string, string | undefined> = {}, password = 'pencil') => {
    const fields: Record<string, string | undefined> = {
      charset: 'utf-8',
      username: '"romeo"',
      realm: '"example.net"',
      nonce: '"servernonce"',
      cnonce: '"abc"',
      nc: '00000001',
      qop: 'auth',
      'digest-uri': '"xmpp/example.net"',
      response: digestResponse(values, password),
      ...changes,
    }
    const present = Object.entries(fields).filter(([, value]) => value !== undefined)
    return Buffer.from(present.map(([name, value]) => `${name}=${value}`).join(','))
  }
  const started = () => {
    const exchange = begin('DIGEST-MD5')
    const challenge = 'realm="example.net",nonce="servernonce",qop="auth",charset=utf-8,algorithm=md5-sess'
    expect(text(exchange.start())).toBe(challenge)
    return exchange
  }
  const stored = { scram: {}, password: 'pencil' }

  it('is computed by the test client as in the example of RFC 2831 §4', () => {
    const example = {
      username: 'chris',
      realm: 'elwood.innosoft.com',
      nonce: 'OA6MG9tEQGm2hh',
      cnonce: 'OA6MHXh6VqTrRk',
      uri: 'imap/elwood.innosoft.com',
    }
    expect(digestResponse(example, 'secret')).toBe('d388dad90d4bbd760a152321f2143af7')
    expect(digestResponse(example, 'secret', ':')).toBe('ea40f60335c427b5527b84dbabcdfffd')
  })

  it('logs in with the password, and the server proves itself before success', () => {
    const exchange = started()
    expect(exchange.respond(response())).toEqual({ type: 'lookup', username: 'romeo', hash: undefined })
    expect(text(exchange.credentials(stored))).toBe(`rspauth=${digestResponse(values, 'pencil', ':')}`)
    expect(exchange.respond(Buffer.alloc(0))).toEqual({ type: 'success', username: 'romeo' })
  })

  it('takes a response with its own authzid, which is part of the digest', () => {
    const exchange = started()
    const authzid = 'romeo@example.net'
    const digest = digestResponse({ ...values, authzid }, 'pencil')
    exchange.respond(response({ authzid: `"${authzid}"`, response: digest }))
    expect(exchange.credentials(stored).type).toBe('challenge')
  })

  it.each([
    ['the wrong password', stored, 'pencils'],
    ['no such account', undefined, 'pencil'],
    ['an account whose password is not stored', { scram: {} }, 'pencil'],
  ])('refuses %s at the same step with not-authorized', (_, found, password) => {
    const exchange = started()
    exchange.respond(response({}, password))
    expect(exchange.credentials(found)).toEqual(failed('not-authorized'))
  })

  it.each([
    ['not-authorized', 'another nonce', { nonce: '"other"' }],
    ['not-authorized', 'another realm', { realm: '"example.com"' }],
    ['not-authorized', 'another service', { 'digest-uri': '"imap/example.net"' }],
    ['not-authorized', 'another host of the service', { 'digest-uri': '"xmpp/example.com"' }],
    ['invalid-authzid', 'the authzid of somebody else', { authzid: '"juliet@example.net"' }],
    ['malformed-request', 'no nonce', { nonce: undefined }],
    ['malformed-request', 'no username', { username: undefined }],
    ['malformed-request', 'no cnonce', { cnonce: undefined }],
    ['malformed-request', 'no response', { response: undefined }],
    ['malformed-request', 'a response that is no digest', { response: 'x' }],
    ['malformed-request', 'a nonce used again', { nc: '00000002' }],
    ['malformed-request', 'another quality of protection', { qop: 'auth-conf' }],
    ['malformed-request', 'another charset', { charset: 'latin1' }],
    ['malformed-request', 'a directive that does not end', { extra: '"x' }],
    ['malformed-request', 'a directive twice', { USERNAME: '"juliet"' }],
  ])('answers with %s to %s', (condition, _, changes) => {
    expect(started().respond(response(changes))).toEqual(failed(condition))
  })

  it('begins with a challenge: what comes with <auth/> is malformed', () => {
    expect(begin('DIGEST-MD5').start(response())).toEqual(failed('malformed-request'))
  })

  it('wants nothing behind the proof', () => {
    const exchange = started()
    exchange.respond(response())
    exchange.credentials(stored)
    expect(exchange.respond(Buffer.from('x'))).toEqual(failed('malformed-request'))
  })

  it('hashes what ISO 8859-1 can write as ISO 8859-1, and reads quoted pairs (§2.1.2.1)', () => {
    const exchange = started()
    const digest = digestResponse({ ...values, username: 'romé"o' }, 'påss')
    exchange.respond(response({ username: '"romé\\"o"', response: digest }))
    expect(exchange.credentials({ scram: {}, password: 'påss' }).type).toBe('challenge')
  })
})

describe('an exchange', () => {
  it('is not begun with a mechanism that was not offered', () => {
    expect(startExchange('PLAIN', context({ offered: ['SCRAM-SHA-1'] }))).toBeUndefined()
    expect(startExchange('X-OAUTH', context({ offered: ['X-OAUTH'] }))).toBeUndefined()
    expect(startExchange('plain', context())).toBeUndefined()
  })

  it('fails with malformed-request on a call that is out of turn, and is over then', () => {
    const exchange = begin('SCRAM-SHA-1')
    expect(exchange.respond(Buffer.from('x'))).toEqual(failed('malformed-request'))
    expect(exchange.start(Buffer.from('n,,n=romeo,r=abc')).type).toBe('lookup')
    expect(exchange.respond(Buffer.from('x'))).toEqual(failed('malformed-request'))
    expect(exchange.credentials(undefined)).toEqual(failed('malformed-request'))
    expect(exchange.start()).toEqual(failed('malformed-request'))
  })

  it('does not succeed twice', () => {
    const exchange = begin('PLAIN')
    exchange.start(Buffer.from('\0romeo\0secret'))
    expect(exchange.verified(true).type).toBe('success')
    expect(exchange.verified(true)).toEqual(failed('malformed-request'))
  })

  it('does not let a client turn a failure into a success', () => {
    const exchange = begin('PLAIN')
    expect(exchange.start(Buffer.from('juliet@example.net\0romeo\0secret')).type).toBe('failure')
    expect(exchange.verified(true)).toEqual(failed('malformed-request'))
  })
})

describe('decodeBase64', () => {
  it.each([
    ['', ''],
    ['=', ''],
    ['QQ==', 'A'],
    ['QUI=', 'AB'],
    ['QUJD', 'ABC'],
  ])('decodes %j to %j', (encoded, decoded) => {
    expect(decodeBase64(encoded)?.toString()).toBe(decoded)
  })

  it.each([
    'Q',
    'QQ',
    'QQ=',
    'QR==',
    'QQ==QQ==',
    'QUJ D',
    'QUJD\n',
    ' QUJD',
    'QU-_',
    '====',
    '==',
    'QUJD=',
    '\u00e9===',
    'QUI=x',
  ])('refuses %j, which is incorrect-encoding', encoded => {
    expect(decodeBase64(encoded)).toBeUndefined()
  })
})

describe('stored keys', () => {
  const options = { hashes: ['sha', 'sha512'] as const, iterations: 100, format: 'scram' as const, salt: () => salt }

  it('are derived for each hash, and the password is kept only in the format "plain"', async () => {
    const credentials = await credentialsFor('pencil', options)
    expect(Object.keys(credentials.scram)).toEqual(['sha', 'sha512'])
    expect(credentials.scram.sha512?.storedKey).toHaveLength(64)
    expect(JSON.stringify(credentials)).not.toContain('pencil')
    expect(credentials).not.toHaveProperty('password')
    expect(await credentialsFor('pencil', { ...options, format: 'plain' })).toMatchObject({ password: 'pencil' })
  })

  it('verify the right password and no other one', async () => {
    const credentials = await credentialsFor('pencil', options)
    expect(await verifyPassword('pencil', credentials)).toBe(true)
    expect(await verifyPassword('Pencil', credentials)).toBe(false)
    expect(await verifyPassword('', credentials)).toBe(false)
    expect(await verifyPassword('\u0007\u00e9', credentials)).toBe(false)
    expect(await verifyPassword('pencil', { scram: {} })).toBe(false)
    expect(await verifyPassword('pencil', { scram: {}, password: 'pencil' })).toBe(true)
    expect(await verifyPassword('pencils', { scram: {}, password: 'pencil' })).toBe(false)
    expect(await verifyPassword('pencil', { scram: { sha256: fakeScramKeys(salt, 'sha256', 'romeo', [100]) } })).toBe(
      false,
    )
  })

  it('are the same however SASLprep finds the password written (RFC 4013 §3)', async () => {
    const keys = (password: string) => deriveScramKeys(password, 'sha256', salt, 100)
    expect(await keys('I\u00adX')).toEqual(await keys('IX'))
    expect(await keys('\u2168')).toEqual(await keys('IX'))
    expect(await keys('a\u00a0b')).toEqual(await keys('a b'))
    expect(await keys('user')).not.toEqual(await keys('USER'))
    expect(await keys('e\u0301')).toEqual(await keys('\u00e9'))
    expect(await keys('\u{1f600}')).not.toEqual(await keys('\u{1f601}'))
  })

  it.each(['', '\u0007\u00e9', '\u0627\u0031', '\u00ad'])('are not made from the password %j', async password => {
    await expect(deriveScramKeys(password, 'sha256', salt, 100)).rejects.toThrow(UnusablePassword)
  })
})

describe('what is offered', () => {
  const all: OfferInput = {
    configured: DEFAULT_MECHANISMS.filter(name => name !== 'oauth'),
    capabilities: new Set(['plain', 'scram', 'anonymous'] as const),
    hashes: ['sha', 'sha224', 'sha256', 'sha384', 'sha512'],
    isEncrypted: true,
    mayPlainInClear: false,
    channelBindings: ['tls-exporter', 'tls-server-end-point'],
    hasCertificate: false,
  }

  it('is everything, strongest first, over TLS (§2.6)', () => {
    expect(offerMechanisms(all)).toEqual({
      mechanisms: [
        'SCRAM-SHA-512-PLUS',
        'SCRAM-SHA-512',
        'SCRAM-SHA-384-PLUS',
        'SCRAM-SHA-384',
        'SCRAM-SHA-256-PLUS',
        'SCRAM-SHA-256',
        'SCRAM-SHA-224-PLUS',
        'SCRAM-SHA-224',
        'SCRAM-SHA-1-PLUS',
        'SCRAM-SHA-1',
        'PLAIN',
        'ANONYMOUS',
      ],
      channelBindings: ['tls-exporter', 'tls-server-end-point'],
    })
  })

  it('keeps the configured order', () => {
    const { mechanisms } = offerMechanisms({ ...all, configured: ['plain', 'scram_sha1', 'scram_sha256'] })
    expect(mechanisms).toEqual(['PLAIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256'])
  })

  it('holds no -PLUS and no channel-binding type without TLS, without a type, or where none is configured', () => {
    for (const input of [
      { ...all, isEncrypted: false },
      { ...all, channelBindings: [] },
      { ...all, configured: ['scram_sha256' as const] },
    ]) {
      const offer = offerMechanisms(input)
      expect(offer.mechanisms.join()).not.toContain('PLUS')
      expect(offer.mechanisms).toContain('SCRAM-SHA-256')
      expect(offer.channelBindings).toEqual([])
    }
  })

  it('holds PLAIN in clear only where the listener allows it (§3.1.5)', () => {
    const clear = { ...all, isEncrypted: false }
    expect(offerMechanisms(clear).mechanisms).not.toContain('PLAIN')
    expect(offerMechanisms({ ...clear, mayPlainInClear: true }).mechanisms).toContain('PLAIN')
  })

  it('holds SCRAM only for the stored hashes', () => {
    const { mechanisms } = offerMechanisms({ ...all, hashes: ['sha256'] })
    expect(mechanisms).toEqual(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'PLAIN', 'ANONYMOUS'])
  })

  it('holds only what a method can check', () => {
    expect(offerMechanisms({ ...all, capabilities: new Set(['plain'] as const) }).mechanisms).toEqual(['PLAIN'])
    expect(offerMechanisms({ ...all, capabilities: new Set(['anonymous'] as const) }).mechanisms).toEqual(['ANONYMOUS'])
    expect(offerMechanisms({ ...all, capabilities: new Set() }).mechanisms).toEqual([])
  })

  it('holds EXTERNAL only over TLS with a certificate of the client, and DIGEST-MD5 where passwords are plain (§2.6)', () => {
    const input = { ...all, configured: ['digest', 'external', 'plain'] as const }
    const capabilities = new Set(['plain', 'digest', 'external'] as const)
    const offered = (changes: Partial<OfferInput>) => offerMechanisms({ ...input, capabilities, ...changes }).mechanisms
    expect(offered({ hasCertificate: true })).toEqual(['DIGEST-MD5', 'EXTERNAL', 'PLAIN'])
    expect(offered({})).toEqual(['DIGEST-MD5', 'PLAIN'])
    expect(offered({ hasCertificate: true, isEncrypted: false })).toEqual(['DIGEST-MD5'])
    expect(offered({ hasCertificate: true, capabilities: new Set(['plain'] as const) })).toEqual(['PLAIN'])
  })
})
