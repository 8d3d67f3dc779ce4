import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jwtMethod } from '../../src/auth/jwt.js'
import { auth } from '../../src/config/auth.js'
import { resolveJwtSecrets } from '../../src/config/jwt-secret.js'
import { loadConfig } from '../../src/config/load.js'
import { ManualClock } from '../support/clock.js'

const clock = new ManualClock()
const now = Math.floor(clock.wall() / 1000)

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
const keys = { ES256: ec('P-256'), ES384: ec('P-384'), ES512: ec('P-521') }
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()

const method = (algorithm: string, value: string) =>
  jwtMethod(auth.parse({ jwt: { secret: { value }, algorithm, username_key: 'user' } }).jwt!, clock)

const token = (payload: JWTPayload, algorithm: string, key: Uint8Array | KeyObject) =>
  new SignJWT(payload).setProtectedHeader({ alg: algorithm }).sign(key)

const shared = Buffer.from('a secret of the two of us')

describe('method jwt (§2.6)', () => {
  it.each(['HS256', 'HS384', 'HS512', 'HS386'])('takes a token signed by %s', async algorithm => {
    const { verify } = method(algorithm, shared.toString())
    const signed = await token({ user: 'romeo' }, algorithm.replace('386', '384'), shared)
    expect(await verify?.('romeo', signed)).toBe(true)
    expect(await verify?.('romeo', await token({ user: 'romeo' }, 'HS256', Buffer.from('another secret')))).toBe(false)
  })

  it.each(['RS256', 'RS384', 'RS512', 'RS386'])('takes a token signed by %s', async algorithm => {
    const { verify } = method(algorithm, pem(rsa.publicKey))
    const signed = await token({ user: 'romeo' }, algorithm.replace('386', '384'), rsa.privateKey)
    expect(await verify?.('romeo', signed)).toBe(true)
  })

  it.each(['ES256', 'ES384', 'ES512', 'ES386'])('takes a token signed by %s', async algorithm => {
    const name = algorithm.replace('386', '384') as keyof typeof keys
    const { verify } = method(algorithm, pem(keys[name].publicKey))
    expect(await verify?.('romeo', await token({ user: 'romeo' }, name, keys[name].privateKey))).toBe(true)
  })

  it('prepares the name in the token (RFC 7622 §3.3)', async () => {
    const { verify } = method('HS256', shared.toString())
    expect(await verify?.('romeo', await token({ user: 'ROMEO' }, 'HS256', shared))).toBe(true)
  })

  it.each<[string, JWTPayload]>([
    ['of somebody else', { user: 'juliet' }],
    ['without the claim', { name: 'romeo' }],
    ['whose claim is no text', { user: ['romeo'] }],
    ['whose claim is no localpart', { user: 'ro meo' }],
    ['that has expired', { user: 'romeo', exp: now }],
    ['that counts only later', { user: 'romeo', nbf: now + 1 }],
    ['that was issued in the future', { user: 'romeo', iat: now + 1 }],
    ['whose times are none', { user: 'romeo', exp: 'later' as never }],
    ['that was issued at no time', { user: 'romeo', iat: 'now' as never }],
  ])('refuses a token %s', async (_, payload) => {
    const { verify } = method('HS256', shared.toString())
    expect(await verify?.('romeo', await token(payload, 'HS256', shared))).toBe(false)
  })

  it('takes one whose times are kept', async () => {
    const { verify } = method('HS256', shared.toString())
    const times = { iat: now, nbf: now, exp: now + 1 }
    expect(await verify?.('romeo', await token({ user: 'romeo', ...times }, 'HS256', shared))).toBe(true)
  })

  it.each([
    ['alg none', () => new UnsecuredJWT({ user: 'romeo' }).encode()],
    [
      'another algorithm, with the public key as shared secret',
      () => token({ user: 'romeo' }, 'HS256', Buffer.from(pem(rsa.publicKey))),
    ],
    ['the right algorithm and another length', () => token({ user: 'romeo' }, 'RS512', rsa.privateKey)],
    ['nothing at all', () => ''],
    ['no token', () => 'wherefore'],
    ['three parts of rubbish', () => 'a.b.c'],
  ])('refuses %s', async (_, made) => {
    const { verify } = method('RS256', pem(rsa.publicKey))
    expect(await verify?.('romeo', await made())).toBe(false)
  })

  it('knows everybody, since whoever signs the tokens does', () => {
    expect(method('HS256', 'x').exists('anybody')).toBe(true)
  })
})

describe('auth.jwt.secret', () => {
  it('is read from a file, and one that is not there fails the start', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-jwt-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'key.pem')
    const config = { algorithm: 'RS256', username_key: 'user', secret: { file } } as const
    expect(() => jwtMethod(config, clock)).toThrow(/auth\.jwt\.secret cannot be read/)
    writeFileSync(file, pem(rsa.publicKey))
    const { verify } = jwtMethod(config, clock)
    expect(await verify?.('romeo', await token({ user: 'romeo' }, 'RS256', rsa.privateKey))).toBe(true)
  })

  it.each([
    ['RS256', 'no key', /is no public key in PEM/],
    ['RS256', pem(keys.ES256.publicKey), /does not fit RS256/],
    ['RS256', pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), /does not fit RS256/],
    ['ES256', pem(keys.ES384.publicKey), /does not fit ES256/],
    ['ES256', pem(rsa.publicKey), /does not fit ES256/],
  ])('for %s fails the start with what cannot serve', (algorithm, value, message) => {
    expect(() => method(algorithm, value)).toThrow(message)
  })

  it('comes from a variable of the environment, globally and per host; one that is not set is a fault', () => {
    const jwt = (env: unknown) => ({ auth: { jwt: { secret: { env } } } })
    const data = { ...jwt('KEY'), host_config: [{ host: 'x' }, jwt('OTHER')] }
    expect(resolveJwtSecrets(data, { KEY: 'one', OTHER: 'two' })).toEqual([])
    expect(data.auth.jwt.secret).toEqual({ value: 'one' })
    expect(data.host_config[1]).toEqual({ auth: { jwt: { secret: { value: 'two' } } } })
    expect(resolveJwtSecrets({ host_config: [jwt('KEY')] }, { KEY: '' })).toEqual([
      {
        path: ['host_config', 0, 'auth', 'jwt', 'secret', 'env'],
        code: 'incorrect_value',
        message: 'the variable KEY is not set',
      },
    ])
    expect(resolveJwtSecrets(jwt(5), {})).toEqual([])
  })
})

describe('auth.jwt.secret.env in a configuration', () => {
  const object = {
    general: { hosts: ['localhost'] },
    auth: { methods: ['jwt'], jwt: { secret: { env: 'KEY' }, algorithm: 'HS256', username_key: 'sub' } },
  }
  const read = (env: Record<string, string>) => loadConfig({ object, folder: '/' }, { modules: [], env })

  it('is the value of the variable when the server starts', () => {
    expect(read({ KEY: 'one' }).config?.auth.jwt?.secret).toEqual({ value: 'one' })
  })

  it('is a problem at its place where the variable is not set', () => {
    expect(read({}).problems.map(({ path, message }) => [path, message])).toEqual([
      ['auth.jwt.secret.env', 'the variable KEY is not set'],
    ])
  })
})
