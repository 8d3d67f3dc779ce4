import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { loadConfigOrThrow } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'
import { createServer } from '../../src/server.js'
import type { TestServer } from '../../src/testing.js'
import { Client, LoginRefused } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import {
  clientOf,
  eventually,
  PASSWORD,
  recordedEvents,
  type Setup,
  session,
  startedServer,
} from '../support/server.js'

const certificate = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)

async function opened(server: { port: number }, options: Parameters<typeof clientOf>[1] = {}): Promise<Client> {
  const client = await clientOf(server, options)
  await client.open()
  return client
}

/** 'success', or the condition of the failure. */
async function outcome(client: Client, ...login: Parameters<Client['authenticate']>): Promise<string> {
  try {
    await client.authenticate(...login)
    return 'success'
  } catch (error) {
    if (error instanceof LoginRefused) return error.condition
    throw error
  }
}

const offered = (client: Client) =>
  client.features
    ?.getChild('mechanisms')
    ?.getChildren('mechanism')
    .map(mechanism => mechanism.getText())

/** A back end of method http: the passwords of its users. */
async function service(passwords: Record<string, string>) {
  const server = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
    const known = passwords[searchParams.get('user') ?? '']
    if (pathname === '/get_password') response.writeHead(known === undefined ? 404 : 200).end(known)
    else if (pathname === '/user_exists') response.end(String(known !== undefined))
    else response.end(String(known !== undefined && known === searchParams.get('pass')))
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const stop = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise(resolve => server.close(resolve))
  }
  await listen(0)
  onTestFinished(stop)
  const { port } = server.address() as AddressInfo // it listens on a port
  return { url: `http://127.0.0.1:${port}`, stop, listenAgain: () => listen(port) }
}

const withPool = (url: string, auth: object): NonNullable<Setup['config']> => ({
  auth: { methods: ['http'], ...auth },
  outgoing_pools: { http: { auth: { connection: { host: url } } } },
})

