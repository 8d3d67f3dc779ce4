import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import {
  available,
  clientOf,
  eventually,
  PASSWORD,
  RawConnection,
  session,
  sharedServer,
  startedServer,
  streamHeader,
} from '../support/server.js'

const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
const bindIq = (resource: string) => `<iq type='set' id='b'><bind xmlns='${bindNs}'>${resource}</bind></iq>`

async function authenticated(server: { port: number }, user = 'romeo'): Promise<Client> {
  const client = await clientOf(server)
  await client.open()
  await client.authenticate('PLAIN', user, PASSWORD)
  await client.open()
  return client
}

describe('resource binding (§3.1.6)', () => {
  const server = sharedServer({ users: ['romeo'] })

  it('gives the resource that is asked for, prepared, and the full JID in the result', async () => {
    const client = await authenticated(server())
    await client.send(bindIq('<resource>balcony</resource>'))
    const result = await client.receivesNext()
    expect(result.attrs).toMatchObject({ type: 'result', id: 'b' })
    expect(result.getChild('bind', bindNs)?.getChildText('jid')).toBe('romeo@localhost/balcony')
    const other = await authenticated(server())
    expect(await other.bind('x&lt;\u00c5')).toBe('romeo@localhost/x<\u00c5')
  })

  it.each([
    ['none is asked for', ''],
    ['an empty one is', '<resource/>'],
    ['an empty one is', '<resource></resource>'],
  ])('makes one where %s, another each time: 16 hex digits and a time', async (_, resource) => {
    const resources = new Set<string>()
    for (let i = 0; i < 2; i++) {
      const client = await authenticated(server())
      await client.send(bindIq(resource))
      const result = await client.receives('<iq type="result" id="b"/>')
      const jid = result.getChild('bind', bindNs)?.getChildText('jid') ?? ''
      expect(jid).toMatch(/^romeo@localhost\/[0-9a-f]{16}\d{10,}$/)
      resources.add(jid)
    }
    expect(resources.size).toBe(2)
  })

  it.each([
    ['too long', 'x'.repeat(1024)],
    ['with a control character', 'a\u0085b'],
    ['with an unassigned character', '\u{378}'],
  ])('answers a resource that cannot be prepared (%s) with bad-request and waits for another', async (_, resource) => {
    const client = await authenticated(server())
    await client.send(bindIq(`<resource>${resource}</resource>`))
    const error = await client.receives('<iq type="error" id="b"/>')
    expect(error.getChild('error')?.attrs).toMatchObject({ type: 'modify', code: '400' })
    expect(error.getChild('error')?.getChild('bad-request')).toBeDefined()
    expect(await client.bind('good')).toBe('romeo@localhost/good')
  })

  it('is not done by anything else: an IQ gets service-unavailable, the rest is dropped (§3.1.3)', async () => {
    const client = await authenticated(server())
    await client.send("<message to='romeo@localhost'><body>x</body></message><presence/>")
    await client.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
    const error = await client.receivesNext()
    expect(error.attrs).toMatchObject({ type: 'error', id: 'p', from: 'localhost' })
    expect(error.getChild('error')?.getChild('service-unavailable')).toBeDefined()
    await client.send(`<iq type='get' id='g'><bind xmlns='${bindNs}'/></iq>`)
    expect((await client.receivesNext()).attrs).toMatchObject({ type: 'error', id: 'g' })
    await client.bind('x')
    await client.receivesNothing()
  })

  it('is done once: a second bind gets not-allowed and the session goes on (RFC 6120 §7.6.3)', async () => {
    const client = await session(server(), 'romeo', { resource: 'first' })
    for (const to of [undefined, 'localhost', 'romeo@localhost']) {
      const answer = await client.ask('set', `<bind xmlns='${bindNs}'><resource>second</resource></bind>`, {
        ...(to !== undefined && { to }),
      })
      expect(answer.attrs.type).toBe('error')
      expect(answer.getChild('error')?.getChild('not-allowed')).toBeDefined()
    }
    await client.settled()
  })

  it('makes the session at once: the session IQ of older clients may come or not, and is answered (§4 trap 34)', async () => {
    const without = await session(server(), 'romeo', { resource: 'without', priority: 1 })
    const withIt = await session(server(), 'romeo', { resource: 'with' })
    for (const to of [undefined, 'localhost']) {
      const answer = await withIt.ask('set', "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", {
        ...(to !== undefined && { to }),
      })
      expect(answer.attrs.type).toBe('result')
      expect(answer.getChildElements()).toEqual([])
    }
    await withIt.send(`<message to='${without.jid}'><body>there</body></message>`)
    await without.receives(`<message from="${withIt.jid}"><body>there</body></message>`)
  })

  it('refuses a second stream header after the login, before and after bind, with policy-violation', async () => {
    const header =
      "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    const unbound = await authenticated(server())
    await unbound.send(header)
    await unbound.streamError('policy-violation')
    const bound = await session(server(), 'romeo')
    await bound.send(header)
    await bound.streamError('policy-violation')
  })
})

