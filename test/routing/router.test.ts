import { describe, expect, it } from 'vitest'
import { StanzaError } from '../../src/protocols/errors.js'
import { handleClientStanza } from '../../src/routing/client-stanzas.js'
import { drop, refuse } from '../../src/routing/hooks.js'
import { type Client, jid, montague, settled, stanza, world } from '../support/world.js'

const stanzas = 'xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"'
const error = (condition: string) => `<error><${condition} ${stanzas}/></error>`

async function romeoIn(server: ReturnType<typeof world>): Promise<Client> {
  return (await server.connect('romeo@montague.example/orchard')).arrives()
}

describe('the router', () => {
  it('answers a malformed address with jid-malformed (RFC 6120 §8.1.1.1)', async () => {
    const server = world()
    const romeo = await romeoIn(server)
    for (const kind of ['message', 'presence']) {
      await romeo.sends(`<${kind} id="1" to="@montague.example"/>`)
      romeo.receives(`<${kind} id="1" type="error">${error('jid-malformed')}</${kind}>`)
    }
    await romeo.sends('<iq id="2" type="get" to="a@b@c/"><ping xmlns="urn:xmpp:ping"/></iq>')
    romeo.receives(`<iq id="2" type="error">${error('jid-malformed')}</iq>`)
  })

  it('finds a session whatever the spelling of its address', async () => {
    const server = world()
    const romeo = await romeoIn(server)
    await server.arrives('<message from="a.example" to="ROMEO@Montague.Example/orchard"><body>a</body></message>')
    romeo.receives('<message><body>a</body></message>')
  })

  it('answers remote-server-not-found for a domain that nobody serves (RFC 6120 §10.4)', async () => {
    const server = world()
    const romeo = await romeoIn(server)
    await romeo.sends('<message id="1" to="nurse@elsewhere.example"/>')
    romeo.receives(
      `<message id="1" type="error" from="nurse@elsewhere.example">${error('remote-server-not-found')}</message>`,
    )
  })

  it('hands stanzas for other domains to federation when there is one', async () => {
    const sent: string[] = []
    const server = world({ routing: { remote: out => sent.push(String(out.to)) > 0 } })
    const romeo = await romeoIn(server)
    await romeo.sends('<message to="nurse@elsewhere.example"/>')
    romeo.receives()
    expect(sent).toEqual(['nurse@elsewhere.example'])
  })

  it('prefers a served host, then a registered domain, then federation (§3.4)', async () => {
    const server = world({ routing: { remote: () => true } })
    const taken: string[] = []
    const route = {
      kind: 'component',
      node: 'here',
      deliver: (s: { to?: unknown }) => void taken.push(String(s.to)),
    } as const
    expect(server.routing.routes.add(montague, route)).toBeUndefined()
    const undo = server.routing.routes.add('echo.montague.example', route)!
    expect(server.routing.routes.add('echo.montague.example', route)).toBeUndefined()
    const romeo = await romeoIn(server)
    await romeo.sends('<message to="a@echo.montague.example/x"/>')
    expect(taken).toEqual(['a@echo.montague.example/x'])
    undo()
    await romeo.sends('<message to="a@echo.montague.example/x"/>')
    expect(taken).toHaveLength(1)
  })

  it('sends the error of a component that refuses back to the sender', async () => {
    const server = world()
    server.routing.routes.add('shy.example', {
      kind: 'component',
      node: 'here',
      deliver: () => Promise.reject(new StanzaError('not-allowed')),
    })
    const romeo = await romeoIn(server)
    await romeo.sends('<iq id="1" type="get" to="shy.example"><q xmlns="q"/></iq>')
    romeo.receives(`<iq id="1" type="error" from="shy.example">${error('not-allowed')}</iq>`)
  })

  it('answers a bug with internal-server-error, reports it and goes on', async () => {
    const server = world()
    const bug = new TypeError('oops')
    server.routing.routes.add('broken.example', {
      kind: 'service',
      node: 'here',
      deliver() {
        throw bug
      },
    })
    const romeo = await romeoIn(server)
    await romeo.sends('<message id="1" to="broken.example"/>')
    romeo.receives(`<message id="1" type="error">${error('internal-server-error')}</message>`)
    expect(server.bugs).toEqual([bug])
  })

  it('asks the sender to try again when the store does not answer', async () => {
    const server = world()
    const romeo = await romeoIn(server)
    server.store.isFailing = true
    await romeo.sends('<message id="1" to="juliet@capulet.example"><body>a</body></message>')
    romeo.receives(
      `<message id="1" type="error"><error type="wait"><resource-constraint ${stanzas}/></error></message>`,
    )
    expect(server.bugs).toEqual([])
  })
})

