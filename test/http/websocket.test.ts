import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { ManualClock } from '../support/clock.js'
import {
  actors,
  actorsOfKind,
  clientOf,
  drained,
  eventually,
  RawConnection,
  recordedEvents,
  type Setup,
  session,
  sharedServer,
  startedServer,
} from '../support/server.js'
import { close, open, type WebSocketOptions, webSocketClient, webSocketSession } from '../support/websocket.js'
import { canBind, exchange } from './raw.js'

const framing = 'urn:ietf:params:xml:ns:xmpp-framing'
const streams = 'http://etherx.jabber.org/streams'

const listener = { port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 } }

/** A server with `mod_websockets` at /ws-xmpp, or with these handlers. */
const withHandlers = (handlers: object[], more: Partial<Setup> & { http?: object } = {}): Setup => {
  const { http, ...setup } = more
  return {
    users: ['romeo', 'juliet'],
    ...setup,
    config: {
      ...setup.config,
      listen: { http: [{ ...listener, ...http, handlers: { mod_websockets: handlers } }] },
    },
  }
}
const withWebSockets = (options: object = {}, more: Partial<Setup> & { http?: object } = {}) =>
  withHandlers([{ host: '_', path: '/ws-xmpp', ...options }], more)

const httpPort = ({ addresses }: TestServer) => addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const upgrade = (headers: Record<string, string> = {}, path = '/ws-xmpp') => {
  const all = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
    ...headers,
  }
  const lines = Object.entries(all).filter(([, value]) => value !== '')
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

/** A frame as a client sends it, with a mask of zeros unless it is not masked at all. RFC 6455 §5.2 */
function frame(first: number, payload: string | Uint8Array, isMasked = true): Buffer {
  const bytes = Buffer.from(payload)
  const mask = isMasked ? 0x80 : 0
  const header =
    bytes.length < 126 ? [first, mask | bytes.length] : [first, mask | 126, bytes.length >> 8, bytes.length & 255]
  return Buffer.concat([Buffer.from(header), Buffer.alloc(isMasked ? 4 : 0), bytes])
}

/** A raw connection behind its handshake; the text so far is the head of the reply. */
async function upgraded(port: number): Promise<RawConnection> {
  const raw = await RawConnection.open(port)
  raw.socket.setEncoding('latin1')
  await raw.send(upgrade())
  await raw.until('\r\n\r\n')
  return raw
}

