import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createServer, type TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { s2sListener } from '../../src/config/listen-xmpp.js'
import { s2s } from '../../src/config/s2s.js'
import { dialbackKey } from '../../src/protocols/dialback.js'
import type { TestServer } from '../../src/testing.js'
import { connect } from '../support/client.js'
import type { ManualClock } from '../support/clock.js'
import { type NameServer, nameServer, type Zone } from '../support/dns.js'
import { describeOptions, keysOf, listenerRows, type Row } from '../support/option-table.js'
import { freePort } from '../support/programs.js'
import { RemoteServer, serverHeader } from '../support/remote-server.js'
import { actorsOfKind, drained, eventually, RawConnection, session, startedServer } from '../support/server.js'
import { isWithoutSs, ss } from '../support/ss.js'

/*
 * Every option of a listener for servers, and of what holds between servers, makes a difference: see
 * test/support/option-table.ts.
 */

const THERE = 'mantua.example'
const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const portOf = (server: TestServer) => server.addresses.find(({ protocol }) => protocol === 's2s')?.port ?? 0
const c2s = [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }]
const listening = { port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }

const header = (more = `from='${THERE}'`) => serverHeader(`to='localhost' version='1.0' ${more}`)
/** A stream of another server, in clear. */
async function opened(server: TestServer): Promise<RawConnection> {
  const raw = await RawConnection.open(portOf(server))
  await raw.send(header())
  await raw.until(/<stream:stream[^>]*>/)
  return raw
}
/** One that began TLS, and says which domain it is for. */
async function secured(server: TestServer, certificate?: string, to = 'localhost') {
  const pem = certificate === undefined ? undefined : readFileSync(file(certificate))
  const client = await connect({
    port: portOf(server),
    domain: to,
    namespace: 'jabber:server',
    tlsOptions: { ...(pem && { cert: pem, key: pem }) },
  })
  onTestFinished(() => client.drop())
  await client.open()
  await client.startTls()
  await client.open()
  return { features: String(client.features), socket: client.socket as TLSSocket } // since it began TLS
}
const shown = async (server: TestServer, to?: string) =>
  (await secured(server, undefined, to)).socket.getPeerCertificate().fingerprint256

const listenerOptions: readonly Row[] = [
  ...(await listenerRows('s2s')),
  {
    option: 'proxy_protocol',
    values: [false, true],
    async see(server) {
      const raw = await RawConnection.open(portOf(server))
      await raw.send(`PROXY TCP4 192.0.2.7 127.0.0.1 4000 5269\r\n${header()}`)
      return (await raw.until(/<stream:stream[^>]*>(<stream:features|<stream:error)/)).includes('features')
    },
  },
  {
    option: 'hibernate_after',
    values: [0, 60_000],
    async see(server) {
      await opened(server)
      await drained(server)
      return actorsOfKind(server, 'ServerConnection')[0]?.state
    },
  },
  {
    option: 'max_stanza_size',
    values: [500, 5_000],
    async see(server) {
      const raw = await opened(server)
      await raw.send(`<db:verify from='${THERE}' to='localhost' id='i'>${'x'.repeat(800)}</db:verify>`)
      return (await raw.until(/<db:verify[^>]*>|<stream:error>/)).includes('type="invalid"')
    },
  },
  {
    option: 'state_timeout',
    values: [1_000, 100_000],
    async see(server, clock) {
      await opened(server)
      await drained(server)
      clock.advance(2_000)
      await drained(server)
      return server.status().counters.streamErrors
    },
  },
  {
    option: 'shaper',
    values: ['none', 'everybody'],
    config: { shaper: { slow: { max_rate: 5_000 } }, access: { everybody: [{ acl: 'all', value: 'slow' }] } },
    async see(server) {
      await opened(server)
      return actorsOfKind(server, 'ServerConnection')[0]?.details.rate
    },
  },
  {
    option: 'tls.cacertfile',
    values: [file('ca'), file('client-self-signed')],
    see: async server => (await secured(server, 'client')).features.includes('EXTERNAL'),
  },
  {
    option: 'tls.dhfile',
    values: [undefined, file('dh')],
    beside: { tls: { ciphers: 'DHE-RSA-AES128-GCM-SHA256', protocol_options: ['no_tlsv1_3'] } },
    see: async server => (await secured(server)).socket.getEphemeralKeyInfo(),
  },
  {
    option: 'tls.ciphers',
    values: ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256'],
    beside: { tls: { protocol_options: ['no_tlsv1_3'] } },
    see: async server => (await secured(server)).socket.getCipher().name,
  },
  {
    option: 'tls.protocol_options',
    values: [undefined, ['no_tlsv1_3']],
    see: async server => (await secured(server)).socket.getProtocol(),
  },
]

