import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client, ConnectOptions } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  clientOf,
  drained,
  eventually,
  PASSWORD,
  RawConnection,
  recordedEvents,
  session,
  sharedServer,
  startedServer,
  streamHeader,
} from '../support/server.js'

const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const certfile = file('rsa')
const pem = (name: string) => ({ cert: readFileSync(file(name)), key: readFileSync(file(name)) })
const tlsOf = (client: Client) => client.socket as TLSSocket // these clients have TLS by then

type Table = Readonly<Record<string, unknown>>
const fast = (more: Table = {}): Table => ({ tls: { mode: 'tls', certfile, ...more } })
const just = (more: Table = {}): Table => fast({ module: 'just_tls', ...more })
const on12: ConnectionOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }
const on11: ConnectionOptions = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }
const on10: ConnectionOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }
const any: ConnectionOptions = { minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' }

/** Version and suite that a client and the listener agree on, with a stream in it; `none` when they do not. */
async function agreed(port: number, tlsOptions: ConnectionOptions): Promise<string> {
  let client: Client
  try {
    client = await clientOf({ port }, { tls: 'direct', tlsOptions })
  } catch {
    return 'none'
  }
  await client.open()
  return `${tlsOf(client).getProtocol()} ${tlsOf(client).getCipher().name}`
}

describe('what is negotiated', () => {
  const gcm256 = 'ECDHE-RSA-AES256-GCM-SHA384'
  const gcm128 = 'ECDHE-RSA-AES128-GCM-SHA256'
  const suite = (cipher: string, prf: string, key_exchange = 'ecdhe_rsa') => ({
    key_exchange,
    cipher,
    mac: 'aead',
    prf,
  })
  const no = (...versions: string[]) => ({ protocol_options: versions.map(version => `no_${version}`) })
  const order = { ...on12, ciphers: `${gcm128}:${gcm256}` }
  const rows: [string, Table, ConnectionOptions, RegExp][] = [
    ['protocol_options unset, a client of 1.3', fast(), any, /^TLSv1.3 /],
    ['protocol_options unset, a client of 1.2', fast(), on12, /^TLSv1.2 /],
    ['protocol_options unset, a client of 1.1', fast(), on11, /^none$/],
    ['protocol_options no_tlsv1_3', fast(no('tlsv1_3')), {}, /^TLSv1.2 /],
    ['protocol_options no_tlsv1_2, a client of 1.2', fast(no('tlsv1', 'tlsv1_1', 'tlsv1_2')), on12, /^none$/],
    ['protocol_options no_tlsv1, a client of 1.1', fast(no('tlsv1')), on11, /^TLSv1.1 /],
    ['protocol_options no_tlsv1, a client of 1.0', fast(no('tlsv1')), on10, /^none$/],
    ['protocol_options without no_tlsv1, a client of 1.0', fast(no('sslv3')), on10, /^TLSv1 /],
    [
      'protocol_options with a hole, below',
      fast(no('tlsv1', 'tlsv1_2')),
      { ...any, maxVersion: 'TLSv1.2' },
      /^TLSv1.1 /,
    ],
    ['protocol_options with a hole, above', fast(no('tlsv1', 'tlsv1_2')), any, /^TLSv1.3 /],
    [
      'protocol_options without cipher_server_preference',
      fast({ ciphers: `${gcm256}:${gcm128}` }),
      order,
      new RegExp(` ${gcm128}$`),
    ],
    [
      'protocol_options with cipher_server_preference',
      fast({ ciphers: `${gcm256}:${gcm128}`, protocol_options: ['cipher_server_preference'] }),
      order,
      new RegExp(` ${gcm256}$`),
    ],
    ['ciphers of fast_tls, one suite', fast({ ciphers: gcm128 }), on12, new RegExp(` ${gcm128}$`)],
    ['ciphers of fast_tls, another suite', fast({ ciphers: gcm256 }), on12, new RegExp(` ${gcm256}$`)],
    ['ciphers of fast_tls, which leave TLS 1.3 alone', fast({ ciphers: gcm256 }), {}, /^TLSv1.3 /],
    ['ciphers of fast_tls, TLSv1.3 alone', fast({ ciphers: 'TLSv1.3' }), on12, /^none$/],
    [
      'ciphers of just_tls, one table',
      just({ ciphers: [suite('aes_128_gcm', 'sha256')] }),
      {},
      new RegExp(` ${gcm128}$`),
    ],
    [
      'ciphers of just_tls, another',
      just({ ciphers: [suite('aes_256_gcm', 'sha384')] }),
      {},
      new RegExp(` ${gcm256}$`),
    ],
    [
      'ciphers of just_tls, a table of TLS 1.3',
      just({ ciphers: [suite('chacha20_poly1305', 'sha256', 'any')] }),
      {},
      / TLS_CHACHA20_POLY1305_SHA256$/,
    ],
    ['ciphers of just_tls, a name', just({ ciphers: [gcm256] }), {}, new RegExp(`^TLSv1.2 ${gcm256}$`)],
    [
      'ciphers of just_tls, an IANA name beside a table',
      just({ ciphers: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', suite('aes_256_gcm', 'sha384', 'any')] }),
      on12,
      new RegExp(` ${gcm128}$`),
    ],
    ['versions unset', just(), any, /^TLSv1.3 /],
    ['versions unset, a client of 1.1', just(), on11, /^none$/],
    ['versions with 1.3 alone, a client of 1.2', just({ versions: ['tlsv1.3'] }), on12, /^none$/],
    ['versions with 1.2 alone', just({ versions: ['tlsv1.2'] }), any, /^TLSv1.2 /],
    ['versions with 1.0', just({ versions: ['tlsv1', 'tlsv1.2'] }), on10, /^TLSv1 /],
    ['versions with a hole, in it', just({ versions: ['tlsv1.1', 'tlsv1.3'] }), on12, /^none$/],
    ['versions with a hole, below', just({ versions: ['tlsv1.1', 'tlsv1.3'] }), on11, /^TLSv1.1 /],
    ['versions with a hole, above', just({ versions: ['tlsv1.1', 'tlsv1.3'] }), any, /^TLSv1.3 /],
  ]
  const server = sharedServer({ listeners: rows.map(([, listener]) => listener) })

  it.each(rows.map(([name, , client, found], place) => [name, client, found, place] as const))(
    'follows %s (§1.6.1 - §1.6.3)',
    async (_name, client, found, place) => {
      expect(await agreed(server().addresses[place]!.port, client)).toMatch(found)
    },
  )
})

describe('dhfile (§1.5)', () => {
  const server = sharedServer({ listeners: [fast(), fast({ dhfile: file('dh') }), just({ dhfile: file('dh') })] })

  it.each([
    ['unset, of OpenSSL’s choice', 0, 2048],
    ['set, of its size (fast_tls)', 1, 3072],
    ['set, of its size (just_tls)', 2, 3072],
  ])('serves a client that knows only DHE: %s', async (_, place, size) => {
    const tlsOptions = { ...on12, ciphers: 'DHE-RSA-AES256-GCM-SHA384' }
    const client = await clientOf({ port: server().addresses[place]!.port }, { tls: 'direct', tlsOptions })
    await client.open()
    expect(tlsOf(client).getEphemeralKeyInfo()).toMatchObject({ type: 'DH', size })
  })
})

describe('an encrypted key (§1.5)', () => {
  const files = { certfile: file('rsa-certificate'), keyfile: file('rsa-key-encrypted') }

  it.each([['fast_tls'], ['just_tls']])('is opened by password under %s', async module => {
    const server = await startedServer({ listener: fast({ ...files, module, password: 'secret' }) })
    expect(await agreed(server.port, {})).toMatch(/^TLSv1.3 /)
    const wrong = startedServer({ listener: fast({ ...files, module, password: 'guess' }) })
    await expect(wrong).rejects.toMatchObject({ problem: 'certificate', message: expect.stringMatching(/^password: /) })
  })
})

// ---- table 1.6.4

const cacertfile = file('ca')
const peers = { cacertfile, verify_peer: true }
const certificates = ['none', 'client', 'client-self-signed', 'client-expired', 'client-other-authority'] as const
const verified: [string, Table, string[]][] = [
  ['verify_peer false', { cacertfile }, ['open', 'open', 'open', 'open', 'open']],
  ['fast_tls, verify_peer', peers, ['open', 'EXTERNAL', 'open', 'open', 'open']],
  ['just_tls, verify_peer', { module: 'just_tls', ...peers }, ['open', 'EXTERNAL', 'closed', 'closed', 'closed']],
  [
    'just_tls, peer',
    { module: 'just_tls', ...peers, verify_mode: 'peer', disconnect_on_failure: true },
    ['open', 'EXTERNAL', 'closed', 'closed', 'closed'],
  ],
  [
    'just_tls, peer, disconnect_on_failure false',
    { module: 'just_tls', ...peers, verify_mode: 'peer', disconnect_on_failure: false },
    ['open', 'EXTERNAL', 'open', 'open', 'open'],
  ],
  [
    'just_tls, selfsigned_peer',
    { module: 'just_tls', ...peers, verify_mode: 'selfsigned_peer' },
    ['open', 'EXTERNAL', 'EXTERNAL', 'closed', 'closed'],
  ],
  [
    'just_tls, selfsigned_peer, disconnect_on_failure false',
    { module: 'just_tls', ...peers, verify_mode: 'selfsigned_peer', disconnect_on_failure: false },
    ['open', 'EXTERNAL', 'EXTERNAL', 'open', 'open'],
  ],
  [
    'just_tls, none',
    { module: 'just_tls', ...peers, verify_mode: 'none' },
    ['open', 'EXTERNAL', 'EXTERNAL', 'EXTERNAL', 'EXTERNAL'],
  ],
  [
    'just_tls, none without verify_peer, which has no effect',
    { module: 'just_tls', cacertfile, verify_mode: 'none' },
    ['open', 'open', 'open', 'open', 'open'],
  ],
]
const auth = { methods: ['internal', 'pki'], sasl_mechanisms: ['external', 'scram_sha256_plus', 'scram_sha1', 'plain'] }

/** What a client with that certificate gets: EXTERNAL, a stream without it, or the end before a byte of XML. */
async function outcome(port: number, mode: 'direct' | 'starttls', name: string, tlsOptions: ConnectionOptions = {}) {
  const own = name === 'none' ? {} : pem(name)
  const connecting = clientOf({ port }, { tls: mode, tlsOptions: { ...tlsOptions, ...own } })
  // Under TLS 1.2 the server's last word in the handshake may not come any more.
  const isCut = (error: Error) => /closed the connection|disconnected before/.test(error.message)
  const client = await connecting.catch((error: Error) => (isCut(error) ? undefined : Promise.reject(error)))
  if (client === undefined) return 'closed'
  if (mode === 'starttls') {
    await client.open()
    await client.startTls()
  }
  const before = client.bytesReceived
  const features = await client.open().catch(() => undefined)
  if (features === undefined) {
    await client.closed()
    expect(client.bytesReceived - before).toBe(0)
    return 'closed'
  }
  const offered = features.getChild('mechanisms')?.getChildElements() ?? []
  return offered.some(mechanism => mechanism.getText() === 'EXTERNAL') ? 'EXTERNAL' : 'open'
}

describe('certificates of clients (§1.6.4)', () => {
  const server = sharedServer({
    users: ['romeo'],
    config: { auth },
    listeners: [
      ...verified.map(([, table]) => fast(table)),
      ...verified.map(([, table]) => fast({ ...table, mode: 'starttls' })),
    ],
  })
  const cells = verified.flatMap(([row, , found], place) =>
    certificates.map((name, column) => [row, name, place, found[column]] as const),
  )

  it.each(cells)('%s, %s', async (_row, name, place, found) => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const limits = { minVersion: version, maxVersion: version }
      expect(await outcome(server().addresses[place]!.port, 'direct', name, limits), version).toBe(found)
    }
    const starttls = server().addresses[place + verified.length]!.port
    expect(await outcome(starttls, 'starttls', name), 'starttls').toBe(found)
  })

  const withPeers = () => server().addresses[1]!.port

  it('are found on a socket that takes both IPv4 and IPv6, too', async () => {
    const own = await startedServer({ config: { auth }, listener: { ...fast(peers), ip_address: '::' } })
    expect(await outcome(own.port, 'direct', 'client')).toBe('EXTERNAL')
  })

  it('do not keep SCRAM with a channel binding from working (§3.1.5)', async () => {
    for (const [version, binding] of [
      ['TLSv1.2', 'tls-server-end-point'],
      ['TLSv1.3', 'tls-exporter'],
    ] as const) {
      const tlsOptions = { minVersion: version, maxVersion: version, ...pem('client') }
      const client = await clientOf({ port: withPeers() }, { tls: 'direct', tlsOptions })
      await client.open()
      await client.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, { binding })
      await client.open()
      await client.bind()
      await client.settled()
    }
  })

  it.each([
    ['xmpp-client', ['xmpp-client'], 'xmpp-client'],
    ['http/1.1 only', ['http/1.1'], 'http/1.1'],
    ['nothing', undefined, false],
  ])('do not change ALPN (§3.1.8): %s', async (_, offered, chosen) => {
    const tlsOptions = offered === undefined ? {} : { ALPNProtocols: offered }
    const client = await clientOf({ port: withPeers() }, { tls: 'direct', tlsOptions })
    expect(tlsOf(client).alpnProtocol).toBe(chosen)
    await client.open()
  })

  it('leave the one way out as it is: bad handshakes, silent clients and clients that go away leave nothing', async () => {
    const raw = await RawConnection.open(withPeers())
    await raw.send(streamHeader())
    expect(await raw.closed()).not.toMatch(/<|stream|xml/)
    const silent = await RawConnection.open(withPeers())
    await eventually(() => actorsOfKind(server(), 'Connection').length > 0)
    silent.socket.destroy()
    await eventually(() => actorsOfKind(server(), 'Connection').length === 0)
    expect(await outcome(withPeers(), 'direct', 'client')).toBe('EXTERNAL')
  })

  it.each([['tls'], ['starttls']])('have ten seconds like everybody else, mode %s', async mode => {
    const clock = new ManualClock()
    const own = await startedServer({ clock, listener: fast({ ...peers, mode }) })
    const raw = await RawConnection.open(own.port)
    if (mode === 'starttls') {
      await raw.send(`${streamHeader()}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
      await raw.until('<proceed')
    }
    const before = raw.text.length
    await eventually(() => actorsOfKind(own, 'Connection').length === 1)
    await drained(own)
    clock.advance(9_900)
    await drained(own)
    expect(actorsOfKind(own, 'Connection')).toHaveLength(1)
    clock.advance(300)
    expect((await raw.closed()).slice(before)).toBe('')
    await eventually(() => actorsOfKind(own, 'Connection').length === 0)
  })

  it('do not keep a server from stopping in the middle of a handshake', async () => {
    const own = await startedServer({ listener: fast(peers) })
    const raw = await RawConnection.open(own.port)
    await raw.send(Buffer.of(0x16, 0x03, 0x01, 0x02))
    await eventually(() => actorsOfKind(own, 'Connection').length === 1)
    await own.stop()
    expect(await raw.closed()).toBe('')
  })

  it('let nobody inject clear text behind STARTTLS (trap 28)', async () => {
    const client = await clientOf({ port: server().addresses[1 + verified.length]!.port })
    await client.open()
    await client.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>${streamHeader()}`)
    await client.receives('<proceed xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>')
    await client.handshake()
    await client.open()
    expect(await client.receivesNext({ within: 200 }).catch(() => 'nothing')).toBe('nothing')
  })
})

describe('crl_files (§1.5)', () => {
  const table = { module: 'just_tls', ...peers }
  const server = sharedServer({
    config: { auth },
    listeners: [fast({ ...table, crl_files: [file('crl')] }), fast(table)],
  })

  it.each([
    ['a revoked certificate', 'client-revoked', 'closed', 'EXTERNAL'],
    ['its sibling', 'client-sibling', 'EXTERNAL', 'EXTERNAL'],
    ['no certificate', 'none', 'open', 'open'],
  ])('%s: with and without a list', async (_, name, withList, without) => {
    expect(await outcome(server().addresses[0]!.port, 'direct', name)).toBe(withList)
    expect(await outcome(server().addresses[1]!.port, 'direct', name)).toBe(without)
  })

  it('refuse whoever’s authority has no list among them', async () => {
    const other = await startedServer({
      config: { auth },
      listener: fast({ ...table, cacertfile: file('chain'), crl_files: [file('crl')] }),
    })
    expect(await outcome(other.port, 'direct', 'client')).toBe('closed')
  })
})

describe('what a start refuses (§1.5)', () => {
  it.each([
    ['cacertfile', { cacertfile: file('nothing') }, /^cacertfile: .*nothing\.pem: there is no such file/],
    ['dhfile', { dhfile: file('rsa') }, /^dhfile: .*rsa\.pem: holds no PEM Diffie-Hellman/],
    ['crl_files', { module: 'just_tls', crl_files: [file('crl'), file('ca')] }, /^crl_files: .*ca\.pem: holds no PEM/],
    ['keyfile', { keyfile: file('other-key') }, /^keyfile: .*other-key\.pem: the private key does not belong/],
  ])('a bad %s, naming it and the file', async (_, table, message) => {
    await expect(startedServer({ listener: fast(table) })).rejects.toMatchObject({
      problem: 'certificate',
      message: expect.stringMatching(message),
    })
  })

  it.each([
    ['ciphers', { ciphers: 'NO-SUCH' }],
    ['protocol_options', { protocol_options: ['no_tlsv1', 'no_tlsv1_1', 'no_tlsv1_2', 'no_tlsv1_3'] }],
    ['versions', { module: 'just_tls', versions: ['tlsv1.2'], ciphers: ['TLS_AES_128_GCM_SHA256'] }],
  ])('%s that leave nothing to negotiate', async (key, table) => {
    await expect(startedServer({ listener: fast(table) })).rejects.toMatchObject({
      problems: [{ path: `listen.c2s[0].tls.${key}`, code: 'incorrect_value' }],
    })
  })
})

// ---- sessions that are resumed

/** A session of TLS that a later connection may present, as the last word of the server on it. */
async function sessionOf(
  port: number,
  options: Partial<ConnectOptions>,
): Promise<{ ticket: Buffer; isReused: boolean }> {
  const client = await clientOf({ port }, options)
  let ticket: Buffer | undefined
  if (options.tls === 'starttls') {
    await client.open()
    await client.startTls()
  }
  tlsOf(client).on('session', latest => {
    ticket = latest
  })
  // TLS 1.3 has it ride behind the handshake, so before what comes then.
  await client.open()
  const isReused = tlsOf(client).isSessionReused()
  const last = ticket ?? tlsOf(client).getSession()
  client.drop()
  if (last === undefined) throw new Error('the client has no session')
  return { ticket: last, isReused }
}

describe('session tickets (§1.6.1)', () => {
  const off = { protocol_options: ['no_tlsv1', 'no_tlsv1_1', 'no_ticket'] }
  const tables: [string, Table, boolean][] = [
    ['fast_tls', {}, true],
    ['fast_tls, no_ticket', off, false],
    ['just_tls', { module: 'just_tls' }, true],
    ['fast_tls, verify_peer', peers, true],
    ['fast_tls, verify_peer, no_ticket', { ...peers, ...off }, false],
  ]
  const server = sharedServer({
    config: { auth },
    listeners: [
      ...tables.map(([, table]) => fast(table)),
      ...tables.map(([, table]) => fast({ ...table, mode: 'starttls' })),
    ],
  })

  const cases = tables.flatMap(([name, , isOn], place) =>
    (['TLSv1.2', 'TLSv1.3'] as const).map(version => [name, version, place, isOn] as const),
  )
  it.each(cases)('%s, %s: what one connection got another one resumes, or not', async (_, version, place, isOn) => {
    for (const [tls, port] of [
      ['direct', server().addresses[place]!.port],
      ['starttls', server().addresses[place + tables.length]!.port],
    ] as const) {
      const limits = { minVersion: version, maxVersion: version, ...pem('client') }
      const first = await sessionOf(port, { tls, tlsOptions: limits })
      expect(first.isReused).toBe(false)
      const second = await sessionOf(port, { tls, tlsOptions: { ...limits, session: first.ticket } })
      expect(second.isReused, tls).toBe(isOn)
    }
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'keep what was found out about the client’s certificate, %s',
    async version => {
      const port = server().addresses[3]!.port
      const limits = { minVersion: version, maxVersion: version }
      for (const [name, found] of [
        ['client', 'EXTERNAL'],
        ['client-expired', 'open'],
        ['none', 'open'],
      ] as const) {
        const own = name === 'none' ? {} : pem(name)
        const { ticket } = await sessionOf(port, { tls: 'direct', tlsOptions: { ...limits, ...own } })
        // The ticket alone says who the client is.
        expect(await outcome(port, 'direct', 'none', { ...limits, session: ticket }), name).toBe(found)
      }
    },
  )

  it('are of no use at another listener', async () => {
    const tlsOptions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const
    const { ticket } = await sessionOf(server().addresses[0]!.port, { tls: 'direct', tlsOptions })
    const other = await sessionOf(server().addresses[2]!.port, {
      tls: 'direct',
      tlsOptions: { ...tlsOptions, session: ticket },
    })
    expect(other.isReused).toBe(false)
  })
})

// ---- new certificates while the server runs

describe('reloadCertificates, which SIGHUP asks for (§1.5)', () => {
  /** A server whose certificate is a copy that the test may replace. */
  async function replaceable(more: Table = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const own = join(folder, 'server.pem')
    copyFileSync(certfile, own)
    const events = recordedEvents()
    const listener = fast({ certfile: own, ...more })
    const server = await startedServer({ users: ['romeo'], config: { auth }, events, listener })
    return { server, own, events }
  }
  const served = async (server: TestServer, tlsOptions: ConnectionOptions = {}) => {
    const client = await clientOf(server, { tls: 'direct', tlsOptions })
    await client.open()
    return tlsOf(client).getPeerX509Certificate()?.fingerprint256
  }

  it.each([
    ['without certificates of clients', {}],
    ['with them', peers],
  ])('new handshakes get the new certificate and old connections live on, %s', async (_, more) => {
    const { server, own, events } = await replaceable(more)
    const old = await session(server, 'romeo', { tls: 'direct' })
    const before = await served(server)
    // Half way in: the handshake is done, the login is to come.
    const between = await clientOf(server, { tls: 'direct', tlsOptions: on12 })
    await between.open()
    copyFileSync(file('ecdsa'), own)
    expect(await served(server)).toBe(before)
    await server.reloadCertificates()
    expect(await served(server)).not.toBe(before)
    await old.settled()
    // Each is bound to the certificate that it got.
    await between.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, { binding: 'tls-server-end-point' })
    const after = await clientOf(server, { tls: 'direct', tlsOptions: on12 })
    await after.open()
    await after.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, { binding: 'tls-server-end-point' })
    expect(events.records.map(({ name }) => name).filter(name => name.startsWith('certificate.'))).toEqual([
      'certificate.reloaded',
    ])
  })

  it('a file that is no good changes nothing and is told of, and a good one later is taken', async () => {
    const { server, own, events } = await replaceable()
    const before = await served(server)
    for (const bad of ['', 'rubbish', readFileSync(file('mismatch'), 'utf8')]) {
      writeFileSync(own, bad)
      await server.reloadCertificates()
      expect(await served(server)).toBe(before)
    }
    const told = events.records.filter(({ name }) => name === 'certificate.refused')
    expect(told).toHaveLength(3)
    expect(told[0]).toMatchObject({ fields: { error: expect.stringContaining(own) } })
    copyFileSync(file('ecdsa'), own)
    await server.reloadCertificates()
    expect(await served(server)).not.toBe(before)
  })

  it('reads revocation lists again too, and nobody gets around them with an old ticket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const authority = join(folder, 'ca.pem')
    copyFileSync(file('ca'), authority)
    const server = await startedServer({ config: { auth }, listener: just({ ...peers, cacertfile: authority }) })
    const tlsOptions = { ...on12, ...pem('client') }
    const { ticket } = await sessionOf(server.port, { tls: 'direct', tlsOptions })
    expect(await outcome(server.port, 'direct', 'client', { ...on12, session: ticket })).toBe('EXTERNAL')
    copyFileSync(file('chain'), authority)
    await server.reloadCertificates()
    expect(await outcome(server.port, 'direct', 'client', { ...on12, session: ticket })).toBe('closed')
  })

  it('two at once end with the newest files', async () => {
    const { server, own } = await replaceable()
    copyFileSync(file('ecdsa'), own)
    const first = server.reloadCertificates()
    copyFileSync(file('ecdsa-sha384'), own)
    await Promise.all([first, server.reloadCertificates()])
    const wanted = await startedServer({ listener: fast({ certfile: file('ecdsa-sha384') }) })
    expect(await served(server)).toBe(await served(wanted))
  })
})