describe('a second session of the same full JID (§3.1.6)', () => {
  it('wins: the old one gets conflict with a text and the trailer, contacts see it go, its messages go on', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const old = await session(server, 'romeo', { resource: 'x', priority: 1 })
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send("<presence to='romeo@localhost' type='subscribe'/>")
    await old.receives('<presence type="subscribe" from="juliet@localhost"/>')
    await old.send("<presence to='juliet@localhost' type='subscribed'/>")
    await juliet.receives('<presence from="romeo@localhost/x"><priority>1</priority></presence>')

    const newer = await session(server, 'romeo', { resource: 'x' })
    const error = await old.streamError('conflict')
    expect(error.getChildText('text')).toBe('Replaced by new connection')
    expect(await old.closed()).toEqual({ streamEnded: true })
    const gone = await juliet.receives('<presence type="unavailable" from="romeo@localhost/x"/>')
    expect(gone.getChildText('status')).toBe('Replaced by new connection')

    await juliet.send("<message to='romeo@localhost/x'><body>still there?</body></message>")
    await newer.receives(`<message from="${juliet.jid}"><body>still there?</body></message>`)
    expect(server.status()).toMatchObject({ sessions: 1 + 1 })
    expect(server.status().counters).toMatchObject({ sessionsReplaced: 1, sessionsNow: 2 })
  })

  it('leaves other resources alone', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const other = await session(server, 'romeo', { resource: 'y' })
    const old = await session(server, 'romeo', { resource: 'x' })
    await session(server, 'romeo', { resource: 'x' })
    await old.streamError('conflict')
    await other.settled()
    await other.receivesNothing()
  })

  it('of ten that come at the same time one is left', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const clients = await Promise.all(Array.from({ length: 10 }, () => authenticated(server)))
    await Promise.all(clients.map(client => client.send(bindIq('<resource>x</resource>'))))
    await eventually(() => server.status().connections === 1 && clients.filter(({ isClosed }) => isClosed).length === 9)
    const left = clients.find(client => !client.isClosed)
    await left!.receives('<iq type="result" id="b"/>')
    await left!.send("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    await left!.receives('<iq id="p"/>')
    expect(server.status().sessions).toBe(1)
  })
})

describe('the sender of a stanza (§3.1.6)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })

  it.each([
    'juliet@localhost',
    'juliet@localhost/x',
    'romeo@localhost/another',
    'localhost',
    'romeo@elsewhere.example',
    'romeo@localhost/',
    '@',
    '',
  ])('may not be %s: invalid-from ends the stream, and nothing is sent', async from => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo', { resource: 'x' })
    await romeo.send(`<message from='${from}' to='${juliet.jid}'><body>spoofed</body></message>`)
    await romeo.streamError('invalid-from')
    await juliet.receivesNothing('<message/>')
  })

  it.each([
    ['absent', ''],
    ['the own full JID', "from='romeo@localhost/x'"],
    ['the own bare JID', "from='romeo@localhost'"],
    ['the own JID in another spelling', "from='ROMEO@LocalHost/x'"],
  ])('may be %s, and the recipient sees the full JID', async (_, from) => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo', { resource: 'x' })
    await romeo.send(`<message ${from} to='${juliet.jid}'><body>mine</body></message>`)
    const message = await juliet.receives('<message><body>mine</body></message>')
    expect(message.attrs.from).toBe('romeo@localhost/x')
  })
})

