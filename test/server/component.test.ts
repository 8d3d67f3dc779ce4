import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import {
  ask,
  COMPONENT_NS,
  type ComponentOptions,
  componentHeader,
  componentOf,
  digest,
  knock,
  SECRET,
  servicePort,
  settled,
} from '../support/component.js'
import {
  actorsOfKind,
  answerTo,
  drained,
  eventually,
  RawConnection,
  recordedEvents,
  type Setup,
  session,
  startedServer,
  withoutIds,
} from '../support/server.js'
import { isWithoutSs, ss } from '../support/ss.js'

/*
 * Components over TCP. XEP-0114; spec/listeners.md §1.13, §3.3, §6 item 5
 */

const at = { port: 0, ip_address: '127.0.0.1', num_acceptors: 2, password: SECRET }

interface ComponentSetup extends Setup {
  /** What differs from the default, one listener each. */
  services?: readonly Readonly<Record<string, unknown>>[]
}

function started({ services = [{}], ...setup }: ComponentSetup = {}): Promise<TestServer> {
  const c2s = [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }]
  const service = services.map(own => ({ ...at, ...own }))
  const users = ['romeo', 'juliet']
  return startedServer({ users, ...setup, config: { ...setup.config, listen: { c2s, service } } })
}

const enter = (server: TestServer, name: string, options: ComponentOptions & { listener?: number } = {}) =>
  componentOf(servicePort(server, options.listener), name, options)

const streamError = (condition: string, text = '') =>
  `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>${text}</stream:error></stream:stream>`
const opening = (from: string, id = 'ID') =>
  `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='${COMPONENT_NS}' id='${id}' from='${from}'>`
const tooBig = `<text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-streams'>child element too big</text>`

/** What was wrong with the XML is said in words. */
const withoutText = (text: string) => text.replace(/<text .*<\/text>/, '')

const connections = (server: TestServer) => actorsOfKind(server, 'ComponentConnection')
const connectionOf = (server: TestServer, name: string) =>
  connections(server).find(({ details }) => details.domains === name)

/** The domains that answer: whoever sends elsewhere is told that there is nobody. */
async function isReachable(from: Client, domain: string): Promise<boolean> {
  const answer = await from.ask('get', `<ping xmlns='urn:xmpp:ping'/>`, { to: domain })
  return answer.attrs.type === 'result'
}

/** Answers every ping that comes, as a component that works does. */
function answerPings(component: Client): void {
  const turn = async () => {
    for (;;) {
      const iq = await component.receives(`<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>`)
      const { id, from, to } = iq.attrs
      await component.send(`<iq type='result' id='${id}' from='${to}' to='${from}'/>`)
    }
  }
  // It ends with the connection.
  turn().catch(() => {})
}

describe('opening a component stream (§3.3.1, §3.5)', () => {
  it.each([
    [
      'another default namespace',
      componentHeader('x.localhost').replace(COMPONENT_NS, 'jabber:client'),
      'x.localhost',
      'ID',
      'invalid-namespace',
    ],
    [
      'another stream namespace',
      componentHeader('x.localhost').replace('etherx.jabber.org', 'x'),
      'x.localhost',
      'ID',
      'invalid-namespace',
    ],
    ['no to', componentHeader('x').replace("to='x'", ''), 'localhost', 'ID', 'improper-addressing'],
    ['no domain', componentHeader('a@b/c'), 'a@b/c', 'ID', 'host-unknown'],
    ['no XML', 'malformed', 'localhost', 'none', 'not-well-formed'],
    ['an element', '<handshake/>', 'localhost', 'none', 'not-well-formed'],
  ] as const)('%s', async (_what, bytes, from, id, condition) => {
    const server = await started()
    const answer = withoutText(await answerTo(servicePort(server), bytes))
    expect(answer).toBe(`${opening(from, id)}${streamError(condition)}`)
  })

  it('needs no version, and takes any prefix for the streams namespace', async () => {
    const server = await started()
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(`<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='${COMPONENT_NS}' to='x.localhost'>`)
    const id = /id='([0-9a-f]{16})'/.exec(await raw.until("from='x.localhost'>"))?.[1] ?? ''
    await raw.send(`<handshake>${digest(id)}</handshake>`)
    await raw.until('<handshake/>')
  })

  it('ends with connection-timeout after state_timeout (§1.3), before the header and before the handshake', async () => {
    const clock = new ManualClock()
    const server = await started({ clock, services: [{ state_timeout: 5_000 }] })
    const silent = await RawConnection.open(servicePort(server))
    const half = await RawConnection.open(servicePort(server))
    await half.send(componentHeader('x.localhost'))
    await half.until('from=')
    await eventually(() => connections(server).length === 2)
    await drained(server)
    clock.advance(4_900)
    await drained(server)
    expect(connections(server)).toHaveLength(2)
    clock.advance(200)
    expect(await silent.closed()).toBe(`${opening('localhost', 'none')}${streamError('connection-timeout')}`)
    expect(withoutIds(await half.closed())).toBe(`${opening('x.localhost')}${streamError('connection-timeout')}`)
  })

  it('ends after 120 s whatever state_timeout says (§1.3); an established component has no limit', async () => {
    const clock = new ManualClock()
    const server = await started({ clock, services: [{ state_timeout: 1_000_000 }] })
    const component = await enter(server, 'x.localhost')
    const silent = await RawConnection.open(servicePort(server))
    await eventually(() => connections(server).length === 2)
    await drained(server)
    clock.advance(120_100)
    expect(await silent.closed()).toContain('<connection-timeout ')
    clock.advance(10_000_000)
    await settled(component)
  })
})

