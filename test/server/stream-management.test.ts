import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  clientOf,
  connectionOf,
  drained,
  eventually,
  PASSWORD,
  type Setup,
  session,
  sharedServer,
  startedServer,
  startInFolder,
} from '../support/server.js'

/*
 * XEP-0198 over real sockets; spec/listeners.md §2.8, §3.1.2, §3.1.3, §3.1.6, §3.5.
 */

const certificate = { certfile: join(import.meta.dirname, '../support/certificates/rsa.pem') }
const sm = 'urn:xmpp:sm:3'
const users = ['romeo', 'juliet']
const failed = (condition: string) =>
  `<failed xmlns='${sm}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`

type Options = Parameters<typeof clientOf>[1]

/** Logged in, no resource yet. */
async function authenticated(server: { port: number }, user = 'romeo', options: Options = {}): Promise<Client> {
  const client = await clientOf(server, options)
  await client.open()
  if (options?.tls === 'starttls') {
    await client.startTls()
    await client.open()
  }
  await client.authenticate('SCRAM-SHA-1', user, PASSWORD)
  await client.open()
  return client
}

async function enable(client: Client, attributes = "resume='true'"): Promise<Element> {
  await client.send(`<enable xmlns='${sm}' ${attributes}/>`)
  return client.receives(`<enabled xmlns='${sm}'/>`)
}

/** A client that can be resumed, with the id of its stream. */
async function managed(server: { port: number }, user: string, options: Parameters<typeof session>[2] = {}) {
  const client = await session(server, user, options)
  const { id } = (await enable(client)).attrs
  return { client, id: String(id) }
}

const resumeXml = (previd: string, h: number | string) => `<resume xmlns='${sm}' previd='${previd}' h='${h}'/>`

/** Another connection that goes on with the session. */
async function resumed(
  server: { port: number },
  user: string,
  previd: string,
  h: number,
  options: Options = {},
): Promise<Client & { h: number }> {
  const client = await authenticated(server, user, options)
  await client.send(resumeXml(previd, h))
  const answer = await client.receives(`<resumed xmlns='${sm}' previd='${previd}'/>`)
  return Object.assign(client, { h: Number(answer.attrs.h) })
}

async function handledBy(client: Client): Promise<number> {
  await client.send(`<r xmlns='${sm}'/>`)
  return Number((await client.receives(`<a xmlns='${sm}'/>`)).attrs.h)
}

/** Offline messages are stored only when `goOn` was called. */
function slowStore(server: TestServer) {
  const { offline } = server.internals.store
  const add = offline.add.bind(offline)
  let [asked, stored] = [0, 0]
  let goOn = () => {}
  const gate = new Promise<void>(resolve => {
    goOn = resolve
  })
  Object.assign(offline, {
    add: async (...given: Parameters<typeof add>) => {
      asked++
      await gate
      const result = await add(...given)
      stored++
      return result
    },
  })
  return { isAsked: () => eventually(() => asked > 0), stored: () => stored, goOn: () => goOn() }
}

const acknowledge = (client: Client, h: number | string) => client.send(`<a xmlns='${sm}' h='${h}'/>`)
const chat = (to: string, body: string) => `<message to='${to}' type='chat'><body>${body}</body></message>`

/** Waits until the server knows that the client is gone. */
async function detached(server: Parameters<typeof connectionOf>[0], client: Client): Promise<void> {
  client.drop()
  await eventually(() => connectionOf(server, client).details.isDetached === true)
}

/** All bodies that the client has, and gets until it is settled. */
async function bodies(client: Client): Promise<string[]> {
  await client.settled()
  const found: string[] = []
  for (;;) {
    const next = await client.receives('<message><body/></message>', { within: 50 }).catch(() => undefined)
    if (next === undefined) return found
    found.push(next.getChildText('body') ?? '')
  }
}

describe('the offer of stream management (XEP-0198 §3, §3.1.2)', () => {
  const server = sharedServer({ users })

  it('is made after the login and not before', async () => {
    const client = await clientOf(server())
    const before = await client.open()
    expect(before.getChild('sm', sm)).toBeUndefined()
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    const after = await client.open()
    expect(after.getChild('sm', sm)).toBeDefined()
  })

  it('is not made where the module is off, and its elements are ignored there (§3.1.3)', async () => {
    const without = await startedServer({ users, config: { modules: { mod_ping: {} } } })
    const client = await authenticated(without)
    expect(client.features?.getChild('sm', sm)).toBeUndefined()
    await client.send(resumeXml('x', 0))
    await client.bind('x')
    await client.send(`<enable xmlns='${sm}'/><r xmlns='${sm}'/><a xmlns='urn:x'/>`)
    await client.receivesNothing()
  })
})

