import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAuthenticator, type HostAuth, serverSecret } from '../../src/auth/authenticate.js'
import { certificateIdentity } from '../../src/auth/certificate-identity.js'
import { authHttpPool } from '../../src/auth/http-pool.js'
import { auth } from '../../src/config/auth.js'
import { outgoingPools } from '../../src/config/outgoing-pools.js'
import { scramHashes } from '../../src/protocols/sasl/scram-keys.js'
import { openSqliteStore } from '../../src/storage/sqlite/index.js'
import { ManualClock } from '../support/clock.js'

const host = 'montague.example'
const certificate = (name: string) =>
  new X509Certificate(readFileSync(join(import.meta.dirname, `../support/certificates/${name}.pem`)))

/** An authenticator with these settings over a store that may have been used with others before. */
async function authenticator(settings: object, shared?: Awaited<ReturnType<typeof openSqliteStore>>, url?: string) {
  const store = shared ?? (await openSqliteStore({ file: ':memory:' }))
  if (shared === undefined) onTestFinished(() => store.close())
  const clock = new ManualClock(1)
  const config: HostAuth = auth.parse({ methods: ['internal'], scram_iterations: 16, ...settings })
  const failures: string[] = []
  const made = createAuthenticator({
    store,
    hosts: new Map([[host, config]]),
    secret: await serverSecret(store),
    clock,
    httpPool: served =>
      authHttpPool(outgoingPools.parse({ http: { auth: { connection: { host: url } } } }), served, clock),
    onBackEndFailure: (served, method, reason) => failures.push(`${served} ${method} ${reason}`),
  })
  onTestFinished(() => made.stop())
  return { auth: made, store, clock, failures }
}

const jwt = { secret: { value: 'shared' }, algorithm: 'HS256', username_key: 'sub' }
const token = (sub: string) => new SignJWT({ sub }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from('shared'))

describe('capabilities (§2.6)', () => {
  it.each([
    [{ methods: ['internal'], password: { format: 'plain' } }, ['digest', 'plain', 'scram']],
    [{ methods: ['internal'], password: { format: 'plain', hash: ['sha'] } }, ['plain', 'scram']],
    [{ methods: ['pki'] }, ['external']],
    [{ methods: ['dummy'] }, ['plain']],
    [{ methods: ['jwt'], jwt }, ['plain']],
    [{ methods: ['http'] }, ['external', 'plain', 'scram']],
    [{ methods: ['http'], password: { format: 'plain' } }, ['digest', 'external', 'plain', 'scram']],
    [{ methods: ['jwt', 'pki', 'anonymous'], jwt }, ['anonymous', 'external', 'plain']],
  ])('with %j are %j', async (settings, expected) => {
    const { auth } = await authenticator(settings, undefined, 'http://127.0.0.1:1')
    expect([...auth.sasl(host).capabilities].sort()).toEqual(expected)
  })
})