describe('the handshake (§3.3.2)', () => {
  it.each([
    ['right', (id: string) => `<handshake>${digest(id)}</handshake>`],
    ['in upper case', (id: string) => `<handshake>${digest(id).toUpperCase()}</handshake>`],
    ['with its namespace said', (id: string) => `<handshake xmlns='${COMPONENT_NS}'>${digest(id)}</handshake>`],
  ] as const)('%s: the component is in, with the id of our own header (trap 36)', async (_what, text) => {
    const server = await started()
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(componentHeader('echo.localhost', "id='theirs'"))
    const header = await raw.until(/from='echo.localhost'>/)
    const id = / id='([0-9a-f]{16})'/.exec(header)?.[1] ?? ''
    await raw.send(text(id))
    expect(withoutIds(await raw.until('<handshake/>'))).toBe(`${opening('echo.localhost')}<handshake/>`)
    expect(server.status().counters.componentsNow).toBe(1)
  })

  it.each([
    ['wrong', (id: string) => `<handshake>${digest(id, 'other')}</handshake>`, 'Invalid Handshake'],
    ['empty', () => '<handshake/>', 'Invalid Handshake'],
    ['short', (id: string) => `<handshake>${digest(id).slice(1)}</handshake>`, 'Invalid Handshake'],
    ['no handshake but a stanza', () => `<message from='echo.localhost' to='romeo@localhost'/>`, undefined],
  ] as const)('%s: not-authorized, and nothing behind it counts', async (_what, text, said) => {
    const events = recordedEvents()
    const server = await started({ events })
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(componentHeader('echo.localhost'))
    const id = / id='([0-9a-f]{16})'/.exec(await raw.until(/from='echo.localhost'>/))?.[1] ?? ''
    await raw.send(`${text(id)}<handshake>${digest(id)}</handshake>`)
    const textElement =
      said === undefined ? '' : `<text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-streams'>${said}</text>`
    expect(withoutIds(await raw.closed())).toBe(
      `${opening('echo.localhost')}${streamError('not-authorized', textElement)}`,
    )
    expect(events.records.find(({ name }) => name === 'component.refused')?.fields).toEqual({
      domains: 'echo.localhost',
      address: '127.0.0.1',
      condition: 'not-authorized',
    })
    expect(server.status().counters).toMatchObject({ componentsRefused: 1, componentsRegistered: 0, componentsNow: 0 })
  })

  it('that is malformed: not-well-formed', async () => {
    const server = await started()
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(`${componentHeader('echo.localhost')}<handshake>a<b</handshake>`)
    const answer = withoutText(withoutIds(await raw.closed()))
    expect(answer).toBe(`${opening('echo.localhost')}${streamError('not-well-formed')}`)
  })

  it('has a password per listener, not per component (trap 42)', async () => {
    const server = await started({ services: [{}, { password: 'other' }] })
    await enter(server, 'a.localhost')
    await enter(server, 'b.localhost', { listener: 1, password: 'other' })
    const refused = await knock(servicePort(server, 1), 'c.localhost')
    await refused.streamError('not-authorized')
  })

  it('can be told apart in the tree, by its domains', async () => {
    const server = await started()
    await enter(server, 'echo.localhost')
    expect(connections(server).map(({ details }) => details)).toMatchObject([
      { phase: 'established', domains: 'echo.localhost', address: '127.0.0.1', stanzasIn: 0 },
    ])
  })
})

