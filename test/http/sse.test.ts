import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { EventSource } from 'eventsource'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { http, httpPort } from '../support/bosh.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { basic, type EventsClient, eventsOf } from '../support/event-stream.js'
import {
  actorsOfKind,
  available,
  drained,
  eventually,
  RawConnection,
  type Setup,
  session,
  startedServer,
} from '../support/server.js'

/*
 * Streams of server-sent events beside clients of XMPP. Ids in titles are those of spec/sse.md.
 */

const sse = { host: '_', path: '/api/sse', module: 'mongoose_client_api_sse' }

/** A server with event streams at /api/sse, and users who know its members. */
const withEvents = (more: Setup & { http?: object } = {}): Promise<TestServer> => {
  const { http: listener, ...setup } = more
  const handlers = {
    lasse_handler: [sse],
    mongoose_client_api_messages: [{ host: '_', path: '/api/messages/[:with]' }],
  }
  const transport = { num_acceptors: 2, max_connections: 'infinity' }
  return startedServer({
    users: ['romeo', 'juliet'],
    modules: { mod_roster: {}, mod_offline: {}, mod_disco: {}, mod_muc_light: {}, mod_private: {} },
    ...setup,
    config: {
      ...setup.config,
      listen: { http: [{ port: 0, ip_address: '127.0.0.1', transport, handlers, ...listener }] },
    },
  })
}

const romeo = 'romeo@localhost'
const patient = { timeout: 10_000 }
const chat = (to: string, body: string, more = '') =>
  `<message type='chat' to='${to}' id='id-${body}'><body>${body}</body>${more}</message>`
const resources = ({ internals }: TestServer, account = romeo) =>
  internals.sessions.resources(account).map(({ jid }) => jid.text)
const streams = (server: TestServer) => actorsOfKind(server, 'EventStream')
const stored = ({ internals }: TestServer, user = 'romeo') => internals.store.offline.count(user, 'localhost')
const ask = (server: TestServer, options: Parameters<typeof http>[2] = {}) =>
  http(httpPort(server), undefined, { method: 'GET', path: '/api/sse', ...options })

/** What romeo's stream is called, of which there is one. */
async function streamJid(server: TestServer): Promise<string> {
  return eventually(() => resources(server).find(jid => jid.includes('/sse-')))
}

/** Takes the next message; others fail. */
async function hears(stream: EventsClient, body: string, id: number): Promise<void> {
  expect(await stream.next()).toMatchObject({ id, event: 'message', data: { body } })
}