describe('IQs', () => {
  const ask = '<ask xmlns="urn:example:ask"/>'

  async function asking(answer: () => never | undefined | Promise<undefined>) {
    const server = world()
    for (const target of ['host', 'account'] as const) {
      server.routing.iq.register({
        domain: montague,
        target,
        type: 'get',
        ns: 'urn:example:ask',
        name: 'ask',
        handler: answer,
      })
    }
    return { server, romeo: await romeoIn(server) }
  }

  it('are answered by whoever registered for the domain, the type, the namespace and the name', async () => {
    const { romeo } = await asking(() => undefined)
    await romeo.sends(`<iq id="1" type="get" to="montague.example">${ask}</iq>`)
    romeo.receives('<iq id="1" type="result" from="montague.example" to="romeo@montague.example/orchard"/>')
    for (const wrong of [
      `<iq id="1" type="set" to="montague.example">${ask}</iq>`,
      `<iq id="1" type="get" to="capulet.example">${ask}</iq>`,
      '<iq id="1" type="get" to="montague.example"><ask xmlns="urn:example:other"/></iq>',
      '<iq id="1" type="get" to="montague.example"><tell xmlns="urn:example:ask"/></iq>',
    ]) {
      await romeo.sends(wrong)
      romeo.receives(`<iq id="1" type="error">${error('service-unavailable')}</iq>`)
    }
  })

  it('without an addressee are answered on behalf of the sender’s account (RFC 6120 §10.3.3)', async () => {
    const { romeo } = await asking(() => undefined)
    await romeo.sends(`<iq id="1" type="get">${ask}</iq>`)
    romeo.receives('<iq id="1" type="result" from="romeo@montague.example"/>')
  })

  it('for an account that does not exist get service-unavailable (RFC 6121 §8.5.1)', async () => {
    const { romeo, server } = await asking(() => undefined)
    await romeo.sends(`<iq id="1" type="get" to="tybalt@montague.example">${ask}</iq>`)
    romeo.receives(`<iq id="1" type="error">${error('service-unavailable')}</iq>`)
    await server.register('tybalt@montague.example')
    await romeo.sends(`<iq id="2" type="get" to="tybalt@montague.example">${ask}</iq>`)
    romeo.receives('<iq id="2" type="result" from="tybalt@montague.example"/>')
  })

  it('are refused with the StanzaError that the handler throws or rejects with', async () => {
    const thrown = await asking(() => {
      throw new StanzaError('forbidden', 'no')
    })
    await thrown.romeo.sends(`<iq id="1" type="get" to="montague.example">${ask}</iq>`)
    thrown.romeo.receives(
      `<iq id="1" type="error"><error type="auth"><forbidden ${stanzas}/><text ${stanzas}>no</text></error></iq>`,
    )
    const rejected = await asking(() => Promise.reject(new StanzaError('forbidden')))
    await rejected.romeo.sends(`<iq id="1" type="get" to="montague.example">${ask}</iq>`)
    rejected.romeo.receives(`<iq id="1" type="error">${error('forbidden')}</iq>`)
  })

  it('meet a bug in a handler: the asker gets internal-server-error and nobody else notices', async () => {
    const { romeo, server } = await asking(() => {
      throw new RangeError('oops')
    })
    await romeo.sends(`<iq id="1" type="get" to="montague.example">${ask}</iq>`)
    romeo.receives(`<iq id="1" type="error">${error('internal-server-error')}</iq>`)
    expect(server.bugs).toHaveLength(1)
  })

  it('that break RFC 6120 §8.2.3 get bad-request: no id, no or two payloads, no or another type', async () => {
    const { romeo } = await asking(() => undefined)
    for (const [xml, id] of [
      [`<iq type="get" to="montague.example">${ask}</iq>`, ''],
      [`<iq id="" type="get" to="montague.example">${ask}</iq>`, ''],
      ['<iq id="1" type="get" to="montague.example"/>', 'id="1"'],
      ['<iq id="1" type="set" to="juliet@capulet.example/balcony"/>', 'id="1"'],
      [`<iq id="1" type="get" to="montague.example">${ask}${ask}</iq>`, 'id="1"'],
      [`<iq id="1" to="montague.example">${ask}</iq>`, 'id="1"'],
      [`<iq id="1" type="put" to="montague.example">${ask}</iq>`, 'id="1"'],
    ] as const) {
      await romeo.sends(xml)
      romeo.receives(`<iq ${id} type="error">${error('bad-request')}</iq>`)
    }
  })

  it('for a full JID are delivered, whatever they ask; for one that is not there requests bounce and answers vanish (RFC 6121 §8.5.3)', async () => {
    const { romeo, server } = await asking(() => undefined)
    const juliet = await server.connect('juliet@capulet.example/balcony')
    for (const type of ['get', 'set', 'result', 'error']) {
      await romeo.sends(`<iq id="1" type="${type}" to="juliet@capulet.example/balcony">${ask}</iq>`)
      juliet.receives(`<iq id="1" type="${type}" from="romeo@montague.example/orchard">${ask}</iq>`)
      await romeo.sends(`<iq id="2" type="${type}" to="juliet@capulet.example/gone">${ask}</iq>`)
      if (type === 'get' || type === 'set')
        romeo.receives(`<iq id="2" type="error">${error('service-unavailable')}</iq>`)
      else romeo.receives()
      // §8.5.2.1.3: an answer to the bare JID is for the server, which asked nothing
      await romeo.sends(`<iq id="3" type="${type}" to="juliet@capulet.example">${ask}</iq>`)
      juliet.receives()
      romeo.take()
    }
  })

  it('cannot be answered by two: a second registration is a mistake of the programmer', async () => {
    const { server } = await asking(() => undefined)
    const again = { domain: montague, target: 'host', type: 'get', ns: 'urn:example:ask', name: 'ask' } as const
    expect(() => server.routing.iq.register({ ...again, handler: () => undefined })).toThrow(/answered already/)
  })
})