describe('method http (§2.6)', () => {
  it('logs in by PLAIN, SCRAM and DIGEST-MD5, and refuses what the service does not know', async () => {
    const { url } = await service({ romeo: PASSWORD })
    const auth = { password: { format: 'plain' }, sasl_mechanisms: ['digest', 'scram_sha256', 'plain'] }
    const server = await startedServer({ config: withPool(url, auth) })
    expect(offered(await opened(server))).toEqual(['DIGEST-MD5', 'SCRAM-SHA-256', 'PLAIN'])
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'DIGEST-MD5']) {
      const client = await session(server, 'romeo', { mechanism })
      await client.settled()
      expect(await outcome(await opened(server), mechanism, 'romeo', 'wrong')).toBe('not-authorized')
      expect(await outcome(await opened(server), mechanism, 'nobody', PASSWORD)).toBe('not-authorized')
    }
  })

  it('answers temporary-auth-failure while the service is down, and tells once; the stream goes on (§3.1.5)', async () => {
    const { url, stop, listenAgain } = await service({ romeo: PASSWORD })
    const events = recordedEvents()
    const server = await startedServer({ events, config: withPool(url, { password: { format: 'plain' } }) })
    await stop()
    const client = await opened(server)
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-1']) {
      expect(await outcome(client, mechanism, 'romeo', PASSWORD)).toBe('temporary-auth-failure')
    }
    expect(events.records.filter(({ name }) => name === 'auth.backendFailed').map(({ fields }) => fields)).toEqual([
      { host: 'localhost', method: 'http', error: 'ECONNREFUSED' },
    ])
    await listenAgain()
    expect(await outcome(client, 'PLAIN', 'romeo', PASSWORD)).toBe('success')
    expect(events.records.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('refuses a message to somebody whom only the service could know while it is down, and nothing breaks', async () => {
    const { url, stop } = await service({})
    await stop()
    const events = recordedEvents()
    const server = await startedServer({ users: [], events, config: withPool(url, { methods: ['internal', 'http'] }) })
    await server.internals.store.accounts.create('romeo', 'localhost', { scram: {}, password: PASSWORD })
    const client = await session(server, 'romeo', { mechanism: 'PLAIN' })
    await client.send("<message to='nobody@localhost' type='chat' id='1'><body>x</body></message>")
    await client.receives(
      "<message type='error' id='1'><error><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    )
    expect(events.records.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('fails the start where the pool is for another host', async () => {
    const pool = { scope: 'single_host', host: 'other.example', connection: { host: 'http://127.0.0.1:1' } }
    const config = {
      general: { hosts: ['localhost', 'other.example'] },
      auth: { methods: ['http'] },
      outgoing_pools: { http: { auth: pool } },
    }
    await expect(startedServer({ config })).rejects.toThrow(/method http of localhost needs/)
  })
})

describe('method jwt (§2.6)', () => {
  it('takes a token of more than 1 023 bytes as the password of PLAIN, and nothing else', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const secret = { value: publicKey.export({ type: 'spki', format: 'pem' }) }
    const jwt = { secret, algorithm: 'RS256', username_key: 'sub' }
    const server = await startedServer({ config: { auth: { methods: ['jwt'], jwt } } })
    const token = (claims: object) =>
      new SignJWT({ sub: 'romeo', scope: 'x'.repeat(1_000), ...claims })
        .setProtectedHeader({ alg: 'RS256' })
        .sign(privateKey)
    const client = await opened(server)
    expect(offered(client)).toEqual(['PLAIN'])
    expect(await outcome(client, 'PLAIN', 'romeo', await token({ exp: 1 }))).toBe('not-authorized')
    expect(await outcome(client, 'PLAIN', 'juliet', await token({}))).toBe('not-authorized')
    expect(await outcome(client, 'PLAIN', 'romeo', await token({}))).toBe('success')
  })
})

describe('method external (§2.6)', () => {
  it('logs in whom the program knows, and the program ends with the server', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-auth-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'auth.cjs')
    const pidFile = join(folder, 'pid')
    writeFileSync(
      file,
      `require('node:fs').writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))
      process.stdin.on('data', data => {
        const isRight = data.subarray(2).toString() === 'auth:romeo:localhost:${PASSWORD}'
        process.stdout.write(Buffer.from([0, 2, 0, isRight ? 1 : 0]))
      })`,
    )
    const external = { program: `${process.execPath} ${file}` }
    const server = await startedServer({ config: { auth: { methods: ['external'], external } } })
    const client = await opened(server)
    expect(await outcome(client, 'PLAIN', 'romeo', 'wrong')).toBe('not-authorized')
    expect(await outcome(client, 'PLAIN', 'romeo', PASSWORD)).toBe('success')
    const pid = Number(readFileSync(pidFile, 'utf8'))
    expect(process.kill(pid, 0)).toBe(true)
    await server.stop()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  it('answers temporary-auth-failure where the program cannot be started', async () => {
    const events = recordedEvents()
    const external = { program: '/nowhere/at/all', instances: 2 }
    const server = await startedServer({ events, config: { auth: { methods: ['external'], external } } })
    expect(await outcome(await opened(server), 'PLAIN', 'romeo', PASSWORD)).toBe('temporary-auth-failure')
    expect(events.records.filter(({ name }) => name === 'auth.backendFailed')).toHaveLength(2)
  })
})

describe('method dummy (§2.6)', () => {
  it('logs anybody in, half a second of the clock later at most', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ clock, config: { auth: { methods: ['dummy'] } } })
    const client = await opened(server)
    const waiting = clock.pending
    const login = outcome(client, 'PLAIN', 'anybody', 'anything')
    await eventually(() => clock.pending > waiting)
    clock.advance(500)
    expect(await login).toBe('success')
  })
})

describe('DIGEST-MD5 of accounts that the store keeps (RFC 2831)', () => {
  it('is on offer only where passwords are stored plain, and logs in', async () => {
    const sasl_mechanisms = ['scram_sha1', 'digest']
    const config = (password: object) => ({ auth: { sasl_mechanisms, password } })
    const plain = await startedServer({ users: ['romeo'], config: config({ format: 'plain' }) })
    const client = await session(plain, 'romeo', { mechanism: 'DIGEST-MD5' })
    await client.settled()
    const refused = await opened(plain)
    expect(await outcome(refused, 'DIGEST-MD5', 'romeo', 'wrong')).toBe('not-authorized')
    expect(await outcome(refused, 'DIGEST-MD5', 'nobody', PASSWORD)).toBe('not-authorized')
    expect(await outcome(refused, 'DIGEST-MD5', 'romeo', PASSWORD, { authzid: 'juliet@localhost' })).toBe(
      'invalid-authzid',
    )
    const hashed = await startedServer({ config: config({ format: 'scram' }) })
    expect(offered(await opened(hashed))).toEqual(['SCRAM-SHA-1'])
  })
})