describe('stanzas of a component (§3.3.6)', () => {
  it('reach users, and users reach it, from any address on its domain; the namespace is that of each stream', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    await component.send(
      `<message from='bot@echo.localhost/x' to='${romeo.jid}' id='1'><body>a &lt; b</body></message>`,
    )
    await romeo.receives(`<message from='bot@echo.localhost/x' id='1'><body>a &lt; b</body></message>`)
    await romeo.send(`<message to='BOT@Echo.localhost' id='2'><body>ὦ</body></message>`)
    await component.receives(`<message from='${romeo.jid}' to='bot@echo.localhost' id='2'><body>ὦ</body></message>`)
    expect(server.status().counters).toMatchObject({ componentsRegistered: 1, componentsNow: 1 })
  })

  it.each([
    ['nothing said', `<message from='F' to='T'><body>x</body></message>`],
    ['the namespace said', `<message xmlns='${COMPONENT_NS}' from='F' to='T'><body>x</body></message>`],
    ['jabber:client said', `<message xmlns='jabber:client' from='F' to='T'><body>x</body></message>`],
    ['said by the child', `<message from='F' to='T'><body xmlns='${COMPONENT_NS}'>x</body></message>`],
    ['a prefix of its own', `<c:message xmlns:c='${COMPONENT_NS}' from='F' to='T'><c:body>x</c:body></c:message>`],
    ['a prefix of the header', `<h:message from='F' to='T'><h:body>x</h:body></h:message>`],
    ['the prefix on the stanza only', `<h:message from='F' to='T'><body>x</body></h:message>`],
    ['the prefix on the child only', `<message from='F' to='T'><h:body>x</h:body></message>`],
  ])('are jabber:client for others, with %s', async (_what, xml) => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost', { attributes: `xmlns:h='${COMPONENT_NS}'` })
    await component.send(xml.replace("'F'", "'echo.localhost'").replace("'T'", `'${romeo.jid}'`))
    await romeo.receives(`<message from='echo.localhost'><body>x</body></message>`)
    await romeo.settled()
  })

  it('keep prefixes that only the stream header of the component binds', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost', { attributes: `xmlns:q='urn:q'` })
    await component.send(`<message from='echo.localhost' to='${romeo.jid}'><q:x><q:y/></q:x></message>`)
    await romeo.receives(`<message><x xmlns='urn:q'><y xmlns='urn:q'/></x></message>`)
    await romeo.settled()
  })

  it.each([
    ['no to', `<message id='1' from='echo.localhost'/>`, { to: 'echo.localhost' }],
    ['an invalid to', `<message id='1' from='echo.localhost' to='@'/>`, { from: '@', to: 'echo.localhost' }],
    ['no from', `<message id='1' to='romeo@localhost'/>`, { from: 'romeo@localhost' }],
    ['an invalid from', `<message id='1' from='@' to='romeo@localhost'/>`, { from: 'romeo@localhost', to: '@' }],
    ['an IQ of no type', `<iq id='1' from='echo.localhost' to='localhost'/>`, { from: 'localhost' }],
    ['an IQ without a child', `<iq type='get' id='1' from='echo.localhost' to='localhost'/>`, { from: 'localhost' }],
    ['no stanza', `<foo id='1' from='echo.localhost' to='localhost'/>`, { from: 'localhost' }],
  ] as const)('%s: bad-request, and the stream goes on', async (_what, xml, attributes) => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    await component.send(xml)
    const error = await component.receivesNext()
    expect(error.attrs).toMatchObject({ type: 'error', id: '1', ...attributes })
    expect(error.getChild('error')?.attrs).toEqual({ code: '400', type: 'modify' })
    expect(error.getChild('error')?.getChild('bad-request', 'urn:ietf:params:xml:ns:xmpp-stanzas')).toBeDefined()
    await settled(component)
  })

  it('an element of another namespace: bad-request in that namespace', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    await component.send(`<message xmlns='urn:x' from='echo.localhost' to='romeo@localhost'/>`)
    const error = await component.receives(`<message xmlns='urn:x' type='error'/>`)
    expect(error.toString()).toContain('<bad-request')
  })

  it('that are errors or results get no error', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    await component.send(
      `<message type='error' from='echo.localhost'/><iq type='result' id='1' from='@' to='localhost'/>`,
    )
    await settled(component)
    expect(connectionOf(server, 'echo.localhost')?.details.stanzasOut).toBe(1)
  })

  it('to a domain that nobody serves come back as remote-server-not-found', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    const answer = await ask(component, 'echo.localhost', 'nowhere.example', `<ping xmlns='urn:xmpp:ping'/>`)
    expect(answer.toString()).toContain('<remote-server-not-found')
  })

  it('keep their order, thousands at once, there and back', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    const bodies = Array.from({ length: 3_000 }, (_, i) => `${i}`)
    await component.send(
      bodies.map(body => `<message from='echo.localhost' to='${romeo.jid}'><body>${body}</body></message>`).join(''),
    )
    for (const body of bodies) expect((await romeo.receives('<message/>')).getChildText('body')).toBe(body)
    await romeo.send(bodies.map(body => `<message to='echo.localhost'><body>${body}</body></message>`).join(''))
    for (const body of bodies) expect((await component.receives('<message/>')).getChildText('body')).toBe(body)
  })

  it('bear the language of the stream', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost', { attributes: `xml:lang='de'` })
    await component.send(`<message from='echo.localhost' to='${romeo.jid}'><body>Ei</body></message>`)
    await romeo.receives(`<message xml:lang='de'><body>Ei</body></message>`)
    await component.send(
      `<message xmlns='${COMPONENT_NS}' from='echo.localhost' to='${romeo.jid}'><body>Au</body></message>`,
    )
    await romeo.receives(`<message xml:lang='de'><body>Au</body></message>`)
  })

  it('presence: a user subscribes to a contact on the component, which is asked and answers', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    await romeo.ask('get', `<query xmlns='jabber:iq:roster'/>`)
    await romeo.send(`<presence type='subscribe' to='bot@echo.localhost'/>`)
    await component.receives(`<presence type='subscribe' from='romeo@localhost' to='bot@echo.localhost'/>`)
    await component.send(`<presence type='subscribed' from='bot@echo.localhost' to='romeo@localhost'/>`)
    await romeo.receives(`<presence type='subscribed' from='bot@echo.localhost'/>`)
    await component.send(`<presence from='bot@echo.localhost/x' to='romeo@localhost'><status>here</status></presence>`)
    await romeo.receives(`<presence from='bot@echo.localhost/x'><status>here</status></presence>`)
  })
})

describe('check_from (§1.13, traps 10 and 11)', () => {
  it('true: whoever speaks for another domain gets bad-request, nobody gets the stanza, the stream goes on', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'ECHO.localhost')
    for (const from of ['juliet@localhost', 'other.localhost', 'x.echo.localhost', 'echo.localhost.example']) {
      await component.send(`<message from='${from}' to='${romeo.jid}' id='1'><body>spoofed</body></message>`)
      const error = await component.receives(`<message type='error' id='1' from='${romeo.jid}' to='${from}'/>`)
      expect(error.toString()).toContain('<bad-request')
    }
    await settled(component, 'echo.localhost')
    await romeo.receivesNothing('<message/>')
  })

  it('true: compares in prepared form', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'ECHO.localhost')
    await component.send(`<message from='Bot@Echo.LOCALHOST' to='${romeo.jid}'><body>hi</body></message>`)
    await romeo.receives(`<message from='bot@echo.localhost'><body>hi</body></message>`)
  })

  it('false: may speak for anybody whose address is one', async () => {
    const server = await started({ services: [{ check_from: false }] })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    await component.send(`<message from='juliet@localhost' to='${romeo.jid}'><body>as a user</body></message>`)
    await romeo.receives(`<message from='juliet@localhost'><body>as a user</body></message>`)
    await component.send(`<message from='bot@far.example/x' to='${romeo.jid}'><body>as a far one</body></message>`)
    await romeo.receives(`<message from='bot@far.example/x'><body>as a far one</body></message>`)
    await component.send(`<message from='@' to='${romeo.jid}'/>`)
    await component.receives(`<message type='error' to='@'/>`)
  })
})