describe('the handshake', () => {
  const server = sharedServer(withWebSockets())
  const port = () => httpPort(server())

  it('W-2: a request that asks for no WebSocket is answered with 426, and the connection goes on', async () => {
    const reply = await exchange(port(), 'GET /ws-xmpp HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(reply).toMatchObject({
      status: 426,
      body: '',
      headers: { connection: 'upgrade', upgrade: 'websocket', 'content-length': '0', server: 'Cowboy' },
    })
    const post = `POST /ws-xmpp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`
    expect((await exchange(port(), post)).status).toBe(426)
    expect((await exchange(port(), upgrade({ Upgrade: 'h2c' }))).status).toBe(426)
    expect((await exchange(port(), upgrade().replace('GET', 'POST'))).status).toBe(426)
  })

  it.each([
    ['without a key', { 'Sec-WebSocket-Key': '' }],
    ['with a key that is none', { 'Sec-WebSocket-Key': 'short' }],
    ['without a version', { 'Sec-WebSocket-Version': '' }],
    ['with version 12', { 'Sec-WebSocket-Version': '12' }],
    ['with a subprotocol that is no token', { 'Sec-WebSocket-Protocol': 'xm pp' }],
  ])('W-3: an upgrade %s is answered with 400', async (_what, headers) => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade(headers))
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*\r\n\r\n$/)
  })

  it.each(['7', '8', '13'])('W-3: version %s is taken', async version => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade({ 'Sec-WebSocket-Version': version }))
    // The example of RFC 6455 §1.3.
    expect(await raw.until('\r\n\r\n')).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  })

  it.each([
    ['xmpp', 'xmpp'],
    ['XMPP', 'XMPP'],
    ['foo, xmpp', 'xmpp'],
    ['foo', undefined],
    ['', undefined],
  ])('W-4: of the subprotocols "%s" the reply names %s', async (offered, chosen) => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade({ 'Sec-WebSocket-Protocol': offered }))
    const reply = await raw.until('\r\n\r\n')
    expect(reply).toMatch(/^HTTP\/1.1 101 /)
    expect(/sec-websocket-protocol: (.*)\r/i.exec(reply)?.[1]).toBe(chosen)
  })

  it('W-5: permessage-deflate is not negotiated', async () => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }))
    const reply = await raw.until('\r\n\r\n')
    expect(reply).toMatch(/^HTTP\/1.1 101 /)
    expect(reply).not.toMatch(/extensions/i)
  })

  it('W-6: any origin may come', async () => {
    const client = await webSocketClient(port(), { origin: 'https://evil.example' })
    await client.open()
  })

  it('an upgrade on an unknown path is answered with 404, one on a foreign host with 404 too, and the socket closes', async () => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade({}, '/elsewhere'))
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 404 /)
    const { addresses } = await startedServer(withHandlers([{ host: 'chat.example', path: '/ws' }]))
    const other = await RawConnection.open(addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0)
    await other.send(upgrade({}, '/ws'))
    expect(await other.closed()).toMatch(/^HTTP\/1.1 404 /)
  })

  it('an upgrade without a host is answered with 400', async () => {
    const raw = await RawConnection.open(port())
    await raw.send(upgrade({ Host: '' }))
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 400 /)
  })

  it('what comes behind the handshake in the same packet is not lost', async () => {
    const raw = await RawConnection.open(port())
    await raw.send(Buffer.concat([Buffer.from(upgrade()), frame(0x81, open())]))
    await raw.until(`<open xmlns='${framing}'`)
  })
})