describe('enabling (XEP-0198 §3, §3.1.3)', () => {
  const server = sharedServer({ users })

  it('is answered with failed and unexpected-request before login and before bind; the stream goes on', async () => {
    const client = await clientOf(server())
    await client.open()
    await client.send(`<enable xmlns='${sm}'/>`)
    await client.receives(failed('unexpected-request'))
    await client.send(resumeXml('x', 0))
    await client.receives(failed('unexpected-request'))
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    for (const element of [`<enable xmlns='${sm}' resume='true'/>`, `<r xmlns='${sm}'/>`, `<a xmlns='${sm}' h='0'/>`]) {
      await client.send(element)
      await client.receives(failed('unexpected-request'))
    }
    await client.bind()
    await enable(client)
  })

  it('without resume gives no id; with it an id that cannot be guessed, another each time, and the time (§2.8)', async () => {
    const plain = await session(server(), 'romeo')
    expect((await enable(plain, '')).attrs).toEqual({ xmlns: sm })
    const ids = new Set<string>()
    for (const resume of ['true', '1']) {
      const client = await session(server(), 'romeo', { resource: `a'&amp;${resume}` })
      const { attrs } = await enable(client, `resume='${resume}'`)
      expect(attrs).toMatchObject({ resume: 'true', max: '600' })
      expect(attrs.id).toMatch(/^[A-Za-z0-9+/]{22}/)
      expect(attrs.location).toBeUndefined()
      ids.add(attrs.id.slice(0, 22))
    }
    expect(ids.size).toBe(2)
  })

  it('takes a shorter time than the server offers, and no longer one', async () => {
    const short = await session(server(), 'romeo')
    expect((await enable(short, "resume='true' max='7'")).attrs.max).toBe('7')
    const long = await session(server(), 'romeo')
    expect((await enable(long, "resume='true' max='4000'")).attrs.max).toBe('600')
  })

  it('a second time gets failed, and the stream ends with policy-violation', async () => {
    const client = await session(server(), 'romeo')
    await enable(client)
    await client.send(`<enable xmlns='${sm}'/>`)
    await client.receives(failed('unexpected-request'))
    await client.streamError('policy-violation')
  })

  it('answers r, a and resume with failed where it was not enabled', async () => {
    const client = await session(server(), 'romeo')
    for (const element of [`<r xmlns='${sm}'/>`, `<a xmlns='${sm}' h='0'/>`, resumeXml('x', 0)]) {
      await client.send(element)
      await client.receives(failed('unexpected-request'))
    }
    await client.settled()
  })
})

describe('what breaks the rules (§3.5)', () => {
  const server = sharedServer({ users })

  it.each([
    ['another version', "<enable xmlns='urn:xmpp:sm:2'/>"],
    ['no namespace of its own', "<a h='0'/>"],
    ['a foreign one', "<r xmlns='urn:x'/>"],
    ['a foreign one', "<resume xmlns='urn:x' h='0' previd='x'/>"],
  ])('ends the stream with invalid-namespace: %s, before bind and after', async (_, element) => {
    const unbound = await authenticated(server())
    await unbound.send(element)
    await unbound.streamError('invalid-namespace')
    const bound = await session(server(), 'romeo')
    await bound.send(element)
    await bound.streamError('invalid-namespace')
  })

  it.each([
    ['no h', `<a xmlns='${sm}'/>`],
    ['no number', `<a xmlns='${sm}' h='one'/>`],
    ['a negative one', `<a xmlns='${sm}' h='-1'/>`],
    ['more than 32 bits', `<a xmlns='${sm}' h='4294967296'/>`],
  ])('ends the stream with policy-violation: %s', async (_, element) => {
    const client = await session(server(), 'romeo')
    await enable(client)
    await client.send(element)
    await client.streamError('policy-violation')
  })

  it('ends the stream with policy-violation where a resume has no number or no id', async () => {
    for (const element of [resumeXml('x', ''), `<resume xmlns='${sm}' h='0'/>`]) {
      const client = await authenticated(server())
      await client.send(element)
      await client.streamError('policy-violation')
    }
  })

  it('ends the stream where more is acknowledged than was sent, with handled-count-too-high (XEP-0198 §6)', async () => {
    const client = await session(server(), 'romeo')
    await enable(client)
    await client.settled()
    await acknowledge(client, 1)
    await client.settled()
    await acknowledge(client, 10)
    const error = await client.streamError('undefined-condition')
    expect(error.getChild('handled-count-too-high', sm)?.attrs).toMatchObject({ h: '10', 'send-count': '2' })
    expect(error.getChildText('text', 'urn:ietf:params:xml:ns:xmpp-streams')).toBe(
      'You acknowledged 10 stanzas, but I only sent you 2 so far.',
    )
  })

  it('ends the stream where less is acknowledged than before', async () => {
    const client = await session(server(), 'romeo')
    await enable(client)
    await client.settled()
    await client.settled()
    await acknowledge(client, 2)
    await acknowledge(client, 1)
    await client.streamError('undefined-condition')
  })

  it('tells a client so that resumes with more than it was sent, and keeps the session', async () => {
    const { client, id } = await managed(server(), 'romeo')
    await client.settled()
    await detached(server(), client)
    const greedy = await authenticated(server())
    await greedy.send(resumeXml(id, 2))
    const error = await greedy.streamError('undefined-condition')
    expect(error.getChild('handled-count-too-high', sm)?.attrs).toMatchObject({ h: '2', 'send-count': '1' })
    await resumed(server(), 'romeo', id, 1)
  })
})

