import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { componentOf, SECRET, servicePort } from '../support/component.js'
import { ask, debugListener, EventReader } from '../support/debug-client.js'
import { freePort } from '../support/programs.js'
import { session, startedServer } from '../support/server.js'

/*
 * Traces of what is no client: components, in this process or not, and other servers. Clients: debug-acting.test.ts
 */

const service = [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 1, password: SECRET }]
const start = () => startedServer({ users: ['romeo'], config: { listen: { ...debugListener, service } } })
const SAID = 'it is the east'

async function traced(server: TestServer, request: object): Promise<EventReader> {
  const reader = await EventReader.open(server, 'trace', request)
  await reader.until('started')
  return reader
}

describe('a trace of components', () => {
  it('shows what a component that connects (XEP-0114) sends and gets, without what was said', async () => {
    const server = await start()
    const component = await componentOf(servicePort(server), 'echo.localhost')
    const romeo = await session(server, 'romeo')
    const reader = await traced(server, { via: 'component', count: 2 })
    await romeo.send(`<message to="x@echo.localhost" id="m1"><body>${SAID}</body></message>`)
    await component.receives('<message id="m1"/>')
    await component.send(`<message from="x@echo.localhost" to="${romeo.jid}" id="m2"><body>${SAID}</body></message>`)
    await romeo.receives('<message id="m2"/>')
    await reader.until('ended')
    const common = { via: 'component', peer: 'echo.localhost', session: null, kind: 'message' }
    expect(reader.named('stanza')).toMatchObject([
      { ...common, direction: 'received', id: 'm1', from: romeo.jid, to: 'x@echo.localhost' },
      { ...common, direction: 'sent', id: 'm2', from: 'x@echo.localhost', to: romeo.jid },
    ])
    expect(reader.named('stanza')[1]!.xml).toContain('<body>…</body>')
    expect(JSON.stringify(reader.events)).not.toContain(SAID)
  })

  it('shows what a component in this process sends and gets, and to nobody the passwords in it', async () => {
    const server = await start()
    const register = `<query xmlns='jabber:iq:register'><password>hunter2</password></query>`
    server.component('work.localhost', (_xml, { send }) => {
      send(`<iq type='set' id='r' from='work.localhost' to='localhost'>${register}</iq>`)
    })
    const romeo = await session(server, 'romeo')
    const reader = await traced(server, { jid: 'work.localhost', via: 'component', bodies: true, count: 3 })
    await romeo.send(`<message to="work.localhost"><body>${SAID}</body></message>`)
    await reader.until('ended')
    expect(reader.named('stanza')).toMatchObject([
      { direction: 'received', peer: 'work.localhost', kind: 'message', xml: expect.stringContaining(SAID) },
      { direction: 'sent', peer: 'work.localhost', kind: 'iq', xml: expect.stringContaining('<password>…') },
      { direction: 'received', peer: 'work.localhost', kind: 'iq' },
    ])
    expect(JSON.stringify(reader.events)).not.toContain('hunter2')
  })

  it('looks at components only where it was asked to, by direction, kind and namespace too', async () => {
    const server = await start()
    const component = await componentOf(servicePort(server), 'echo.localhost')
    const readers = await Promise.all(
      [
        { via: 'client' },
        { via: 'component', direction: 'sent' },
        { via: 'component', kind: 'presence' },
        { via: 'component', namespace: 'urn:xmpp:ping' },
      ].map(request => traced(server, { ...request, jid: 'echo.localhost', count: 1000 })),
    )
    await component.send(
      `<iq type='get' id='p' from='echo.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`,
    )
    await component.receives(`<iq id='p'/>`)
    await component.send(`<presence from='echo.localhost' to='romeo@localhost'/>`)
    await readers[2]!.until('stanza')
    const seen = readers.map(reader => reader.named('stanza').map(({ kind, direction }) => `${direction} ${kind}`))
    expect(seen).toEqual([[], expect.arrayContaining(['sent iq']), ['sent presence'], ['sent iq']])
    expect((await ask(server, 'trace', { via: 'friend' })).status).toBe(400)
  })
})

describe('a trace of other servers', () => {
  const federated = (domain: string, port: number, other: string, at: number) =>
    startedServer({
      users: ['romeo', 'juliet'],
      config: {
        general: { hosts: [domain] },
        listen: { ...debugListener, s2s: [{ port, ip_address: '127.0.0.1', num_acceptors: 1 }] },
        s2s: { use_starttls: 'false', address: [{ host: other, ip_address: '127.0.0.1', port: at }] },
      },
    })

  it('shows what goes to them and what comes from them', async () => {
    const [here, there] = [await freePort(), await freePort()]
    const verona = await federated('verona.example', here, 'mantua.example', there)
    const mantua = await federated('mantua.example', there, 'verona.example', here)
    const romeo = await session(verona, 'romeo', { domain: 'verona.example', priority: 0 })
    const juliet = await session(mantua, 'juliet', { domain: 'mantua.example', priority: 0 })
    const reader = await traced(verona, { via: 'server', namespace: 'urn:x', count: 2 })
    await romeo.send(`<message to="${juliet.jid}" id="m1"><x xmlns="urn:x">${SAID}</x></message>`)
    await juliet.receives('<message id="m1"/>')
    await juliet.send(`<message to="${romeo.jid}" id="m2"><x xmlns="urn:x">${SAID}</x></message>`)
    await romeo.receives('<message id="m2"/>')
    await reader.until('ended')
    const common = { via: 'server', peer: 'mantua.example', session: null, namespace: 'urn:x' }
    expect(reader.named('stanza')).toMatchObject([
      { ...common, direction: 'received', id: 'm1', from: romeo.jid, to: juliet.jid },
      { ...common, direction: 'sent', id: 'm2', from: juliet.jid, to: romeo.jid },
    ])
    expect(JSON.stringify(reader.events)).not.toContain(SAID)
  })
})