describe('the methods of a host', () => {
  it('are asked in order until one says yes', async () => {
    const { auth } = await authenticator({ methods: ['internal', 'jwt'], jwt })
    await auth.create('romeo', host, 'wherefore')
    expect(await auth.verify('romeo', host, 'wherefore')).toBe(true)
    expect(await auth.verify('romeo', host, await token('romeo'))).toBe(true)
    expect(await auth.verify('romeo', host, await token('juliet'))).toBe(false)
    expect(await auth.verify('juliet', host, await token('juliet'))).toBe(true)
  })

  it('let another decide when one is down; it counts only where no other says yes, and is told once', async () => {
    const { auth, failures } = await authenticator(
      { methods: ['http', 'jwt'], jwt, password: { format: 'plain' } },
      undefined,
      'http://127.0.0.1:1',
    )
    expect(await auth.verify('romeo', host, await token('romeo'))).toBe(true)
    await expect(auth.verify('romeo', host, 'wrong')).rejects.toMatchObject({ name: 'BackEndUnavailable' })
    expect(failures).toEqual([`${host} http ECONNREFUSED`])
    await expect(auth.credentials('romeo', host, 'sha')).rejects.toMatchObject({ name: 'BackEndUnavailable' })
    await expect(auth.exists('romeo', host)).rejects.toMatchObject({ name: 'BackEndUnavailable' })
  })

  it('give SCRAM the keys of the first that has some', async () => {
    const back = http.createServer((_, response) => response.end('pencil'))
    await new Promise<void>(resolve => back.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void back.close())
    const { port } = back.address() as AddressInfo // it listens on a port
    const settings = { methods: ['internal', 'http'] }
    const { auth } = await authenticator(settings, undefined, `http://127.0.0.1:${port}`)
    await auth.create('romeo', host, 'wherefore')
    expect((await auth.credentials('romeo', host, 'sha'))?.scram.sha?.iterations).toBe(16)
    expect((await auth.credentials('juliet', host, 'sha'))?.scram.sha?.iterations).toBe(10_000)
    back.closeAllConnections()
  })

  it('keep a name that one of them knows from being made an account', async () => {
    const back = http.createServer((request, response) => response.end(String(request.url?.includes('user=romeo'))))
    await new Promise<void>(resolve => back.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void back.close())
    const { port } = back.address() as AddressInfo // it listens on a port
    const { auth } = await authenticator({ methods: ['internal', 'http'] }, undefined, `http://127.0.0.1:${port}`)
    expect(await auth.create('romeo', host, 'mine now')).toBe('exists')
    expect(await auth.create('juliet', host, 'x')).toBe('created')
    back.closeAllConnections()
    const everybody = await authenticator({ methods: ['internal', 'jwt', 'pki'], jwt })
    expect(await everybody.auth.create('romeo', host, 'x')).toBe('created')
  })

  it('of pki agree to every certificate, and those of internal to none', async () => {
    const { auth } = await authenticator({ methods: ['pki'] })
    expect(await auth.identify('romeo', host, certificate('rsa-certificate'))).toBe(true)
    expect(await auth.identify('romeo', 'capulet.example', certificate('rsa-certificate'))).toBe(false)
    expect(auth.exists('anybody', host)).toBe(true)
    expect(await auth.verify('romeo', host, 'x')).toBe(false)
    const internal = await authenticator({})
    expect(await internal.auth.identify('romeo', host, certificate('rsa-certificate'))).toBe(false)
  })

  it('of dummy take every password after 50 to 500 milliseconds of the clock', async () => {
    const { auth, clock } = await authenticator({ methods: ['dummy'] })
    let answers = 0
    const asked = Array.from({ length: 20 }, async () => {
      expect(await auth.verify('anybody', host, 'anything')).toBe(true)
      answers += 1
    })
    await expect.poll(() => clock.pending).toBe(20)
    clock.advance(49)
    await Promise.resolve()
    expect(answers).toBe(0)
    clock.advance(451)
    await Promise.all(asked)
    expect(auth.exists('anybody', host)).toBe(true)
  })

  it('let nobody take a name anonymously that another may know', async () => {
    const anonymous = { protocol: 'both', allow_multiple_connections: true }
    const { auth } = await authenticator({ methods: ['jwt', 'anonymous'], jwt, anonymous })
    expect(await auth.verify('romeo', host, 'anything')).toBe(false)
  })
})

