import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { RawConnection, recordedEvents, type Setup, sharedServer, startedServer } from '../support/server.js'

const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const certfile = file('rsa')

type Table = Readonly<Record<string, unknown>>

const secure = (tls: Table, more: Partial<Setup> = {}): Setup => {
  const handlers = { meerkat_health: [{ host: '_' }] }
  const http = [
    { port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 }, tls: { certfile, ...tls }, handlers },
  ]
  return { ...more, config: { listen: { http } } }
}
const portOf = ({ addresses }: TestServer) => addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0

interface Answer {
  status: number
  version: string
  suite: string
  until: string
}

/** One request over a connection of its own. */
function ask(port: number, options: ConnectionOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { port, host: '127.0.0.1', agent: false, rejectUnauthorized: false, ...options },
      response => {
        const socket = response.socket as TLSSocket // of a request over TLS
        const answer = {
          status: response.statusCode ?? 0,
          version: socket.getProtocol() ?? '',
          suite: socket.getCipher().name,
          until: socket.getPeerX509Certificate()?.validTo ?? '',
        }
        response.resume().once('end', () => resolve(answer))
      },
    )
    asked.once('error', reject).end()
  })
}

/** Version and suite, or `none` when there is no connection. */
const agreed = (port: number, options: ConnectionOptions) =>
  ask(port, options).then(
    ({ version, suite }) => `${version} ${suite}`,
    () => 'none',
  )

const only = (version: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): ConnectionOptions => ({
  minVersion: version,
  maxVersion: version,
  ciphers: 'ALL:@SECLEVEL=0',
})

describe('HTTPS', () => {
  const server = sharedServer(secure({}))

  it('HT-1: answers https to a client that trusts the authority, and says nothing to plain HTTP', async () => {
    const trusting = { ca: readFileSync(certfile), rejectUnauthorized: true, servername: 'localhost' }
    expect(await ask(portOf(server()), trusting)).toMatchObject({ status: 200, version: 'TLSv1.3' })
    const raw = await RawConnection.open(portOf(server()))
    await raw.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await raw.closed()).not.toContain('HTTP/')
  })

  it('HT-1: a listener without TLS does not answer https', async () => {
    const { addresses } = await startedServer({
      config: {
        listen: { http: [{ port: 0, ip_address: '127.0.0.1', handlers: { meerkat_health: [{ host: '_' }] } }] },
      },
    })
    expect(await agreed(addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0, {})).toBe('none')
  })
})

describe('HT-2: certificate and key', () => {
  const parted = { certfile: file('rsa-certificate'), keyfile: file('rsa-key-encrypted') }

  it('keyfile and password open the key', async () => {
    const plain = await startedServer(secure({ certfile: file('rsa-certificate'), keyfile: file('rsa-key') }))
    expect((await ask(portOf(plain))).status).toBe(200)
    const encrypted = await startedServer(secure({ ...parted, password: 'secret' }))
    expect((await ask(portOf(encrypted))).status).toBe(200)
  })

  it.each([
    ['a wrong password', { ...parted, password: 'guess' }, /^password: /],
    ['no password', parted, /^password: /],
    ['a file that is missing', { certfile: file('nowhere') }, /^certfile: /],
    ['a key of somebody else', { certfile: file('rsa-certificate'), keyfile: file('other-key') }, /^keyfile: /],
    ['a cacertfile that is none', { cacertfile: file('rsa-key') }, /^cacertfile: /],
    ['a dhfile that is none', { dhfile: file('rsa') }, /^dhfile: /],
  ])('%s keeps the server from starting, with the name of the option', async (_what, tls, message) => {
    await expect(startedServer(secure(tls))).rejects.toMatchObject({
      problem: 'certificate',
      message: expect.stringMatching(message),
    })
  })
})

describe('HT-3, HT-4: certificates of clients', () => {
  const certificates = [
    'none',
    'client',
    'client-self-signed',
    'client-self-signed-expired',
    'client-expired',
    'client-other-authority',
  ] as const
  const peers = { cacertfile: file('ca'), verify_peer: true }
  const rows: [string, Table, boolean[]][] = [
    ['verify_peer false', { cacertfile: file('ca') }, [true, true, true, true, true, true]],
    ['no verify_mode', peers, [false, true, false, false, false, false]],
    ['peer', { ...peers, verify_mode: 'peer' }, [false, true, false, false, false, false]],
    ['selfsigned_peer', { ...peers, verify_mode: 'selfsigned_peer' }, [false, true, true, false, false, false]],
    ['none', { ...peers, verify_mode: 'none' }, [true, true, true, true, true, true]],
  ]

  it.each(rows)('%s', async (_row, tls, found) => {
    const port = portOf(await startedServer(secure(tls)))
    for (const [column, name] of certificates.entries()) {
      const own = name === 'none' ? {} : { cert: readFileSync(file(name)), key: readFileSync(file(name)) }
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const answer = await agreed(port, { ...own, minVersion: version, maxVersion: version })
        expect(answer !== 'none', `${name} ${version}`).toBe(found[column])
      }
    }
  })

  it('HT-3: verify_peer in mode peer needs a cacertfile', async () => {
    await expect(startedServer(secure({ verify_peer: true }))).rejects.toThrow(/cacertfile/)
  })
})

