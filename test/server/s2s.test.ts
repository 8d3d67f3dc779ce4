import { describe, expect, it } from 'vitest'
import { dialbackKey } from '../../src/protocols/dialback.js'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { type NameServer, nameServer, type Zone } from '../support/dns.js'
import { freePort } from '../support/programs.js'
import { answerHeader, RemoteServer, serverHeader } from '../support/remote-server.js'
import { actorsOfKind, drained, eventually, RawConnection, session, startedServer } from '../support/server.js'

interface Peer {
  domain: string
  port: number
}

interface More {
  clock?: ManualClock
  general?: object
  s2s?: object
  listener?: object
  tables?: Readonly<Record<string, object>>
}

const HERE = 'verona.example'
const THERE = 'mantua.example'

/** A server that takes streams of other servers on a port, and finds the others at theirs. */
function federated(own: Peer, others: readonly Peer[], more: More = {}): Promise<TestServer> {
  const { domain, port } = own
  return startedServer({
    users: ['romeo', 'juliet'],
    ...(more.clock && { clock: more.clock }),
    config: {
      general: { hosts: [domain], ...more.general },
      listen: { s2s: [{ port, ip_address: '127.0.0.1', num_acceptors: 2, ...more.listener }] },
      s2s: {
        address: others.map(other => ({ host: other.domain, ip_address: '127.0.0.1', port: other.port })),
        ...more.s2s,
      },
      ...more.tables,
    },
  })
}

/** Two servers that know each other. */
async function pair(more: More = {}) {
  const [a, b] = [
    { domain: HERE, port: await freePort() },
    { domain: THERE, port: await freePort() },
  ]
  return { a: await federated(a, [b], more), b: await federated(b, [a], more), ports: { a: a.port, b: b.port } }
}

/** One server of ours, and a remote one that a test speaks for. */
async function alone(more: More & { greet?: (connection: RawConnection) => void } = {}) {
  const remote = await RemoteServer.open(more.greet)
  const port = await freePort()
  const server = await federated({ domain: HERE, port }, [{ domain: THERE, port: remote.port }], more)
  return { server, remote, port }
}

