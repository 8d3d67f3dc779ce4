import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { c2sListener } from '../../src/config/listen-xmpp.js'
import type { TestServer } from '../../src/testing.js'
import { describeOptions, keysOf, type Row, type Table } from '../support/option-table.js'
import { freePort } from '../support/programs.js'
import {
  acceptorNames,
  clientOf,
  connectionOf,
  drained,
  RawConnection,
  session,
  startedServer,
  streamHeader,
} from '../support/server.js'
import { isWithoutSs, ss } from '../support/ss.js'

/*
 * Every option of a c2s listener makes a difference that somebody outside can see: one row an option, two values, and what
 * is seen, which must differ. CI holds the generated documentation against the rows that passed (.ci/options.mjs).
 */

const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const pem = (name: string) => ({ cert: readFileSync(file(name)), key: readFileSync(file(name)) })
const on12: ConnectionOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }

const features = async (server: TestServer, tlsOptions?: ConnectionOptions) => {
  const client = await clientOf(server, tlsOptions && { tls: 'direct', tlsOptions })
  return String(await client.open())
}
/** What a client gets that shows this certificate: a stream with EXTERNAL or without, or no stream. */
const outcome = (server: TestServer, certificate: string) =>
  features(server, pem(certificate)).then(
    text => (text.includes('EXTERNAL') ? 'EXTERNAL' : 'no EXTERNAL'),
    () => 'refused',
  )
const negotiated = async (server: TestServer, tlsOptions: ConnectionOptions) => {
  const client = await clientOf(server, { tls: 'direct', tlsOptions })
  const socket = client.socket as TLSSocket // it is one with direct TLS
  return `${socket.getProtocol()} ${socket.getCipher().name}`
}
const withTls = (more: Table = {}) => ({ tls: { mode: 'tls', certfile: file('rsa'), ...more } })
const asking = (more: Table = {}) => withTls({ module: 'just_tls', verify_peer: true, cacertfile: file('ca'), ...more })
const external = { auth: { methods: ['internal', 'pki'], sasl_mechanisms: ['scram_sha1', 'external'] } }

/** Whether a stanza of so many bytes is answered. */
const takes = async (server: TestServer, bytes: number) => {
  const romeo = await session(server, 'romeo')
  await romeo.send(`<message to='romeo@localhost'><body>${'x'.repeat(bytes)}</body></message>`)
  return romeo.settled().then(
    () => 'taken',
    () => 'ended',
  )
}

