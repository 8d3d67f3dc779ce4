import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { SaxesParser } from 'saxes'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type BoshClient, boshClient, boshSession, creation, http, httpbind, httpPort } from '../support/bosh.js'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  available,
  clientOf,
  drained,
  eventually,
  PASSWORD,
  type Setup,
  session,
  sharedServer,
  startedServer,
} from '../support/server.js'
import { exchange } from './raw.js'

const listener = { port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2, max_connections: 'infinity' } }

/** A server with `mod_bosh` at /http-bind, and these options of the module. */
const withBosh = (options: object = {}, more: Partial<Setup> & { http?: object } = {}): Setup => {
  const { http, ...setup } = more
  return {
    users: ['romeo', 'juliet'],
    ...setup,
    modules: { mod_bosh: options, mod_roster: {}, mod_disco: {} },
    config: {
      ...setup.config,
      listen: { http: [{ ...listener, ...http, handlers: { mod_bosh: [{ host: '_', path: '/http-bind' }] } }] },
    },
  }
}

const message = (to: string, text: string, attributes = '') =>
  `<message xmlns='jabber:client' to='${to}' ${attributes}><body>${text}</body></message>`

/** Texts of the messages, in order. */
const texts = (children: { getChildText(name: string): string | null }[]) =>
  children.map(child => child.getChildText('body'))

const ended = (condition: string) => `<body type='terminate' condition='${condition}' xmlns='${httpbind}'/>`

const cors = {
  'access-control-allow-methods': 'POST, OPTIONS, GET',
  'access-control-allow-headers': 'content-type',
  'access-control-max-age': '1728000',
}

/** Throws at a prefix that nothing declares. */
function parseByItself(xml: string): void {
  const parser = new SaxesParser({ xmlns: true })
  parser.on('error', error => {
    throw error
  })
  parser.write(xml).close()
}