describe('opening a stream', () => {
  it('S-1: the head comes before any event, whatever the client says that it accepts', async () => {
    const server = await withEvents()
    for (const accept of ['text/event-stream', 'application/json', 'image/png']) {
      const { response, events } = await eventsOf(server, 'romeo', { headers: { accept } })
      expect(response.headers).toMatchObject({
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache',
        'transfer-encoding': 'chunked',
        server: 'Cowboy',
      })
      expect(response.headers['content-encoding']).toBeUndefined()
      expect(events).toEqual([])
    }
  })

  it.each([
    ['no credentials', {}, 401],
    ['a wrong password', basic('romeo', 'guess'), 401],
    ['nobody', basic('nobody'), 401],
    ['a user of another server', basic('romeo', 'r0m30', 'elsewhere.example'), 401],
    ['a token', { authorization: 'Bearer x' }, 401],
    ['bad base64', { authorization: 'Basic ???' }, 400],
    ['an unknown scheme', { authorization: 'Weird x' }, 400],
  ])('S-2: %s is refused', async (_what, headers, status) => {
    const server = await withEvents()
    for (const method of ['GET', 'POST']) {
      const answer = await ask(server, { headers, method })
      expect([answer.status, answer.text]).toEqual([status, ''])
      const challenge = status === 401 ? 'Basic realm="mongooseim"' : undefined
      expect(answer.headers['www-authenticate']).toBe(challenge)
    }
    expect(server.internals.sessions.count).toBe(0)
  })

  it('S-3: other methods are refused and leave no session behind; OPTIONS asks for no password', async () => {
    const server = await withEvents()
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD']) {
      const { status, headers, text } = await ask(server, { method, headers: basic('romeo') })
      expect([status, text]).toEqual([405, ''])
      expect(headers).toMatchObject({ 'content-type': 'text/html', allow: 'OPTIONS, GET' })
    }
    expect((await ask(server, { method: 'OPTIONS' })).status).toBe(200)
    expect([resources(server), streams(server)]).toEqual([[], []])
  })

  it('S-4: a page of another origin may read it, and its refusal', async () => {
    const server = await withEvents()
    const origin = 'https://web.example'
    const allowed = {
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'OPTIONS, GET',
      'access-control-allow-headers': 'authorization, content-type',
    }
    expect((await eventsOf(server, 'romeo', { headers: { origin } })).response.headers).toMatchObject(allowed)
    expect((await ask(server, { headers: { origin } })).headers).toMatchObject(allowed)
    expect((await ask(server, { method: 'OPTIONS', headers: { origin } })).headers).toMatchObject(allowed)
    const { headers } = (await eventsOf(server, 'romeo')).response
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  it('S-5: each stream is a session, which is gone when its connection is', async () => {
    const server = await withEvents()
    const [one, other] = [await eventsOf(server, 'romeo'), await eventsOf(server, 'romeo')]
    const uuid = /^romeo@localhost\/sse-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(resources(server)).toEqual([expect.stringMatching(uuid), expect.stringMatching(uuid)])
    expect(server.internals.sessions.resources(romeo).map(({ priority }) => priority)).toEqual([1, 1])
    expect(streams(server).map(({ details }) => details.jid)).toEqual(expect.arrayContaining(resources(server)))
    const [first, second] = resources(server)
    one.drop()
    await eventually(() => resources(server).length === 1)
    expect(resources(server)).toEqual([second])
    expect(first).not.toBe(second)
    other.drop()
    await eventually(() => server.internals.sessions.count === 0)
    expect(server.status().counters).toMatchObject({ sessionsNow: 0, sessionsOpened: 2 })
  })

  it('S-5: nobody is told of it: no presence to contacts and own resources, no answer to probes, no item of disco', async () => {
    const server = await withEvents()
    const [desk, juliet] = [await session(server, 'romeo'), await session(server, 'juliet', { priority: 0 })]
    await befriend(desk, juliet)
    await available(desk)
    await juliet.receives(`<presence from='${desk.jid}'/>`)
    await desk.close()
    await juliet.receives(`<presence type='unavailable' from='${desk.jid}'/>`)
    const stream = await eventsOf(server, 'romeo')
    const hidden = `<presence from='${await streamJid(server)}'/>`
    await juliet.send(`<presence type='probe' to='${romeo}'/>`)
    await juliet.receives(`<presence type='unavailable' from='${romeo}'/>`)
    await juliet.receivesNothing(hidden)
    // Her next session learns of nobody either, nor does his own.
    const laptop = await session(server, 'juliet', { priority: 0 })
    await laptop.receives(`<presence from='${juliet.jid}'/>`)
    await laptop.receivesNothing('<presence/>')
    const own = await session(server, 'romeo', { priority: 1 })
    await own.receivesNothing(hidden)
    const items = await juliet.ask('get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`, { to: romeo })
    expect(items.toString()).toContain(own.jid)
    expect(items.toString()).not.toContain('sse-')
    // What she says to all who see her goes to it, and makes no event.
    await juliet.receives(`<presence from='${own.jid}'/>`)
    await juliet.send('<presence><show>away</show></presence>')
    await juliet.send(chat(romeo, 'here'))
    await hears(stream, 'here', 1)
    stream.drop()
    await eventually(() => resources(server).length === 1)
    for (const client of [juliet, laptop, own]) await client.receivesNothing(hidden)
  })

  it('TLS is no must, and no hindrance', async () => {
    const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
    const server = await withEvents({ http: { tls: { certfile } } })
    const stream = await eventsOf(server, 'romeo', { isSecure: true })
    const juliet = await session(server, 'juliet')
    await juliet.send(chat(romeo, 'in private'))
    await hears(stream, 'in private', 1)
    stream.drop()
    await eventually(() => resources(server).length === 0)
  })

  it('bad input: another host or path is not found, and a body of GET is nobody’s business (§4a)', async () => {
    const server = await withEvents()
    expect((await ask(server, { path: '/api/sse/more', headers: basic('romeo') })).status).toBe(404)
    const body = await RawConnection.open(httpPort(server))
    const { authorization } = basic('romeo')
    const rest = `Host: localhost\r\nAuthorization: ${authorization}\r\n`
    await body.send(`GET /api/sse HTTP/1.1\r\n${rest}Content-Length: 200000\r\n\r\n`)
    await body.until('text/event-stream')
    await body.send('x'.repeat(200_000))
    const juliet = await session(server, 'juliet')
    await juliet.send(chat(romeo, 'heard'))
    await body.until('"body":"heard"')
    body.socket.destroy()
    await eventually(() => resources(server).length === 0)
  })

  it('HTTP/1.0: the stream is not chunked, and the connection closes at its end (§4a)', async () => {
    const server = await withEvents()
    const old = await RawConnection.open(httpPort(server))
    await old.send(`GET /api/sse HTTP/1.0\r\nHost: localhost\r\nAuthorization: ${basic('romeo').authorization}\r\n\r\n`)
    await old.until('\r\n\r\n')
    const juliet = await session(server, 'juliet')
    await juliet.send(chat(romeo, 'old'))
    await old.until('\n\n')
    server.internals.sessions.resources(romeo)[0]?.end('policy-violation')
    const text = await old.closed()
    expect(text.toLowerCase()).not.toContain('transfer-encoding')
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toMatch(/^id: 1\nevent: message\ndata: \{[^\n]*\}\n\n$/)
  })

  it('a stream behind a request that has no answer yet is refused, and so never takes messages that it cannot show', async () => {
    const server = await withEvents()
    const raw = await RawConnection.open(httpPort(server))
    const request = `GET /api/sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basic('romeo').authorization}\r\n\r\n`
    await raw.send(request + request)
    await raw.until('text/event-stream')
    const one = await session(server, 'romeo')
    await one.settled()
    expect(resources(server).filter(jid => jid.includes('sse-'))).toHaveLength(1)
    server.internals.sessions.byFull(await streamJid(server))?.end('policy-violation')
    await raw.until('HTTP/1.1 503')
  })
})

describe('events', () => {
  it('S-7: numbers begin at 1 on each stream, and nothing is replayed', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    const before = await eventsOf(server, 'romeo')
    for (const body of ['a', 'b', 'c']) await juliet.send(chat(romeo, body))
    for (const [index, body] of ['a', 'b', 'c'].entries()) await hears(before, body, index + 1)
    before.drop()
    await eventually(() => resources(server).length === 0)
    const again = await eventsOf(server, 'romeo', { headers: { 'last-event-id': '2' } })
    await juliet.send(chat(romeo, 'd'))
    await hears(again, 'd', 1)
  })

  it('S-8: a message has its addresses, id, text, properties, and its time in microseconds', async () => {
    const clock = new ManualClock(0, 1_606_112_000_123)
    const server = await withEvents({ clock })
    const juliet = await session(server, 'juliet', { resource: 'balcony' })
    const stream = await eventsOf(server, 'romeo')
    const property = (name: string, type: string, value: string) =>
      `<property><name>${name}</name><value type='${type}'>${value}</value></property>`
    const properties = `${property('mood', 'string', 'sad')}${property('age', 'integer', '13')}<property/><other/>`
    const text = 'line one\nline two \u2028 &amp; &lt;b&gt; "ä\u{1f339}'
    await juliet.send(
      `<message type='chat' to='${romeo}' id='c0ffee'><body>${text}</body>` +
        `<properties xmlns='http://www.jivesoftware.com/xmlns/xmpp/properties'>${properties}</properties></message>`,
    )
    expect(await stream.data('message')).toEqual({
      from: 'juliet@localhost/balcony',
      to: romeo,
      id: 'c0ffee',
      body: 'line one\nline two \u2028 & <b> "ä\u{1f339}',
      timestamp: 1_606_112_000_123_000,
      properties: { mood: 'sad', age: '13' },
    })
  })

  it('S-8: so has one that comes over REST', async () => {
    const server = await withEvents()
    const stream = await eventsOf(server, 'romeo')
    const headers = { ...basic('juliet'), 'content-type': 'application/json' }
    const content = JSON.stringify({ to: romeo, body: 'by REST' })
    const sent = await http(httpPort(server), content, { path: '/api/messages', headers })
    const { id } = JSON.parse(sent.text)
    const before = Date.now() * 1000
    const data = await stream.data('message')
    expect(data).toMatchObject({ from: 'juliet@localhost', to: romeo, id, body: 'by REST' })
    expect(Math.abs(Number(data.timestamp) - before)).toBeLessThan(60_000_000)
  })

  it('S-9: a room tells that a user was invited, and what is said in it', async () => {
    const clock = new ManualClock(0, 1_606_112_001_123)
    const server = await withEvents({ clock })
    const juliet = await session(server, 'juliet', { priority: 0 })
    const stream = await eventsOf(server, 'romeo')
    const room = 'teatime@muclight.localhost'
    const light = 'urn:xmpp:muclight:0'
    await juliet.ask('set', `<query xmlns='${light}#create'/>`, { to: room })
    const user = `<user affiliation='member'>${romeo}</user>`
    await juliet.ask('set', `<query xmlns='${light}#affiliations'>${user}</query>`, { to: room })
    const timestamp = 1_606_112_001_123_000
    expect(await stream.data('room.message')).toEqual({
      type: 'affiliation',
      room: 'teatime',
      from: room,
      id: expect.any(String),
      timestamp,
      user: romeo,
      affiliation: 'member',
    })
    const markable = `<markable xmlns='urn:xmpp:chat-markers:0'/>`
    await juliet.send(`<message type='groupchat' to='${room}' id='77ab'><body>hi all</body>${markable}</message>`)
    expect(await stream.next()).toEqual({
      id: 2,
      event: 'room.message',
      data: {
        type: 'message',
        room: 'teatime',
        from: 'juliet@localhost',
        id: '77ab',
        timestamp,
        body: 'hi all',
        markable: true,
      },
    })
    const marker = `<displayed xmlns='urn:xmpp:chat-markers:0' id='77ab'/>`
    await juliet.send(`<message type='groupchat' to='${room}' id='78'>${marker}</message>`)
    const { data } = await stream.next()
    expect(data).toMatchObject({ id: '78', chat_marker: { type: 'displayed', id: '77ab' } })
    expect(data).not.toHaveProperty('body')
  })

  it('S-10: all other stanzas make no event and break nothing', async () => {
    const server = await withEvents()
    const [desk, juliet] = [await session(server, 'romeo'), await session(server, 'juliet', { priority: 0 })]
    const stream = await eventsOf(server, 'romeo')
    const jid = await streamJid(server)
    await desk.ask('get', `<query xmlns='jabber:iq:roster'/>`)
    await desk.ask('set', `<query xmlns='jabber:iq:roster'><item jid='tybalt@localhost'/></query>`)
    await juliet.send(`<presence to='${jid}'/><presence to='${romeo}'/><presence type='subscribe' to='${romeo}'/>`)
    for (const type of ['normal', 'headline', 'error', 'odd']) {
      for (const to of [romeo, jid]) await juliet.send(`<message type='${type}' to='${to}'><body>x</body></message>`)
    }
    await juliet.send(`<message to='${jid}'><body>x</body></message>`)
    await juliet.send(`<iq type='result' id='r' to='${jid}'/><iq type='error' id='e' to='${jid}'/>`)
    const answer = await juliet.ask('get', `<query xmlns='jabber:iq:version'/>`, { to: jid })
    expect([answer.attrs.type, answer.getChild('error')?.children[0]?.toString()]).toEqual([
      'error',
      expect.stringContaining('service-unavailable'),
    ])
    await juliet.send(chat(romeo, 'still here'))
    await hears(stream, 'still here', 1)
  })

  it('what makes no event goes to a session that can show it, or is kept (S-10)', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet', { priority: 0 })
    const stream = await eventsOf(server, 'romeo')
    await juliet.send(`<message to='${romeo}'><body>kept</body></message>`)
    await juliet.settled()
    expect(await stored(server)).toBe(1)
    const desk = await session(server, 'romeo')
    await desk.send('<presence/>')
    await desk.receives('<message><body>kept</body></message>')
    await juliet.send(`<message to='${romeo}'><body>shown</body></message>`)
    await desk.receives('<message><body>shown</body></message>')
    expect(stream.events).toEqual([])
  })

  it('S-11: a chat message without text makes an event without one', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    await juliet.send(
      `<message type='chat' to='${romeo}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
    )
    await juliet.send(chat(romeo, 'done'))
    const state = await stream.next()
    expect(state).toMatchObject({ id: 1, event: 'message', data: { from: juliet.jid } })
    expect(state.data).not.toHaveProperty('body')
    await hears(stream, 'done', 2)
  })

  it('S-12: the highest priority has it, and a full JID reaches its session', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    const desk = await session(server, 'romeo')
    let sent = 0
    for (const [priority, isForDesk, isForStream] of [
      [5, true, false],
      [1, true, true],
      [0, false, true],
    ] as const) {
      await available(desk, priority)
      const body = `at ${priority}`
      await juliet.send(chat(romeo, body))
      await juliet.settled()
      if (isForStream) await hears(stream, body, ++sent)
      if (isForDesk) await desk.receives(`<message><body>${body}</body></message>`)
      await desk.receivesNothing('<message/>')
      expect(stream.events).toEqual([])
    }
    await available(desk, 5)
    await juliet.send(chat(await streamJid(server), 'to you'))
    await hears(stream, 'to you', ++sent)
    await desk.receivesNothing('<message/>')
  })

  it('S-12: what a room says goes to the highest priority as well', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    const [stream, desk] = [await eventsOf(server, 'romeo'), await session(server, 'romeo', { priority: 5 })]
    const room = 'lawn@muclight.localhost'
    const occupants = `<occupants><user affiliation='member'>${romeo}</user></occupants>`
    await juliet.ask('set', `<query xmlns='urn:xmpp:muclight:0#create'>${occupants}</query>`, { to: room })
    await juliet.send(`<message type='groupchat' to='${room}' id='1'><body>one</body></message>`)
    await desk.receives('<message><body>one</body></message>')
    await available(desk, 0)
    await juliet.send(`<message type='groupchat' to='${room}' id='2'><body>two</body></message>`)
    expect(await stream.data('room.message')).toMatchObject({ body: 'two', from: 'juliet@localhost' })
    await desk.receivesNothing('<message><body>two</body></message>')
  })

  it('S-13: an open stream is online: nothing is kept for later, and what was is not given to it', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    await juliet.send(chat(romeo, 'earlier'))
    await expect.poll(() => stored(server), patient).toBe(1)
    const stream = await eventsOf(server, 'romeo')
    await juliet.send(chat(romeo, 'now'))
    await hears(stream, 'now', 1)
    expect(await stored(server)).toBe(1)
    const desk = await session(server, 'romeo')
    await desk.send('<presence/>')
    await desk.receives('<message><body>earlier</body></message>')
    await desk.receivesNothing('<message><body>now</body></message>')
  })
})

describe('a stream that stays', () => {
  it('S-14: a comment comes every 30 s, which is no event; silence of the client ends nothing', async () => {
    const clock = new ManualClock()
    const server = await withEvents({ clock })
    const sockets: Socket[] = []
    const began = (message: unknown) => sockets.push((message as { socket: Socket }).socket) // as node:http documents it
    subscribe('http.server.request.start', began)
    onTestFinished(() => void unsubscribe('http.server.request.start', began))
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    await drained(server)
    for (let comments = 1; comments <= 20; comments++) {
      clock.advance(29_000)
      await drained(server)
      expect(stream.comments).toBe(comments - 1)
      clock.advance(1_100)
      await stream.commented(comments)
      await drained(server)
    }
    await juliet.send(chat(romeo, 'after ten minutes'))
    await hears(stream, 'after ten minutes', 1)
    // Nothing of the HTTP server waits for the client to say something.
    expect(sockets.map(({ timeout }) => timeout)).toEqual([0])
  })

  it('S-14: not for mod_ping either, which has nobody to ask', async () => {
    const clock = new ManualClock()
    const mod_ping = { send_pings: true, ping_interval: 10, ping_req_timeout: 5, timeout_action: 'kill' }
    const server = await withEvents({ clock, modules: { mod_ping } })
    const stream = await eventsOf(server, 'romeo')
    for (let seconds = 0; seconds < 120; seconds += 5) {
      clock.advance(5_000)
      await drained(server)
    }
    expect([resources(server).length, stream.isClosed]).toEqual([1, false])
  })

  it('S-15: under gzip each event comes at once', async () => {
    const server = await withEvents({ http: { protocol: { compress: true } } })
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo', { headers: { 'accept-encoding': 'gzip' } })
    expect(stream.response.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
    for (let id = 1; id <= 20; id++) {
      await juliet.send(chat(romeo, `number ${id}`))
      await hears(stream, `number ${id}`, id)
    }
    expect(streams(server)[0]?.details).toMatchObject({ isCompressed: true, events: 20 })
    const plain = await eventsOf(server, 'juliet')
    expect(plain.response.headers['content-encoding']).toBeUndefined()
    await server.stop()
    expect(await stream.ended()).toBe(true)
  })
})

describe('the end of a stream', () => {
  it('S-6: a session that is ended ends the response', async () => {
    const server = await withEvents()
    const stream = await eventsOf(server, 'romeo')
    server.internals.sessions.byFull(await streamJid(server))?.end('conflict', 'Kicked')
    expect(await stream.ended()).toBe(true)
    expect(resources(server)).toEqual([])
  })

  it('the oldest ends where a user has too many sessions', async () => {
    const access = { max_user_sessions: [{ acl: 'all', value: 2 }] }
    const server = await withEvents({ config: { access } })
    const [one, two] = [await eventsOf(server, 'romeo'), await eventsOf(server, 'romeo')]
    const three = await eventsOf(server, 'romeo')
    expect(await one.ended()).toBe(true)
    expect([resources(server).length, two.isClosed, three.isClosed]).toEqual([2, false, false])
  })

  it('a removed account has no stream any more', async () => {
    const server = await withEvents({ modules: { mod_register: {}, mod_roster: {} } })
    const desk = await session(server, 'romeo')
    const stream = await eventsOf(server, 'romeo')
    await desk.send(`<iq type='set' id='x'><query xmlns='jabber:iq:register'><remove/></query></iq>`)
    expect(await stream.ended()).toBe(true)
    await expect(eventsOf(server, 'romeo')).rejects.toThrow('401')
  })

  it('S-16: at a stop what was sent comes, then the end in good order', async () => {
    const server = await withEvents()
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    for (let number = 1; number <= 50; number++) await juliet.send(chat(romeo, `${number}`))
    await juliet.settled()
    await server.stop()
    expect(await stream.ended()).toBe(true)
    expect(stream.events.map(({ data }) => data.body)).toEqual(Array.from({ length: 50 }, (_, n) => `${n + 1}`))
    expect(server.internals.sessions.count).toBe(0)
  })

  it('a fault of its actor ends it alone', async () => {
    const server = await withEvents()
    const [stream, other] = [await eventsOf(server, 'romeo'), await eventsOf(server, 'juliet')]
    const { path } = streams(server).find(({ details }) => `${details.jid}`.startsWith('romeo'))!
    expect(server.internals.runtime.fault(path, new Error('made by a test'))).toBe(true)
    expect(await stream.ended()).toBe(false)
    expect([resources(server), other.isClosed]).toEqual([[], false])
  })

  it('a client that does not read keeps 1 MB waiting at most; then it is cut off, and what waited is kept (§5)', async () => {
    const server = await withEvents({
      config: { access: { max_user_offline_messages: [{ acl: 'all', value: 9_999 }] } },
    })
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    stream.response.pause()
    const details = () => streams(server)[0]?.details
    const body = 'x'.repeat(10_000)
    let [sent, most] = [0, 0]
    for (; details() !== undefined; sent++) {
      await juliet.send(chat(romeo, `${sent} ${body}`))
      if (sent % 10 === 0) await juliet.settled()
      most = Math.max(most, Number(details()?.waitingBytes ?? 0))
    }
    expect(most).toBeGreaterThan(500_000)
    expect(most).toBeLessThanOrEqual(1024 * 1024)
    // Whatever was not handed to the kernel is kept, the newest too.
    await juliet.send(chat(romeo, 'the last'))
    await juliet.settled()
    expect(await stored(server)).toBeGreaterThan(50)
    const desk = await session(server, 'romeo', { priority: 0 })
    await desk.receives('<message><body>the last</body></message>')
    expect(server.internals.sessions.count).toBe(2)
  })

  it.each([
    ['plain', {}],
    ['compressed', { 'accept-encoding': 'gzip' }],
  ])('a client that pauses misses nothing of a %s stream (§5)', async (_kind, headers) => {
    const server = await withEvents({ http: { protocol: { compress: true } } })
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo', { headers })
    stream.response.pause()
    let sent = 0
    while (Number(streams(server)[0]?.details.waitingBytes) < 200_000) {
      // What does not shrink.
      await juliet.send(chat(romeo, `${sent++} ${randomBytes(15_000).toString('base64')}`))
      await juliet.settled()
    }
    stream.response.resume()
    for (let id = 1; id <= sent; id++) {
      const { id: found, data } = await stream.next()
      expect([found, `${data.body}`.split(' ')[0]]).toEqual([id, `${id - 1}`])
    }
    expect(streams(server)[0]?.details).toMatchObject({ waitingBytes: 0, events: sent })
    expect(await stored(server)).toBe(0)
  })

  it('one that takes nothing at all for a while is cut off, though little waits', async () => {
    const clock = new ManualClock()
    const server = await withEvents({ clock })
    const juliet = await session(server, 'juliet')
    const stream = await eventsOf(server, 'romeo')
    stream.response.pause()
    for (let sent = 0; streams(server)[0]?.details.isBlocked === false; sent++) {
      await juliet.send(chat(romeo, `${sent} ${'x'.repeat(50_000)}`))
      await juliet.settled()
    }
    await juliet.send(chat(romeo, 'the last'))
    await juliet.settled()
    clock.advance(15_200)
    await eventually(() => streams(server).length === 0)
    await expect.poll(() => stored(server), patient).toBeGreaterThan(0)
    expect(resources(server)).toEqual([])
  })
})

describe('a client that is not ours', () => {
  it('EventSource of npm reads it, and comes back when the stream ends (S-7, S-8, S-14)', async () => {
    const clock = new ManualClock()
    const server = await withEvents({ clock })
    const juliet = await session(server, 'juliet')
    const source = new EventSource(`http://127.0.0.1:${httpPort(server)}/api/sse`, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...basic('romeo') } }),
    })
    onTestFinished(() => source.close())
    const heard: { id: string; body: string }[] = []
    source.addEventListener('message', ({ lastEventId, data }) => {
      heard.push({ id: lastEventId, body: JSON.parse(data).body })
    })
    const first = await streamJid(server)
    clock.advance(30_100)
    await drained(server)
    for (const body of ['one', 'two\nlines']) await juliet.send(chat(romeo, body))
    await eventually(() => heard.length === 2)
    server.internals.sessions.byFull(first)?.end('conflict')
    await eventually(() => resources(server).some(jid => jid !== first))
    await juliet.send(chat(romeo, 'three'))
    await eventually(() => heard.length === 3)
    expect(heard).toEqual([
      { id: '1', body: 'one' },
      { id: '2', body: 'two\nlines' },
      { id: '1', body: 'three' },
    ])
  })
})

/** Both see each other's presence. */
async function befriend(one: Client, other: Client): Promise<void> {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    await from.send(`<presence type='subscribe' to='${to.bareJid}'/>`)
    await to.send(`<presence type='subscribed' to='${from.bareJid}'/>`)
    await to.settled()
    await from.settled()
  }
}