const rows: readonly Row[] = [
  { option: 'port', values: [await freePort(), await freePort()], see: server => server.port },
  { option: 'ip_address', values: ['127.0.0.1', '127.0.0.2'], see: server => server.addresses[0]?.address },
  {
    option: 'ip_version',
    values: [4, 6],
    beside: { ip_address: undefined },
    see: server => server.addresses[0]?.address,
  },
  { option: 'proto', values: ['tcp', 'udp'], see: server => server.addresses.map(({ protocol }) => protocol) },
  { option: 'num_acceptors', values: [1, 3], see: server => acceptorNames(server).length },
  {
    option: 'proxy_protocol',
    values: [false, true],
    async see(server) {
      const raw = await RawConnection.open(server.port)
      await raw.send(`PROXY TCP4 192.0.2.7 127.0.0.1 4000 5222\r\n${streamHeader()}`)
      return (await raw.until(/<\/stream:(features|error)>/)).includes('features')
    },
  },
  {
    option: 'hibernate_after',
    values: [0, 60_000],
    async see(server) {
      const romeo = await session(server, 'romeo')
      await romeo.settled()
      await drained(server)
      return connectionOf(server, romeo).state
    },
  },
  { option: 'max_stanza_size', values: [500, 5_000], see: server => takes(server, 1_000) },
  {
    option: 'state_timeout',
    values: [1_000, 100_000],
    async see(server, clock) {
      const raw = await RawConnection.open(server.port)
      await raw.send(streamHeader())
      await raw.until('</stream:features>')
      await drained(server)
      clock.advance(2_000)
      await drained(server)
      return server.status().counters.streamErrors
    },
  },
  {
    option: 'max_fsm_queue',
    values: [5, 500],
    async see(server) {
      const romeo = await session(server, 'romeo')
      const held = server.internals.sessions.byFull(romeo.jid!) as unknown as { pauseStanzas(): void } // a connection actor
      held.pauseStanzas()
      for (let i = 0; i < 10; i++)
        server.route(`<message from='localhost' to='${romeo.jid}'><body>${i}</body></message>`)
      await drained(server)
      return server.status().sessions
    },
  },
  {
    option: 'access',
    values: ['all', 'none'],
    see: server =>
      session(server, 'romeo').then(
        () => 'bound',
        () => 'refused',
      ),
  },
  {
    option: 'shaper',
    values: ['none', 'everybody'],
    config: { shaper: { slow: { max_rate: 5_000 } }, access: { everybody: [{ acl: 'all', value: 'slow' }] } },
    see: async server => connectionOf(server, await session(server, 'romeo')).details.rate,
  },
  {
    option: 'zlib',
    values: [undefined, 100_000],
    see: async server => String((await session(server, 'romeo')).features).includes('compress'),
  },
  {
    option: 'tls.module',
    values: ['fast_tls', 'just_tls'],
    beside: withTls({ verify_peer: true, cacertfile: file('ca') }),
    config: external,
    see: server => outcome(server, 'client-self-signed'),
  },
  {
    option: 'tls.mode',
    values: ['starttls', 'starttls_required'],
    beside: withTls(),
    see: server => features(server),
  },
  {
    option: 'tls.certfile',
    values: [file('rsa'), file('ecdsa')],
    beside: withTls(),
    async see(server) {
      const client = await clientOf(server, { tls: 'direct' })
      return (client.socket as TLSSocket).getPeerCertificate().fingerprint256 // it is one with direct TLS
    },
  },
  {
    option: 'tls.keyfile',
    values: [file('rsa-key'), file('other-key')],
    beside: withTls({ certfile: file('rsa-certificate') }),
    mayRefuse: true,
    see: () => 'started',
  },
  {
    option: 'tls.password',
    values: ['secret', 'wrong'],
    beside: withTls({ certfile: file('rsa-encrypted') }),
    mayRefuse: true,
    see: () => 'started',
  },
  {
    option: 'tls.cacertfile',
    values: [file('ca'), file('client-self-signed')],
    beside: withTls({ verify_peer: true }),
    config: external,
    see: server => outcome(server, 'client'),
  },
  {
    option: 'tls.dhfile',
    values: [undefined, file('dh')],
    beside: withTls({ ciphers: 'DHE-RSA-AES128-GCM-SHA256', protocol_options: ['no_tlsv1_3'] }),
    async see(server) {
      const client = await clientOf(server, { tls: 'direct', tlsOptions: on12 })
      return (client.socket as TLSSocket).getEphemeralKeyInfo() // it is one with direct TLS
    },
  },
  {
    option: 'tls.verify_peer',
    values: [false, true],
    beside: withTls({ cacertfile: file('ca') }),
    config: external,
    see: server => outcome(server, 'client'),
  },
  {
    option: 'tls.protocol_options',
    values: [undefined, ['no_tlsv1_3']],
    beside: withTls(),
    see: server => negotiated(server, {}),
  },
  {
    option: 'tls.ciphers',
    values: ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256'],
    beside: withTls(),
    see: server => negotiated(server, on12),
  },
  {
    option: 'tls.versions',
    values: [['tlsv1.2'], ['tlsv1.3']],
    beside: withTls({ module: 'just_tls' }),
    see: server => negotiated(server, {}),
  },
  {
    option: 'tls.verify_mode',
    values: ['peer', 'selfsigned_peer'],
    beside: asking(),
    config: external,
    see: server => outcome(server, 'client-self-signed'),
  },
  {
    option: 'tls.disconnect_on_failure',
    values: [true, false],
    beside: asking({ verify_mode: 'peer' }),
    config: external,
    see: server => outcome(server, 'client-expired'),
  },
  {
    option: 'tls.crl_files',
    values: [undefined, [file('crl')]],
    beside: asking(),
    config: external,
    see: server => outcome(server, 'client-revoked'),
  },
]

describe('each option of [[listen.c2s]] makes a difference (§6 item 1)', () => {
  describeOptions({
    path: 'listen.c2s',
    keys: keysOf(c2sListener),
    rows,
    elsewhere: ['backlog'],
    defaults: { port: 0, ip_address: '127.0.0.1', num_acceptors: 2 },
    configOf: listener => ({ listen: { c2s: [listener] } }),
  })

  it('listen.c2s.backlog', async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const server = await startedServer({ listeners: [{ backlog: 7 }, { backlog: 9 }] })
    const lengths = server.addresses.map(({ port }) => ss('-lt', `sport = :${port}`).trim().split(/\s+/)[2])
    expect(lengths).toEqual(['7', '9'])
  })
})