describe('acknowledgements (XEP-0198 §4)', () => {
  it('count stanzas from enabled on, and nothing else', async () => {
    const server = await startedServer({ users })
    const client = await session(server, 'romeo', { priority: 0 })
    await enable(client)
    expect(await handledBy(client)).toBe(0)
    await client.send(`<presence/><message to='${client.jid}'/><iq type='result' id='x'/>`)
    expect(await handledBy(client)).toBe(3)
    await client.send("<unknown xmlns='urn:x'/><nothing/>")
    await client.settled()
    expect(await handledBy(client)).toBe(4)
  })

  it('are asked for after every stanza, or after so many (ack_freq, §2.8)', async () => {
    for (const [ack, expected] of [
      [{}, 6],
      [{ ack_freq: 3 }, 2],
      [{ ack_freq: 'never' }, 0],
      [{ ack: false }, 0],
    ] as const) {
      const server = await startedServer({ users, config: { modules: { mod_ping: {}, mod_stream_management: ack } } })
      const client = await session(server, 'romeo')
      await enable(client)
      for (let i = 0; i < 6; i++) await client.settled()
      let requests = 0
      while (requests < expected) {
        await client.receives(`<r xmlns='${sm}'/>`)
        requests++
      }
      await client.receivesNothing(ack === undefined || expected === 6 ? '<a/>' : `<r xmlns='${sm}'/>`)
    }
  })

  it('come only when a message for somebody who is offline is stored (DESIGN §7)', async () => {
    const server = await startedServer({ users })
    const client = await session(server, 'romeo')
    await enable(client)
    const store = slowStore(server)
    await client.send(`${chat('juliet@localhost', 'x')}<r xmlns='${sm}'/>`)
    const answer = client.receives(`<a xmlns='${sm}'/>`)
    await store.isAsked()
    const early = await Promise.race([answer, new Promise(resolve => setTimeout(() => resolve('none'), 100))])
    expect(early).toBe('none')
    expect(store.stored()).toBe(0)
    store.goOn()
    expect((await answer).attrs.h).toBe('1')
    expect(store.stored()).toBe(1)
  })
})