describe('frames', () => {
  const server = sharedServer(withWebSockets())
  const port = () => httpPort(server())

  it('W-7, W-24: a stanza comes as text, as binary and in fragments, with a ping between them', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    const romeo = await webSocketSession(port(), 'romeo')
    const message = (id: string) =>
      `<message to="${juliet.jid}" id="${id}" xmlns="jabber:client"><body>wherefore ä</body></message>`
    romeo.send(message('text'))
    romeo.send(Buffer.from(message('binary')), { binary: true })
    const bytes = Buffer.from(message('fragments'))
    const third = Math.floor(bytes.length / 3)
    romeo.socket.send(bytes.subarray(0, third), { binary: false, fin: false })
    romeo.socket.ping('abc')
    romeo.socket.send(bytes.subarray(third, 2 * third), { binary: false, fin: false })
    romeo.socket.send(bytes.subarray(2 * third), { binary: false, fin: true })
    for (const id of ['text', 'binary', 'fragments']) {
      const received = await juliet.receives(`<message from="${romeo.jid}" id="${id}"/>`)
      expect(received.getChildText('body')).toBe('wherefore ä')
    }
    await romeo.until(() => romeo.pongs.includes('abc'), 'the pong')
  })

  it.each([
    ['text', 0x81],
    ['binary', 0x82],
  ])('W-7: %s that is not UTF-8 closes with 1007', async (_what, first) => {
    const raw = await upgraded(port())
    await raw.send(frame(first, Buffer.from([0x3c, 0xff, 0x3e])))
    await raw.until(frame(0x88, Buffer.from([1007 >> 8, 1007 & 255]), false).toString('latin1'))
    await eventually(() => actorsOfKind(server(), 'Connection').length === 0)
  })

  it.each([
    ['an unmasked frame', frame(0x81, 'x', false)],
    ['reserved bits', frame(0xc1, 'x')],
    ['an unknown opcode', frame(0x83, 'x')],
    ['a continuation of nothing', frame(0x80, 'x')],
    ['a fragmented ping', frame(0x09, 'x')],
  ])('W-7: %s closes with 1002', async (_what, bytes) => {
    const raw = await upgraded(port())
    await raw.send(bytes)
    await raw.until(frame(0x88, Buffer.from([1002 >> 8, 1002 & 255]), false).toString('latin1'))
    await eventually(() => actorsOfKind(server(), 'Connection').length === 0)
  })

  it('W-8: white space, an XML declaration and a BOM may come first, several elements in order', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    const romeo = await webSocketClient(port())
    romeo.send(`\ufeff  <?xml version='1.0'?>\n${open()} `)
    await romeo.receives(`<features xmlns="${streams}"/>`)
    const other = await webSocketSession(port(), 'romeo')
    other.send(
      [1, 2, 3].map(id => `<message to="${juliet.jid}" id="several-${id}"><body>x</body></message>`).join('\n'),
    )
    for (const id of [1, 2, 3]) {
      expect((await juliet.receives('<message/>')).attrs.id).toBe(`several-${id}`)
    }
  })

  it('W-8: an element that goes on in the next message is not well-formed', async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send('<message to="juliet@localhost"><body>')
    await romeo.streamError('not-well-formed')
  })

  it('W-9: each element is one text message and a document by itself', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    const romeo = await webSocketSession(port(), 'romeo', { priority: 0 })
    const long = 'x'.repeat(3_000)
    await juliet.send(
      `<message to="${romeo.jid}"><body>short</body></message>` +
        `<c:message xmlns:c="jabber:client" to="${romeo.jid}"><c:body>${long}</c:body></c:message>` +
        `<message to="${romeo.jid}" xmlns="jabber:client"><body>${long}${'y'.repeat(4_000)}</body></message>`,
    )
    // The client looks at each as it comes: namespaces, prefixes, the kind of the message.
    await romeo.receives('<message><body>short</body></message>')
    await romeo.receives(`<message><body>${long}</body></message>`)
    await romeo.receives(`<message><body>${long}${'y'.repeat(4_000)}</body></message>`)
    expect(romeo.texts.filter(text => text.includes('<message')).length).toBe(3)
  })

  it.each([0, 1, 20, 25, 26, 30, 100, 125, 126, 127, 65_400, 65_535, 65_536, 70_000])(
    'W-9: a message of any length arrives, here one with a body of %d bytes',
    async length => {
      const juliet = await session(server(), 'juliet', { priority: 0 })
      const romeo = await webSocketSession(port(), 'romeo')
      const body = '&amp;'.repeat(length % 5) + 'ä'.repeat(Math.max(0, Math.floor((length - 5 * (length % 5)) / 2)))
      await juliet.send(`<message to="${romeo.jid}" id="long"><body>${body}</body></message>`)
      const received = await romeo.receives('<message id="long"/>')
      expect(received.getChildText('body')).toBe(body.replaceAll('&amp;', '&'))
    },
  )

  it('W-10: a stanza without a namespace is one of jabber:client', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send(`<message to='${juliet.jid}' type='chat'><body>bare</body></message>`)
    await juliet.receives(`<message type="chat"><body>bare</body></message>`)
  })
})