describe('a stanza on its way (§3.1.6)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })

  it('loses the delay tags that its client put in, and only those', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(
      `<message to='${juliet.jid}'><delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/><body>now</body>` +
        "<x xmlns='jabber:x:delay' stamp='20020910T23:08:25'/><x xmlns='urn:x'><delay xmlns='urn:xmpp:delay'/></x></message>",
    )
    const message = await juliet.receives('<message><body>now</body></message>')
    expect(message.getChildElements().map(child => `${child.getName()} ${child.getNS()}`)).toEqual([
      'body jabber:client',
      'x urn:x',
    ])
    expect(message.getChild('x', 'urn:x')?.getChild('delay', 'urn:xmpp:delay')).toBeDefined()
  })

  it("gets the stream's xml:lang where it has none of its own", async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await clientOf(server())
    await romeo.open({ lang: 'de' })
    await romeo.login('romeo', PASSWORD)
    await romeo.send(`<message to='${juliet.jid}'><body>a</body></message>`)
    expect((await juliet.receives('<message><body>a</body></message>')).attrs['xml:lang']).toBe('de')
    await romeo.send(`<message to='${juliet.jid}' xml:lang='it'><body>b</body></message>`)
    expect((await juliet.receives('<message><body>b</body></message>')).attrs['xml:lang']).toBe('it')
  })

  it('gets no xml:lang where the stream has none', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(`<message to='${juliet.jid}'><body>a</body></message>`)
    expect((await juliet.receives('<message><body>a</body></message>')).attrs['xml:lang']).toBeUndefined()
  })

  it('without to is for the own account: a message comes back to its available resources', async () => {
    const romeo = await session(server(), 'romeo', { resource: 'x', priority: 1 })
    await romeo.send('<message><body>note to self</body></message>')
    await romeo.receives('<message from="romeo@localhost/x"><body>note to self</body></message>')
  })

  it('keeps text in any script, and namespaces and prefixes of its own', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    const text = 'Grüße, 你好, שלום, \u{1f600}'
    await romeo.send(
      `<message to='${juliet.jid}' id='&lt;&apos;&quot;'><body>${text} &amp; &lt;more&gt; <![CDATA[<b>]]></body><p:x xmlns:p='urn:p' p:a='1'/></message>`,
    )
    const message = await juliet.receives(`<message/>`)
    expect(message.attrs.id).toBe(`<'"`)
    expect(message.getChildText('body')).toBe(`${text} & <more> <b>`)
    expect(message.getChild('x', 'urn:p')?.attrs['p:a']).toBe('1')
  })

  it('may use a prefix that only the header of its stream binds', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await clientOf(server())
    const header = (more = '') =>
      romeo.send(
        `<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ${more}>`,
      )
    await header()
    await romeo.receives('<stream:features/>')
    await romeo.authenticate('PLAIN', 'romeo', PASSWORD)
    await header("xmlns:p='urn:p'")
    await romeo.receives('<stream:features/>')
    await romeo.bind()
    await romeo.send(`<message to='${juliet.jid}'><p:x>prefixed</p:x></message>`)
    const message = await juliet.receives('<message/>')
    expect(message.getChild('x', 'urn:p')?.getText()).toBe('prefixed')
  })

  it('reaches its recipient in order, whole or dripped', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    const stanzas = Array.from({ length: 50 }, (_, i) => `<message to='${juliet.jid}'><body>ä${i}</body></message>`)
    await romeo.send(stanzas.slice(0, 25).join(' '))
    for (const byte of Buffer.from(stanzas.slice(25, 27).join(''))) await romeo.sendBytes(Buffer.of(byte))
    for (const stanza of stanzas.slice(27)) await romeo.send(stanza)
    for (let i = 0; i < 50; i++) expect((await juliet.receives('<message/>')).getChildText('body')).toBe(`ä${i}`)
  })

  it.each([
    ['an element of another namespace', "<unknown xmlns='urn:x'/>"],
    ['an unknown name in the namespace of the stream', '<unknown/>'],
    ['a stanza without its namespace', "<message xmlns='urn:x' to='juliet@localhost'><body>x</body></message>"],
    ['a stanza of servers', "<message xmlns='jabber:server' to='juliet@localhost'><body>x</body></message>"],
    ['an element of the stream namespace', '<stream:features/>'],
    ['SASL out of turn', "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AAAA</auth>"],
  ])('that is none is ignored: %s (§3.1.3)', async (_, element) => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(element)
    await romeo.receivesNothing()
    await juliet.receivesNothing('<message/>')
  })
})