describe('too many unacknowledged stanzas (buffer_max, §3.1.6)', () => {
  const setup = (management: object, clock: ManualClock): Setup => ({
    users,
    clock,
    config: { modules: { mod_ping: {}, mod_offline: {}, mod_stream_management: management } },
  })

  it('are looked at again after five seconds; still too many end the stream with resource-constraint', async () => {
    const clock = new ManualClock()
    const server = await startedServer(setup({ buffer_max: 3 }, clock))
    const client = await session(server, 'romeo')
    await enable(client)
    for (let i = 0; i < 4; i++) await client.settled()
    clock.advance(4_900)
    await acknowledge(client, 1)
    await client.settled()
    // Three and one that came since: over again, and looked at five seconds after that was found.
    await acknowledge(client, 5)
    await client.settled()
    clock.advance(200)
    await client.settled()
    for (let i = 0; i < 3; i++) await client.settled()
    clock.advance(5_200)
    const error = await client.streamError('resource-constraint')
    expect(error.getChildText('text', 'urn:ietf:params:xml:ns:xmpp-streams')).toBe('too many unacked stanzas')
  })

  it('may be any number with infinity, and are not kept with no_buffer or buffer = false: then nothing is resumed', async () => {
    for (const management of [{ buffer_max: 'infinity' }, { buffer_max: 'no_buffer' }, { buffer: false }]) {
      const clock = new ManualClock()
      const server = await startedServer(setup(management, clock))
      const client = await session(server, 'romeo')
      const { attrs } = await enable(client)
      expect(attrs.resume).toBe(management.buffer_max === 'infinity' ? 'true' : undefined)
      for (let i = 0; i < 120; i++) await client.settled()
      clock.advance(6_000)
      await client.settled()
      await acknowledge(client, 121)
      await client.settled()
    }
  })
})