describe('each option of [[listen.s2s]] makes a difference (§6 item 4)', () => {
  describeOptions({
    path: 'listen.s2s',
    keys: keysOf(s2sListener),
    rows: listenerOptions,
    elsewhere: ['backlog'],
    defaults: listening,
    configOf: listener => ({
      listen: { c2s, s2s: [listener] },
      s2s: { use_starttls: 'optional', certfile: file('rsa') },
    }),
  })

  it('listen.s2s.backlog', async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const listeners = [7, 9].map(backlog => ({ ...listening, backlog }))
    const server = await startedServer({ config: { listen: { c2s: [], s2s: listeners } } })
    const lengths = server.addresses.map(({ port }) => ss('-lt', `sport = :${port}`).trim().split(/\s+/)[2])
    expect(lengths).toEqual(['7', '9'])
  })
})

const withTls = { use_starttls: 'optional', certfile: file('rsa') }
/** Nobody listens there. */
const nowhere = { host: THERE, ip_address: '127.0.0.1', port: await freePort() }

/** The condition of the error that a message to the other domain comes back with. */
async function bounced(server: TestServer): Promise<string | undefined> {
  const romeo = await session(server, 'romeo')
  await romeo.send(`<message to='juliet@${THERE}' id='m'/>`)
  const error = await romeo.receives(`<message type='error' id='m'/>`)
  return error.getChild('error')?.getChildElements()[0]?.name
}

/** Sends something to the other domain, and waits for what is there then. */
async function tries<T>(server: TestServer, look: () => T | undefined | false): Promise<T> {
  const romeo = await session(server, 'romeo')
  await romeo.send(`<message to='juliet@${THERE}' id='m'/>`)
  return eventually(look)
}

/** Whether a connection comes to the port, or the message back. */
async function arrives(server: TestServer, port: number): Promise<boolean> {
  const remote = await RemoteServer.open(undefined, port)
  const romeo = await session(server, 'romeo')
  await romeo.send(`<message to='juliet@${THERE}' id='m'/>`)
  const isThere = await eventually(() => {
    if (remote.connections.length > 0) return { is: true }
    return phaseOf(server) === 'waiting' && { is: false }
  })
  remote.close()
  return isThere.is
}

/** What is seen while a name server answers at the port. */
async function withNames<T>(zone: Zone, port: number, see: (names: NameServer) => Promise<T>): Promise<T> {
  const names = await nameServer(zone, port)
  try {
    return await see(names)
  } finally {
    await names.close()
  }
}

const [one, other] = [await freePort(), await freePort()]
const dns = (port: number, more: object = {}) => ({ servers: [`127.0.0.1:${port}`], ...more })

/** Whether the look-up of the other domain is still under way after so many seconds, when nothing answers. */
function looksFor(server: TestServer, clock: ManualClock, seconds: number): Promise<boolean> {
  return withNames({ isSilent: () => true }, other, async names => {
    await tries(server, () => names.questions.length > 0)
    for (let passed = 0; passed < seconds; passed++) {
      clock.advance(1_000)
      await drained(server)
      // An answer of the resolver takes a turn.
      await nextTurn()
    }
    return phaseOf(server) === 'locating'
  })
}
const phaseOf = (server: TestServer) => actorsOfKind(server, 'OutgoingServer')[0]?.details.phase