describe('the life of a stream', () => {
  const server = sharedServer(withWebSockets())
  const port = () => httpPort(server())

  it('goes from <open/> to <close/>, with Close 1000 behind it', async () => {
    const romeo = await webSocketClient(port())
    await romeo.open()
    const [first] = romeo.texts
    expect(first).toMatch(
      new RegExp(`^<open xmlns='${framing}' id='[0-9a-f]{16}' from='localhost' version='1.0' xml:lang='en'/>$`),
    )
    romeo.send(close)
    expect((await romeo.next()).is('close', framing)).toBe(true)
    expect(await romeo.closed).toEqual({ code: 1000, reason: '' })
  })

  it('W-11: each <open/> is answered with a stream of its own', async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    const ids = romeo.texts.filter(text => text.startsWith('<open')).map(text => / id='([^']*)'/.exec(text)?.[1])
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(2)
  })

  it('W-12: STARTTLS, compression and channel bindings are not offered', async () => {
    const romeo = await webSocketClient(port())
    const features = await romeo.open()
    expect(String(features)).not.toMatch(/starttls|compression|-PLUS|channel-binding/)
    expect(String(features)).toContain('<mechanism>SCRAM-SHA-1</mechanism>')
    romeo.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
    await romeo.receives(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
    expect((await romeo.closed).code).toBe(1000)
  })

  it.each([
    ['host-unknown', open('elsewhere.example')],
    ['unsupported-version', open('localhost', '')],
    ['unsupported-version', open('localhost', " version='0.9'")],
    ['invalid-namespace', `<open xmlns='urn:example:other' to='localhost' version='1.0'/>`],
  ])('W-13, W-15: the answer with %s to %s is <open/>, the error, <close/>, Close', async (condition, first) => {
    const romeo = await webSocketClient(port())
    romeo.send(first)
    expect((await romeo.next()).is('open', framing)).toBe(true)
    await romeo.streamError(condition)
  })

  it.each([
    ['before <open/>', '<open', 'not-well-formed', false],
    ['text before <open/>', 'hello', 'not-well-formed', false],
    ['after <open/>', '<a></b>', 'not-well-formed', true],
    ['text after <open/>', 'hello', 'not-well-formed', true],
    ['an undeclared prefix', '<x:y/>', 'not-well-formed', true],
    ['a second root that is broken', '<presence/><', 'not-well-formed', true],
    ['a comment', '<!-- x -->', 'restricted-xml', true],
    ['a DTD', '<!DOCTYPE x>', 'restricted-xml', true],
    ['a processing instruction', '<?php?><presence/>', 'restricted-xml', true],
    ['an XML declaration in the middle', "<presence/><?xml version='1.0'?>", 'restricted-xml', true],
    [
      'an XML declaration in Latin-1',
      "<?xml version='1.0' encoding='latin-1'?><presence/>",
      'unsupported-encoding',
      true,
    ],
  ])('W-14: %s ends the stream', async (_what, text, condition, isOpen) => {
    const romeo = await webSocketClient(port())
    if (isOpen) await romeo.open()
    romeo.send(text)
    if (!isOpen) expect((await romeo.next()).is('open', framing)).toBe(true)
    await romeo.streamError(condition)
  })

  it('W-15: a stanza that comes first starts no stream and goes nowhere', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    const romeo = await webSocketClient(port())
    romeo.send(`<message to="${juliet.jid}" xmlns="jabber:client"><body>x</body></message>`)
    expect((await romeo.closed).code).toBe(1000)
    await juliet.receivesNothing('<message/>')
  })

  it.each([
    `<stream:stream xmlns='jabber:client' xmlns:stream='${streams}' to='localhost' version='1.0'>`,
    `<?xml version='1.0'?> <stream xmlns='${streams}' to='localhost' version='1.0'>`,
    // W-27: there is no service
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='${streams}' to='bot.localhost'>`,
  ])('W-16, W-27: %s is closed without a word', async text => {
    const romeo = await webSocketClient(port())
    romeo.send(text)
    expect(await romeo.closed).toEqual({ code: 1000, reason: '' })
    expect(romeo.texts).toEqual([])
  })

  it('W-17: a WebSocket that ends without <close/> ends its session', async () => {
    const juliet = await session(server(), 'juliet', { priority: 0 })
    for (const ends of ['close', 'terminate'] as const) {
      const romeo = await webSocketSession(port(), 'romeo', { priority: 0 })
      romeo.send(`<presence to="${juliet.jid}"/>`)
      await juliet.receives(`<presence from="${romeo.jid}"/>`)
      romeo.socket[ends]()
      await juliet.receives(`<presence from="${romeo.jid}" type="unavailable"/>`)
    }
  })

  it('W-18: a session that is replaced is told conflict, <close/> and Close 1000', async () => {
    const first = await webSocketSession(port(), 'romeo', { resource: 'balcony' })
    await webSocketSession(port(), 'romeo', { resource: 'balcony' })
    await first.streamError('conflict')
  })

  it("W-19: a client's see-other-uri is answered with a plain <close/>", async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send(`<close xmlns='${framing}' see-other-uri='wss://elsewhere.example/'/>`)
    await romeo.closed
    expect(romeo.texts.at(-1)).toBe(close)
  })

  it('an element of the stream namespace after login ends the stream with unsupported-stanza-type', async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send(`<query xmlns='${streams}'/>`)
    await romeo.streamError('unsupported-stanza-type')
  })

  it('a stanza from somebody else ends the stream with invalid-from', async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send(`<message from='juliet@localhost' to='juliet@localhost'/>`)
    await romeo.streamError('invalid-from')
  })

  it('a second <open/> in a session ends it with policy-violation', async () => {
    const romeo = await webSocketSession(port(), 'romeo')
    romeo.send(open())
    await romeo.streamError('policy-violation')
  })

  it('answers errors before login in the namespace of stanzas', async () => {
    const romeo = await webSocketClient(port())
    await romeo.open()
    romeo.send(`<iq type='get' id='early'><query xmlns='jabber:iq:version'/></iq>`)
    await romeo.receives('<iq type="error" id="early"/>')
    await romeo.authenticate('PLAIN', 'romeo', 'r0m30')
    await romeo.open()
    const resource = 'x'.repeat(1_024)
    romeo.send(
      `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    )
    await romeo.receives('<iq type="error" id="b"/>')
  })
})