describe('is_subdomain (§3.3.3)', () => {
  const general = { hosts: ['localhost', 'capulet.example'] }
  const attributes = `is_subdomain='true'`

  it('registers the label under every served host, and speaks for each', async () => {
    const server = await started({ config: { general } })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const gateway = await enter(server, 'gw', { attributes })
    expect(connections(server)[0]?.details.domains).toBe('gw.localhost gw.capulet.example')
    for (const domain of ['gw.localhost', 'gw.capulet.example']) {
      await romeo.send(`<message to='x@${domain}'><body>to ${domain}</body></message>`)
      await gateway.receives(`<message to='x@${domain}'><body>to ${domain}</body></message>`)
      await gateway.send(`<message from='x@${domain}' to='${romeo.jid}'><body>from ${domain}</body></message>`)
      await romeo.receives(`<message from='x@${domain}'><body>from ${domain}</body></message>`)
    }
    await gateway.send(`<message from='gw' to='${romeo.jid}' id='1'/>`)
    await gateway.receives(`<message type='error' id='1'/>`)
  })

  it('is all or nothing: with one name taken it gets none', async () => {
    const server = await started({ config: { general } })
    const romeo = await session(server, 'romeo')
    await enter(server, 'gw.capulet.example')
    const gateway = await knock(servicePort(server), 'gw', { attributes })
    await gateway.streamError('conflict')
    expect(await isReachable(romeo, 'gw.localhost')).toBe(false)
  })

  it('leaves no name behind', async () => {
    const server = await started({ config: { general } })
    for (let i = 0; i < 3; i++) {
      const gateway = await enter(server, 'gw', { attributes })
      gateway.drop()
      await eventually(() => connections(server).length === 0)
    }
  })
})

describe('conflict_behaviour (§3.3.4, §3.3.5)', () => {
  const conflict = streamError('conflict')

  it('disconnect: the newcomer gets conflict with the trailer (trap 12), the old one stays', async () => {
    const events = recordedEvents()
    const server = await started({ events })
    const old = await enter(server, 'echo.localhost')
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(componentHeader('Echo.localhost'))
    const id = / id='([0-9a-f]{16})'/.exec(await raw.until(/from='Echo.localhost'>/))?.[1] ?? ''
    await raw.send(`<handshake>${digest(id)}</handshake>`)
    expect(withoutIds(await raw.closed())).toBe(`${opening('Echo.localhost')}${conflict}`)
    await settled(old)
    expect(events.records.filter(({ name }) => name === 'component.refused')).toMatchObject([
      { fields: { domains: 'echo.localhost', condition: 'conflict' } },
    ])
  })

  it('kick_old: the old one gets conflict with the trailer, the newcomer its name', async () => {
    const server = await started({ services: [{ conflict_behaviour: 'kick_old' }] })
    const romeo = await session(server, 'romeo')
    const old = await enter(server, 'echo.localhost')
    const newcomer = await enter(server, 'echo.localhost')
    await old.receives('<stream:error/>')
    expect(await old.closed()).toEqual({ streamEnded: true })
    answerPings(newcomer)
    expect(await isReachable(romeo, 'echo.localhost')).toBe(true)
    expect(connections(server).map(({ details }) => details.domains)).toEqual(['echo.localhost'])
    expect(server.status().counters).toMatchObject({ componentsRegistered: 2, componentsNow: 1 })
  })

  it('kick_old: the old one need not read or answer, and what it did not get goes back', async () => {
    const server = await started({ services: [{ conflict_behaviour: 'kick_old' }], clock: new ManualClock() })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const old = await enter(server, 'echo.localhost')
    const waiting = await stuck(server, old, romeo, 'echo.localhost')
    await romeo.send(`<message to='echo.localhost' id='lost'><body>x</body></message>`)
    await eventually(() => connectionOf(server, 'echo.localhost')!.waitingStanzas > waiting)
    await enter(server, 'echo.localhost')
    const error = await romeo.receives(`<message type='error' id='lost' from='echo.localhost'/>`)
    expect(error.toString()).toContain('<service-unavailable')
  })

  it('kick_old: everybody who has one of the names goes', async () => {
    const server = await started({
      config: { general: { hosts: ['localhost', 'capulet.example'] } },
      services: [{ conflict_behaviour: 'kick_old' }],
    })
    const one = await enter(server, 'gw.localhost')
    const other = await enter(server, 'gw.capulet.example')
    const gateway = await enter(server, 'gw', { attributes: `is_subdomain='true'` })
    await one.streamError('conflict')
    await other.streamError('conflict')
    expect(connections(server)).toHaveLength(1)
    await settled(gateway, 'gw.capulet.example')
  })

  it('is that of the newcomer’s listener', async () => {
    const server = await started({ services: [{}, { conflict_behaviour: 'kick_old' }] })
    const first = await enter(server, 'echo.localhost')
    const second = await enter(server, 'echo.localhost', { listener: 1 })
    await first.streamError('conflict')
    const third = await knock(servicePort(server), 'echo.localhost')
    await third.streamError('conflict')
    await settled(second)
  })

  it('a wrong password kicks nobody', async () => {
    const server = await started({ services: [{ conflict_behaviour: 'kick_old' }] })
    const old = await enter(server, 'echo.localhost')
    const newcomer = await knock(servicePort(server), 'echo.localhost', { password: 'wrong' })
    await newcomer.streamError('not-authorized')
    await settled(old)
  })

  it.each(['disconnect', 'kick_old'])(
    '%s: a served host and a module’s subdomain are never given away (§3.4)',
    async behaviour => {
      const server = await started({ services: [{ conflict_behaviour: behaviour }] })
      const romeo = await session(server, 'romeo')
      const items = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`, {
        to: 'localhost',
      })
      expect(items.toString()).toContain('vjud.localhost')
      for (const name of ['localhost', 'LOCALHOST', 'vjud.localhost']) {
        const component = await knock(servicePort(server), name)
        await component.streamError('conflict')
      }
      await romeo.settled()
      const info = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`, {
        to: 'vjud.localhost',
      })
      expect(info.attrs.type).toBe('result')
    },
  )

  it('kick_old: a component in this process stays', async () => {
    const server = await started({ services: [{ conflict_behaviour: 'kick_old' }] })
    server.component('echo.localhost', () => {})
    const newcomer = await knock(servicePort(server), 'echo.localhost')
    await newcomer.streamError('conflict')
  })

  it('kick_old: of many at once exactly one is left, and it works', async () => {
    const server = await started({ services: [{ conflict_behaviour: 'kick_old' }] })
    const romeo = await session(server, 'romeo')
    const all = await Promise.all(Array.from({ length: 20 }, () => knock(servicePort(server), 'echo.localhost')))
    await eventually(() => all.filter(one => !one.isClosed).length === 1)
    const [left] = all.filter(one => !one.isClosed)
    await left!.receives('<handshake/>')
    answerPings(left!)
    expect(await isReachable(romeo, 'echo.localhost')).toBe(true)
    expect(server.status().counters.componentsNow).toBe(1)
  })
})