describe('what is negotiated', () => {
  const suite = (cipher: string, prf: string, key_exchange = 'ecdhe_rsa') => ({
    key_exchange,
    cipher,
    mac: 'aead',
    prf,
  })
  const gcm256 = 'ECDHE-RSA-AES256-GCM-SHA384'
  const gcm128 = 'ECDHE-RSA-AES128-GCM-SHA256'

  it.each([
    ['unset', {}, { 'TLSv1.1': false, 'TLSv1.2': true, 'TLSv1.3': true }],
    ['tlsv1.2', { versions: ['tlsv1.2'] }, { 'TLSv1.1': false, 'TLSv1.2': true, 'TLSv1.3': false }],
    ['tlsv1.3', { versions: ['tlsv1.3'] }, { 'TLSv1.2': false, 'TLSv1.3': true }],
    [
      'with a gap',
      { versions: ['tlsv1', 'tlsv1.3'] },
      { TLSv1: true, 'TLSv1.1': false, 'TLSv1.2': false, 'TLSv1.3': true },
    ],
  ])('HT-6: versions %s', async (_what, tls, found) => {
    const port = portOf(await startedServer(secure(tls)))
    for (const [version, isServed] of Object.entries(found)) {
      const answer = await agreed(port, only(version as keyof typeof found & 'TLSv1.2'))
      expect(answer.startsWith(`${version} `), version).toBe(isServed)
    }
  })

  it('HT-7: ciphers are exactly those, in the order of the listener', async () => {
    const ciphers = [suite('aes_256_gcm', 'sha384'), suite('aes_128_gcm', 'sha256')]
    const port = portOf(await startedServer(secure({ ciphers })))
    const on12 = (list: string): ConnectionOptions => ({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: list })
    expect(await agreed(port, on12(`${gcm128}:${gcm256}`))).toBe(`TLSv1.2 ${gcm256}`)
    expect(await agreed(port, on12(gcm128))).toBe(`TLSv1.2 ${gcm128}`)
    expect(await agreed(port, on12('ECDHE-RSA-CHACHA20-POLY1305'))).toBe('none')
    // Without a suite of TLS 1.3 there is no TLS 1.3.
    expect(await agreed(port, { minVersion: 'TLSv1.3' })).toBe('none')
  })

  it('HT-7: "any" is the suite of TLS 1.3, by its own name as well', async () => {
    for (const ciphers of [[suite('aes_256_gcm', 'sha384', 'any')], ['TLS_AES_256_GCM_SHA384']]) {
      const port = portOf(await startedServer(secure({ ciphers })))
      expect(await agreed(port, {})).toBe('TLSv1.3 TLS_AES_256_GCM_SHA384')
      expect(await agreed(port, { maxVersion: 'TLSv1.2' })).toBe('none')
    }
  })

  it('HT-7: a combination that is no suite is refused', async () => {
    const ciphers = [suite('aes_256_gcm', 'sha256')]
    await expect(startedServer(secure({ ciphers }))).rejects.toThrow(/ciphers/)
  })

  it('dhfile serves a client that knows only DHE, with its group', async () => {
    const port = portOf(await startedServer(secure({ dhfile: file('dh') })))
    const dhe: ConnectionOptions = { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES256-GCM-SHA384' }
    expect(await agreed(port, dhe)).toBe('TLSv1.2 DHE-RSA-AES256-GCM-SHA384')
  })
})

describe('reading the files again', () => {
  it('serves the new certificate to new connections, and keeps the old one where the new is no good', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-https-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const changing = join(folder, 'server.pem')
    copyFileSync(file('rsa'), changing)
    const events = recordedEvents()
    const server = await startedServer(secure({ certfile: changing }, { events }))
    const before = await ask(portOf(server), { maxVersion: 'TLSv1.2' })
    copyFileSync(file('ecdsa'), changing)
    await server.reloadCertificates()
    const after = await ask(portOf(server), { maxVersion: 'TLSv1.2' })
    expect(before.suite).toContain('RSA')
    expect(after.suite).toContain('ECDSA')
    copyFileSync(file('rsa-key-encrypted'), changing)
    await server.reloadCertificates()
    expect((await ask(portOf(server), { maxVersion: 'TLSv1.2' })).suite).toContain('ECDSA')
    expect(events.records.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['certificate.reloaded', 'certificate.refused']),
    )
  })
})