describe('limits and liveness', () => {
  const stanzaOf = (to: string, size: number) => {
    const bare = `<message to="${to}" id="sized"><body></body></message>`
    return bare.replace(
      '<body>',
      `<body>${'ä'.repeat((size - bare.length) >> 1)}${(size - bare.length) & 1 ? 'x' : ''}`,
    )
  }

  it('W-1: the defaults let clients rest for ever and send no pings', async () => {
    const clock = new ManualClock()
    const server = await startedServer(withWebSockets({}, { clock }))
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    clock.advance(24 * 3_600_000)
    await romeo.settled()
    expect(romeo.pings).toEqual([])
  })

  it('W-20: an element of max_stanza_size bytes passes, a longer one ends the stream', async () => {
    const server = await startedServer(withWebSockets({ max_stanza_size: 500 }))
    const juliet = await session(server, 'juliet', { priority: 0 })
    for (const size of [499, 500]) {
      const romeo = await webSocketSession(httpPort(server), 'romeo')
      const text = stanzaOf(juliet.jid ?? '', size)
      expect(Buffer.byteLength(text)).toBe(size)
      romeo.send(text)
      await juliet.receives('<message id="sized"/>')
      // Each element counts by itself.
      romeo.send(text + text)
      await juliet.receives('<message id="sized"/>')
      await juliet.receives('<message id="sized"/>')
    }
    for (const size of [501, 600]) {
      const romeo = await webSocketSession(httpPort(server), 'romeo')
      romeo.send(stanzaOf(juliet.jid ?? '', size))
      const error = await romeo.streamError('policy-violation')
      expect(error.getChildText('text')).toBe('child element too big')
    }
    const early = await webSocketClient(httpPort(server))
    await early.open()
    early.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${'A'.repeat(600)}</auth>`)
    await early.streamError('policy-violation')
  })

  it('W-20: an <open/> that is too long is closed without a word', async () => {
    const server = await startedServer(withWebSockets({ max_stanza_size: 500 }))
    const romeo = await webSocketClient(httpPort(server))
    romeo.send(open('localhost', ` version='1.0' x='${'x'.repeat(500)}'`))
    expect(await romeo.closed).toEqual({ code: 1000, reason: '' })
    expect(romeo.texts).toEqual([])
  })

  it('W-20: before login no element may be longer than 10 000 bytes', async () => {
    const server = await startedServer(withWebSockets())
    const romeo = await webSocketClient(httpPort(server))
    await romeo.open()
    romeo.send(`<iq type="get" id="1"><q xmlns="urn:example:x">${'x'.repeat(10_000)}</q></iq>`)
    await romeo.streamError('policy-violation')
  })

  it('W-21: a message of more than 8 000 000 bytes closes with 1009 before it came', async () => {
    const server = await startedServer(withWebSockets())
    const raw = await upgraded(httpPort(server))
    const header = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    header.writeUInt32BE(8_000_001, 6)
    await raw.send(header)
    await raw.until(frame(0x88, Buffer.from([1009 >> 8, 1009 & 255]), false).toString('latin1'))
    const other = await webSocketSession(httpPort(server), 'romeo')
    const half = Buffer.alloc(4_000_001, 0x20)
    other.socket.send(half, { binary: false, fin: false })
    other.socket.send(half, { binary: false, fin: true })
    expect((await other.closed).code).toBe(1009)
  })

  it('W-22: no frame for the timeout closes with 1000; pings keep a client, what the server sends does not', async () => {
    const clock = new ManualClock()
    const server = await startedServer(withWebSockets({ timeout: 500 }, { clock }))
    const juliet = await session(server, 'juliet', { priority: 0 })
    const romeo = await webSocketSession(httpPort(server), 'romeo', { priority: 0 })
    romeo.send(`<presence to="${juliet.jid}"/>`)
    await juliet.receives(`<presence from="${romeo.jid}"/>`)
    for (let i = 0; i < 5; i++) {
      clock.advance(400)
      romeo.socket.ping(`alive ${i}`)
      await romeo.until(() => romeo.pongs.includes(`alive ${i}`), 'a pong')
    }
    clock.advance(300)
    await drained(server)
    await juliet.send(`<message to="${romeo.jid}"><body>x</body></message>`)
    await romeo.receives('<message/>')
    expect(romeo.isClosed).toBe(false)
    clock.advance(250)
    expect(await romeo.closed).toEqual({ code: 1000, reason: '' })
    await juliet.receives(`<presence from="${romeo.jid}" type="unavailable"/>`)
  })

  it('W-23: a ping comes every ping_rate milliseconds, from the first period on and before login too', async () => {
    const clock = new ManualClock()
    const server = await startedServer(withWebSockets({ ping_rate: 100, timeout: 250 }, { clock }))
    const romeo = await webSocketClient(httpPort(server))
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    for (let period = 1; period <= 5; period++) {
      expect(romeo.pings).toHaveLength(period - 1)
      const before = actorsOfKind(server, 'Connection')[0]?.details.bytesIn
      clock.advance(100)
      await romeo.until(() => romeo.pings.length === period, `ping ${period}`)
      expect(romeo.pings.at(-1)).toEqual(Buffer.alloc(0))
      // The pong keeps it alive.
      await eventually(() => actorsOfKind(server, 'Connection')[0]?.details.bytesIn !== before)
    }
    expect(romeo.isClosed).toBe(false)
  })

  it('W-25: what clients send is not shaped', async () => {
    const clock = new ManualClock()
    const config = { shaper: { slow: { max_rate: 1_000 } }, access: { c2s_shaper: [{ acl: 'all', value: 'slow' }] } }
    const setup = withWebSockets({}, { clock, config, listener: { shaper: 'c2s_shaper' } })
    const server = await startedServer(setup)
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    for (let i = 0; i < 50; i++) {
      romeo.send(`<message to="nobody@localhost" type="headline"><body>${'x'.repeat(1_000)}</body></message>`)
    }
    await romeo.settled()
  })

  it('HC-2: two handlers have options of their own', async () => {
    const server = await startedServer(
      withHandlers([
        { host: '_', path: '/a', max_stanza_size: 300 },
        { host: '_', path: '/b' },
      ]),
    )
    const [a, b] = await Promise.all(
      ['/a', '/b'].map(path => webSocketSession(httpPort(server), 'romeo', { path, mechanism: 'PLAIN' })),
    )
    const message = `<message to="juliet@localhost"><body>${'x'.repeat(400)}</body></message>`
    b?.send(message)
    a?.send(message)
    await a?.streamError('policy-violation')
    await b?.settled()
  })
})

describe('back-pressure and supervision', () => {
  it('nothing more is read while a client does not take its answers, and all come once it does', async () => {
    const server = await startedServer(withWebSockets())
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    const count = 3_000
    const payload = 'x'.repeat(2_000)
    const connection = () => actorsOfKind(server, 'Connection')[0]?.details
    romeo.socket.pause()
    for (let i = 0; i < count; i++) {
      romeo.send(`<iq type="get" id="i${i}" to="localhost"><ping xmlns="urn:xmpp:ping"/></iq>`)
      romeo.send(`<message to="${romeo.jid}" id="m${i}"><body>${payload}</body></message>`)
    }
    await eventually(() => connection()?.isBlocked)
    expect(Number(connection()?.stanzasIn)).toBeLessThan(2 * count)
    romeo.socket.resume()
    await romeo.receives(`<message id="m${count - 1}"/>`)
    await romeo.settled()
  })

  it('a write that makes no progress for 15 seconds ends the connection', async () => {
    const clock = new ManualClock()
    const server = await startedServer(withWebSockets({}, { clock }))
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    romeo.socket.pause()
    for (let i = 0; i < 3_000; i++) {
      romeo.send(`<message to="${romeo.jid}" id="m${i}"><body>${'x'.repeat(2_000)}</body></message>`)
    }
    await eventually(() => actorsOfKind(server, 'Connection')[0]?.details.isBlocked)
    await drained(server)
    clock.advance(20_000)
    clock.advance(20_000)
    await eventually(() => actorsOfKind(server, 'Connection').length === 0)
    romeo.socket.terminate()
  })

  it('connections stand below an acceptor of the listener, with the address and the counts of the stream', async () => {
    const server = await startedServer(withWebSockets())
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    const found = actors(server).find(({ details }) => details.jid === romeo.jid)
    expect(found?.path).toMatch(/^\/root\/listeners\/http-127\.0\.0\.1-0-0\/acceptor-[01]\/connection-1$/)
    expect(found?.details).toMatchObject({ address: '127.0.0.1', isEncrypted: false, isBlocked: false })
    expect(found?.details.bytesIn).toBeGreaterThan(0)
    expect(found?.details.bytesOut).toBeGreaterThan(0)
  })

  it('max_fsm_queue ends a client that does not take what is sent to it', async () => {
    const setup = withWebSockets({}, { config: { general: { max_fsm_queue: 20 } } })
    const server = await startedServer(setup)
    const juliet = await session(server, 'juliet', { priority: 0 })
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    romeo.socket.pause()
    const flood = `<message to="${romeo.jid}"><body>${'x'.repeat(50_000)}</body></message>`
    for (let i = 0; i < 400; i++) await juliet.send(flood)
    await eventually(() => !actorsOfKind(server, 'Connection').some(({ details }) => details.jid === romeo.jid))
    romeo.socket.terminate()
  })

  it('HL-9: a connection that became a WebSocket does not count for max_connections', async () => {
    const server = await startedServer(withWebSockets({}, { http: { transport: { max_connections: 1 } } }))
    const port = httpPort(server)
    await webSocketSession(port, 'romeo')
    const second = await webSocketSession(port, 'juliet')
    expect((await exchange(port, 'GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n')).status).toBe(404)
    await second.settled()
  })

  it('HL-6: at a stop clients are told system-shutdown and closed, and the port is free', async () => {
    const events = recordedEvents()
    const server = await startedServer(withWebSockets({}, { events }))
    const port = httpPort(server)
    const romeo = await webSocketSession(port, 'romeo')
    const stopped = server.stop()
    await romeo.streamError('system-shutdown')
    await stopped
    expect(await canBind(port)).toBe(true)
    expect(events.records.filter(({ name }) => name === 'server.bug')).toEqual([])
  })
})

describe('over TLS', () => {
  const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
  const secure = (tls: object = {}, more: Partial<Setup> = {}) =>
    withWebSockets({}, { ...more, http: { tls: { certfile: file('rsa'), ...tls } } })
  const wss: WebSocketOptions = { scheme: 'wss' }

  it('W-12: wss counts as encrypted, and SCRAM-PLUS is not offered', async () => {
    const server = await startedServer(secure())
    const client = await webSocketClient(httpPort(server), wss)
    const features = await client.open()
    expect(String(features)).toContain('<mechanism>PLAIN</mechanism>')
    expect(String(features)).not.toMatch(/-PLUS|channel-binding|starttls/)
    const romeo = await webSocketSession(httpPort(server), 'romeo', { ...wss, mechanism: 'PLAIN' })
    const found = actors(server).find(({ details }) => details.jid === romeo.jid)
    expect(found?.details.isEncrypted).toBe(true)
    expect(found?.path).toMatch(/acceptor-\d+\/connection-\d+$/)
  })

  it('HL-9: neither does one over TLS', async () => {
    const http = { transport: { max_connections: 1 }, tls: { certfile: file('rsa') } }
    const server = await startedServer(withWebSockets({}, { http }))
    await webSocketSession(httpPort(server), 'romeo', wss)
    await webSocketSession(httpPort(server), 'juliet', wss)
  })

  it('HT-5: EXTERNAL is offered to a client with a certificate, and not to one without', async () => {
    const setup = secure(
      { verify_peer: true, verify_mode: 'none', cacertfile: file('ca') },
      { config: { auth: { methods: ['pki', 'internal'], sasl_mechanisms: ['external', 'scram_sha1'] } } },
    )
    const server = await startedServer(setup)
    const with1 = await webSocketClient(httpPort(server), {
      ...wss,
      cert: readFileSync(file('client')),
      key: readFileSync(file('client')),
    })
    expect(String(await with1.open())).toContain('<mechanism>EXTERNAL</mechanism>')
    const without = await webSocketClient(httpPort(server), wss)
    expect(String(await without.open())).not.toContain('EXTERNAL')
  })

  it('HL-6: at a stop clients over TLS are told too', async () => {
    const server = await startedServer(secure())
    const romeo = await webSocketSession(httpPort(server), 'romeo', wss)
    const stopped = server.stop()
    await romeo.streamError('system-shutdown')
    await stopped
  })
})

describe('beside TCP', () => {
  it('XEP-0198: a session that was lost on a WebSocket is resumed over TCP, and the other way round', async () => {
    const server = await startedServer({ ...withWebSockets(), modules: { mod_stream_management: {}, mod_ping: {} } })
    const romeo = await webSocketSession(httpPort(server), 'romeo')
    romeo.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
    const enabled = await romeo.receives(`<enabled xmlns='urn:xmpp:sm:3'/>`)
    romeo.socket.terminate()
    const tcp = await clientOf(server)
    await tcp.open()
    await tcp.authenticate('SCRAM-SHA-1', 'romeo', 'r0m30')
    await tcp.open()
    await tcp.send(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='${enabled.attrs.id}'/>`)
    await tcp.receives(`<resumed xmlns='urn:xmpp:sm:3'/>`)
    tcp.drop()
    const again = await webSocketClient(httpPort(server))
    await again.open()
    await again.authenticate('SCRAM-SHA-1', 'romeo', 'r0m30')
    await again.open()
    again.send(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='${enabled.attrs.id}'/>`)
    await again.receives(`<resumed xmlns='urn:xmpp:sm:3'/>`)
    await again.settled()
  })
})