describe('access (§1.13, trap 8)', () => {
  const rules = {
    acl: { banned: [{ user: 'juliet' }], bad: [{ server: 'bad.localhost' }] },
    access: {
      service: [
        { acl: 'banned', value: 'deny' },
        { acl: 'bad', value: 'deny' },
        { acl: 'all', value: 'allow' },
      ],
    },
  }

  it('is about each sender: who is denied gets not-allowed, others reach the component', async () => {
    const server = await started({ config: rules, services: [{ access: 'service' }] })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const juliet = await session(server, 'juliet', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    await juliet.send(`<message to='echo.localhost' id='1'><body>no</body></message>`)
    const error = await juliet.receives(`<message type='error' id='1' from='echo.localhost'/>`)
    expect(error.getChild('error')?.attrs).toEqual({ code: '405', type: 'cancel' })
    expect(error.toString()).toContain('<not-allowed')
    await romeo.send(`<message to='echo.localhost'><body>yes</body></message>`)
    await component.receives(`<message from='${romeo.jid}'><body>yes</body></message>`)
    await component.send(`<message from='echo.localhost' to='${juliet.jid}'><body>still</body></message>`)
    await juliet.receives('<message><body>still</body></message>')
  })

  it('is asked about the domain when it registers: deny is not-authorized', async () => {
    const server = await started({ config: rules, services: [{ access: 'service' }, { access: 'none' }] })
    await (await knock(servicePort(server), 'bad.localhost')).streamError('not-authorized')
    await (await knock(servicePort(server, 1), 'good.localhost')).streamError('not-authorized')
    await enter(server, 'good.localhost')
  })
})

describe('hidden_components (§3.3.7)', () => {
  const items = `<query xmlns='http://jabber.org/protocol/disco#items'/>`
  const hosts = { general: { hosts: ['localhost', 'capulet.example'] } }
  const services = [{}, { hidden_components: true }]
  const modules = (sees: boolean) => ({ mod_disco: { users_can_see_hidden_services: sees }, mod_ping: {} })
  const listed = (answer: { toString(): string }) =>
    [...answer.toString().matchAll(/jid="([^"]+)"/g)].map(match => match[1]).sort()

  it('users see those that are not hidden, and only of the host they ask; components and in-process ones see all', async () => {
    const server = await started({ config: hosts, services, modules: modules(false) })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const open = await enter(server, 'open.localhost')
    const hidden = await enter(server, 'hidden.localhost', { listener: 1 })
    await enter(server, 'open.capulet.example')
    await enter(server, 'elsewhere.example')
    expect(listed(await romeo.ask('get', items, { to: 'localhost' }))).toEqual(['open.localhost'])
    expect(listed(await ask(open, 'open.localhost', 'localhost', items))).toEqual([
      'hidden.localhost',
      'open.localhost',
    ])
    // A user of a component is a user.
    expect(listed(await ask(open, 'somebody@open.localhost', 'localhost', items))).toEqual(['open.localhost'])
    await romeo.send(`<message to='hidden.localhost'><body>found</body></message>`)
    await hidden.receives('<message><body>found</body></message>')
  })

  it('users_can_see_hidden_services shows them to users too', async () => {
    const server = await started({ services, modules: modules(true) })
    const romeo = await session(server, 'romeo')
    await enter(server, 'hidden.localhost', { listener: 1 })
    expect(listed(await romeo.ask('get', items, { to: 'localhost' }))).toEqual(['hidden.localhost'])
  })

  it('a component that is gone is not listed', async () => {
    const server = await started({ modules: modules(false) })
    const romeo = await session(server, 'romeo')
    const component = await enter(server, 'open.localhost')
    await component.close()
    await eventually(() => connections(server).length === 0)
    expect(listed(await romeo.ask('get', items, { to: 'localhost' }))).toEqual([])
  })
})

describe('shaper_rule (§1.13, trap 6)', () => {
  it('names a shaper, active from the first byte on', async () => {
    const clock = new ManualClock()
    const server = await started({
      clock,
      config: { shaper: { slow: { max_rate: 1_000 } } },
      services: [{ shaper_rule: 'slow' }, {}],
    })
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(`${componentHeader('slow.localhost')}${' '.repeat(2_000)}`)
    await eventually(() => connections(server)[0]?.details.isShaped === true)
    expect(connections(server)[0]?.details).toMatchObject({ rate: 1_000, shaperPauses: 1 })
    await enter(server, 'fast.localhost', { listener: 1 })
    expect(connectionOf(server, 'fast.localhost')?.details.rate).toBeUndefined()
  })

  it('makes a burst take as long as its rate says', async () => {
    const clock = new ManualClock()
    const server = await started({
      clock,
      config: { shaper: { slow: { max_rate: 10_000 } } },
      services: [{ shaper_rule: 'slow' }],
    })
    const component = await enter(server, 'slow.localhost')
    const details = () => connectionOf(server, 'slow.localhost')!.details
    const stanza = `<message type='error' from='slow.localhost' to='localhost'><x>${'x'.repeat(924)}</x></message>`
    void component.send(stanza.repeat(50))
    const from = clock.now()
    for (;;) {
      await eventually(() => details().stanzasIn === 50 || details().isShaped === true)
      if (details().stanzasIn === 50) break
      clock.advance(100)
      await drained(server)
    }
    // 50 kB at 10 kB a second, of which the first second's worth comes at once; the last piece is handled before its pause.
    expect(clock.now() - from).toBeGreaterThanOrEqual(2_000)
    expect(clock.now() - from).toBeLessThanOrEqual(4_500)
  })
})

describe('limits (§1.9, §1.10)', () => {
  const message = (size: number) => {
    const around = `<message from='x.localhost' to='localhost' type='error'><body></body></message>`.length
    return `<message from='x.localhost' to='localhost' type='error'><body>${'é'.repeat((size - around) / 2)}</body></message>`
  }

  it('max_stanza_size: as many bytes pass, one more ends the stream, in one write and dripped', async () => {
    const server = await started({ services: [{ max_stanza_size: 1_000 }] })
    const component = await enter(server, 'x.localhost')
    await component.send(message(999).replace('<body>', '<body>x') + message(999))
    await settled(component)
    await component.send(message(1_001))
    expect((await component.streamError('policy-violation')).getChildText('text')).toBe('child element too big')
    const dripped = await enter(server, 'x.localhost')
    for (const byte of Buffer.from(message(1_001))) if (!dripped.isClosed) await dripped.sendBytes(Buffer.of(byte))
    await dripped.streamError('policy-violation')
  })

  it('10 000 bytes before the handshake and 16 KiB of header, whatever the option says', async () => {
    const server = await started()
    const port = servicePort(server)
    expect(withoutIds(await answerTo(port, `${componentHeader('x.localhost')}<handshake>${'x'.repeat(10_001)}`))).toBe(
      `${opening('x.localhost')}${streamError('policy-violation', tooBig)}`,
    )
    const answer = await answerTo(port, componentHeader('x.localhost', `a='${'x'.repeat(20_000)}'`))
    expect(answer).toContain(`${opening('localhost', 'none')}<stream:error><policy-violation `)
  })

  it('8 000 000 bytes where no size is set', async () => {
    const server = await started()
    const component = await enter(server, 'x.localhost')
    await component.send(`<message from='x.localhost' to='localhost' type='error'><body>${'x'.repeat(8_000_000)}`)
    await component.streamError('policy-violation')
  })

  it.each([
    ['max_fsm_queue', { services: [{ max_fsm_queue: 10 }] }],
    ['general.max_fsm_queue', { config: { general: { hosts: ['localhost'], max_fsm_queue: 10 } } }],
  ] as const)(
    '%s: one stanza more than may wait ends the component, and every sender is told',
    async (_what, setup) => {
      const server = await started({ ...setup, clock: new ManualClock() })
      const romeo = await session(server, 'romeo', { priority: 1 })
      const component = await enter(server, 'x.localhost')
      await stuck(server, component, romeo, 'x.localhost')
      const before = connectionOf(server, 'x.localhost')!.waitingStanzas
      for (let i = before; i < 11; i++)
        await romeo.send(`<message to='x.localhost' id='w${i}'><body>x</body></message>`)
      await romeo.settled()
      await eventually(() => connections(server).length === 0)
      for (let i = before; i < 11; i++) await romeo.receives(`<message type='error' id='w${i}' from='x.localhost'/>`)
      expect(await isReachable(romeo, 'x.localhost')).toBe(false)
    },
  )
})

/** Makes the component stop reading and fills what the kernel takes for it; how many stanzas wait in its mailbox. */
async function stuck(server: TestServer, component: Client, sender: Client, domain: string): Promise<number> {
  component.pause()
  const body = 'x'.repeat(256 * 1024)
  for (let i = 0; i < 200; i++) {
    await sender.send(`<message to='${domain}' type='error'><body>${body}</body></message>`)
    await sender.settled()
    if (connectionOf(server, domain)?.details.isBlocked === true) return connectionOf(server, domain)!.waitingStanzas
  }
  throw new Error('the kernel takes more than 50 MiB')
}

describe('a component that goes (§3.3.6)', () => {
  const faulting = (server: TestServer, domain: string) =>
    expect(server.internals.runtime.fault(connectionOf(server, domain)!.path, new Error('made by a test'))).toBe(true)

  const ways: readonly [string, (component: Client, server: TestServer) => unknown][] = [
    ['by the end of its stream', component => component.send('</stream:stream>')],
    ['without a word', component => component.socket.end()],
    ['by a reset', component => component.socket.resetAndDestroy()],
    ['by bytes that are no XML', component => component.send('<a></b>')],
    ['by a fault of its actor', (_component, server) => faulting(server, 'echo.localhost')],
    [
      'by a fault of its acceptor',
      (_component, server) => {
        const acceptor = connectionOf(server, 'echo.localhost')!.path.replace(/\/[^/]*$/, '')
        expect(server.internals.runtime.fault(acceptor, new Error('made by a test'))).toBe(true)
      },
    ],
  ]

  it.each(ways)('%s leaves no route, and may come back', async (_what, go) => {
    const server = await started()
    const romeo = await session(server, 'romeo')
    const component = await enter(server, 'echo.localhost')
    await go(component, server)
    await eventually(() => connections(server).length === 0)
    const answer = await romeo.ask('get', `<ping xmlns='urn:xmpp:ping'/>`, { to: 'echo.localhost' })
    expect(answer.toString()).toContain('<remote-server-not-found')
    const again = await enter(server, 'echo.localhost')
    answerPings(again)
    expect(await isReachable(romeo, 'echo.localhost')).toBe(true)
    expect(server.status().counters.componentsNow).toBe(1)
  })

  it('is told when its actor fails, and the other one is not disturbed', async () => {
    const events = recordedEvents()
    const server = await started({ events })
    const component = await enter(server, 'echo.localhost')
    const other = await enter(server, 'other.localhost')
    faulting(server, 'echo.localhost')
    await component.streamError('internal-server-error')
    await settled(other)
    expect(
      events.records.filter(({ name }) => name === 'component.closed').map(({ fields }) => fields.domains),
    ).toEqual(['echo.localhost'])
  })

  it('without a trace is found out: keep-alive after 60 s (§1.3), seen by the kernel', async ({ skip }) => {
    if (isWithoutSs) skip(isWithoutSs)
    const server = await started()
    await enter(server, 'echo.localhost')
    const timer = () => /keepalive,([\d.]+)(min|sec|ms)/.exec(ss('-to', `sport = :${servicePort(server)}`))
    // Until what was sent is acknowledged, another timer runs.
    const [, value, unit] = await eventually(() => timer() ?? undefined)
    const seconds = unit === 'min' ? 60 * Number(value) : Number(value)
    expect(seconds).toBeGreaterThan(30)
    expect(seconds).toBeLessThanOrEqual(60)
  })

  it('without a trace is found out: a write without progress for 15 s (§1.3), and what waited goes back', async () => {
    const clock = new ManualClock()
    const server = await started({ clock })
    const romeo = await session(server, 'romeo', { priority: 1 })
    const component = await enter(server, 'echo.localhost')
    const waiting = await stuck(server, component, romeo, 'echo.localhost')
    await romeo.send(`<message to='echo.localhost' id='lost'><body>x</body></message>`)
    await eventually(() => connectionOf(server, 'echo.localhost')!.waitingStanzas > waiting)
    await drained(server)
    clock.advance(15_100)
    await romeo.receives(`<message type='error' id='lost' from='echo.localhost'/>`)
    await eventually(() => connections(server).length === 0)
    expect(await isReachable(romeo, 'echo.localhost')).toBe(false)
  })

  it('its trailer is answered', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    await component.close()
    expect(await component.closed()).toEqual({ streamEnded: true })
  })

  it('300 reconnects in a row leave no route behind', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo')
    for (let i = 0; i < 300; i++) {
      const component = await enter(server, 'echo.localhost')
      if (i % 3 === 0) await component.close()
      else if (i % 3 === 1) component.socket.resetAndDestroy()
      else component.drop()
      await eventually(() => server.status().counters.componentsNow === 0)
    }
    expect(connections(server)).toEqual([])
    expect(await isReachable(romeo, 'echo.localhost')).toBe(false)
    expect(server.status().counters).toMatchObject({ componentsRegistered: 300, componentsRefused: 0 })
  }, 60_000)

  it('at a stop of the server is told system-shutdown', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    const stopping = server.stop()
    await component.streamError('system-shutdown')
    await stopping
  })
})