describe('auth of a host (§2.7)', () => {
  it('overrides methods, mechanisms and anonymous one by one, and replaces the rest as a whole', async () => {
    const auth = { methods: ['anonymous'], sasl_mechanisms: ['anonymous', 'plain'], anonymous: { protocol: 'both' } }
    const jwt = { secret: { value: 'x' }, algorithm: 'HS256', username_key: 'sub' }
    const object = {
      general: { hosts: ['localhost', 'anonymous.example', 'jwt.example'] },
      auth: { methods: ['internal'], max_failed_logins: 1 },
      host_config: [
        { host: 'anonymous.example', auth },
        { host: 'jwt.example', auth: { methods: ['jwt'], jwt } },
      ],
      listen: { c2s: [{ port: 0, ip_address: '127.0.0.1' }] },
    }
    const { config } = loadConfigOrThrow({ object, folder: import.meta.dirname }, { modules })
    const started = await createServer(config, { inMemory: true })
    onTestFinished(() => started.stop())
    const server = { port: started.addresses[0]?.port ?? 0 }
    expect(offered(await opened(server))).toContain('SCRAM-SHA-1')
    const guest = await opened(server, { domain: 'anonymous.example' })
    expect(offered(guest)).toEqual(['ANONYMOUS', 'PLAIN'])
    expect(await outcome(guest, 'PLAIN', 'romeo', 'anything')).toBe('success')
    const bearer = await opened(server, { domain: 'jwt.example' })
    expect(offered(bearer)).toEqual(['PLAIN'])
    // The limit of failures is replaced too: by its default.
    for (let time = 0; time < 2; time += 1) {
      expect(await outcome(bearer, 'PLAIN', 'romeo', PASSWORD)).toBe('not-authorized')
    }
  })
})

describe('mechanisms of which none can work (trap 41)', () => {
  it('are left out of the features, and a warning says so when the server starts', async () => {
    const events = recordedEvents()
    const server = await startedServer({
      events,
      config: { auth: { methods: ['pki'], sasl_mechanisms: ['external'] } },
    })
    const client = await opened(server)
    expect(client.features?.getChild('mechanisms')).toBeUndefined()
    const warnings = events.records.filter(({ name }) => name === 'config.warning').map(({ fields }) => fields.text)
    expect(warnings).toEqual([
      'nobody can log in to localhost: none of sasl_mechanisms works here with the methods ["pki"]',
    ])
  })

  it('are warned of on no listener where some can', async () => {
    const events = recordedEvents()
    await startedServer({ events })
    expect(events.records.filter(({ name }) => name === 'config.warning')).toEqual([])
  })
})

describe('failed logins (auth.max_failed_logins, auth.failed_login_window)', () => {
  const limited = async (max_failed_logins: number, more: Partial<Setup> = {}) => {
    const clock = new ManualClock()
    const events = recordedEvents()
    const auth = { max_failed_logins, failed_login_window: 60, password: { hash: ['sha'] } }
    const server = await startedServer({ users: ['romeo', 'juliet'], clock, events, config: { auth }, ...more })
    return { clock, events, server }
  }

  /** A login whose failure the clock has to let out. */
  async function failing(clock: ManualClock, client: Client, ...login: Parameters<Client['authenticate']>) {
    const before = clock.pending
    const result = outcome(client, ...login)
    await eventually(() => clock.pending > before)
    clock.advance(3_000)
    return result
  }

  /** A client from another address of this machine. */
  async function fromAddress(server: TestServer, localAddress: string): Promise<Client> {
    const socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress })
    await once(socket, 'connect')
    const client = new Client(socket, { port: server.port })
    onTestFinished(() => client.drop())
    await client.open()
    return client
  }

  it.each(['PLAIN', 'SCRAM-SHA-1'])('takes time by %s, in which others log in', async mechanism => {
    const { clock, server } = await limited(10)
    const client = await opened(server)
    const before = clock.pending
    let answer = ''
    const failure = outcome(client, mechanism, 'romeo', 'wrong').then(condition => {
      answer = condition
    })
    await eventually(() => clock.pending > before)
    await (await session(server, 'juliet')).settled()
    clock.advance(99)
    await (await session(server, 'romeo')).settled()
    expect(answer).toBe('')
    clock.advance(1)
    await failure
    expect(answer).toBe('not-authorized')
  })

  it('shut the account out from there only: temporary-auth-failure without asking the store, also for the right password', async () => {
    const { clock, events, server } = await limited(2)
    const client = await opened(server)
    expect(await failing(clock, client, 'PLAIN', 'romeo', 'wrong')).toBe('not-authorized')
    expect(await failing(clock, client, 'SCRAM-SHA-1', 'ROMEO', 'wrong')).toBe('not-authorized')
    const asked = vi.spyOn(server.internals.store.accounts, 'credentials')
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-1']) {
      expect(await outcome(client, mechanism, 'romeo', PASSWORD)).toBe('temporary-auth-failure')
    }
    expect(asked).not.toHaveBeenCalled()
    expect(server.status().counters.loginsThrottled).toBe(2)
    expect(events.records.filter(({ name }) => name === 'auth.blocked').map(({ fields }) => fields)).toEqual([
      { address: '127.0.0.1', host: 'localhost', user: 'romeo' },
    ])
    expect(await outcome(await opened(server), 'PLAIN', 'juliet', PASSWORD)).toBe('success')
    expect(await outcome(await fromAddress(server, '127.0.0.2'), 'PLAIN', 'romeo', PASSWORD)).toBe('success')
    clock.advance(60_000)
    expect(await outcome(await opened(server), 'PLAIN', 'romeo', PASSWORD)).toBe('success')
  })

  it('count for names that nobody has as for others', async () => {
    const { clock, server } = await limited(1)
    const client = await opened(server)
    expect(await failing(clock, client, 'PLAIN', 'nobody', 'wrong')).toBe('not-authorized')
    expect(await outcome(client, 'PLAIN', 'nobody', 'wrong')).toBe('temporary-auth-failure')
  })

  it('are not counted for what is no guess', async () => {
    const { server } = await limited(1)
    const client = await opened(server)
    expect(await outcome(client, 'PLAIN', 'romeo', PASSWORD, { authzid: 'juliet@localhost' })).toBe('invalid-authzid')
    expect(await outcome(client, 'PLAIN', 'romeo', '')).toBe('not-authorized')
    expect(await outcome(client, 'PLAIN', 'romeo', PASSWORD)).toBe('success')
  })

  it('let no more guesses through that are made at once', async () => {
    const { clock, server } = await limited(3)
    const clients = await Promise.all(Array.from({ length: 8 }, () => opened(server)))
    const guesses = clients.map(client => outcome(client, 'PLAIN', 'romeo', 'wrong'))
    await eventually(() => server.status().counters.loginsThrottled === 5)
    clock.advance(3_000)
    const conditions = await Promise.all(guesses)
    expect(conditions.filter(condition => condition === 'not-authorized')).toHaveLength(3)
    expect(conditions.filter(condition => condition === 'temporary-auth-failure')).toHaveLength(5)
  })
})