const userOf = (server: TestServer, user: string) => session(server, user, { domain: server.host, priority: 0 })
const message = (to: string, id: string) => `<message to='${to}' type='chat' id='${id}'><body>Ay me</body></message>`
const bounced = (client: Client, id: string, condition: string) =>
  client.receives(
    `<message type='error' id='${id}'><error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
  )

/** Moves the clock step by step, letting the server work in between. */
async function pass(clock: ManualClock, server: TestServer, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    await drained(server)
  }
}

describe('two servers, dialback in clear (§3.2.4, §3.2.5)', () => {
  it('bring messages both ways', async () => {
    const { a, b } = await pair()
    const romeo = await userOf(a, 'romeo')
    const juliet = await userOf(b, 'juliet')
    await romeo.send(`<message to='${juliet.jid}' type='chat' id='m1'><body>O, speak again</body></message>`)
    await juliet.receives(
      `<message from='${romeo.jid}' to='${juliet.jid}' type='chat' id='m1'><body>O, speak again</body></message>`,
    )
    await juliet.send(`<message to='${romeo.bareJid}' id='m2'><body>Ay me</body></message>`)
    await romeo.receives(`<message from='${juliet.jid}' id='m2'><body>Ay me</body></message>`)
    expect(actorsOfKind(a, 'OutgoingServer').map(({ path }) => String(path))).toEqual([
      '/root/s2s-out/verona.example,mantua.example',
    ])
  })

  it('bring a subscription, the presence that follows, and the end of both', async () => {
    const { a, b } = await pair()
    const romeo = await userOf(a, 'romeo')
    const juliet = await userOf(b, 'juliet')
    for (const client of [romeo, juliet]) await client.ask('get', `<query xmlns='jabber:iq:roster'/>`)
    await romeo.send(`<presence to='${juliet.bareJid}' type='subscribe'/>`)
    await juliet.receives(`<presence from='${romeo.bareJid}' type='subscribe'/>`)
    await juliet.send(`<presence to='${romeo.bareJid}' type='subscribed'/>`)
    await romeo.receives(`<presence from='${juliet.bareJid}' type='subscribed'/>`)
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    juliet.drop()
    await romeo.receives(`<presence from='${juliet.jid}' type='unavailable'/>`)
  })

  it('answer each other as servers, and for accounts that are not there', async () => {
    const { a, b } = await pair()
    const romeo = await userOf(a, 'romeo')
    const info = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`, { to: b.host })
    expect(info.attrs).toMatchObject({ type: 'result', from: b.host })
    await romeo.send(message(`nobody@${b.host}`, 'm'))
    await bounced(romeo, 'm', 'service-unavailable')
  })

  it('carry many stanzas in their order', async () => {
    const { a, b } = await pair()
    const romeo = await userOf(a, 'romeo')
    const juliet = await userOf(b, 'juliet')
    for (let i = 0; i < 500; i++) await romeo.send(message(juliet.jid ?? '', `m${i}`))
    for (let i = 0; i < 500; i++) expect((await juliet.receivesNext()).attrs.id).toBe(`m${i}`)
  })

  it('take up again after one of them was gone, and lose nothing that was not bounced', async () => {
    const { a, b, ports } = await pair()
    const romeo = await userOf(a, 'romeo')
    const juliet = await userOf(b, 'juliet')
    await romeo.send(message(juliet.jid ?? '', 'before'))
    await juliet.receives(`<message id='before'/>`)
    await b.stop()
    await eventually(() => actorsOfKind(a, 'OutgoingConnection').length === 0)
    const again = await federated({ domain: THERE, port: ports.b }, [{ domain: HERE, port: ports.a }])
    const back = await userOf(again, 'juliet')
    await romeo.send(message(back.jid ?? '', 'after'))
    await back.receives(`<message id='after'/>`)
  })
})

describe('a stream that another server opens (§3.2.1)', () => {
  const opened = async (header: string) => {
    const { port } = await alone()
    const connection = await RawConnection.open(port)
    await connection.send(header)
    return connection
  }

  it('is answered with both addresses, an id and no version, when there is dialback only', async () => {
    const connection = await opened(serverHeader(`to='VERONA.example' from='${THERE}'`))
    const text = await connection.until('>')
    expect(await connection.until(`xml:lang='en'>`)).toMatch(
      /^<\?xml version='1.0'\?><stream:stream xmlns:stream='http:\/\/etherx.jabber.org\/streams' xmlns='jabber:server' xmlns:db='jabber:server:dialback' id='[0-9a-f]{16}' from='verona.example' to='mantua.example' xml:lang='en'>$/,
    )
    expect(text).not.toContain('features')
  })

  it.each([
    [
      'the namespace of clients',
      'invalid-namespace',
      serverHeader(
        `to='${HERE}'`,
        `xmlns='jabber:client' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'`,
      ),
    ],
    [
      'another stream namespace',
      'invalid-namespace',
      serverHeader(`to='${HERE}'`, `xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='x'`),
    ],
    [
      'no dialback',
      'invalid-namespace',
      serverHeader(
        `to='${HERE}' version='1.0'`,
        `xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'`,
      ),
    ],
    ['a host that is not ours', 'host-unknown', serverHeader(`to='padua.example'`)],
    ['no addressee', 'improper-addressing', serverHeader('')],
    ['an addressee that is no domain', 'improper-addressing', serverHeader(`to='romeo@${HERE}'`)],
    ['a sender that is no domain', 'invalid-from', serverHeader(`to='${HERE}' from='romeo@${THERE}'`)],
    ['something else', 'not-well-formed', 'GET / HTTP/1.1\r\n\r\n'],
  ])('with %s ends with %s', async (_, condition, header) => {
    const connection = await opened(header)
    const text = await connection.closed()
    expect(text).toContain(`<${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'`)
    expect(text).toMatch(/<\/stream:stream>$/)
  })
})