describe('resuming (XEP-0198 §5)', () => {
  it('goes on after the socket was cut: what was not acknowledged comes again, what came meanwhile too, in order', async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const { client: romeo, id } = await managed(server, 'romeo', { resource: 'x', priority: 1 })
    await juliet.send(`<presence to='${romeo.jid}'/>`)
    await romeo.receives(`<presence from='${juliet.jid}'/>`)
    for (const body of ['1', '2', '3']) await juliet.send(chat(romeo.jid!, body))
    await juliet.settled()
    await romeo.receives('<message><body>3</body></message>')
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    const { path } = connectionOf(server, romeo)
    await detached(server, romeo)
    for (const body of ['4', '5']) await juliet.send(chat(romeo.jid!, body))
    await juliet.send(chat('romeo@localhost', '6'))
    await juliet.receivesNothing('<presence type="unavailable"/>')
    // The presence and one message arrived.
    const again = await resumed(server, 'romeo', id, 2)
    again.jid = romeo.jid
    expect(again.h).toBe(1)
    for (const body of ['2', '3', '4', '5', '6']) {
      const message = await again.receives('<message><body/></message>')
      expect(message.getChildText('body')).toBe(body)
    }
    expect(await handledBy(again)).toBe(1)
    await again.send(chat(juliet.jid!, 'back'))
    await juliet.receives(`<message from='${romeo.jid}'><body>back</body></message>`)
    expect(connectionOf(server, romeo).path).toBe(path)
    expect(server.status().connections).toBe(2)
    expect(server.status().sessions).toBe(2)
    await acknowledge(again, 7)
    await again.settled()
    await again.close()
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    expect(server.status().connections).toBe(1)
  })

  it('reads on where the new connection stopped: what stands behind resume in the same segment counts', async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const { client, id } = await managed(server, 'romeo')
    await detached(server, client)
    const again = await authenticated(server)
    await again.send(`${resumeXml(id, 0)}${chat(juliet.jid!, 'same')}<r xmlns='${sm}'/><iq id='x`)
    await juliet.receives('<message><body>same</body></message>')
    expect((await again.receives(`<a xmlns='${sm}'/>`)).attrs.h).toBe('1')
    await again.send(`yz' type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`)
    await again.receives("<iq id='xyz'/>")
  })

  it('tells the old connection, where there is one still, conflict: Resumed by new connection', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo', { resource: 'x' })
    const again = await resumed(server, 'romeo', id, 0)
    const error = await client.streamError('conflict')
    expect(error.getChildText('text', 'urn:ietf:params:xml:ns:xmpp-streams')).toBe('Resumed by new connection')
    again.jid = client.jid
    await again.settled()
    await eventually(() => server.status().connections === 1)
    expect(server.status().sessions).toBe(1)
  })

  it('may be done again and again with the same id', async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet')
    const { client, id } = await managed(server, 'romeo', { resource: 'x', priority: 0 })
    let last: Client = client
    for (let i = 1; i <= 5; i++) {
      await detached(server, last)
      await juliet.send(chat(client.jid!, `${i}`))
      await juliet.settled()
      const again = await resumed(server, 'romeo', id, i - 1)
      again.jid = client.jid
      await again.receives(`<message><body>${i}</body></message>`)
      last = again
    }
  })

  it('waits until everything that was sent before is handled, so that the client sends nothing twice', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo', { resource: 'x' })
    const store = slowStore(server)
    await client.send(chat('juliet@localhost', 'once'))
    await store.isAsked()
    client.drop()
    const again = await authenticated(server)
    await again.send(`${resumeXml(id, 0)}<r xmlns='${sm}'/>`)
    store.goOn()
    expect((await again.receives(`<resumed xmlns='${sm}'/>`)).attrs.h).toBe('1')
    expect((await again.receives(`<a xmlns='${sm}'/>`)).attrs.h).toBe('1')
    again.jid = client.jid
    await again.settled()
  })

  it('of a session that ends meanwhile is told internal-server-error (§3.5)', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo', { resource: 'x' })
    const { path } = connectionOf(server, client)
    const store = slowStore(server)
    await client.send(chat('juliet@localhost', 'once'))
    await store.isAsked()
    client.drop()
    const again = await authenticated(server)
    await again.send(resumeXml(id, 0))
    // The newcomer is gone when its connection has gone over to the session.
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    expect(server.internals.runtime.fault(path, new Error('made by a test'))).toBe(true)
    await again.streamError('internal-server-error')
    store.goOn()
    await eventually(() => server.status().connections === 0)
    expect(server.status().sessions).toBe(0)
  })

  it('by a client that is gone again before it is heard leaves the session to the next', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo', { resource: 'x' })
    const store = slowStore(server)
    await client.send(chat('juliet@localhost', 'once'))
    await store.isAsked()
    client.drop()
    const hasty = await authenticated(server)
    await hasty.send(resumeXml(id, 0))
    hasty.drop()
    store.goOn()
    await eventually(() => server.status().connections === 0)
    expect(server.status().sessions).toBe(1)
    expect((await resumed(server, 'romeo', id, 0)).h).toBe(1)
    expect(server.status().connections).toBe(1)
  })

  it('at twice at once is won by the newer one; nothing is lost and the other gets conflict', async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet')
    const { client, id } = await managed(server, 'romeo', { resource: 'x', priority: 0 })
    await detached(server, client)
    await juliet.send(chat(client.jid!, 'waits'))
    await juliet.settled()
    const both = [await authenticated(server), await authenticated(server)]
    await Promise.all(both.map(one => one.send(resumeXml(id, 0))))
    const loser = await eventually(() => both.find(one => one.isClosed))
    await loser.streamError('conflict')
    const winner = both.find(one => one !== loser)!
    winner.jid = client.jid
    await winner.receives(`<resumed xmlns='${sm}'/>`)
    await winner.receives('<message><body>waits</body></message>')
    await winner.settled()
    await eventually(() => server.status().connections === 2)
  })

  it('works over STARTTLS, and from clear text to TLS', async () => {
    const server = await startedServer({ users, listener: { tls: { mode: 'starttls', ...certificate } } })
    const juliet = await session(server, 'juliet')
    for (const first of ['starttls', 'none'] as const) {
      const { client, id } = await managed(server, 'romeo', { resource: first, priority: 0, tls: first })
      await detached(server, client)
      await juliet.send(chat(client.jid!, first))
      await juliet.settled()
      const again = await resumed(server, 'romeo', id, 0, { tls: 'starttls' })
      again.jid = client.jid
      await again.receives(`<message><body>${first}</body></message>`)
      await again.settled()
      expect(connectionOf(server, client).details.isEncrypted).toBe(true)
      await again.close()
    }
  })

  it('works over a compressed stream', async () => {
    const server = await startedServer({ users, listener: { zlib: 100_000 } })
    const { client, id } = await managed(server, 'romeo', { resource: 'x', priority: 0 })
    await detached(server, client)
    const again = await authenticated(server)
    await again.compress()
    await again.open()
    await again.send(resumeXml(id, 0))
    await again.receives(`<resumed xmlns='${sm}' h='0'/>`)
    again.jid = client.jid
    await again.settled()
    expect(connectionOf(server, client).details.isCompressed).toBe(true)
  })

  it('is refused with item-not-found for an id that is wrong, of another user, or without resume; bind follows', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo', { resource: 'x' })
    const notResumable = await session(server, 'romeo', { resource: 'y' })
    await enable(notResumable, '')
    const wrong = `${id.startsWith('A') ? 'B' : 'A'}${id.slice(1)}`
    for (const [user, previd] of [
      ['romeo', wrong],
      ['romeo', id.slice(0, 22)],
      ['romeo', `${id.slice(0, 22)}y`],
      ['romeo', 'x'],
      ['romeo', ''],
      ['romeo', `${id.slice(0, 22)}&#x85;`],
      ['juliet', id],
    ] as const) {
      const other = await authenticated(server, user)
      await other.send(resumeXml(previd, 0))
      const answer = await other.receives(failed('item-not-found'))
      expect(answer.attrs.h).toBeUndefined()
      await other.bind()
      await other.settled()
      await other.close()
    }
    await client.settled()
  })

  it('is refused where the listener does not let that JID in', async () => {
    const server = await startedServer({
      users,
      listeners: [{}, { access: 'closed' }],
      config: { access: { closed: [{ acl: 'all', value: 'deny' }] } },
    })
    const [, closed] = server.addresses
    const { client, id } = await managed(server, 'romeo')
    await detached(server, client)
    const other = await authenticated({ port: closed!.port })
    await other.send(resumeXml(id, 0))
    await other.receives(failed('not-allowed'))
    await resumed(server, 'romeo', id, 0)
  })

  it('is still possible where clients that do not answer pings are ended: nobody pings one that is away (XEP-0199)', async () => {
    const clock = new ManualClock()
    const pings = { send_pings: true, ping_interval: 60, ping_req_timeout: 30, timeout_action: 'kill' }
    const modules = { mod_ping: pings, mod_stream_management: {} }
    const server = await startedServer({ users, clock, config: { modules } })
    const { client, id } = await managed(server, 'romeo')
    await detached(server, client)
    for (let i = 0; i < 10; i++) {
      clock.advance(50_000)
      await drained(server)
    }
    expect(server.status().sessions).toBe(1)
    const again = await resumed(server, 'romeo', id, 0)
    clock.advance(50_000)
    await again.receives("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
    clock.advance(40_000)
    await again.streamError('connection-timeout')
  })

  it('is not possible after the client has ended its stream (XEP-0198 §7)', async () => {
    const server = await startedServer({ users })
    const { client, id } = await managed(server, 'romeo')
    await client.close()
    const other = await authenticated(server)
    await other.send(resumeXml(id, 0))
    await other.receives(failed('item-not-found'))
  })

  it('can be done with two hundred sessions that were cut at the same time', { timeout: 60_000 }, async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet')
    const sessions = []
    for (let i = 0; i < 100; i++) sessions.push(await managed(server, 'romeo', { resource: `r${i}` }))
    await server.addUser('nurse', PASSWORD)
    for (let i = 0; i < 100; i++) sessions.push(await managed(server, 'nurse', { resource: `n${i}` }))
    for (const { client } of sessions) client.drop()
    await eventually(() => server.status().connections === 1)
    for (const { client } of sessions) await juliet.send(chat(client.jid!, `for ${client.jid}`))
    await juliet.settled()
    await Promise.all(
      sessions.map(async ({ client, id }, i) => {
        const again = await resumed(server, i < 100 ? 'romeo' : 'nurse', id, 0)
        again.jid = client.jid
        await again.receives(`<message><body>for ${client.jid}</body></message>`)
        await again.settled()
      }),
    )
    expect(server.status().sessions).toBe(201)
    expect(server.status().connections).toBe(201)
  })
})