describe('a change of auth.password and auth.scram_iterations', () => {
  const stored = async (changes: object, settings: object = {}) => {
    const first = await authenticator(settings)
    await first.auth.create('romeo', host, 'wherefore')
    const { auth } = await authenticator(changes, first.store)
    const before = await first.store.accounts.credentials('romeo', host)
    expect(await auth.verify('romeo', host, 'wrong')).toBe(false)
    expect(await first.store.accounts.credentials('romeo', host)).toEqual(before)
    expect(await auth.verify('romeo', host, 'wherefore')).toBe(true)
    const after = await first.store.accounts.credentials('romeo', host)
    expect(await auth.verify('romeo', host, 'wherefore')).toBe(true)
    expect(await first.store.accounts.credentials('romeo', host)).toEqual(after)
    return { before, after, auth }
  }

  it('reaches an account at its next login by PLAIN: other iterations', async () => {
    const { before, after } = await stored({ scram_iterations: 32 })
    expect(Object.keys(after?.scram ?? {})).toEqual(Object.keys(scramHashes))
    expect(Object.values(after?.scram ?? {}).map(({ iterations }) => iterations)).toEqual([32, 32, 32, 32, 32])
    expect(after?.scram.sha?.salt).not.toEqual(before?.scram.sha?.salt)
  })

  it('reaches an account at its next login by PLAIN: other hashes', async () => {
    const { after } = await stored({ password: { hash: ['sha256', 'sha512'] } })
    expect(Object.keys(after?.scram ?? {})).toEqual(['sha256', 'sha512'])
    const more = await stored({}, { password: { hash: ['sha'] } })
    expect(Object.keys(more.after?.scram ?? {})).toHaveLength(5)
  })

  it('reaches an account at its next login by PLAIN: plain, and away from it', async () => {
    const { after } = await stored({ password: { format: 'plain' } })
    expect(after?.password).toBe('wherefore')
    const away = await stored({}, { password: { format: 'plain' } })
    expect(away.before?.password).toBe('wherefore')
    expect(away.after).not.toHaveProperty('password')
  })

  it('changes nothing where nothing changed', async () => {
    const { before, after } = await stored({})
    expect(after).toEqual(before)
  })

  it('does not undo a password that was set while the old one was stored anew', async () => {
    const first = await authenticator({})
    await first.auth.create('romeo', host, 'old')
    const { auth } = await authenticator({ scram_iterations: 40_000 }, first.store)
    // The new password is asked for while keys of the old one are derived, and derived behind them.
    const [login, change] = await Promise.all([
      auth.verify('romeo', host, 'old'),
      auth.setPassword('romeo', host, 'new'),
    ])
    expect([login, change]).toEqual([true, 'changed'])
    expect(await auth.verify('romeo', host, 'new')).toBe(true)
    expect(await auth.verify('romeo', host, 'old')).toBe(false)
  })

  it('does not undo a password that was set while the old one was checked', async () => {
    const { store, auth: first } = await authenticator({})
    await first.create('romeo', host, 'old')
    const config: HostAuth = auth.parse({ methods: ['internal'], scram_iterations: 32 })
    let isFirst = true
    const second = createAuthenticator({
      store,
      hosts: new Map([[host, config]]),
      secret: await serverSecret(store),
      async derivations(work) {
        if (isFirst) {
          isFirst = false
          await second.setPassword('romeo', host, 'new')
        }
        return work()
      },
    })
    expect(await second.verify('romeo', host, 'old')).toBe(true)
    expect(await second.verify('romeo', host, 'old')).toBe(false)
    expect(await second.verify('romeo', host, 'new')).toBe(true)
  })

  it('does not tell accounts from before it: names that nobody has show the old count too', async () => {
    const first = await authenticator({})
    await first.auth.create('romeo', host, 'x')
    const { auth } = await authenticator({ scram_iterations: 32 }, first.store)
    expect(auth.sasl(host).iterations).toEqual([32])
    await auth.start()
    expect(auth.sasl(host).iterations).toEqual([32, 16])
  })
})

describe('what a certificate says of its owner', () => {
  it('is its xmppAddr and its common name (RFC 6120 §13.7.1.4)', () => {
    expect(certificateIdentity(certificate('client'))).toEqual({ addresses: ['romeo@localhost'], commonName: 'romeo' })
    expect(certificateIdentity(certificate('rsa-certificate'))).toEqual({ addresses: [], commonName: 'localhost' })
    expect(certificateIdentity(certificate('ecdsa'))).toMatchObject({ addresses: [] })
  })
})