describe('a stanza for a served host', () => {
  it('is answered when it is a message, ignored when it is presence, refused when it asks to subscribe', async () => {
    const server = world()
    const romeo = await romeoIn(server)
    await romeo.sends('<message id="1" to="montague.example"><body>a</body></message>')
    romeo.receives(`<message id="1" type="error" from="montague.example">${error('service-unavailable')}</message>`)
    await romeo.sends('<presence to="montague.example"/>')
    romeo.receives()
    await server.arrives('<presence type="subscribe" from="romeo@montague.example" to="capulet.example"/>')
    romeo.receives()
    await romeo.sends('<presence type="subscribe" to="capulet.example"/>')
    expect(romeo.take().join()).toContain('type="unsubscribed"')
  })
})

describe('hooks', () => {
  it('see what they ask for, in order, each with what the one before made of it', async () => {
    const server = world()
    const { sent } = server.routing.hooksOf(montague)
    const seen: string[] = []
    sent.observe({ kinds: ['iq'] }, () => void seen.push('iq'))
    sent.observe({ kinds: ['message'], namespaces: ['urn:example:x'] }, () => void seen.push('x'))
    sent.transform({ kinds: ['message'] }, message => message.addressed({ to: jid('juliet@capulet.example/balcony') }))
    sent.observe({}, message => void seen.push(String(message.to)))
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    await romeo.sends('<message to="nobody@capulet.example"><body>a</body></message>')
    juliet.receives('<message><body>a</body></message>')
    expect(seen).toEqual(['juliet@capulet.example/balcony'])
    await romeo.sends('<message to="nobody@capulet.example"><x xmlns="urn:example:x"/></message>')
    expect(seen.slice(1)).toEqual(['x', 'juliet@capulet.example/balcony'])
  })

  it('drop a stanza on its way in or out, and leave when they are undone', async () => {
    const server = world()
    const hooks = server.routing.hooksOf(montague)
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    const undo = hooks.sent.transform({ kinds: ['message'] }, () => Promise.resolve(drop))
    await romeo.sends('<message to="juliet@capulet.example/balcony"/>')
    juliet.receives()
    undo()
    expect(hooks.sent.isEmpty).toBe(true)
    await romeo.sends('<message to="juliet@capulet.example/balcony"/>')
    juliet.receives('<message/>')
    const undoReceived = hooks.received.transform({}, () => drop)
    await juliet.sends('<message id="1" to="romeo@montague.example/orchard"/>')
    romeo.receives()
    juliet.receives()
    undoReceived()
    expect(hooks.received.isEmpty).toBe(true)
  })

  it('keep a stanza from one session, and it finds another way (RFC 6121 §8.5) or bounces', async () => {
    const server = world()
    const hooks = server.routing.hooksOf(montague)
    const romeo = await (await server.connect('romeo@montague.example/orchard')).arrives(5)
    const tomb = await (await server.connect('romeo@montague.example/tomb')).arrives(1)
    romeo.take()
    const juliet = await server.connect('juliet@capulet.example/balcony')
    hooks.received.transform({}, (message, session) => (session === romeo ? refuse : message))
    for (const to of ['romeo@montague.example', 'romeo@montague.example/orchard']) {
      await juliet.sends(`<message type="chat" to="${to}"><body>a</body></message>`)
      tomb.receives('<message><body>a</body></message>')
    }
    romeo.receives()
    await juliet.sends('<iq id="1" type="get" to="romeo@montague.example/orchard"><x xmlns="urn:example:x"/></iq>')
    juliet.receives(`<iq id="1" type="error">${error('service-unavailable')}</iq>`)
    expect(server.routing.offer(romeo, stanza('<message/>'))).toBe('refused')
    expect(server.routing.offer(tomb, stanza('<message/>'))).toBe('taken')
    tomb.takes = false
    expect(server.routing.offer(tomb, stanza('<message/>'))).toBe('gone')
  })

  it('keep a stanza with the error that they throw, which goes to the sender once and never as a bug', async () => {
    const server = world()
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    server.routing.hooksOf(montague).received.observe({}, () => {
      throw new StanzaError('forbidden')
    })
    await juliet.sends('<message id="1" to="romeo@montague.example/orchard"/>')
    juliet.receives(`<message id="1" type="error">${error('forbidden')}</message>`)
    await juliet.sends('<iq id="1" type="result" to="romeo@montague.example/orchard"/>')
    juliet.receives()
    romeo.receives()
    expect(server.bugs).toEqual([])
  })

  it('hear of each message that was delivered, once, whoever took it', async () => {
    const server = world()
    const hooks = server.routing.hooksOf(montague)
    const taken: string[] = []
    hooks.delivered.observe({}, (message, session) => void taken.push(`${message.id} ${session.jid.resource}`))
    for (const resource of ['a', 'b']) await (await server.connect(`romeo@montague.example/${resource}`)).arrives()
    const juliet = await server.connect('juliet@capulet.example/balcony')
    await juliet.sends('<message id="1" type="chat" to="romeo@montague.example"/>')
    await juliet.sends('<message id="2" to="romeo@montague.example/a"/>')
    await juliet.sends('<message id="3" to="romeo@montague.example/gone"/>')
    await juliet.sends('<iq id="4" type="result" to="romeo@montague.example/a"/>')
    expect(taken).toEqual([expect.stringMatching(/^1 [ab]$/), '2 a'])
  })

  it('forbid what the server does for an account, for others alone', async () => {
    const server = world({ modules: { mod_ping: {} } })
    const { onBehalf } = server.routing.hooksOf(montague)
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    const seen: string[] = []
    onBehalf.transform({}, ({ kind, type }) => {
      seen.push(`${kind} ${type}`)
      return drop
    })
    const ping = '<iq id="1" type="get" to="romeo@montague.example"><ping xmlns="urn:xmpp:ping"/></iq>'
    await juliet.sends(ping)
    for (const type of ['subscribe', 'probe'])
      await juliet.sends(`<presence type="${type}" to="romeo@montague.example"/>`)
    juliet.take()
    await romeo.sends(ping)
    romeo.receives('<iq id="1" type="result"/>')
    expect(seen).toEqual(['iq get', 'presence subscribe', 'presence probe'])
  })

  it('that fail tell the sender, and never let the stanza pass a filter that did not finish', async () => {
    const server = world()
    const hooks = server.routing.hooksOf(montague)
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    const undo = hooks.sent.observe({}, () => Promise.reject(new Error('oops')))
    await romeo.sends('<message id="1" to="juliet@capulet.example/balcony"/>')
    romeo.receives(`<message id="1" type="error">${error('internal-server-error')}</message>`)
    juliet.receives()
    undo()
    hooks.received.observe({}, () => {
      throw new Error('oops')
    })
    await juliet.sends('<message to="romeo@montague.example/orchard"/>')
    romeo.receives()
    expect(server.bugs).toHaveLength(2)
  })

  it('keep the order of a sender whose stanza has to wait', async () => {
    const server = world()
    const romeo = await server.connect('romeo@montague.example/orchard')
    server.routing.hooksOf(montague).sent.observe({}, () => settled())
    const waiting = handleClientStanza(
      server.routing,
      romeo,
      stanza('<message from="romeo@montague.example/orchard" to="x.example"/>'),
    )
    expect(waiting).toBeInstanceOf(Promise)
    await waiting
  })
})
