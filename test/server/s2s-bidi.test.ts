import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { ensureDevelopmentCertificate } from '../../src/tls/certificates.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { freePort } from '../support/programs.js'
import { RemoteServer, serverHeader } from '../support/remote-server.js'
import { actorsOfKind, drained, eventually, RawConnection, session, startedServer } from '../support/server.js'

/*
 * Both directions over one stream between servers. XEP-0288
 */

const HERE = 'verona.example'
const THERE = 'mantua.example'
const ELSEWHERE = 'padua.example'
const BIDI = `<bidi xmlns='urn:xmpp:bidi'/>`

let folder = ''
const file = (name: string) => join(folder, `${name}.pem`)
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meerkat-bidi-'))
  for (const domain of [HERE, THERE]) await ensureDevelopmentCertificate(file(domain), [domain], file('ca'))
  await ensureDevelopmentCertificate(file('other'), [HERE], file('other-ca'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface More {
  port?: number
  cacertfile?: string
  policy?: string
  clock?: ManualClock
}

function federated(domain: string, port: number, others: Readonly<Record<string, number>>, more: More = {}) {
  return startedServer({
    users: ['romeo', 'juliet'],
    ...(more.clock && { clock: more.clock }),
    config: {
      general: { hosts: [domain] },
      listen: {
        s2s: [{ port, ip_address: '127.0.0.1', num_acceptors: 2, tls: { cacertfile: more.cacertfile ?? file('ca') } }],
      },
      s2s: {
        use_starttls: more.policy ?? 'optional',
        certfile: file(domain),
        address: Object.entries(others).map(([host, at]) => ({ host, ip_address: '127.0.0.1', port: at })),
      },
    },
  })
}

const userOf = (server: TestServer, user: string) => session(server, user, { domain: server.host, priority: 0 })
const message = (to: string, id: string) => `<message to='${to}' type='chat' id='${id}'><body>Ay me</body></message>`
const bounced = (client: Client, id: string, condition: string) =>
  client.receives(
    `<message type='error' id='${id}'><error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
  )

async function pair(more: { own?: More; other?: More } = {}) {
  const ports = { [HERE]: await freePort(), [THERE]: await freePort() }
  const a = await federated(HERE, ports[HERE]!, ports, more.own)
  const b = await federated(THERE, ports[THERE]!, ports, more.other)
  return { a, b, romeo: await userOf(a, 'romeo'), juliet: await userOf(b, 'juliet') }
}

const count = (server: TestServer, kind: string) => actorsOfKind(server, kind).length

describe('two servers of ours', () => {
  it('send both ways over one connection, by EXTERNAL', async () => {
    const { a, b, romeo, juliet } = await pair()
    await romeo.send(message(juliet.jid ?? '', 'm1'))
    await juliet.receives(`<message id='m1' from='${romeo.jid}'/>`)
    for (let i = 0; i < 50; i++) await juliet.send(message(romeo.jid ?? '', `b${i}`))
    for (let i = 0; i < 50; i++) expect((await romeo.receivesNext()).attrs.id).toBe(`b${i}`)
    expect([count(a, 'OutgoingConnection'), count(a, 'ServerConnection')]).toEqual([1, 0])
    expect([count(b, 'OutgoingConnection'), count(b, 'ServerConnection')]).toEqual([0, 1])
  })

  it('send both ways over one connection, by dialback; the key is asked about on another', async () => {
    const { a, b, romeo, juliet } = await pair({ other: { cacertfile: file('other-ca') } })
    await romeo.send(message(juliet.jid ?? '', 'm1'))
    await juliet.receives(`<message id='m1'/>`)
    await juliet.send(message(romeo.jid ?? '', 'm2'))
    await romeo.receives(`<message id='m2' from='${juliet.jid}'/>`)
    expect(actorsOfKind(a, 'OutgoingConnection').map(({ details }) => details.isBidi)).toEqual([true])
    expect(actorsOfKind(b, 'ServerConnection').map(({ details }) => details.isBidi)).toEqual([true])
    expect(actorsOfKind(b, 'OutgoingConnection').map(({ details }) => [details.stanzasOut, details.isBidi])).toEqual([
      [0, false],
    ])
  })

  it('find another way when the one that opened the stream is gone', async () => {
    const ports = { [HERE]: await freePort(), [THERE]: await freePort() }
    const a = await federated(HERE, ports[HERE]!, ports)
    const b = await federated(THERE, ports[THERE]!, ports)
    const [romeo, juliet] = [await userOf(a, 'romeo'), await userOf(b, 'juliet')]
    await romeo.send(message(juliet.jid ?? '', 'm1'))
    await juliet.receives(`<message id='m1'/>`)
    await a.stop()
    await eventually(() => count(b, 'ServerConnection') === 0)
    const again = await federated(HERE, ports[HERE]!, ports)
    const back = await userOf(again, 'romeo')
    await juliet.send(message(back.jid ?? '', 'm2'))
    await back.receives(`<message id='m2'/>`)
    expect(count(b, 'OutgoingConnection')).toBe(1)
    expect(b.status().counters.serversOutNow).toBe(1)
  })
})

/** One server of ours and a remote one that a test speaks for, in clear. */
async function alone(more: More = {}) {
  const remote = await RemoteServer.open()
  const port = await freePort()
  const server = await federated(HERE, port, { [THERE]: remote.port, [ELSEWHERE]: remote.port }, more)
  return { server, remote, port, romeo: await userOf(server, 'romeo') }
}

/** Answers the question about a key, on the connection that it comes on. */
async function vouch(remote: RemoteServer, domain = THERE) {
  const asked = await remote.next()
  await asked.until('<stream:stream')
  await asked.send(`${serverHeader(`from='${domain}' id='asked' version='1.0'`)}<stream:features/>`)
  const [, id] = /<db:verify[^>]* id="([^"]+)"/.exec(await asked.until(/<db:verify[^>]*>[^<]*</)) ?? []
  await asked.send(`<db:verify from='${domain}' to='${HERE}' id='${id}' type='valid'/>`)
  return asked
}

describe('a stream that the other server opens', () => {
  async function opened(port: number, wish = BIDI) {
    const peer = await RawConnection.open(port)
    await peer.send(serverHeader(`from='${THERE}' to='${HERE}' version='1.0'`))
    await peer.until(`<bidi xmlns='urn:xmpp:features:bidi'`)
    await peer.send(`${wish}<db:result from='${THERE}' to='${HERE}'>key</db:result>`)
    return peer
  }
  const proven = async (port: number, remote: RemoteServer, wish?: string) => {
    const peer = await opened(port, wish)
    const asked = await vouch(remote)
    await peer.until('type="valid"')
    return { peer, asked }
  }

  it('carries what we send to that domain, once it is proven, and nothing for another', async () => {
    const { server, remote, port, romeo } = await alone()
    const peer = await opened(port)
    await romeo.send(message(`juliet@${THERE}`, 'early'))
    await romeo.settled()
    expect(peer.text).not.toContain('early')
    await vouch(remote)
    await peer.until(/<message[^>]* id='early'/)
    expect(peer.text.indexOf('type="valid"')).toBeLessThan(peer.text.indexOf('early'))
    await romeo.send(message(`juliet@${ELSEWHERE}`, 'other'))
    await (await remote.next()).until(`to='${ELSEWHERE}'`)
    await romeo.send(message(`juliet@${THERE}`, 'second'))
    await peer.until(`id='second'`)
    expect(peer.text).not.toContain('other')
    expect(server.status().counters.serversOutNow).toBe(1)
  })

  it('carries nothing when the other did not ask for it', async () => {
    const { remote, port, romeo } = await alone()
    const { peer, asked } = await proven(port, remote, '')
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    await asked.until('<db:result')
    expect(peer.text).not.toContain('<message')
  })

  it('that ends takes what was not sent to a stream of our own', async () => {
    const { server, remote, port, romeo } = await alone()
    const { peer, asked } = await proven(port, remote)
    asked.socket.destroy()
    await romeo.send(message(`juliet@${THERE}`, 'm1'))
    await peer.until(`id='m1'`)
    peer.socket.destroy()
    await eventually(() => count(server, 'ServerConnection') === 0)
    await romeo.send(message(`juliet@${THERE}`, 'm2'))
    const own = await remote.next()
    await own.until('<stream:stream')
    await own.send(`${serverHeader(`from='${THERE}' id='x' version='1.0'`)}<stream:features/>`)
    await own.until('<db:result')
    await own.send(`<db:result from='${THERE}' to='${HERE}' type='valid'/>`)
    await own.until(`id='m2'`)
  })

  it('that is not read from any more ends, and the senders are told; others are not kept waiting', async () => {
    const clock = new ManualClock()
    const { server, remote, port, romeo } = await alone({ clock })
    const { peer } = await proven(port, remote)
    peer.socket.pause()
    const body = 'x'.repeat(30_000)
    let sent = 0
    const isBlocked = () => actorsOfKind(server, 'ServerConnection').some(({ details }) => details.isBlocked === true)
    while (!isBlocked()) {
      await romeo.send(`<message to='juliet@${THERE}' type='chat' id='m${sent++}'><body>${body}</body></message>`)
      await romeo.settled()
    }
    await romeo.send(message(`juliet@${THERE}`, 'last'))
    await romeo.settled()
    for (let passed = 0; passed < 20_000; passed += 1_000) {
      clock.advance(1_000)
      await drained(server)
    }
    await bounced(romeo, 'last', 'remote-server-timeout')
    expect(count(server, 'ServerConnection')).toBe(0)
  })

  it('counts rest from both directions', async () => {
    const clock = new ManualClock()
    const { server, remote, port, romeo } = await alone({ clock })
    const { peer } = await proven(port, remote)
    for (let i = 0; i < 3; i++) {
      clock.advance(400_000)
      await drained(server)
      await romeo.send(message(`juliet@${THERE}`, `m${i}`))
      await peer.until(`id='m${i}'`)
    }
    clock.advance(601_000)
    expect(await peer.closed()).toContain('</stream:stream>')
  })
})

describe('a stream that we open', () => {
  async function established(features = `<bidi xmlns='urn:xmpp:features:bidi'/>`) {
    const { server, remote, romeo } = await alone()
    await romeo.send(message(`juliet@${THERE}`, 'm'))
    const peer = await remote.next()
    await peer.until('<stream:stream')
    await peer.send(
      `${serverHeader(`from='${THERE}' id='x' version='1.0'`)}<stream:features>${features}</stream:features>`,
    )
    await peer.until('<db:result')
    return { server, romeo, peer }
  }
  const valid = `<db:result from='${THERE}' to='${HERE}' type='valid'/>`
  const stanza = (from: string, to: string, more = '') =>
    `<message from='${from}' to='${to}' id='back'>${more}</message>`

  it('brings what the other sends back, once it took us for who we are', async () => {
    const { server, romeo, peer } = await established()
    expect(peer.text).toContain(`${BIDI}<db:result`)
    await peer.send(`${valid}${stanza(`juliet@${THERE}`, romeo.jid ?? '', '<body>O</body>')}`)
    await romeo.receives(`<message from='juliet@${THERE}' id='back'><body>O</body></message>`)
    await peer.until(`id='m'`)
    // As long as other stanzas may be.
    await peer.send(stanza(`juliet@${THERE}`, romeo.jid ?? '', `<body>${'x'.repeat(20_000)}</body>`))
    await romeo.receives(`<message from='juliet@${THERE}' id='back'/>`)
    expect(count(server, 'OutgoingConnection')).toBe(1)
  })

  it.each([
    ['before the proof', '', stanza(`juliet@${THERE}`, `romeo@${HERE}`), 'not-authorized'],
    ['of another domain', valid, stanza(`juliet@${ELSEWHERE}`, `romeo@${HERE}`), 'invalid-from'],
    ['of a domain of ours', valid, stanza(`tybalt@${HERE}`, `romeo@${HERE}`), 'invalid-from'],
    ['to somebody else', valid, stanza(`juliet@${THERE}`, `x@${ELSEWHERE}`), 'invalid-from'],
    ['without an address', valid, `<message to='romeo@${HERE}'/>`, 'improper-addressing'],
  ])('ends over a stanza %s', async (_, proof, text, condition) => {
    const { romeo, peer } = await established()
    await peer.send(`${proof}${text}`)
    expect(await peer.closed()).toContain(`<${condition} `)
    await romeo.receivesNothing(`<message id='back'/>`)
  })

  it('brings nothing when that was not agreed upon', async () => {
    const { romeo, peer } = await established('')
    expect(peer.text).not.toContain('bidi')
    await peer.send(`${valid}${stanza(`juliet@${THERE}`, romeo.jid ?? '')}`)
    expect(await peer.closed()).toContain('<not-authorized ')
  })
})
