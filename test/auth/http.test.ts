import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { boundedDerivations } from '../../src/auth/derivations.js'
import { httpMethod } from '../../src/auth/http.js'
import { authHttpPool } from '../../src/auth/http-pool.js'
import { iterationCounts } from '../../src/auth/iteration-counts.js'
import { auth } from '../../src/config/auth.js'
import { outgoingPools } from '../../src/config/outgoing-pools.js'
import { type Clock, systemClock } from '../../src/observability/clock.js'
import { deriveScramKeys, verifyPassword } from '../../src/protocols/sasl/scram-keys.js'
import { ManualClock } from '../support/clock.js'

const host = 'montague.example'
const certificate = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)

interface Asked {
  path: string
  query: Record<string, string>
  authorization: string | undefined
}
type Answer = string | number | 'silence' | [status: number, body: string]

/** A back end that answers each method as `answers` says: a body, a status, or both. */
async function service(answers: Record<string, Answer>, isSecure = false) {
  const asked: Asked[] = []
  const listener: http.RequestListener = (request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    const { authorization } = request.headers
    asked.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), authorization })
    const answer = answers[url.pathname.split('/').at(-1) ?? ''] ?? 404
    if (answer === 'silence') return
    const [status, body] = Array.isArray(answer) ? answer : typeof answer === 'number' ? [answer, ''] : [200, answer]
    response.writeHead(status).end(body)
  }
  const pem = readFileSync(certificate('rsa'))
  const server = isSecure ? https.createServer({ key: pem, cert: pem }, listener) : http.createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const stop = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  onTestFinished(stop)
  const { port } = server.address() as AddressInfo // it listens on a port
  return { asked, stop, url: `${isSecure ? 'https' : 'http'}://localhost:${port}`.replace('localhost', '127.0.0.1') }
}

interface Setup {
  settings?: object
  connection?: object
  clock?: Clock
}

function method(url: string, { settings = {}, connection = {}, clock = systemClock }: Setup = {}) {
  const pools = outgoingPools.parse({ http: { auth: { connection: { host: url, ...connection } } } })
  const pool = authHttpPool(pools, host, clock)
  onTestFinished(() => pool.stop())
  const config = auth.parse({ methods: ['http'], ...settings })
  const counts = iterationCounts(10_000)
  const derivations = boundedDerivations()
  return { ...httpMethod({ host, config, pool, derivations, secret: Buffer.from('s'), counts, clock }), counts }
}

const plain = { password: { format: 'plain' } }