describe('robustness (§6.6)', () => {
  it('random bytes end a connection before the handshake and after it, and nothing else', async () => {
    const server = await started()
    const component = await enter(server, 'echo.localhost')
    const bytes = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), { numRuns: 60, seed: 114 })
    for (const [i, some] of bytes.entries()) {
      const victim = await RawConnection.open(servicePort(server))
      if (i % 2 === 0) await victim.send(componentHeader('victim.localhost'))
      await victim.send(Buffer.concat([some, Buffer.from('<a></b>')]))
      await victim.closed()
      if (i % 10 > 0) continue
      const inside = await enter(server, 'victim.localhost')
      await inside.sendBytes(Buffer.concat([some, Buffer.from('<a></b>')]))
      await inside.closed()
    }
    await settled(component)
    await eventually(() => connections(server).length === 1)
    expect(server.status().counters).toMatchObject({ componentsNow: 1, actorFaults: 0 })
  })
})

describe('an address that others reach', () => {
  it.each([
    ['0.0.0.0', 1],
    ['127.0.0.1', 0],
  ])('%s: %i warnings that there is no encryption', async (address, count) => {
    const events = recordedEvents()
    await started({ events, services: [{ ip_address: address }] })
    const warnings = events.records.filter(
      ({ name, fields }) => name === 'config.warning' && `${fields.path}`.includes('service'),
    )
    expect(warnings).toHaveLength(count)
  })
})