/** A stream to our server, from its header on. */
async function stream(port: number, attributes = `to='${HERE}' from='${THERE}'`) {
  const connection = await RawConnection.open(port)
  await connection.send(serverHeader(attributes))
  const header = await connection.until(/<stream:stream[^>]*>/)
  return { connection, id: / id='([0-9a-f]{16})'/.exec(header)?.[1] ?? '' }
}

/** Answers every question about a key the same way. */
const authority = (type: string) => (connection: RawConnection) => {
  void answerHeader(connection, THERE)
    .then(async () => {
      for (let asked = 0; ; asked++) {
        await connection.until(new RegExp(`(<db:verify[^>]*>[^<]*</db:verify>[\\s\\S]*){${asked + 1}}`))
        const question = [...connection.text.matchAll(/<db:verify from="([^"]+)" to="([^"]+)" id="([^"]+)">/g)][asked]
        const [, from = '', to = '', id = ''] = question ?? []
        await connection.send(`<db:verify from='${to}' to='${from}' id='${id}' type='${type}'/>`)
      }
    })
    .catch(() => {}) // until the test ends
}

const result = (from = THERE, to = HERE, key = 'key') => `<db:result from='${from}' to='${to}'>${key}</db:result>`

describe('a server that wants to speak for a domain (§3.2.4)', () => {
  it('is believed when the domain says so, and its stanzas go in', async () => {
    const { server, port, remote } = await alone({ greet: authority('valid') })
    const romeo = await userOf(server, 'romeo')
    const { connection, id } = await stream(port)
    await connection.send(result())
    await connection.until(`<db:result from="${HERE}" to="${THERE}" type="valid"/>`)
    const asked = await remote.next()
    expect(asked.text).toContain(`<db:verify from="${HERE}" to="${THERE}" id="${id}">key</db:verify>`)
    await connection.send(
      `<message from='juliet@${THERE}/balcony' to='${romeo.jid}' id='m'><body>Ay me</body></message>`,
    )
    await romeo.receives(`<message from='juliet@${THERE}/balcony' id='m'><body>Ay me</body></message>`)
  })

  it('may end the stream that we asked on: that is no failure, and stanzas go there as before', async () => {
    const { server, port, remote } = await alone({ greet: authority('valid') })
    const romeo = await userOf(server, 'romeo')
    const { connection } = await stream(port)
    await connection.send(result())
    await connection.until('type="valid"')
    const asked = await remote.next()
    await asked.send(
      `<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
    )
    await asked.closed()
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await (await remote.next()).until('<db:result')
  })

  it('is not believed when the domain says no, and its stream ends', async () => {
    const { port } = await alone({ greet: authority('invalid') })
    const { connection } = await stream(port)
    await connection.send(result())
    expect(await connection.closed()).toContain(
      `<db:result from="${HERE}" to="${THERE}" type="invalid"/></stream:stream>`,
    )
  })

  it('is not believed when the domain does not answer in time', async () => {
    const clock = new ManualClock()
    const { server, port, remote } = await alone({ clock })
    const { connection } = await stream(port)
    await connection.send(result())
    await answerHeader(await remote.next(), THERE)
    await (await eventually(() => remote.connections[0])).until('<db:verify')
    await pass(clock, server, 31_000)
    expect(await connection.closed()).toContain(`type="invalid"/></stream:stream>`)
  })

  it('may not send before that, and nothing of it is delivered', async () => {
    const { server, port } = await alone()
    const romeo = await userOf(server, 'romeo')
    const { connection } = await stream(port)
    await connection.send(`<message from='juliet@${THERE}' to='${romeo.jid}'><body>no</body></message>`)
    expect(await connection.closed()).toContain('<invalid-from ')
    await romeo.receivesNothing('<message/>')
  })

  it('may not send for another domain, nor to another of ours, than it has shown', async () => {
    const { server, port } = await alone({ greet: authority('valid'), general: { hosts: [HERE, 'padua.example'] } })
    const romeo = await userOf(server, 'romeo')
    for (const [from, to] of [
      ['juliet@padua.example', romeo.jid],
      ['juliet@evil.example', romeo.jid],
      [`juliet@${THERE}`, 'somebody@padua.example'],
      [`juliet@${THERE}`, 'somebody@elsewhere.example'],
    ]) {
      const { connection } = await stream(port)
      await connection.send(result())
      await connection.until('type="valid"')
      await connection.send(`<message from='${from}' to='${to}'><body>no</body></message>`)
      expect(await connection.closed()).toContain('<invalid-from ')
    }
    await romeo.receivesNothing('<message/>')
  })

  it.each([
    ['no sender', `<message to='romeo@${HERE}'/>`],
    ['no addressee', `<message from='juliet@${THERE}'/>`],
    ['an addressee that is no JID', `<message from='juliet@${THERE}' to='@'/>`],
    ['a question without addresses', '<db:result>key</db:result>'],
  ])('ends with improper-addressing for %s', async (_, stanza) => {
    const { port } = await alone({ greet: authority('valid') })
    const { connection } = await stream(port)
    await connection.send(result())
    await connection.until('type="valid"')
    await connection.send(stanza)
    expect(await connection.closed()).toContain('<improper-addressing ')
  })

  it('hears host-unknown for a domain that is not ours, even when it is denied as well', async () => {
    const { port } = await alone({ s2s: { default_policy: 'deny' } })
    const { connection } = await stream(port)
    await connection.send(result(THERE, 'elsewhere.example'))
    expect(await connection.closed()).toContain('<host-unknown ')
  })

  it('hears invalid-from when its domain is denied, or is one of ours', async () => {
    const { port } = await alone({
      general: { hosts: [HERE, 'padua.example'] },
      s2s: { host_policy: [{ host: THERE, policy: 'deny' }] },
    })
    for (const from of [THERE, 'padua.example']) {
      const { connection } = await stream(port)
      await connection.send(result(from))
      expect(await connection.closed()).toContain('<invalid-from ')
    }
  })

  it('may bring several pairs over one stream', async () => {
    const remote = await RemoteServer.open(authority('valid'))
    const port = await freePort()
    const others = [THERE, 'venice.example'].map(domain => ({ domain, port: remote.port }))
    const server = await federated({ domain: HERE, port }, others, { general: { hosts: [HERE, 'padua.example'] } })
    const romeo = await userOf(server, 'romeo')
    const { connection } = await stream(port)
    await connection.send(result() + result('venice.example') + result(THERE, 'padua.example'))
    await connection.until(`<db:result from="${HERE}" to="${THERE}" type="valid"/>`)
    await connection.until(`<db:result from="${HERE}" to="venice.example" type="valid"/>`)
    await connection.until(`<db:result from="padua.example" to="${THERE}" type="valid"/>`)
    await connection.send(message(romeo.jid ?? '', 'a').replace('<message', `<message from='a@${THERE}'`))
    await connection.send(message(romeo.jid ?? '', 'b').replace('<message', `<message from='b@venice.example'`))
    await romeo.receives(`<message id='a' from='a@${THERE}'/>`)
    await romeo.receives(`<message id='b' from='b@venice.example'/>`)
  })

  it('is told whether a key is ours, by the shared secret', async () => {
    const { port } = await alone({ s2s: { shared: 's3cret' } })
    const { connection } = await stream(port)
    const pair = { originating: HERE, receiving: THERE }
    const key = dialbackKey('s3cret', pair, 'their-id')
    const ask = (text: string, to = HERE) => `<db:verify from='${THERE}' to='${to}' id='their-id'>${text}</db:verify>`
    await connection.send(ask(key))
    await connection.until(`<db:verify from="${HERE}" to="${THERE}" id="their-id" type="valid"/>`)
    await connection.send(ask('other'))
    await connection.until(`<db:verify from="${HERE}" to="${THERE}" id="their-id" type="invalid"/>`)
    await connection.send(ask(key, 'elsewhere.example'))
    await connection.until(`<db:verify from="elsewhere.example" to="${THERE}" id="their-id" type="invalid"/>`)
  })

  it('has state_timeout for each step, and 120 s for all of them', async () => {
    const clock = new ManualClock()
    const { server, port } = await alone({ clock, listener: { state_timeout: 5_000 } })
    const { connection } = await stream(port)
    await pass(clock, server, 5_100)
    expect(await connection.closed()).toContain('<connection-timeout ')
  })

  it('is left alone for ten minutes after its last element, and then its stream ends', async () => {
    const clock = new ManualClock()
    const { server, port } = await alone({ clock, greet: authority('valid') })
    const { connection } = await stream(port)
    await connection.send(result())
    await connection.until('type="valid"')
    clock.advance(599_000)
    await drained(server)
    expect(connection.isClosed).toBe(false)
    clock.advance(2_000)
    expect(await connection.closed()).toMatch(/type="valid"\/><\/stream:stream>$/)
  })

  it('may not send an element of more than 10 000 bytes before it is believed, nor without end', async () => {
    const { port } = await alone()
    const { connection } = await stream(port)
    await connection.send(result(THERE, HERE, 'k'.repeat(10_000)))
    expect(await connection.closed()).toContain('<policy-violation ')
  })

  it('gets an error for an IQ that is none', async () => {
    const { port, remote } = await alone({ greet: authority('valid') })
    const { connection } = await stream(port)
    await connection.send(result())
    await connection.until('type="valid"')
    await connection.send(`<iq type='get' from='juliet@${THERE}/b' to='${HERE}'><ping xmlns='urn:xmpp:ping'/></iq>`)
    const back = await remote.next()
    await back.until('<db:result')
    await back.send(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    await back.until('<bad-request')
  })
})

describe('a stanza for another domain (§3.2.5)', () => {
  it.each([
    ['the policy denies it', { s2s: { default_policy: 'deny' } }, THERE],
    ['it lies under a domain of ours', {}, `conference.${HERE}`],
  ])('is refused with service-unavailable when %s', async (_, more, domain) => {
    const { server } = await alone(more)
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${domain}`, 'm'))
    await bounced(romeo, 'm', 'service-unavailable')
  })

  it('goes under a domain of ours with route_subdomains', async () => {
    const remote = await RemoteServer.open()
    const peer = { domain: `far.${HERE}`, port: remote.port }
    const own = { domain: HERE, port: await freePort() }
    const server = await federated(own, [peer], { general: { route_subdomains: 's2s' } })
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@far.${HERE}`, 'm'))
    expect(await (await remote.next()).until(/<stream:stream[^>]*>/)).toContain(`to='far.${HERE}'`)
  })

  it('waits for dialback, and goes when that is done', async () => {
    const { server, remote } = await alone({ s2s: { shared: 's3cret' } })
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    const peer = await remote.next()
    await answerHeader(peer, THERE, 'abc')
    const key = dialbackKey('s3cret', { originating: HERE, receiving: THERE }, 'abc')
    expect(await peer.until('</db:result>')).toContain(`<db:result from="${HERE}" to="${THERE}">${key}</db:result>`)
    expect(peer.text).not.toContain('<message')
    expect(peer.text).not.toMatch(/<stream:stream[^>]* version=/)
    await peer.send(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    await peer.until(`<message to='juliet@${THERE}' type='chat' id='m' from="${romeo.jid}"`)
  })

  it('comes back with remote-server-not-found when nobody listens there, at once until the next attempt', async () => {
    const clock = new ManualClock()
    const { server, remote } = await alone({ clock })
    remote.close()
    const romeo = await userOf(server, 'romeo')
    const juliet = await userOf(server, 'juliet')
    await romeo.send(message(`juliet@${THERE}`, 'm1') + message(`juliet@${THERE}`, 'm2'))
    await juliet.send(message(`juliet@${THERE}`, 'm3'))
    await bounced(romeo, 'm1', 'remote-server-not-found')
    await bounced(romeo, 'm2', 'remote-server-not-found')
    await bounced(juliet, 'm3', 'remote-server-not-found')
    await romeo.send(message(`juliet@${THERE}`, 'm4'))
    await bounced(romeo, 'm4', 'remote-server-not-found')
    const delay = () => Number(actorsOfKind(server, 'OutgoingServer')[0]?.details.delay)
    expect(delay()).toBeGreaterThanOrEqual(1_000)
    expect(delay()).toBeLessThanOrEqual(15_000)
    const first = delay()
    await pass(clock, server, first + 100)
    await romeo.send(message(`juliet@${THERE}`, 'm5'))
    await bounced(romeo, 'm5', 'remote-server-not-found')
    expect(delay()).toBe(2 * first)
  })

  it('is tried again after no more than max_retry_delay', async () => {
    const clock = new ManualClock()
    const { server, remote } = await alone({ clock, s2s: { max_retry_delay: 1 } })
    const { port } = remote
    remote.close()
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm1'))
    await bounced(romeo, 'm1', 'remote-server-not-found')
    const back = await RemoteServer.open(undefined, port)
    await pass(clock, server, 1_200)
    await romeo.send(message(`juliet@${THERE}`, 'm2'))
    await back.next()
  })

  it('brings back neither errors nor results nor presence', async () => {
    const { server, remote } = await alone()
    remote.close()
    const romeo = await userOf(server, 'romeo')
    await romeo.send(`<message type='error' to='juliet@${THERE}' id='e'/>`)
    await romeo.send(`<iq type='result' to='juliet@${THERE}/b' id='r'/>`)
    await romeo.send(`<presence to='juliet@${THERE}'/>`)
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await bounced(romeo, 'm', 'remote-server-not-found')
    await romeo.receivesNothing(`<message/>`)
    await romeo.receivesNothing(`<presence type='error'/>`)
  })

  it('comes back with resource-constraint when max_fsm_queue wait already', async () => {
    const { server, remote } = await alone({ general: { max_fsm_queue: 50 } })
    const romeo = await userOf(server, 'romeo')
    for (let i = 0; i < 51; i++) await romeo.send(message(`juliet@${THERE}`, `m${i}`))
    await bounced(romeo, 'm50', 'resource-constraint')
    await remote.next()
    await romeo.receivesNothing(`<message/>`)
  })

  it.each<[string, (peer: RawConnection) => Promise<unknown>]>([
    ['closes at once', async peer => peer.socket.end()],
    ['closes behind its header', async peer => answerHeader(peer, THERE).then(() => peer.socket.end())],
    [
      'closes behind our key',
      async peer =>
        answerHeader(peer, THERE)
          .then(() => peer.until('<db:result'))
          .then(() => peer.socket.destroy()),
    ],
    [
      'refuses our key',
      async peer =>
        answerHeader(peer, THERE)
          .then(() => peer.until('<db:result'))
          .then(() => peer.send(`<db:result from='${THERE}' to='${HERE}' type='invalid'/>`)),
    ],
    [
      'says an error',
      async peer =>
        answerHeader(peer, THERE).then(() =>
          peer.send(
            `<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
          ),
        ),
    ],
    ['is no XMPP server', async peer => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['sends a header without end', async peer => peer.send(`<stream:stream a='${'x'.repeat(20_000)}`)],
    [
      'has no namespace of servers',
      async peer =>
        peer.send(serverHeader(`id='x'`, `xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'`)),
    ],
    ['gives no id', async peer => peer.send(serverHeader(''))],
    [
      'sends stanzas on our stream',
      async peer => answerHeader(peer, THERE).then(() => peer.send(`<message from='a@${THERE}' to='romeo@${HERE}'/>`)),
    ],
  ])('comes back with remote-server-timeout when the other server %s', async (_, act) => {
    const { server, remote } = await alone()
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await act(await remote.next())
    await bounced(romeo, 'm', 'remote-server-timeout')
    await eventually(() => actorsOfKind(server, 'OutgoingConnection').length === 0)
  })

  it('comes back with remote-server-timeout after 30 s from a server that accepts and says nothing; others are not kept waiting', async () => {
    const clock = new ManualClock()
    const [remote, quick] = [await RemoteServer.open(), await RemoteServer.open()]
    const others = [
      { domain: THERE, port: remote.port },
      { domain: 'venice.example', port: quick.port },
    ]
    const server = await federated({ domain: HERE, port: await freePort() }, others, { clock })
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm') + message('juliet@venice.example', 'quick'))
    await (await remote.next()).until('<stream:stream')
    const other = await quick.next()
    await answerHeader(other, 'venice.example')
    await other.until('<db:result')
    await other.send(`<db:result from='venice.example' to='${HERE}' type='valid'/>`)
    await other.until(`id='quick'`)
    await pass(clock, server, 30_200)
    await bounced(romeo, 'm', 'remote-server-timeout')
  })

  it('is not held up, nor is memory, by a server that sends 100 MB of anything', async () => {
    const { server, remote } = await alone()
    const romeo = await userOf(server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    const peer = await remote.next()
    await answerHeader(peer, THERE)
    const junk = Buffer.from(`<junk xmlns='junk'>${'x'.repeat(5_000)}</junk>`)
    for (let sent = 0; sent < 100_000_000 && (await peer.send(junk)); sent += junk.length);
    await bounced(romeo, 'm', 'remote-server-timeout')
  })

  it('finds no stream after ten minutes without one, and opens another', async () => {
    const clock = new ManualClock()
    const { server, remote } = await alone({ clock })
    const romeo = await userOf(server, 'romeo')
    const accept = async (peer: RawConnection) => {
      await answerHeader(peer, THERE)
      await peer.until('<db:result')
      await peer.send(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    }
    await romeo.send(message(`juliet@${THERE}`, 'm1'))
    const first = await remote.next()
    await accept(first)
    await first.until(`id='m1'`)
    clock.advance(601_000)
    expect(await first.closed()).toMatch(/<\/stream:stream>$/)
    await eventually(() => actorsOfKind(server, 'OutgoingServer').length === 0)
    await romeo.send(message(`juliet@${THERE}`, 'm2'))
    const second = await remote.next()
    await accept(second)
    await second.until(`id='m2'`)
  })
})