describe('method http with plain passwords (§2.6)', () => {
  it('asks check_password with user, server and pass, below the prefix of the pool, with basic_auth', async () => {
    const { url, asked } = await service({ check_password: 'true' })
    const settings = { ...plain, http: { basic_auth: 'meerkat:secret' } }
    const { verify } = method(url, { settings, connection: { path_prefix: '/api' } })
    expect(await verify?.('romeo', 'a&b=c d:é')).toBe(true)
    expect(asked).toEqual([
      {
        path: '/api/check_password',
        query: { user: 'romeo', server: host, pass: 'a&b=c d:é' },
        authorization: `Basic ${Buffer.from('meerkat:secret').toString('base64')}`,
      },
    ])
  })

  it.each<[string, Answer]>([
    ['false', 'false'],
    ['something else', 'yes'],
    ['nothing', 204],
    ['400', 400],
    ['401', [401, 'true']],
    ['403', 403],
    ['404', [404, 'true']],
  ])('lets nobody in whose check the service answers with %s', async (_, answer) => {
    const { url } = await service({ check_password: answer })
    expect(await method(url, { settings: plain }).verify?.('romeo', 'x')).toBe(false)
  })

  it('takes an answer with white space around it', async () => {
    const { url } = await service({ check_password: 'true\n' })
    expect(await method(url, { settings: plain }).verify?.('romeo', 'x')).toBe(true)
  })

  it.each<[string, Answer]>([
    ['500', 500],
    ['503', [503, 'true']],
    ['a redirection', 302],
    ['more than an answer holds', 'x'.repeat(70_000)],
  ])('is unavailable where the service answers with %s', async (_, answer) => {
    const { url } = await service({ check_password: answer })
    await expect(method(url, { settings: plain }).verify?.('romeo', 'x')).rejects.toMatchObject({
      name: 'BackEndUnavailable',
    })
  })

  it('is unavailable while the service is down, and works again when it is back', async () => {
    const { url, stop } = await service({ check_password: 'true' })
    const { verify } = method(url, { settings: plain })
    expect(await verify?.('romeo', 'x')).toBe(true)
    await stop()
    await expect(verify?.('romeo', 'x')).rejects.toMatchObject({ name: 'BackEndUnavailable' })
    const again = http.createServer((_, response) => response.end('true'))
    await new Promise<void>(resolve => again.listen(Number(new URL(url).port), '127.0.0.1', resolve))
    onTestFinished(() => void again.close(), 1000)
    expect(await verify?.('romeo', 'x')).toBe(true)
    again.closeAllConnections()
  })

  it('asks again where the service has closed a connection that rested', async () => {
    const used = new WeakSet<object>()
    let closed = 0
    const server = http.createServer((request, response) => {
      if (!used.has(request.socket)) response.end('true')
      else {
        closed += 1
        request.socket.destroy()
      }
      used.add(request.socket)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close().closeAllConnections())
    const { port } = server.address() as AddressInfo // it listens on a port
    const { verify } = method(`http://127.0.0.1:${port}`, { settings: plain })
    for (let time = 0; time < 3; time += 1) expect(await verify?.('romeo', 'x')).toBe(true)
    expect(closed).toBeGreaterThan(0)
  })

  it('is unavailable when request_timeout passes without an answer', async () => {
    const { url, asked } = await service({ check_password: 'silence' })
    const clock = new ManualClock()
    const login = method(url, { settings: plain, connection: { request_timeout: 700 }, clock }).verify?.('romeo', 'x')
    const outcome = expect(login).rejects.toThrow('no answer within 700 ms')
    await expect.poll(() => asked.length).toBe(1)
    clock.advance(700)
    await outcome
    expect(clock.pending).toBe(0)
  })

  it('does not ask again after the time limit, on a connection that was used before', async () => {
    const { url, asked } = await service({ check_password: 'silence', user_exists: 'true' })
    const clock = new ManualClock(1)
    const { verify, exists } = method(url, { settings: plain, clock })
    expect(await exists('romeo')).toBe(true)
    const outcome = expect(verify?.('romeo', 'x')).rejects.toThrow('no answer within')
    await expect.poll(() => asked.length).toBe(2)
    clock.advance(2_000)
    await outcome
    expect(await exists('juliet')).toBe(true)
    expect(asked.map(({ path }) => path)).toEqual(['/user_exists', '/check_password', '/user_exists'])
  })

  it('gives SCRAM the keys of the password that get_password tells: the same at each login', async () => {
    const { url } = await service({ get_password: 'pencil' })
    const { credentials } = method(url, { settings: plain })
    const [one, two] = [await credentials?.('romeo', 'sha256'), await credentials?.('romeo', 'sha256')]
    expect(one?.scram.sha256?.iterations).toBe(10_000)
    expect(one).toEqual(two)
    expect(one).not.toHaveProperty('password')
    expect(await verifyPassword('pencil', one ?? { scram: {} })).toBe(true)
  })

  it('gives DIGEST-MD5 the password itself', async () => {
    const { url } = await service({ get_password: 'pencil' })
    const { credentials, capabilities } = method(url, { settings: plain })
    expect(capabilities).toContain('digest')
    expect(await credentials?.('romeo', undefined)).toEqual({ scram: {}, password: 'pencil' })
  })

  it('has no keys for who is not there', async () => {
    const { url } = await service({ get_password: 404 })
    expect(await method(url, { settings: plain }).credentials?.('romeo', 'sha256')).toBeUndefined()
  })
})

describe('method http with keys (§2.6)', () => {
  const serialised = async (hash: 'sha' | 'sha256', iterations: number) => {
    const salt = Buffer.from('0123456789abcdef')
    const keys = await deriveScramKeys('pencil', hash, salt, iterations)
    return [salt, keys.storedKey, keys.serverKey].map(part => part.toString('base64'))
  }

  it.each([
    [
      'of MongooseIM 4',
      ([s, k, v]: string[], [, k2, v2]: string[]) =>
        `==MULTI_SCRAM==,${s},4096,===SHA1===${k}|${v},==SHA256==${k2}|${v2}`,
    ],
    [
      'of later versions',
      ([s, k, v]: string[], [, k2, v2]: string[]) =>
        `==MULTI_SCRAM==,4096,===SHA1===${s}|${k}|${v},==SHA256==${s}|${k2}|${v2}`,
    ],
  ])('reads several hashes in the form %s, for PLAIN and for SCRAM', async (_, form) => {
    const { url } = await service({
      get_password: form(await serialised('sha', 4096), await serialised('sha256', 4096)),
    })
    const { verify, credentials, counts, capabilities } = method(url)
    expect(capabilities).not.toContain('digest')
    expect(await verify?.('romeo', 'pencil')).toBe(true)
    expect(await verify?.('romeo', 'pencils')).toBe(false)
    const found = await credentials?.('romeo', 'sha256')
    expect(Object.keys(found?.scram ?? {})).toEqual(['sha', 'sha256'])
    expect(counts.seen).toEqual([10_000, 4096])
  })

  it('reads the form with SHA-1 alone', async () => {
    const [salt, stored, server] = await serialised('sha', 100)
    const { url } = await service({ get_password: `==SCRAM==,${stored},${server},${salt},100` })
    expect(await method(url).verify?.('romeo', 'pencil')).toBe(true)
  })

  it.each([
    '==SCRAM==',
    '==SCRAM==,AAAA,AAAA,AAAA,1',
    '==MULTI_SCRAM==,4096',
    '==MULTI_SCRAM==,x,===SHA1===a|b|c',
    '==MULTI_SCRAM==,99999999,===SHA1===a|b|c',
    '',
  ])('has no keys from %j', async text => {
    const { url } = await service({ get_password: text })
    expect(await method(url).credentials?.('romeo', 'sha')).toBeUndefined()
  })

  it('lets a service check passwords that hands nothing out', async () => {
    const { url } = await service({ get_password: 404, check_password: 'true' })
    expect(await method(url).verify?.('romeo', 'x')).toBe(true)
  })
})

describe('what else method http asks', () => {
  it('takes a certificate that get_certs lists, and no other', async () => {
    const mine = new X509Certificate(readFileSync(certificate('ed25519')))
    const list = `${readFileSync(certificate('rsa-certificate'))}\n${mine.toString()}`
    const { url } = await service({ get_certs: list })
    const { identify } = method(url)
    expect(await identify?.('romeo', mine)).toBe(true)
    expect(await identify?.('romeo', new X509Certificate(readFileSync(certificate('ecdsa'))))).toBe(false)
    const { url: none } = await service({ get_certs: '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----' })
    expect(await method(none).identify?.('romeo', mine)).toBe(false)
    const { url: nobody } = await service({})
    expect(await method(nobody).identify?.('romeo', mine)).toBe(false)
  })

  it('asks user_exists, and remembers the answer for 30 seconds', async () => {
    const { url, asked } = await service({ user_exists: 'true' })
    const clock = new ManualClock(1)
    const { exists } = method(url, { clock })
    expect(await exists('romeo')).toBe(true)
    expect(exists('romeo')).toBe(true)
    clock.advance(30_001)
    expect(exists('romeo')).toBeInstanceOf(Promise)
    await exists('romeo')
    expect(asked.every(({ path }) => path === '/user_exists')).toBe(true)
  })

  it('speaks TLS, and verifies the service only with tls.verify_peer', async () => {
    const { url } = await service({ check_password: 'true' }, true)
    const withTls = (tls: object) => method(url, { settings: plain, connection: { tls } }).verify?.('romeo', 'x')
    expect(await withTls({})).toBe(true)
    await expect(withTls({ verify_peer: true })).rejects.toMatchObject({ name: 'BackEndUnavailable' })
    expect(await withTls({ versions: ['tlsv1.2'] })).toBe(true)
  })

  it('fails the start where the pool cannot serve', () => {
    const pools = (pool: object) => outgoingPools.parse({ http: { auth: pool } })
    const make = (pool: object) => () => authHttpPool(pools(pool), host, systemClock)
    expect(make({ connection: { host: 'no url' } })).toThrow(/is no URL/)
    expect(make({ connection: { host: 'ftp://x' } })).toThrow(/is no URL/)
    expect(make({ connection: { host: 'https://x', tls: { cacertfile: '/nowhere' } } })).toThrow(
      /cacertfile cannot be read/,
    )
    expect(make({ scope: 'single_host', host: 'other.example', connection: { host: 'http://x' } })).toThrow(
      /is not there/,
    )
    expect(() => authHttpPool(outgoingPools.parse({}), host, systemClock)).toThrow(/is not there/)
  })
})