describe('SASL EXTERNAL (§3.1.5, XEP-0178)', () => {
  const setup = (auth: object = {}): Setup => ({
    listener: {
      tls: {
        mode: 'tls',
        certfile: certificate('rsa'),
        verify_peer: true,
        cacertfile: certificate('ca'),
      },
    },
    config: { auth: { methods: ['pki', 'internal'], sasl_mechanisms: ['external', 'plain'], ...auth } },
  })
  const secured = (server: TestServer, name?: string) => {
    const pem = name === undefined ? undefined : readFileSync(certificate(name))
    return opened(server, { tls: 'direct', tlsOptions: pem === undefined ? {} : { cert: pem, key: pem } })
  }

  it('logs in who the certificate names, and nobody else', async () => {
    const server = await startedServer(setup())
    const client = await secured(server, 'client')
    expect(offered(client)).toEqual(['EXTERNAL', 'PLAIN'])
    expect(await outcome(client, 'EXTERNAL', '', '', { authzid: 'juliet@localhost' })).toBe('invalid-authzid')
    expect(await outcome(client, 'EXTERNAL')).toBe('success')
    await client.open()
    expect(await client.bind('x')).toBe('romeo@localhost/x')
    const other = await secured(server, 'client')
    expect(await outcome(other, 'EXTERNAL', '', '', { authzid: 'romeo@localhost' })).toBe('success')
  })

  it('is not on offer without a certificate that counts', async () => {
    const server = await startedServer(setup())
    expect(offered(await secured(server))).toEqual(['PLAIN'])
    const clear = await startedServer({
      config: { auth: { methods: ['pki', 'internal'], sasl_mechanisms: ['external', 'plain'] } },
    })
    expect(offered(await opened(clear))).toEqual(['PLAIN'])
  })

  it('needs a method that agrees', async () => {
    const server = await startedServer(setup({ methods: ['internal'] }))
    expect(offered(await secured(server, 'client'))).toEqual(['PLAIN'])
  })

  it('finds the identity where auth.sasl_external says', async () => {
    const server = await startedServer(setup({ sasl_external: ['auth_id'] }))
    const client = await secured(server, 'client')
    expect(await outcome(client, 'EXTERNAL')).toBe('not-authorized')
    expect(await outcome(client, 'EXTERNAL', '', '', { authzid: 'tybalt@localhost' })).toBe('success')
  })
})