/** Numbers that look random and are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

describe('a client that is cut again and again while messages come and go (XEP-0198 §5)', () => {
  it.each([1, 2, 3])(
    'loses nothing, gets nothing twice and keeps the order (seed %i)',
    { timeout: 60_000 },
    async seed => {
      const random = numbers(seed)
      const count = 200
      const server = await startedServer({ users })
      const juliet = await session(server, 'juliet', { priority: 0 })
      const { client: first, id } = await managed(server, 'romeo', { resource: 'x', priority: 0 })
      const expected = Array.from({ length: count }, (_, i) => `${i}`)
      const received: string[] = []
      /** What romeo sent, from the first that the server may not have. */
      let unhandled: string[] = []
      let [handled, handledThere, sent] = [0, 0, 0]
      let romeo: Client = first

      const read = async (isOver: () => boolean) => {
        while (!isOver()) {
          const next = await romeo.receivesNext()
          const name = next.getName()
          if (name === 'message') received.push(next.getChildText('body') ?? '')
          if (name === 'message' || name === 'iq' || name === 'presence') handled++
          if (name === 'r' && random() < 0.5) await acknowledge(romeo, handled)
        }
      }
      const write = (body: string) => romeo.send(chat(juliet.jid!, body))

      const flood = (async () => {
        for (const body of expected) {
          await juliet.send(chat(first.jid!, body))
          if (random() < 0.2) await juliet.settled()
        }
      })()
      while (received.length < count || sent < count) {
        const until = received.length + 1 + Math.floor(random() * 40)
        const more = expected.slice(sent, sent + Math.floor(random() * 40))
        sent += more.length
        unhandled.push(...more)
        for (const body of more) await write(body)
        await read(() => received.length >= Math.min(until, count))
        romeo.drop()
        romeo = await authenticated(server)
        await romeo.send(resumeXml(id, handled))
        const there = Number((await romeo.receives(`<resumed xmlns='${sm}'/>`)).attrs.h)
        unhandled = unhandled.slice(there - handledThere)
        handledThere = there
        for (const body of unhandled) await write(body)
      }
      await flood
      expect(received).toEqual(expected)
      romeo.jid = first.jid
      await romeo.settled()
      expect(await bodies(juliet)).toEqual(expected)
    },
  )
})

