import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { EventRecord } from '../../src/observability/events.js'
import type { TestServer } from '../../src/testing.js'
import { ensureDevelopmentCertificate } from '../../src/tls/certificates.js'
import { type Client, connect } from '../support/client.js'
import { nameServer } from '../support/dns.js'
import { freePort } from '../support/programs.js'
import { answerHeader, RemoteServer, serverHeader } from '../support/remote-server.js'
import { actorsOfKind, eventually, RawConnection, recordedEvents, session, startedServer } from '../support/server.js'

const HERE = 'verona.example'
const THERE = 'mantua.example'

let folder = ''
const file = (name: string) => join(folder, `${name}.pem`)
const readKeyAndCertificate = (name: string) => ({ key: readFileSync(file(name)), cert: readFileSync(file(name)) })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meerkat-s2s-'))
  for (const domain of [HERE, THERE, 'padua.example']) {
    await ensureDevelopmentCertificate(file(domain), [domain], file('ca'))
  }
  await ensureDevelopmentCertificate(file('other'), [THERE], file('other-ca'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Policy = 'false' | 'optional' | 'required' | 'required_trusted'

interface Federated {
  server: TestServer
  port: number
  events: EventRecord[]
}

async function federated(
  domain: string,
  policy: Policy,
  others: Readonly<Record<string, number>>,
  more: {
    port?: number
    s2s?: object
    tls?: object
    listener?: object
    tables?: Readonly<Record<string, object>>
  } = {},
): Promise<Federated> {
  const port = more.port ?? (await freePort())
  const events = recordedEvents()
  const server = await startedServer({
    users: ['romeo', 'juliet'],
    events,
    config: {
      general: { hosts: [domain] },
      listen: {
        s2s: [
          {
            port,
            ip_address: '127.0.0.1',
            num_acceptors: 2,
            tls: more.tls ?? { cacertfile: file('ca') },
            ...more.listener,
          },
        ],
      },
      s2s: {
        use_starttls: policy,
        certfile: file(domain),
        address: Object.entries(others).map(([host, at]) => ({ host, ip_address: '127.0.0.1', port: at })),
        ...more.s2s,
      },
      ...more.tables,
    },
  })
  return { server, port, events: events.records }
}

const message = (to: string, id: string) => `<message to='${to}' type='chat' id='${id}'><body>Ay me</body></message>`
const bounced = (client: Client, id: string) =>
  client.receives(
    `<message type='error' id='${id}'><error><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
  )
const userOf = ({ server }: Federated, user: string) => session(server, user, { domain: server.host, priority: 0 })

async function pair(own: Policy, other: Policy, more: { own?: object; other?: object } = {}) {
  const ports = { [HERE]: await freePort(), [THERE]: await freePort() }
  const a = await federated(HERE, own, ports, { port: ports[HERE]!, ...more.own })
  const b = await federated(THERE, other, ports, { port: ports[THERE]!, ...more.other })
  return { a, b, romeo: await userOf(a, 'romeo'), juliet: await userOf(b, 'juliet') }
}

const mechanismOf = ({ events }: Federated) => events.find(({ name }) => name === 'server.connected')?.fields.mechanism
const isEncrypted = ({ server }: Federated) => actorsOfKind(server, 'OutgoingConnection')[0]?.details.isEncrypted

describe('use_starttls between two servers (§3.2.2)', () => {
  it.each<[Policy, Policy, boolean, string]>([
    ['false', 'false', false, 'dialback'],
    ['false', 'optional', false, 'dialback'],
    ['optional', 'false', false, 'dialback'],
    ['optional', 'optional', true, 'EXTERNAL'],
    ['optional', 'required', true, 'EXTERNAL'],
    ['required', 'required', true, 'EXTERNAL'],
    ['required_trusted', 'required_trusted', true, 'EXTERNAL'],
  ])('%s to %s: encrypted %s, by %s', async (own, other, encrypted, mechanism) => {
    const { a, romeo, juliet } = await pair(own, other)
    await romeo.send(message(juliet.jid ?? '', 'm'))
    await juliet.receives(`<message id='m' from='${romeo.jid}'/>`)
    expect(isEncrypted(a)).toBe(encrypted)
    expect(mechanismOf(a)).toBe(mechanism)
  })

  it('falls back on dialback over TLS when the certificate is of nobody whom the other trusts', async () => {
    const { a, romeo, juliet } = await pair('optional', 'optional', {
      other: { tls: { cacertfile: file('other-ca') } },
    })
    await romeo.send(message(juliet.jid ?? '', 'm'))
    await juliet.receives(`<message id='m'/>`)
    expect(isEncrypted(a)).toBe(true)
    expect(mechanismOf(a)).toBe('dialback')
  })

  it.each<[Policy, Policy]>([
    ['required', 'false'],
    ['required_trusted', 'false'],
    ['false', 'required'],
  ])('%s to %s: nothing goes', async (own, other) => {
    const { romeo, juliet } = await pair(own, other)
    await romeo.send(message(juliet.jid ?? '', 'm'))
    await bounced(romeo, 'm')
    await juliet.receivesNothing('<message/>')
  })

  it('required_trusted refuses a server whose certificate nobody signed whom we trust, and one for another domain', async () => {
    for (const certfile of [file('other'), file('padua.example')]) {
      const { romeo, juliet } = await pair('required_trusted', 'optional', { other: { s2s: { certfile } } })
      await romeo.send(message(juliet.jid ?? '', 'm'))
      await bounced(romeo, 'm')
      await juliet.receivesNothing('<message/>')
    }
  })

  it('uses domain_certfile for the domain that it names, in both directions (§2.5)', async () => {
    const own = { s2s: { certfile: file('padua.example'), domain_certfile: [{ domain: HERE, certfile: file(HERE) }] } }
    const out = await pair('required_trusted', 'required_trusted', { own })
    await out.romeo.send(message(out.juliet.jid ?? '', 'm'))
    await out.juliet.receives(`<message id='m'/>`)
    const back = await pair('required_trusted', 'required_trusted', { own })
    await back.juliet.send(message(back.romeo.jid ?? '', 'back'))
    await back.romeo.receives(`<message id='back'/>`)
    expect([mechanismOf(out.a), mechanismOf(back.b)]).toEqual(['EXTERNAL', 'EXTERNAL'])
  })

  it('negotiates with the ciphers and protocol_options of the listener coming in (§1.12)', async () => {
    const suite = 'ECDHE-RSA-AES256-GCM-SHA384'
    const only = { cacertfile: file('ca'), protocol_options: ['no_tlsv1_3', 'no_tlsv1_1', 'no_tlsv1'], ciphers: suite }
    const { b } = await pair('optional', 'optional', { other: { tls: only } })
    const client = await secured(b.port, THERE)
    expect((client.socket as TLSSocket).getCipher().standardName).toContain('AES_256_GCM_SHA384')
    expect((client.socket as TLSSocket).getProtocol()).toBe('TLSv1.2')
  })
})

/** A stream to a server of ours, after STARTTLS and its new header. */
async function secured(port: number, to: string, certificate?: string, from = THERE): Promise<Client> {
  const client = await opened(port, to, certificate, from)
  await client.startTls()
  await client.open({ from })
  return client
}

async function opened(port: number, to: string, certificate?: string, from = THERE): Promise<Client> {
  const client = await connect({
    port,
    domain: to,
    namespace: 'jabber:server',
    tlsOptions: certificate === undefined ? {} : readKeyAndCertificate(certificate),
  })
  await client.open({ from })
  return client
}

const external = (domain: string, mechanism = 'EXTERNAL') =>
  `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='${mechanism}'>${Buffer.from(domain).toString('base64')}</auth>`
const offersExternal = (client: Client) => /<mechanism>EXTERNAL<\/mechanism>/.test(String(client.features))

describe('STARTTLS that another server asks for (§3.2.1, §3.2.2)', () => {
  it('is offered, required where it is, and never again over TLS', async () => {
    const { port } = await federated(HERE, 'required', {})
    const client = await opened(port, HERE)
    expect(String(client.features)).toContain(
      '<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"><required/></starttls>',
    )
    await client.startTls()
    await client.open({ from: THERE })
    expect(String(client.features)).not.toContain('starttls')
  })

  it.each<[string, Policy]>([
    ['in clear where it is required', 'required'],
    ['in clear where it has to be trusted', 'required_trusted'],
  ])('refuses dialback %s, version or none (trap 29)', async (_, policy) => {
    const { port } = await federated(HERE, policy, {})
    for (const version of ['', ` version='1.0'`]) {
      const connection = await RawConnection.open(port)
      await connection.send(serverHeader(`to='${HERE}' from='${THERE}'${version}`))
      await connection.send(`<db:result from='${THERE}' to='${HERE}'>key</db:result>`)
      expect(await connection.closed()).toContain('<policy-violation ')
    }
  })

  it('fails where there is none', async () => {
    const { port } = await federated(HERE, 'false', {})
    const connection = await RawConnection.open(port)
    await connection.send(serverHeader(`to='${HERE}' from='${THERE}' version='1.0'`))
    await connection.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
    expect(await connection.closed()).toMatch(/<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/><\/stream:stream>$/)
  })

  it('throws away what came in clear behind it', async () => {
    const { port } = await federated(HERE, 'optional', {})
    const client = await opened(port, HERE)
    await client.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><db:result from='a' to='b'>key</db:result>`)
    await client.receives(`<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
  })

  it('with required_trusted takes no certificate, and one that is not trusted, for policy-violation', async () => {
    const { port } = await federated(HERE, 'required_trusted', {})
    for (const certificate of [undefined, 'other']) {
      const client = await opened(port, HERE, certificate)
      await client.startTls()
      await client.open({ from: THERE }).catch(() => {}) // there are no features
      await client.streamError('policy-violation')
    }
  })
})

/** A server that goes as far as this step of the handshake on every connection, and closes. */
async function closingServer(last: (typeof steps)[number]): Promise<number> {
  const isLast = (step: (typeof steps)[number]) => step === last
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    play(socket, isLast).catch(() => {}) // the other side may be gone before
  })
  onTestFinished(() => {
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port // never a path
}

const steps = [
  'our header',
  'its features',
  'our starttls',
  'its proceed',
  'TLS',
  'our second header',
  'our auth',
] as const
const externalOffered = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>`

async function play(socket: net.Socket, isLast: (step: (typeof steps)[number]) => boolean): Promise<void> {
  const header = serverHeader(`from='${THERE}' id='x' version='1.0'`)
  await said(socket, /<stream:stream[^>]*>/)
  if (isLast('our header')) return void socket.end()
  socket.write(`${header}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>`)
  if (isLast('its features')) return void socket.end()
  await said(socket, /<starttls/)
  if (isLast('our starttls')) return void socket.end()
  socket.write(`<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
  if (isLast('its proceed')) return void socket.end()
  const secure = new TLSSocket(socket, { isServer: true, ...readKeyAndCertificate(THERE) })
  secure.on('error', () => {})
  await once(secure, 'secure')
  if (isLast('TLS')) return void secure.end()
  await said(secure, /<stream:stream[^>]*>/)
  if (isLast('our second header')) return void secure.end()
  secure.write(`${header}<stream:features>${externalOffered}</stream:features>`)
  // The second time, when the certificate was refused, by dialback.
  await said(secure, /<auth|<db:result/)
  secure.end()
}

/** Waits until the other side has said this. */
function said(socket: net.Socket, wanted: RegExp): Promise<void> {
  let text = ''
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error(`closed before ${wanted}`)))
    socket.on('data', function hear(bytes: Buffer) {
      text += bytes
      if (!wanted.test(text)) return
      socket.off('data', hear)
      resolve()
    })
  })
}

describe('a server that closes in the middle of the handshake (§3.2.2, §3.2.5)', () => {
  it.each(steps)('behind %s: the sender is told, and other servers are not disturbed', async step => {
    const ports = { [HERE]: await freePort(), [THERE]: await closingServer(step), 'padua.example': await freePort() }
    const here = await federated(HERE, 'optional', ports, { port: ports[HERE]! })
    const padua = await federated('padua.example', 'optional', ports, { port: ports['padua.example']! })
    const [romeo, juliet] = [await userOf(here, 'romeo'), await userOf(padua, 'juliet')]
    await romeo.send(message(`juliet@${THERE}`, 'm') + message(juliet.jid ?? '', 'other'))
    await juliet.receives(`<message id='other'/>`)
    await bounced(romeo, 'm')
    await eventually(() => actorsOfKind(here.server, 'OutgoingConnection').length === 1)
  })
})

describe('SASL EXTERNAL that another server asks for (§3.2.3)', () => {
  it('is offered for a trusted certificate of the domain that the stream is from, and for no other', async () => {
    const { port } = await federated(HERE, 'optional', {})
    expect(offersExternal(await secured(port, HERE, THERE))).toBe(true)
    expect(offersExternal(await secured(port, HERE))).toBe(false)
    expect(offersExternal(await secured(port, HERE, 'other'))).toBe(false)
    expect(offersExternal(await secured(port, HERE, 'padua.example'))).toBe(false)
  })

  it('lets stanzas of the domain in, and of no other', async () => {
    const here = await federated(HERE, 'optional', {})
    const romeo = await userOf(here, 'romeo')
    const client = await secured(here.port, HERE, THERE)
    await client.send(external(THERE))
    await client.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
    await client.open({ from: THERE })
    expect(client.features?.getChildElements()).toEqual([])
    await client.send(`<message from='juliet@${THERE}' to='${romeo.jid}' id='m'><body>Ay me</body></message>`)
    await romeo.receives(`<message id='m' from='juliet@${THERE}'><body>Ay me</body></message>`)
    await client.send(`<message from='juliet@padua.example' to='${romeo.jid}'/>`)
    await client.streamError('invalid-from')
  })

  it.each([
    ['another mechanism', external(THERE, 'PLAIN'), 'invalid-mechanism'],
    ['another domain', external('padua.example'), 'invalid-authzid'],
    [
      'something else than base64',
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%</auth>`,
      'incorrect-encoding',
    ],
  ])('fails with %s', async (_, auth, condition) => {
    const { port } = await federated(HERE, 'optional', {})
    const client = await secured(port, HERE, THERE)
    await client.send(auth)
    await client.receives(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><${condition}/></failure>`)
    expect(await client.closed()).toEqual({ streamEnded: true })
  })

  it('fails for a domain that is denied', async () => {
    const { port } = await federated(HERE, 'optional', {}, { s2s: { default_policy: 'deny' } })
    const client = await secured(port, HERE, THERE)
    await client.send(external(THERE))
    await client.receives(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>`)
  })

  it('is shaped, as dialback is: by the claimed sender before, and by the proven one after (§1.12)', async () => {
    const tables = {
      shaper: { slow: { max_rate: 20_000 } },
      acl: { there: [{ server: THERE }] },
      access: { s2s_shaper: [{ acl: 'there', value: 'slow' }] },
    }
    const { server, port } = await federated(HERE, 'optional', {}, { listener: { shaper: 's2s_shaper' }, tables })
    const rate = () => actorsOfKind(server, 'ServerConnection')[0]?.details.rate
    const client = await secured(port, HERE, THERE)
    expect(rate()).toBe(20_000)
    await client.send(external(THERE))
    await client.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
    await client.open({ from: THERE })
    expect(rate()).toBe(20_000)
    client.drop()
    await eventually(() => actorsOfKind(server, 'ServerConnection').length === 0)
    await opened(port, HERE, undefined, 'padua.example')
    expect(rate()).toBeUndefined()
  })
})