describe('a fault on the way out (DESIGN §2)', () => {
  const waiting = async () => {
    const found = await alone()
    const romeo = await userOf(found.server, 'romeo')
    await romeo.send(message(`juliet@${THERE}`, 'm1'))
    await (await found.remote.next()).until('<stream:stream')
    const fault = (kind: string) => {
      const [actor] = actorsOfKind(found.server, kind)
      expect(found.server.internals.runtime.fault(String(actor?.path), new Error('made by a test'))).toBe(true)
    }
    return { ...found, romeo, fault }
  }

  it('of the pair of domains tells the senders, and the next stanza finds another actor', async () => {
    const { romeo, remote, fault } = await waiting()
    fault('OutgoingServer')
    await bounced(romeo, 'm1', 'remote-server-timeout')
    await romeo.send(message(`juliet@${THERE}`, 'm2'))
    const peer = await remote.next()
    await answerHeader(peer, THERE)
    await peer.until('<db:result')
  })

  it('of the connection is told to the peer, and to the senders', async () => {
    const { romeo, remote, fault } = await waiting()
    fault('OutgoingConnection')
    await bounced(romeo, 'm1', 'remote-server-timeout')
    expect(await remote.connections[0]?.closed()).toContain('<internal-server-error ')
  })
})

describe('finding another server (§2.5, §3.2.5)', () => {
  const asking = async (zone: Zone, more: More & { port?: number } = {}) => {
    const names: NameServer = await nameServer(zone)
    const s2s = { dns: { servers: [names.address], timeout: 1, retries: 1 }, ...more.s2s }
    const server = await federated({ domain: HERE, port: await freePort() }, [], { ...more, s2s })
    return { names, server, romeo: await userOf(server, 'romeo') }
  }

  it('follows the SRV record to another name and port', async () => {
    const remote = await RemoteServer.open()
    const { romeo } = await asking({
      services: { '_xmpp-server._tcp.mantua.example': [{ name: 'xmpp.mantua.example', port: remote.port }] },
      hosts: { 'xmpp.mantua.example': ['127.0.0.1'] },
    })
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    expect(await (await remote.next()).until(/<stream:stream[^>]*>/)).toContain(`to='${THERE}'`)
  })

  it('asks for _jabber when there is no _xmpp-server', async () => {
    const remote = await RemoteServer.open()
    const { romeo } = await asking({
      services: { '_jabber._tcp.mantua.example': [{ name: 'xmpp.mantua.example', port: remote.port }] },
      hosts: { 'xmpp.mantua.example': ['127.0.0.1'] },
    })
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await remote.next()
  })

  it('goes on to the record of the next priority, and to the next address, when one does not answer', async () => {
    const remote = await RemoteServer.open()
    const { romeo } = await asking({
      services: {
        '_xmpp-server._tcp.mantua.example': [
          { name: 'xmpp.mantua.example', port: remote.port, priority: 20 },
          { name: 'first.mantua.example', port: await freePort(), priority: 10 },
        ],
      },
      hosts: { 'xmpp.mantua.example': ['::1', '127.0.0.1'], 'first.mantua.example': ['127.0.0.1'] },
    })
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await remote.next()
  })

  it('takes the address of the domain and outgoing.port where there is no record', async () => {
    const remote = await RemoteServer.open()
    const zone = { hosts: { 'mantua.example': ['127.0.0.1'] } }
    const { romeo } = await asking(zone, { s2s: { outgoing: { port: remote.port } } })
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await remote.next()
  })

  it('asks for the families that ip_versions names only', async () => {
    const zone = { hosts: { 'mantua.example': ['127.0.0.1'] } }
    const { names, romeo } = await asking(zone, { s2s: { outgoing: { ip_versions: [6] } } })
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await bounced(romeo, 'm', 'remote-server-not-found')
    expect(names.questions).toContain('AAAA mantua.example')
    expect(names.questions).not.toContain('A mantua.example')
  })

  it('says remote-server-not-found for a domain that is not there, and for one that has no such service', async () => {
    const { romeo } = await asking({
      services: { '_xmpp-server._tcp.mantua.example': [{ name: '.', port: 0 }] },
      hosts: { 'mantua.example': ['127.0.0.1'] },
    })
    await romeo.send(message(`juliet@${THERE}`, 'm1') + message('juliet@nowhere.example', 'm2'))
    await bounced(romeo, 'm1', 'remote-server-not-found')
    await bounced(romeo, 'm2', 'remote-server-not-found')
  })

  it('gives up a name server that does not answer, and keeps nobody else waiting', async () => {
    const remote = await RemoteServer.open()
    const { romeo } = await asking({
      services: { '_xmpp-server._tcp.mantua.example': [{ name: 'xmpp.mantua.example', port: remote.port }] },
      hosts: { 'xmpp.mantua.example': ['127.0.0.1'] },
      isSilent: name => name.endsWith('slow.example'),
    })
    await romeo.send(message('juliet@slow.example', 'slow') + message(`juliet@${THERE}`, 'm'))
    await remote.next()
    await bounced(romeo, 'slow', 'remote-server-not-found')
  })
})