/** A port that takes no connection and refuses none: its process does nothing, and the queue before it is full. */
async function deaf(port: number): Promise<{ close(): Promise<unknown> }> {
  const listen = `const s=require('net').createServer().listen({port:${port},host:'127.0.0.1',backlog:1},()=>{
    require('fs').writeSync(1,'x');Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0)})`
  const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] })
  const close = () => {
    const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve()
    child.kill('SIGKILL')
    return exited
  }
  onTestFinished(async () => {
    await close()
  })
  await once(child.stdout, 'data')
  const sockets = Array.from({ length: 4 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  return { close }
}

const rows: readonly Row[] = [
  {
    option: 'use_starttls',
    values: ['optional', 'required'],
    beside: withTls,
    see: async server => (await (await opened(server)).until('</stream:features>')).includes('<required/>'),
  },
  { option: 'certfile', values: [file('rsa'), file('ecdsa')], beside: withTls, see: server => shown(server) },
  {
    option: 'domain_certfile.domain',
    at: 'domain_certfile',
    values: [
      [{ domain: 'localhost', certfile: file('ecdsa') }],
      [{ domain: 'other.localhost', certfile: file('ecdsa') }],
    ],
    beside: withTls,
    config: { general: { hosts: ['localhost', 'other.localhost'] } },
    see: server => shown(server),
  },
  {
    option: 'domain_certfile.certfile',
    at: 'domain_certfile',
    values: [[{ domain: 'localhost', certfile: file('ecdsa') }], [{ domain: 'localhost', certfile: file('ed25519') }]],
    beside: withTls,
    see: server => shown(server),
  },
  { option: 'default_policy', values: ['allow', 'deny'], beside: { address: [nowhere] }, see: bounced },
  {
    option: 'host_policy.host',
    at: 'host_policy',
    values: [[{ host: THERE, policy: 'deny' }], [{ host: 'padua.example', policy: 'deny' }]],
    beside: { address: [nowhere] },
    see: bounced,
  },
  {
    option: 'host_policy.policy',
    at: 'host_policy',
    values: [[{ host: THERE, policy: 'deny' }], [{ host: THERE, policy: 'allow' }]],
    beside: { address: [nowhere] },
    see: bounced,
  },
  {
    option: 'shared',
    values: ['one', 'another'],
    async see(server) {
      const raw = await opened(server)
      const key = dialbackKey('one', { originating: 'localhost', receiving: THERE }, 'id')
      await raw.send(`<db:verify from='${THERE}' to='localhost' id='id'>${key}</db:verify>`)
      return (await raw.until(/<db:verify[^>]*>/)).includes('type="valid"')
    },
  },
  {
    option: 'address.host',
    at: 'address',
    values: [[{ ...nowhere, port: one }], [{ ...nowhere, host: 'padua.example', port: one }]],
    beside: { dns: dns(other) },
    see: server => withNames({}, other, () => arrives(server, one)),
  },
  {
    option: 'address.ip_address',
    at: 'address',
    values: [[{ ...nowhere, port: one }], [{ ...nowhere, ip_address: '127.0.0.2', port: one }]],
    see: server => arrives(server, one),
  },
  {
    option: 'address.port',
    at: 'address',
    values: [[{ ...nowhere, port: one }], [nowhere]],
    see: server => arrives(server, one),
  },
  {
    option: 'ciphers',
    values: ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256'],
    beside: { ...withTls, dns: dns(other), outgoing: { ip_versions: [4] } },
    async see(server) {
      const pem = readFileSync(file('rsa'))
      const remote = createServer({ cert: pem, key: pem, ALPNProtocols: ['xmpp-server'], maxVersion: 'TLSv1.2' })
      onTestFinished(() => {
        remote.close()
      })
      remote.listen(0, '127.0.0.1')
      await once(remote, 'listening')
      const { port } = remote.address() as AddressInfo // never a path
      const zone = {
        services: { [`_xmpps-server._tcp.${THERE}`]: [{ name: 'xmpp.example', port }] },
        hosts: { 'xmpp.example': ['127.0.0.1'] },
      }
      const connected = once(remote, 'secureConnection')
      const [socket]: TLSSocket[] = await withNames(zone, other, async () => {
        const romeo = await session(server, 'romeo')
        await romeo.send(`<message to='juliet@${THERE}' id='m'/>`)
        return connected
      })
      socket?.on('error', () => {}) // the server may end it in any way
      onTestFinished(() => {
        socket?.destroy()
      })
      return socket?.getCipher().name
    },
  },
  {
    option: 'max_retry_delay',
    values: [1, 300],
    beside: { address: [nowhere] },
    async see(server) {
      await bounced(server)
      const [found] = actorsOfKind(server, 'OutgoingServer')
      return Number(found?.details.delay) > 1_000
    },
  },
  {
    option: 'outgoing.port',
    values: [one, nowhere.port],
    beside: { address: [{ host: THERE, ip_address: '127.0.0.1' }] },
    see: server => arrives(server, one),
  },
  {
    option: 'outgoing.ip_versions',
    values: [[4], [6]],
    beside: { dns: dns(other) },
    see: server =>
      withNames({ hosts: { [THERE]: ['127.0.0.1', '::1'] } }, other, names =>
        tries(server, () => names.questions.find(question => /^A+ /.test(question))),
      ),
  },
  {
    option: 'outgoing.connection_timeout',
    values: [1_000, 100_000],
    beside: { address: [{ ...nowhere, port: one }] },
    async see(server, clock) {
      const there = await deaf(one)
      await tries(server, () => phaseOf(server) === 'dialling')
      clock.advance(2_000)
      await drained(server)
      // A socket is closed a turn later.
      for (let turn = 0; turn < 10; turn++) await nextTurn()
      await drained(server)
      await there.close()
      return phaseOf(server)
    },
  },
  {
    option: 'dns.timeout',
    values: [1, 100],
    beside: { dns: dns(other, { retries: 1 }) },
    see: (server, clock) => looksFor(server, clock, 30),
  },
  {
    option: 'dns.retries',
    values: [1, 3],
    beside: { dns: dns(other, { timeout: 10 }) },
    see: (server, clock) => looksFor(server, clock, 50),
  },
  {
    option: 'dns.servers',
    values: [[`127.0.0.1:${one}`], [`127.0.0.1:${other}`]],
    see: server =>
      withNames({}, one, first =>
        withNames({}, other, second =>
          tries(
            server,
            () => first.questions.length + second.questions.length > 0 && { first: first.questions.length > 0 },
          ),
        ),
      ),
  },
]

describe('each option of [s2s] makes a difference (§2.5)', () => {
  describeOptions({
    path: 's2s',
    keys: keysOf(s2s),
    rows,
    defaults: {},
    configOf: table => ({ listen: { c2s, s2s: [listening] }, s2s: table }),
  })
})