describe('direct TLS to another server (XEP-0368)', () => {
  const mantua = async (services: Readonly<Record<string, number>>) => {
    const names = await nameServer({
      services: Object.fromEntries(
        Object.entries(services).map(([name, port]) => [`${name}._tcp.${THERE}`, [{ name: 'localhost', port }]]),
      ),
    })
    return federated(
      HERE,
      'optional',
      {},
      {
        s2s: {
          dns: { servers: [names.address] },
          outgoing: { ip_versions: [4] },
          ciphers: 'ECDHE-RSA-CHACHA20-POLY1305',
        },
      },
    )
  }

  it('goes to the _xmpps-server record, by the name and the protocol of the other and the ciphers of [s2s], and needs no STARTTLS', async () => {
    const server = createServer({
      ...readKeyAndCertificate(THERE),
      ALPNProtocols: ['xmpp-server'],
      maxVersion: 'TLSv1.2',
    })
    onTestFinished(() => {
      server.close()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo // never a path
    const here = await mantua({ '_xmpps-server': port })
    const romeo = await userOf(here, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    const [socket]: TLSSocket[] = await once(server, 'secureConnection')
    if (socket === undefined) throw new Error('nobody came')
    expect(socket.alpnProtocol).toBe('xmpp-server')
    expect(socket.getCipher().name).toBe('ECDHE-RSA-CHACHA20-POLY1305')
    expect((socket as TLSSocket & { servername: string }).servername).toBe(THERE)
    const peer = RawConnection.of(socket)
    await peer.until(/<stream:stream[^>]* version='1.0'/)
    await peer.send(`${serverHeader(`from='${THERE}' id='x' version='1.0'`)}<stream:features/>`)
    await peer.until('<db:result')
    await peer.send(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    await peer.until(`id='m'`)
  })

  it('goes on to _xmpp-server when there is no TLS at the first', async () => {
    const [broken, plain] = [await RemoteServer.open(peer => peer.socket.end('no TLS here')), await RemoteServer.open()]
    const here = await mantua({ '_xmpps-server': broken.port, '_xmpp-server': plain.port })
    const romeo = await userOf(here, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    const peer = await plain.next()
    await answerHeader(peer, THERE)
    await peer.until('<db:result')
  })
})