describe('the HTTP surface', () => {
  const server = sharedServer(withBosh())
  const port = () => httpPort(server())

  it('B-2: GET says what is here', async () => {
    const { status, headers, text } = await http(port(), undefined, { method: 'GET' })
    expect([status, text]).toEqual([200, 'MongooseIM bosh endpoint'])
    expect(headers).toMatchObject({ ...cors, 'content-type': 'text/xml; charset=utf8' })
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  it.each([
    ['http://example.org', 'http://example.org'],
    [undefined, '*'],
  ])('B-2: OPTIONS from the origin %s is allowed %s', async (origin, allowed) => {
    const headers = origin === undefined ? {} : { origin }
    const answer = await http(port(), undefined, { method: 'OPTIONS', headers })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(answer.headers).toMatchObject({ ...cors, 'access-control-allow-origin': allowed })
  })

  it('B-2: a POST without a body', async () => {
    const { status, headers, text } = await http(port(), '')
    expect([status, text]).toEqual([400, 'Missing request body'])
    expect(headers).toMatchObject({ ...cors, 'access-control-allow-origin': '*' })
    const bare = await exchange(port(), 'POST /http-bind HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect([bare.status, bare.body]).toEqual([400, 'Missing request body'])
  })

  it.each(['PUT', 'DELETE', 'PATCH', 'HEAD'])('B-2: bad input: %s', async method => {
    const { status, headers, text } = await http(port(), undefined, { method })
    expect([status, text]).toEqual([405, method === 'HEAD' ? '' : 'Use POST request method'])
    expect(headers).toMatchObject({ ...cors, 'access-control-allow-origin': '*' })
  })

  it('B-2: a POST with a body gets XML, whatever it says of its type and whatever it accepts', async () => {
    const headers = { 'content-type': 'application/json', accept: 'image/png' }
    const answer = await http(port(), creation(1), { headers })
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({ ...cors, 'access-control-allow-origin': '*' })
    expect(answer.headers['content-type']).toBe('text/xml; charset=utf8')
    expect(answer.body.attrs.sid).toMatch(/^[0-9a-f]{40}$/)
  })

  it.each([
    ['a guessed sid', `<body rid='1' sid='0123456789abcdef0123456789abcdef01234567' xmlns='${httpbind}'/>`],
    ['terminate without a sid', `<body rid='1' type='terminate' xmlns='${httpbind}'/>`],
    ['pause without a sid', `<body rid='1' pause='10' xmlns='${httpbind}'/>`],
    ['restart without a sid', `<body rid='1' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh' xmlns='${httpbind}'/>`],
  ])('B-3: %s: 200 and item-not-found', async (_, body) => {
    const { status, text } = await http(port(), body)
    expect([status, text]).toEqual([200, ended('item-not-found')])
  })

  it('bad input: another path and a foreign host are 404', async () => {
    expect((await http(port(), creation(1), { path: '/http-bind/x' })).status).toBe(404)
    const own = await startedServer({
      ...withBosh(),
      config: {
        listen: { http: [{ ...listener, handlers: { mod_bosh: [{ host: 'localhost', path: '/http-bind' }] } }] },
      },
    })
    expect((await http(httpPort(own), creation(1), { headers: { host: 'example.org' } })).status).toBe(404)
    expect((await http(httpPort(own), creation(1))).status).toBe(200)
  })

  it('bad input: a body over 8 000 000 bytes is 413, said to be or not', async () => {
    const large = await exchange(
      port(),
      'POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000001\r\n\r\n',
    )
    expect([large.status, large.headers.connection]).toEqual([413, 'close'])
    const socket = connect(port(), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    let got = ''
    socket.setEncoding('latin1').on('data', text => {
      got += text
    })
    const chunk = `${(80_000).toString(16)}\r\n${' '.repeat(80_000)}\r\n`
    socket.write('POST /http-bind HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let i = 0; i < 101; i++) socket.write(chunk)
    await eventually(() => got.includes('\r\n\r\n'))
    expect(got).toMatch(/^HTTP\/1.1 413 /)
    await eventually(() => socket.destroyed || socket.readableEnded)
  })

  it('takes a body of nearly 8 000 000 bytes, in pieces', async () => {
    const { text } = await http(port(), creation(1).padEnd(7_999_999))
    expect(text).toContain('sid=')
  })

  it('XEP-0124: the listener serves more than a hundred requests of one client on one connection', async () => {
    const romeo = await boshClient(port())
    const poll = romeo.send()
    for (let i = 0; i < 120; i++) {
      const pong = romeo.send(`<iq xmlns='jabber:client' type='get' id='${i}'><none xmlns='none:none'/></iq>`)
      const { headers } = await pong
      expect(headers.connection).not.toBe('close')
    }
    await poll
  })
})

describe('the creation', () => {
  const server = sharedServer(withBosh())
  const port = () => httpPort(server())

  it('B-4: says what was agreed on, and B-5: comes with the features', async () => {
    const romeo = await boshClient(port(), { attributes: "wait='20' xml:lang='en'" })
    const { text, body } = romeo.opening
    expect(body.attrs).toMatchObject({
      wait: '20',
      requests: '2',
      hold: '1',
      from: 'localhost',
      'xmpp:restartlogic': 'true',
      'xmpp:version': '1.0',
      inactivity: '30',
      maxpause: '120',
    })
    expect(body.attrs.sid).toMatch(/^[0-9a-f]{40}$/)
    expect(body.attrs.accept).toBeUndefined()
    expect(body.attrs.ack).toBeUndefined()
    expect(body.is('body', httpbind)).toBe(true)
    const features = body.getChild('features', 'http://etherx.jabber.org/streams')
    expect(features?.getChild('mechanisms')).toBeDefined()
    parseByItself(text)
  })

  it('B-4: without `wait` it is 60 seconds', async () => {
    const romeo = await boshClient(port(), { attributes: '' })
    expect(romeo.opening.body.attrs.wait).toBe('60')
  })

  it('B-4, B-26: the options show in what is agreed on', async () => {
    const options = { inactivity: 'infinity', max_wait: 10, server_acks: true, max_pause: 5 }
    const other = await startedServer(withBosh(options))
    const { body } = (await boshClient(httpPort(other))).opening
    expect(body.attrs).toMatchObject({ wait: '10', ack: '1000000', maxpause: '5' })
    expect(body.attrs.inactivity).toBeUndefined()
    const few = (await boshClient(httpPort(other), { attributes: "wait='7'" })).opening
    expect(few.body.attrs.wait).toBe('7')
  })

  it('B-6: a hold of two becomes one', async () => {
    const { body } = await http(port(), creation(1, '', undefined, "hold='2'"))
    expect(body.attrs.hold).toBe('1')
  })

  it.each(["hold='0'", '', "hold='x'", "hold='-1'"])('B-6: %s is an undefined-condition', async hold => {
    const { text } = await http(port(), creation(1, '', undefined, hold))
    expect(text).toBe(ended('undefined-condition'))
  })

  it.each(['', "to='example.org'", "to='romeo@localhost'", "to=''"])('B-7: %s is host-unknown', async to => {
    const { text } = await http(port(), creation(1, '', to))
    expect(text).toBe(ended('host-unknown'))
  })

  it('B-8: neither STARTTLS nor compression nor channel binding is offered', async () => {
    const romeo = await boshClient(port())
    expect(romeo.opening.text).toContain('<mechanism>SCRAM-SHA-1</mechanism>')
    expect(romeo.opening.text).not.toMatch(/starttls|compression|-PLUS|channel-binding/)
    await romeo.login('romeo', 'a')
  })

  it.each([
    ['malformed XML', `<body rid='1' xmlns='${httpbind}'>`],
    ['two elements', `${creation(1)}${creation(2)}`],
    ['text behind it', `${creation(1)}x`],
    ['nothing but white space', '  '],
    ['no XML', '{}'],
    ['another root', `<bodies rid='1' xmlns='${httpbind}'/>`],
    ['another namespace', "<body rid='1' xmlns='urn:x'/>"],
    ['a DTD', `<!DOCTYPE body [<!ENTITY a "b">]>${creation(1)}`],
    ['a processing instruction', `<?php x?>${creation(1)}`],
    ['a comment', `<!-- x -->${creation(1)}`],
    ['an unknown entity', `<body rid='1' to='&a;' xmlns='${httpbind}'/>`],
    ['text between children', `<body rid='1' to='localhost' hold='1' xmlns='${httpbind}'>x</body>`],
    ['an undeclared prefix', `<body rid='1' to='localhost' hold='1' xmlns='${httpbind}'><a:b/></body>`],
    ['bytes that are no UTF-8', Buffer.from(creation(1, "key='\xff'"), 'latin1')],
    ['no rid', `<body to='localhost' hold='1' xmlns='${httpbind}'/>`],
    ['rid 0', creation(0)],
    ['a negative rid', creation(-1)],
    ['a rid with letters', creation('12abc')],
    ['a rid with a fraction', creation('1.5')],
    ['a rid beyond 2^53', creation('9007199254740992')],
    ['a rid of many digits', creation('9'.repeat(400))],
    ['wait that is no number', creation(1, "wait='x'")],
    ['negative wait', creation(1, "wait='-1'")],
  ])('B-9: bad input: %s is a bad-request, and no session remains', async (_, body) => {
    const before = actorsOfKind(server(), 'Connection').length
    const { status, text } = await http(port(), body)
    expect([status, text]).toEqual([200, ended('bad-request')])
    await drained(server())
    expect(actorsOfKind(server(), 'Connection')).toHaveLength(before)
  })

  it('B-9: the largest rid counts', async () => {
    const romeo = await boshClient(port(), { rid: Number.MAX_SAFE_INTEGER - 2 })
    const poll = romeo.send()
    const next = romeo.send(message('juliet@localhost', 'x'))
    expect((await poll).body.attrs.sid).toBe(romeo.sid)
    void next
  })

  it('takes an XML declaration and a byte order mark', async () => {
    const { body } = await http(port(), `\ufeff<?xml version='1.0' encoding='UTF-8'?>\n${creation(1)}\n`)
    expect(body.attrs.sid).toBeDefined()
  })

  it('B-10: the session shows the address of whoever created it', async () => {
    await boshClient(port())
    const addresses = actorsOfKind(server(), 'Connection').map(({ details }) => details.address)
    expect(addresses).toContain('127.0.0.1')
  })

  it('B-10: behind a trusted proxy it is the one that the proxy names', async () => {
    const other = await startedServer(withBosh({}, { http: { trusted_proxies: ['127.0.0.0/8'] } }))
    await boshClient(httpPort(other), { headers: { 'x-forwarded-for': '192.0.2.7' } })
    expect(actorsOfKind(other, 'Connection').map(({ details }) => details.address)).toEqual(['192.0.2.7'])
  })
})

describe('a session', () => {
  const server = sharedServer(withBosh())
  const romeoBySession = (options = {}) => boshSession(server(), 'romeo', options)
  const juliet = (resource: string) => session(server(), 'juliet', { resource })

  it('logs in by SASL, restart and bind, and talks both ways', async () => {
    const romeo = await romeoBySession()
    expect(romeo.jid).toBe('romeo@localhost/bosh')
    const peer = await juliet('both')
    const poll = romeo.send()
    await peer.send(message(romeo.jid, 'art thou'))
    expect(texts((await poll).children)).toEqual(['art thou'])
    const next = romeo.send(message(peer.jid ?? '', 'I am'))
    await peer.receives(`<message from='${romeo.jid}'><body>I am</body></message>`)
    next.abort()
  })

  it('the restart has the terms again, and features that bind', async () => {
    const romeo = await boshClient(httpPort(server()))
    const plain = Buffer.from(`\0romeo\0${PASSWORD}`).toString('base64')
    const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`
    expect((await romeo.send(auth)).text).toContain('<success')
    const { text, body } = await romeo.restart('')
    expect(body.attrs).toMatchObject({ sid: romeo.sid, wait: '30', requests: '2', from: 'localhost', maxpause: '120' })
    expect(text).toContain("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
    expect(text).not.toContain('mechanisms')
    parseByItself(text)
  })

  it('a restart is known by its namespace, whatever the prefix', async () => {
    const romeo = await boshClient(httpPort(server()))
    // Before SASL is done it is out of place, which ends the stream.
    const { text } = await romeo.send('', "y:restart='true' xmlns:y='urn:xmpp:xbosh'")
    expect(text).toContain("condition='remote-stream-error'")
    expect(text).toContain('<policy-violation ')
    parseByItself(text)
    const other = await boshClient(httpPort(server()))
    const poll = other.send('', "y:restart='true' xmlns:y='urn:x'")
    const next = other.send()
    expect((await poll).body.attrs.type).toBeUndefined()
    next.abort()
  })

  it('a refused login is told, and can be tried again', async () => {
    const romeo = await boshClient(httpPort(server()))
    const { children } = await romeo.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from('\0romeo\0no').toString('base64')}</auth>`,
    )
    expect(children[0]?.getName()).toBe('failure')
    await romeo.login('romeo', 'again')
  })

  it('B-11: an out-of-order pair is delivered in the order of the rids', async () => {
    const romeo = await romeoBySession({ resource: 'order' })
    const peer = await juliet('order')
    const { rid } = romeo
    const second = romeo.as(rid + 2, message(peer.jid ?? '', 'two'))
    await drained(server())
    const first = romeo.as(rid + 1, message(peer.jid ?? '', 'one'))
    expect(await peer.receives('<message/>').then(got => got.getChildText('body'))).toBe('one')
    expect(await peer.receives('<message/>').then(got => got.getChildText('body'))).toBe('two')
    expect((await first).children).toEqual([])
    second.abort()
  })

  it('B-12: a gap that is too large ends the session for everybody', async () => {
    const romeo = await romeoBySession({ resource: 'gap' })
    const friend = await juliet('gap')
    const poll = romeo.send(`<presence xmlns='jabber:client' to='${friend.jid}'/>`)
    await friend.receives(`<presence from='${romeo.jid}'/>`)
    const far = romeo.as(romeo.rid + 1000)
    expect((await far).text).toBe(ended('item-not-found'))
    expect((await poll).text).toBe(ended('item-not-found'))
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
    await friend.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
  })

  it('B-13, B-14: a repeated request gets the same bytes and is not delivered again; the third-last ends all', async () => {
    const romeo = await romeoBySession({ resource: 'repeat' })
    const peer = await juliet('repeat')
    const ask = `<iq xmlns='jabber:client' type='get' id='v' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`
    const said = `${message(peer.jid ?? '', 'once')}${ask}`
    const first = await romeo.send(said)
    expect(first.text).toContain('id="v"')
    const again = await romeo.as(romeo.rid, said)
    expect(again.text).toBe(first.text)
    await peer.receives('<message><body>once</body></message>')
    await peer.settled()
    await expect(peer.receives('<message/>', { within: 100 })).rejects.toThrow('did not come')
    await romeo.send(ask)
    await romeo.send(ask)
    expect((await romeo.as(romeo.rid - 2, said)).text).toBe(ended('item-not-found'))
  })

  it('a request repeated while it is held sets the older one free', async () => {
    const romeo = await romeoBySession({ resource: 'twice' })
    const peer = await juliet('twice')
    const older = romeo.send()
    await drained(server())
    const newer = romeo.as(romeo.rid)
    expect((await older).text).toBe(`<body sid='${romeo.sid}' xmlns='${httpbind}'/>`)
    await peer.send(message(romeo.jid, 'hello'))
    expect(texts((await newer).children)).toEqual(['hello'])
  })

  it('B-15: nothing is sent on a request whose predecessor is missing', async () => {
    const romeo = await romeoBySession({ resource: 'missing' })
    const peer = await juliet('missing')
    const { rid } = romeo
    const early = romeo.as(rid + 2)
    await peer.send(message(romeo.jid, 'hello'))
    await peer.settled()
    expect(early.isAnswered).toBe(false)
    const late = await romeo.as(rid + 1)
    expect(texts(late.children)).toEqual(['hello'])
    early.abort()
  })

  it('B-16: a second request sets the first free', async () => {
    const romeo = await romeoBySession({ resource: 'free' })
    const held = romeo.send()
    const next = romeo.send(message('juliet@localhost/nowhere', 'x', "type='headline'"))
    expect((await held).text).toBe(`<body sid='${romeo.sid}' xmlns='${httpbind}'/>`)
    expect(next.isAnswered).toBe(false)
    next.abort()
  })

  it('B-17: what comes between two polls goes out with the next, in order', async () => {
    const romeo = await romeoBySession({ resource: 'between' })
    const peer = await juliet('between')
    for (const text of ['one', 'two', 'three']) await peer.send(message(romeo.jid, text))
    await peer.settled()
    const { children, text } = await romeo.send()
    expect(texts(children)).toEqual(['one', 'two', 'three'])
    expect(children.every(child => child.is('message', 'jabber:client'))).toBe(true)
    parseByItself(text)
  })

  it('B-19: stanzas are in jabber:client, and no prefix is undeclared', async () => {
    const romeo = await romeoBySession({ resource: 'spaces' })
    const peer = await juliet('spaces')
    await peer.send(`<message to='${romeo.jid}' xmlns:x='urn:x'><x:y/><body>b</body></message>`)
    const { text, children } = await romeo.send()
    parseByItself(text)
    expect(children[0]?.is('message', 'jabber:client')).toBe(true)
    expect(children[0]?.getChild('body', 'jabber:client')?.getText()).toBe('b')
  })

  it('B-20: several stanzas in one body, with white space between them, are handled in order', async () => {
    const romeo = await romeoBySession({ resource: 'several' })
    const peer = await juliet('several')
    const all = ['one', 'two', 'three', 'four'].map(text => message(peer.jid ?? '', text)).join('\n \t')
    const poll = romeo.send(`\n${all}\n`)
    for (const text of ['one', 'two', 'three', 'four']) {
      expect((await peer.receives('<message/>')).getChildText('body')).toBe(text)
    }
    poll.abort()
  })

  it('stanzas without a namespace, with a prefix, or with one that the body declares, arrive', async () => {
    const romeo = await romeoBySession({ resource: 'prefixes' })
    const peer = await juliet('prefixes')
    const to = peer.jid ?? ''
    const poll = romeo.send(
      `<message to='${to}'><body>bare</body></message>` +
        `<c:message to='${to}' xmlns:c='jabber:client'><c:body>prefixed</c:body></c:message>` +
        `<message to='${to}' xmlns='jabber:client'><q:w/><body>inherited</body></message>`,
      "xmlns:q='urn:q'",
    )
    await peer.receives('<message><body>bare</body></message>')
    await peer.receives('<message><body>prefixed</body></message>')
    await peer.receives("<message><w xmlns='urn:q'/><body>inherited</body></message>")
    const next = romeo.raw(
      `<b:body rid='${romeo.rid + 1}' sid='${romeo.sid}' xmlns:b='${httpbind}' xmlns='jabber:client'><message to='${to}'><body>outer</body></message></b:body>`,
    )
    await peer.receives('<message><body>outer</body></message>')
    await poll
    next.abort()
  })

  it('B-21: a body in another namespace is a bad-request, and ends the session', async () => {
    const romeo = await romeoBySession({ resource: 'foreign' })
    const { text } = await romeo.raw(`<body rid='${romeo.rid + 1}' sid='${romeo.sid}' xmlns='urn:x'/>`)
    expect(text).toBe(ended('bad-request'))
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
  })

  it.each(["pause='x'", "pause='0'", "pause='-1'", "ack='x'"])('B-25: bad input: %s is a bad-request', async bad => {
    const romeo = await romeoBySession({ resource: 'numbers' })
    const poll = romeo.send()
    await drained(server())
    expect((await romeo.send('', bad)).text).toBe(ended('bad-request'))
    expect((await poll).text).toBe(ended('bad-request'))
  })

  it('B-25: a pause longer than allowed is a policy-violation', async () => {
    const romeo = await romeoBySession({ resource: 'long' })
    const poll = romeo.send()
    await drained(server())
    expect((await romeo.send('', "pause='10000'")).text).toBe(ended('policy-violation'))
    expect((await poll).text).toBe(ended('policy-violation'))
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
  })

  it('B-27: terminate handles what is in it, and tells no condition', async () => {
    const romeo = await romeoBySession({ resource: 'leaving', priority: 1 })
    const friend = await session(server(), 'romeo', { resource: 'friend2', priority: 0 })
    const poll = romeo.send()
    const last = romeo.send(
      "<presence xmlns='jabber:client' type='unavailable'><status>bye</status></presence>",
      "type='terminate'",
    )
    expect((await last).text).toContain(`<body type='terminate' xmlns='${httpbind}'`)
    expect((await last).body.attrs.condition).toBeUndefined()
    expect((await poll).body.attrs.type).toBeUndefined()
    await friend.receives(`<presence type='unavailable' from='${romeo.jid}'><status>bye</status></presence>`)
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
    await friend.close()
  })

  it('B-28: a stream error ends the session, inside a terminate', async () => {
    const romeo = await romeoBySession({ resource: 'error' })
    const { text, body } = await romeo.send(message('juliet@localhost', 'x', "from='juliet@localhost'"))
    expect(body.attrs).toMatchObject({ type: 'terminate', condition: 'remote-stream-error' })
    expect(body.getChild('error', 'http://etherx.jabber.org/streams')?.getChild('invalid-from')).toBeDefined()
    parseByItself(text)
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
  })

  it('B-29: a session that another one replaces is told, with a poll held and without', async () => {
    const held = await romeoBySession({ resource: 'same' })
    const poll = held.send()
    await drained(server())
    const quiet = await romeoBySession({ resource: 'same' })
    const { text, body } = await poll
    expect(body.attrs).toMatchObject({ type: 'terminate', condition: 'remote-stream-error' })
    expect(text).toContain('<conflict ')
    const newest = await session(server(), 'romeo', { resource: 'same' })
    const told = await quiet.send()
    expect(told.body.attrs).toMatchObject({ type: 'terminate', condition: 'remote-stream-error' })
    expect(told.text).toContain('<conflict ')
    expect((await quiet.send()).text).toBe(ended('item-not-found'))
    await newest.close()
  })

  it('an answer for a client that went away is kept until it asks again', async () => {
    const romeo = await romeoBySession({ resource: 'away' })
    const peer = await juliet('away')
    const poll = romeo.send()
    await drained(server())
    poll.abort()
    await peer.send(message(romeo.jid, 'kept'))
    await peer.settled()
    expect(texts((await romeo.as(romeo.rid)).children)).toEqual(['kept'])
  })

  it('a session whose keys are in order logs in, and a forged request ends it', async () => {
    const chain = ['seed']
    for (let i = 0; i < 20; i++)
      chain.push(
        createHash('sha1')
          .update(chain.at(-1) ?? '')
          .digest('hex'),
      )
    const keyed = (index: number) => {
      const key = chain.at(-1 - index)
      return index === 0 ? `newkey='${key}'` : `key='${key}'`
    }
    const romeo = await romeoBySession({ resource: 'keys', keyed })
    expect(romeo.jid).toBe('romeo@localhost/keys')
    const poll = romeo.send()
    await drained(server())
    expect((await romeo.as(romeo.rid + 1)).text).toBe(ended('item-not-found'))
    expect((await poll).text).toBe(ended('item-not-found'))
  })

  it('an element that is too large before the login ends the session', async () => {
    const romeo = await boshClient(httpPort(server()))
    const { text, body } = await romeo.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>${'a'.repeat(10_001)}</auth>`,
    )
    expect(body.attrs.condition).toBe('remote-stream-error')
    expect(text).toContain('<policy-violation ')
  })

  it('terminate before the login, and right after the creation, is a clean end', async () => {
    const romeo = await boshClient(httpPort(server()))
    expect((await romeo.send('', "type='terminate'")).text).toBe(`<body type='terminate' xmlns='${httpbind}'/>`)
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
  })

  it('a large answer comes whole', async () => {
    const romeo = await romeoBySession({ resource: 'large' })
    const peer = await juliet('large')
    const text = 'ünïcödé '.repeat(20_000)
    await peer.send(message(romeo.jid, text))
    await peer.settled()
    expect(texts((await romeo.send()).children)).toEqual([text])
  })

  it('what nobody fetched finds another way when the session ends', async () => {
    const romeo = await romeoBySession({ resource: 'unread', priority: 5 })
    const peer = await juliet('unread')
    const other = await session(server(), 'romeo', { resource: 'heir' })
    await available(other)
    await peer.send(message(romeo.jid, 'left over', "type='chat'"))
    await peer.settled()
    expect((await romeo.as(romeo.rid + 1000)).text).toBe(ended('item-not-found'))
    await other.receives('<message><body>left over</body></message>')
    await other.close()
  })

  it('bad input: a stanza that is not well addressed is an ordinary stanza error', async () => {
    const romeo = await romeoBySession({ resource: 'address' })
    const { children } = await romeo.send(message('a@b@c', 'x', "id='m'"))
    expect(children[0]?.attrs).toMatchObject({ type: 'error', id: 'm' })
    expect(children[0]?.getChild('error')?.getChild('jid-malformed')).toBeDefined()
  })

  it("requests by dozens at once break no rule but the client's own", async () => {
    const romeo = await romeoBySession({ resource: 'dozens' })
    const all = Array.from({ length: 40 }, () => romeo.send(message('juliet@localhost/none', 'x', "type='headline'")))
    const answers = await Promise.race([Promise.all(all.slice(0, -1)), Promise.all(all)])
    for (const { status, body } of answers) {
      expect(status).toBe(200)
      expect([undefined, 'item-not-found', 'policy-violation']).toContain(body.attrs.condition)
    }
    for (const one of all) one.abort()
  })
})

describe('acknowledgements', () => {
  const server = sharedServer(withBosh({ server_acks: true }))

  it('B-30: an answer acknowledges the request behind its own', async () => {
    const romeo = await boshSession(server(), 'romeo')
    expect(romeo.opening.body.attrs.ack).toBe('1000000')
    const first = romeo.send()
    await drained(server())
    const second = romeo.send(`<iq xmlns='jabber:client' type='get' id='i'><none xmlns='none:none'/></iq>`)
    expect((await first).body.attrs.ack).toBe(String(romeo.rid))
    expect((await second).body.attrs.ack).toBeUndefined()
  })

  it('B-31, B-32: answers are kept until they are acknowledged, and a stale acknowledgement is reported', async () => {
    const romeo = await boshSession(server(), 'romeo', { attributes: "ack='1'" })
    const ask = (id: string) => `<iq xmlns='jabber:client' type='get' id='${id}'><none xmlns='none:none'/></iq>`
    const base = romeo.rid
    const first = await romeo.send(ask('a'), `ack='${base}'`)
    await romeo.send(ask('b'), `ack='${base + 1}'`)
    await romeo.send(ask('c'), `ack='${base + 2}'`)
    expect((await romeo.as(base + 3)).text).toContain('id="c"')
    const stale = await romeo.send('', `ack='${base + 2}'`)
    expect(stale.body.attrs.report).toBe(String(base + 3))
    expect(Number(stale.body.attrs.time)).toBeGreaterThanOrEqual(0)
    expect(first.body.attrs.report).toBeUndefined()
    // Acknowledged long ago.
    expect((await romeo.as(base + 1)).text).toBe(ended('item-not-found'))
  })
})

describe('time', () => {
  /** Real sockets under a clock that stands still but for the gathering. */
  async function still(options: object = {}) {
    const clock = new ManualClock()
    const server = await startedServer({ ...withBosh(options), clock })
    const tick = () => clock.advance(10)
    return { clock, server, login: (more = {}) => boshSession(server, 'romeo', { tick, ...more }) }
  }
  const isKnown = async (romeo: BoshClient) => (await romeo.as(romeo.rid)).body.attrs.condition !== 'item-not-found'

  it('B-18: a held request is answered after `wait`', async () => {
    const { clock, server, login } = await still()
    const romeo = await login({ attributes: "wait='5'" })
    const poll = romeo.send()
    await drained(server)
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    await new Promise(resolve => setTimeout(resolve, 50))
    clock.advance(4_900)
    expect(poll.isAnswered).toBe(false)
    clock.advance(200)
    expect((await poll).text).toBe(`<body sid='${romeo.sid}' xmlns='${httpbind}'/>`)
  })

  it('B-22: silence ends the session, and its friends are told', async () => {
    const { clock, server, login } = await still({ inactivity: 2 })
    const romeo = await login({ priority: 1 })
    const friend = await session(server, 'romeo', { resource: 'friend' })
    await available(friend)
    clock.advance(1_000)
    await drained(server)
    expect(actorsOfKind(server, 'Connection')).toHaveLength(2)
    clock.advance(1_200)
    await friend.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    expect((await romeo.send()).text).toBe(ended('item-not-found'))
  })

  it('B-22: a request held for a minute is no silence', async () => {
    const { clock, server, login } = await still({ inactivity: 2 })
    const romeo = await login({ attributes: "wait='60'" })
    const poll = romeo.send()
    await new Promise(resolve => setTimeout(resolve, 50))
    clock.advance(59_000)
    await drained(server)
    expect(poll.isAnswered).toBe(false)
    clock.advance(1_100)
    await poll
    expect(await isKnown(romeo)).toBe(true)
  })

  it('B-24: a pause answers all, lasts as long as it says, and ends with the next request', async () => {
    const { clock, server, login } = await still({ inactivity: 2 })
    const romeo = await login()
    const poll = romeo.send()
    await drained(server)
    const empty = `<body sid='${romeo.sid}' xmlns='${httpbind}'/>`
    expect((await romeo.send('', "pause='10'")).text).toBe(empty)
    expect((await poll).text).toBe(empty)
    clock.advance(5_000)
    const next = await romeo.send(`<iq xmlns='jabber:client' type='get' id='i'><none xmlns='none:none'/></iq>`)
    expect(next.body.attrs.type).toBeUndefined()
    clock.advance(2_200)
    await eventually(() => actorsOfKind(server, 'Connection').length === 0)
  })

  it('sessions that are abandoned are gone after `inactivity`, whatever they were doing', async () => {
    const { clock, server } = await still({ inactivity: 5 })
    const tick = () => clock.advance(10)
    const port = httpPort(server)
    const timer = setInterval(tick, 5)
    const all = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => {
        const { body } = await http(port, creation(index + 1, "wait='5'"))
        return { sid: body.attrs.sid, rid: index + 2 }
      }),
    )
    clearInterval(timer)
    const aborted = all
      .slice(0, 100)
      .map(({ sid, rid }) => http(port, `<body rid='${rid}' sid='${sid}' xmlns='${httpbind}'/>`))
    await new Promise(resolve => setTimeout(resolve, 300))
    for (const one of aborted) one.abort()
    expect(actorsOfKind(server, 'Connection').length).toBe(300)
    clock.advance(5_200)
    await drained(server)
    clock.advance(5_200)
    await eventually(() => actorsOfKind(server, 'Connection').length === 0)
    const { sid, rid } = all[200] ?? { sid: '', rid: 0 }
    const late = await http(port, `<body rid='${rid}' sid='${sid}' xmlns='${httpbind}'/>`)
    expect(late.text).toBe(ended('item-not-found'))
  })

  it('spec/http-listener.md §5: a hold of 70 seconds survives the silence that other requests may not keep', async () => {
    const { clock, login, server } = await still()
    const romeo = await login({ attributes: "wait='70'" })
    const sockets: Socket[] = []
    // Node tells it so.
    const started = (request: unknown) => void sockets.push((request as { socket: Socket }).socket)
    subscribe('http.server.request.start', started)
    onTestFinished(() => void unsubscribe('http.server.request.start', started))
    const poll = romeo.send()
    await eventually(() => sockets[0]?.timeout === 0)
    clock.advance(69_000)
    await drained(server)
    expect(poll.isAnswered).toBe(false)
    clock.advance(1_200)
    expect((await poll).status).toBe(200)
    expect(sockets[0]?.timeout).toBeGreaterThan(0)
  })
})

describe('over TLS', () => {
  const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
  const secure = (tls: object = {}, more: Partial<Setup> = {}) =>
    withBosh({}, { ...more, http: { tls: { certfile: file('rsa'), ...tls } } })

  it('B-8: https counts as encrypted', async () => {
    const setup = secure(
      {},
      { config: { auth: { methods: ['internal'], sasl_mechanisms: ['plain', 'scram_sha1_plus'] } } },
    )
    const server = await startedServer(setup)
    const romeo = await boshSession(server, 'romeo', { tls: {} })
    expect(romeo.opening.text).toContain('<mechanism>PLAIN</mechanism>')
    expect(romeo.opening.text).not.toMatch(/-PLUS|channel-binding|starttls/)
    const found = actorsOfKind(server, 'Connection').find(({ details }) => details.jid === romeo.jid)
    expect(found?.details.isEncrypted).toBe(true)
    expect(found?.path).toMatch(/acceptor-\d+\/connection-\d+$/)
  })

  it('B-8, B-10, HT-5: EXTERNAL is offered to whoever creates the session with a certificate, and to nobody else', async () => {
    const setup = secure(
      { verify_peer: true, verify_mode: 'none', cacertfile: file('ca') },
      { config: { auth: { methods: ['pki', 'internal'], sasl_mechanisms: ['external', 'scram_sha1'] } } },
    )
    const server = await startedServer(setup)
    const own = { cert: readFileSync(file('client')), key: readFileSync(file('client')) }
    const shown = await boshClient(httpPort(server), { tls: own })
    expect(shown.opening.text).toContain('<mechanism>EXTERNAL</mechanism>')
    const hidden = await boshClient(httpPort(server), { tls: {} })
    expect(hidden.opening.text).not.toContain('EXTERNAL')
  })
})

describe('beside other things', () => {
  it('HL-10: answers are compressed for clients that accept it, and the same when they are repeated', async () => {
    const server = await startedServer(withBosh({}, { http: { protocol: { compress: true } } }))
    const headers = { 'accept-encoding': 'gzip' }
    const answer = await http(httpPort(server), creation(7), { headers })
    expect(answer.headers['content-encoding']).toBe('gzip')
    const plain = await http(httpPort(server), creation(7))
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body.attrs.sid).toMatch(/^[0-9a-f]{40}$/)
  })

  it('XEP-0198: a session that was lost over BOSH is resumed over TCP', async () => {
    const clock = new ManualClock()
    const server = await startedServer({
      ...withBosh({ inactivity: 2 }),
      modules: { mod_bosh: { inactivity: 2 }, mod_stream_management: {} },
      clock,
    })
    const romeo = await boshSession(server, 'romeo', { tick: () => clock.advance(10) })
    const { children } = await romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    const id = children[0]?.attrs.id
    const juliet = await session(server, 'juliet')
    await juliet.send(message(romeo.jid, 'between'))
    await juliet.settled()
    clock.advance(2_200)
    await drained(server)
    const tcp = await clientOf(server)
    await tcp.open()
    await tcp.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await tcp.open()
    await tcp.send(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='${id}'/>`)
    await tcp.receives("<resumed xmlns='urn:xmpp:sm:3'/>")
    await tcp.receives('<message><body>between</body></message>')
  })

  it('XEP-0156: the address is told', async () => {
    const server = await startedServer(withBosh())
    const { text } = await http(httpPort(server), undefined, { method: 'GET', path: '/.well-known/host-meta.json' })
    expect(JSON.parse(text).links).toEqual([
      { rel: 'urn:xmpp:alt-connections:xbosh', href: expect.stringMatching(/^http:.*\/http-bind$/) },
    ])
  })
})

describe('the end of the server', () => {
  it('B-29, HL-6: a held request is told that the server stops', async () => {
    const server = await startedServer(withBosh())
    const romeo = await boshSession(server, 'romeo')
    const poll = romeo.send()
    await drained(server)
    await new Promise(resolve => setTimeout(resolve, 50))
    await server.stop()
    const { text, body } = await poll
    expect(body.attrs).toMatchObject({ type: 'terminate', condition: 'system-shutdown' })
    expect(text).toContain('<system-shutdown ')
  })
})