describe('the end of a stream (RFC 6120 §4.4)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })

  it('that the client asks for is answered with the trailer, contacts see it go, and the session is gone', async () => {
    const romeo = await session(server(), 'romeo', { resource: 'x' })
    await available(romeo, 1)
    const juliet = await session(server(), 'juliet', { priority: 1 })
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives('<presence from="romeo@localhost/x"/>')
    await romeo.close()
    expect(await romeo.closed()).toEqual({ streamEnded: true })
    await juliet.receives('<presence type="unavailable" from="romeo@localhost/x"/>')
    expect(server().internals.sessions.byFull('romeo@localhost/x')).toBeUndefined()
  })

  it.each(['before the login', 'before bind'])('is answered with the trailer %s', async when => {
    const client = await clientOf(server())
    await client.open()
    if (when === 'before bind') {
      await client.authenticate('PLAIN', 'romeo', PASSWORD)
      await client.open()
    }
    await client.close()
    expect(await client.closed()).toEqual({ streamEnded: true })
  })

  it('is answered also where the client closes its half of the connection at once', async () => {
    const romeo = await session(server(), 'romeo', { answersClose: false })
    romeo.socket.allowHalfOpen = true
    romeo.socket.end(`<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>`)
    await romeo.receives('<iq id="last"/>')
    expect(await romeo.closed()).toEqual({ streamEnded: true })
  })

  it('is answered also where all that the client ever says is there before anybody reads it', async () => {
    for (let i = 0; i < 20; i++) {
      const raw = await RawConnection.open(server().port, { allowHalfOpen: true })
      raw.socket.end(`${streamHeader()}</stream:stream>`)
      expect(await raw.closed()).toMatch(/<\/stream:features><\/stream:stream>$/)
    }
  })

  it('that the server asks for waits for the answer of the client', async () => {
    const romeo = await session(server(), 'romeo', { resource: 'x', answersClose: false })
    await session(server(), 'romeo', { resource: 'x' })
    await romeo.receives('<stream:error/>')
    // What comes now is read and thrown away.
    await romeo.send("<message to='juliet@localhost'><body>too late</body></message></stream:stream>")
    romeo.socket.end()
    expect(await romeo.closed()).toEqual({ streamEnded: true })
  })

  it('without a word is a loss like any other', async () => {
    const romeo = await session(server(), 'romeo', { resource: 'y' })
    await available(romeo, 1)
    const juliet = await session(server(), 'juliet', { priority: 1 })
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives('<presence from="romeo@localhost/y"/>')
    romeo.drop()
    await juliet.receives('<presence type="unavailable" from="romeo@localhost/y"/>')
  })

  it('is handled in order: what the client said before it is done', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(`<message to='${juliet.jid}'><body>last words</body></message></stream:stream>`)
    romeo.socket.end()
    await juliet.receives('<message><body>last words</body></message>')
  })

  it('and nothing after it counts', async () => {
    const juliet = await session(server(), 'juliet', { priority: 1 })
    const romeo = await session(server(), 'romeo')
    await romeo.send(`</stream:stream><message to='${juliet.jid}'><body>after</body></message>`)
    await romeo.closed()
    await juliet.receivesNothing('<message/>')
  })
})

describe('white space between stanzas (RFC 6120 §4.6.1)', () => {
  const server = sharedServer({ users: ['romeo'] })

  it('keeps a connection alive, at any time, and is answered with nothing', async () => {
    const client = await clientOf(server())
    await client.send(' \n')
    await client.send(
      "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\n",
    )
    await client.receives('<stream:features/>')
    await client.send(' ')
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.open()
    await client.send(' ')
    await client.bind()
    for (let i = 0; i < 20; i++) await client.send(' \r\n\t ')
    await client.receivesNothing()
  })
})