describe('hibernate_after (§1.8)', () => {
  it('0: a component hibernates at the end of the drain that handled a stanza', async () => {
    const server = await started({ clock: new ManualClock() })
    const component = await enter(server, 'echo.localhost')
    await settled(component)
    await eventually(() => connectionOf(server, 'echo.localhost')?.state === 'hibernated')
    await settled(component)
  })
})

describe('proxy_protocol, proto and more of §1.2, §1.3', () => {
  it('a PROXY header says who the component is', async () => {
    const server = await started({ services: [{ proxy_protocol: true }] })
    const raw = await RawConnection.open(servicePort(server))
    await raw.send(`PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n${componentHeader('x.localhost')}`)
    await raw.until('from=')
    expect(connections(server)[0]?.details).toMatchObject({ address: '192.0.2.1', port: 1000 })
  })

  it('[[listen.component]] is another spelling of [[listen.service]]', async () => {
    const c2s = [{ port: 0, ip_address: '127.0.0.1' }]
    const server = await startedServer({ config: { listen: { c2s, component: [at] } } })
    await enter(server, 'echo.localhost')
  })
})

describe('a component in this process', () => {
  it('gets stanzas one by one in order, and answers', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 1 })
    const seen: string[] = []
    const echo = server.component('Echo.localhost', async (xml, self) => {
      seen.push(xml)
      // Longer for the first: the others wait.
      await new Promise(resolve => setTimeout(resolve, seen.length === 1 ? 20 : 0))
      const body = /<body>(.*)<\/body>/.exec(xml)?.[1]
      self.send(`<message from='bot@echo.localhost' to='${romeo.jid}'><body>${body}</body></message>`)
    })
    expect(echo.domain).toBe('echo.localhost')
    for (let i = 0; i < 5; i++) await romeo.send(`<message to='echo.localhost'><body>${i}</body></message>`)
    for (let i = 0; i < 5; i++) expect((await romeo.receives('<message/>')).getChildText('body')).toBe(`${i}`)
    expect(seen[0]).toContain(`from="${romeo.jid}"`)
  })

  it('shares the route table with those that connect: what is served is not served again', async () => {
    const server = await started()
    await enter(server, 'a.localhost')
    const never = () => {}
    for (const taken of ['a.localhost', 'localhost', 'vjud.localhost']) {
      expect(() => server.component(taken, never)).toThrow(`${taken} is served already`)
    }
    expect(() => server.component('no domain', never)).toThrow('no domain is no domain')
    server.component('b.localhost', never)
    await (await knock(servicePort(server), 'b.localhost')).streamError('conflict')
  })

  it('gives its domain back when it stops', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo')
    const component = server.component('b.localhost', () => {})
    await component.stop()
    await component.stop()
    expect(await isReachable(romeo, 'b.localhost')).toBe(false)
    await enter(server, 'b.localhost')
  })

  it('that throws or rejects: the sender is told internal-server-error, and the component lives on', async () => {
    const events = recordedEvents()
    const server = await started({ events })
    const romeo = await session(server, 'romeo')
    let calls = 0
    server.component('b.localhost', () => {
      calls++
      if (calls === 1) throw new Error('at once')
      return Promise.reject(new Error('later'))
    })
    for (let i = 0; i < 2; i++) {
      const answer = await romeo.ask('get', `<ping xmlns='urn:xmpp:ping'/>`, { to: 'b.localhost' })
      expect(answer.toString()).toContain('<internal-server-error')
    }
    expect(events.records.filter(({ name }) => name === 'server.bug').map(({ fields }) => fields.error)).toEqual([
      'at once',
      'later',
    ])
  })

  it('that fails as an actor starts again and keeps its domain', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo')
    const seen: string[] = []
    server.component('b.localhost', xml => void seen.push(xml))
    expect(server.internals.runtime.fault('/root/components/b.localhost', new Error('made by a test'))).toBe(true)
    await romeo.send(`<message to='b.localhost'><body>x</body></message>`)
    await eventually(() => seen.length === 1)
  })

  it('that is too slow loses what is too much, and keeps its domain', async () => {
    const server = await started({ config: { general: { hosts: ['localhost'], max_fsm_queue: 3 } } })
    const romeo = await session(server, 'romeo', { priority: 1 })
    let release: (() => void) | undefined
    const seen: string[] = []
    server.component('b.localhost', xml => {
      seen.push(xml)
      return new Promise<void>(resolve => {
        release = resolve
      })
    })
    const send = (id: number) => romeo.send(`<message to='b.localhost' id='${id}'><body>x</body></message>`)
    await send(0)
    await eventually(() => seen.length === 1)
    for (let i = 1; i <= 4; i++) await send(i)
    const error = await romeo.receives(`<message type='error' id='4' from='b.localhost'/>`)
    expect(error.toString()).toContain('<resource-constraint')
    for (let i = 1; i <= 3; i++) {
      release?.()
      await eventually(() => seen.length === i + 1)
    }
    await send(5)
    release?.()
    await eventually(() => seen.length === 5)
  })

  it('speaks for its own domain only', async () => {
    const server = await started()
    const component = server.component('b.localhost', () => {})
    for (const bad of [
      `<message from='a.localhost' to='romeo@localhost'/>`,
      `<message from='b.localhost'/>`,
      'x',
      '<a/>',
    ]) {
      expect(() => component.send(bad)).toThrow()
    }
  })
})