describe('the end of a session that was not resumed (XEP-0198 §4, §3.1.6)', () => {
  async function cut(setup: Setup = {}) {
    const clock = new ManualClock()
    const server = await startedServer({ users, clock, ...setup })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const { client: romeo, id } = await managed(server, 'romeo', { resource: 'x', priority: 0 })
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    await juliet.send(chat(romeo.jid!, 'unacked'))
    await juliet.send(chat('romeo@localhost', 'to all'))
    await juliet.settled()
    await romeo.receives('<message><body>to all</body></message>')
    return { clock, server, juliet, romeo, id }
  }

  /** Waits until so many messages wait for romeo. */
  async function stored(server: TestServer, count: number): Promise<void> {
    const { offline } = server.internals.store
    while ((await offline.count('romeo', 'localhost')) < count) await new Promise(resolve => setTimeout(resolve, 2))
    expect(await offline.count('romeo', 'localhost')).toBe(count)
  }

  async function offlineBodies(server: { port: number }): Promise<string[]> {
    const again = await session(server, 'romeo', { resource: 'new', priority: 0 })
    return bodies(again)
  }

  it('comes when its time is over: unavailable presence, and what was not acknowledged is stored, once', async () => {
    const { clock, server, juliet, romeo, id } = await cut()
    await detached(server, romeo)
    await juliet.send(chat(romeo.jid!, 'meanwhile'))
    await juliet.settled()
    clock.advance(599_000)
    await drained(server)
    await juliet.receivesNothing('<presence type="unavailable"/>')
    clock.advance(2_000)
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    const other = await authenticated(server)
    await other.send(resumeXml(id, 0))
    await other.receives(failed('item-not-found'))
    await stored(server, 3)
    expect(await offlineBodies(server)).toEqual(['unacked', 'to all', 'meanwhile'])
    expect(await offlineBodies(server)).toEqual([])
  })

  it('stores the message with the time when it was first sent (XEP-0203)', async () => {
    const { clock, server, romeo } = await cut()
    const sent = new Date(clock.wall()).toISOString()
    await detached(server, romeo)
    clock.advance(601_000)
    await stored(server, 2)
    const again = await session(server, 'romeo', { resource: 'new', priority: 0 })
    const message = await again.receives('<message><body>unacked</body></message>')
    expect(message.getChildren('delay', 'urn:xmpp:delay').map(({ attrs }) => attrs.stamp)).toEqual([sent])
  })

  it('comes at once where the client did not ask for resumption, and stores what it did not acknowledge', async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const romeo = await session(server, 'romeo', { resource: 'x', priority: 0 })
    await enable(romeo, '')
    for (const body of ['1', '2', '3']) await juliet.send(chat(romeo.jid!, body))
    await juliet.settled()
    await romeo.receives('<message><body>3</body></message>')
    await acknowledge(romeo, 2)
    await romeo.settled()
    romeo.drop()
    await eventually(() => server.status().sessions === 1)
    await stored(server, 1)
    expect(await offlineBodies(server)).toEqual(['3'])
  })

  it('comes at once when the client ends its stream', async () => {
    const { server, romeo, juliet } = await cut()
    await romeo.close()
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    await stored(server, 2)
    expect(await offlineBodies(server)).toEqual(['unacked', 'to all'])
  })

  it('comes when a new session takes the resource: what waited goes to the new one', async () => {
    const { server, romeo, juliet } = await cut()
    await detached(server, romeo)
    const next = await session(server, 'romeo', { resource: 'x', priority: 0 })
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    for (const body of ['unacked', 'to all']) {
      expect((await next.receives('<message><body/></message>')).getChildText('body')).toBe(body)
    }
    expect(server.status().sessions).toBe(2)
  })

  it('brings messages to another resource of the account', async () => {
    const { clock, server, romeo } = await cut()
    const other = await session(server, 'romeo', { resource: 'other', priority: 0 })
    await detached(server, romeo)
    clock.advance(601_000)
    await eventually(() => server.status().sessions === 2)
    // The message for the account was for whoever was there when it came.
    expect(await bodies(other)).toContain('unacked')
    expect(await offlineBodies(server)).toEqual([])
  })

  it('bounces an IQ request that was not answered', async () => {
    const { clock, server, romeo, juliet } = await cut()
    await detached(server, romeo)
    await juliet.send(`<iq type='get' id='q' to='${romeo.jid}'><query xmlns='jabber:iq:version'/></iq>`)
    await juliet.settled()
    clock.advance(601_000)
    await juliet.receives("<iq type='error' id='q'/>")
  })

  it('comes when too much waits for it (buffer_max)', async () => {
    const modules = { mod_offline: {}, mod_roster: {}, mod_stream_management: { buffer_max: 10 } }
    const { clock, server, romeo, juliet } = await cut({ config: { modules } })
    await detached(server, romeo)
    for (let i = 0; i < 10; i++) await juliet.send(chat(romeo.jid!, `${i}`))
    await juliet.settled()
    clock.advance(5_200)
    await stored(server, 12)
    const expected = ['unacked', 'to all', ...Array.from({ length: 10 }, (_, i) => `${i}`)]
    const again = await session(server, 'romeo', { resource: 'new', priority: 0 })
    // The rest is handed over when the client has taken the first.
    const first = await bodies(again)
    expect(first).toEqual(expected.slice(0, first.length))
  })

  it('comes with the stop of the server: everything is stored, connected or not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
    try {
      const server = await startInFolder(folder)
      for (const user of users) await server.internals.authenticator.create(user, 'localhost', PASSWORD)
      const juliet = await session(server, 'juliet')
      const { client: away } = await managed(server, 'romeo', { resource: 'away', priority: 0 })
      await juliet.send(chat(away.jid!, 'for away'))
      await juliet.settled()
      await detached(server, away)
      const { client: here } = await managed(server, 'romeo', { resource: 'here', priority: -1 })
      await juliet.send(chat(here.jid!, 'for here'))
      await juliet.settled()
      await here.receives('<message><body>for here</body></message>')
      await server.stop()
      await here.streamError('system-shutdown')
      const next = await startInFolder(folder)
      try {
        expect((await offlineBodies(next)).sort()).toEqual(['for away', 'for here'])
        expect(await offlineBodies(next)).toEqual([])
      } finally {
        await next.stop()
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('comes with a fault of its actor, with a transport or without', async () => {
    for (const isCut of [true, false]) {
      const { server, romeo, juliet } = await cut()
      const { path } = connectionOf(server, romeo)
      if (isCut) await detached(server, romeo)
      server.internals.runtime.fault(path, new Error('made by a test'))
      await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
      if (!isCut) await romeo.streamError('internal-server-error')
      await stored(server, 2)
      expect(await offlineBodies(server)).toEqual(['unacked', 'to all'])
      await server.stop()
    }
  })

  it('is told with the counter where that is remembered, for a while (stale_h, §2.8)', async () => {
    const modules = {
      mod_ping: {},
      mod_stream_management: {
        resume_timeout: 10,
        stale_h: { enabled: true, repeat_after: 100, geriatric: 300 },
      },
    }
    const clock = new ManualClock()
    const server = await startedServer({ users, clock, config: { modules } })
    const { client, id } = await managed(server, 'romeo')
    await client.settled()
    await client.settled()
    await detached(server, client)
    clock.advance(11_000)
    await eventually(() => server.status().sessions === 0)
    const ask = async (user: string) => {
      const other = await authenticated(server, user)
      await other.send(resumeXml(id, 0))
      return (await other.receives(failed('item-not-found'))).attrs.h
    }
    expect(await ask('romeo')).toBe('2')
    expect(await ask('juliet')).toBeUndefined()
    clock.advance(200_000)
    expect(await ask('romeo')).toBe('2')
    clock.advance(200_000)
    expect(await ask('romeo')).toBeUndefined()
  })
})
