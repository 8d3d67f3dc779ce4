import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ask, debugListener, EventReader } from '../support/debug-client.js'
import { actorsOfKind, eventually, PASSWORD, session, startedServer } from '../support/server.js'

const start = (more: object = {}) =>
  startedServer({ users: ['romeo', 'juliet'], config: { listen: debugListener }, ...more })
const at = (path: string) => encodeURIComponent(path)

describe('actors with filters', () => {
  it('finds by JID, state, kind, faults and listener, and pages', async () => {
    const server = await start()
    const romeo = await session(server, 'romeo', { resource: 'garden' })
    await session(server, 'romeo', { resource: 'hall' })
    await session(server, 'juliet')
    const names = async (query: string) => {
      const { status, json } = await ask(server, `actors?${query}`)
      expect(status).toBe(200)
      return json
    }
    const garden = await names('jid=GARDEN')
    expect(garden).toMatchObject({
      isWhole: true,
      offset: 0,
      items: [{ kind: 'Connection', details: { jid: romeo.jid } }],
    })
    expect(garden.looked).toBeGreaterThan(5)
    const first = await names('jid=romeo&limit=1&view=brief')
    expect(first).toMatchObject({ isWhole: false, next: 1, items: [{ jid: expect.stringContaining('romeo@') }] })
    expect(await names('jid=romeo&limit=1&offset=1')).toMatchObject({ isWhole: true, items: [{ kind: 'Connection' }] })
    expect((await names('kind=Acceptor&state=idle,hibernated')).items).toHaveLength(2)
    const [listener] = actorsOfKind(server, 'Listener')
    const below = (await names(`listener=${at(listener!.name)}`)).items as { path: string }[]
    expect(below.every(({ path }) => path.startsWith(listener!.path))).toBe(true)
    expect((await names('faults=1')).items).toEqual([])
    server.internals.runtime.fault(`${listener!.path}/acceptor-0`, new Error('made by a test'))
    await eventually(() => actorsOfKind(server, 'Acceptor').some(({ restarts }) => restarts === 1))
    expect((await names('faults=1')).items).toMatchObject([{ name: 'acceptor-0', restarts: 1 }])
    expect((await ask(server, 'actors?listener=nobody')).status).toBe(404)
  })

  it('finds who has messages waiting', async () => {
    const server = await start()
    await session(server, 'romeo')
    const { runtime } = server.internals
    const connection = runtime.find(actorsOfKind(server, 'Connection')[0]!.path) as unknown as {
      pauseStanzas(): void
      tellStanza(message: unknown, weight: number): boolean
    }
    connection.pauseStanzas()
    for (let i = 0; i < 3; i++) connection.tellStanza({ type: 'goOn' }, 0)
    expect((await ask(server, 'actors?mailbox=3&kind=Connection')).json.items).toMatchObject([{ mailbox: 3 }])
    expect((await ask(server, 'actors?mailbox=4&kind=Connection')).json.items).toEqual([])
  })
})

describe('actors at a glance', () => {
  it('brief leaves zeros out, counts adds what the children come to', async () => {
    const server = await start()
    await session(server, 'romeo')
    const { json } = await ask(server, 'actors?depth=10&view=brief&limit=10000&counts=true')
    const listeners = json.children.items.find(({ name }: { name: string }) => name === 'listeners')
    expect(listeners).not.toHaveProperty('faults')
    expect(listeners).not.toHaveProperty('details')
    expect(listeners.below).toMatchObject({ states: expect.any(Object), mailbox: 0, mailboxMost: 0, faults: 0 })
    const text = JSON.stringify(json)
    expect(text).toContain('"jid":"romeo@localhost/')
  })
})

describe('actors/detail', () => {
  it('shows supervision, transport and session of a connection, and the types of what it handled since', async () => {
    const server = await start()
    const romeo = await session(server, 'romeo', { priority: 5 })
    const [connection] = actorsOfKind(server, 'Connection')
    const look = async () => (await ask(server, `actors/detail?path=${at(connection!.path)}`)).json
    expect(await look()).toMatchObject({
      actor: { path: connection!.path, kind: 'Connection' },
      parent: connection!.path.replace(/\/[^/]*$/, ''),
      supervision: { policy: 'stop', mayRestart: false, mailboxLimit: null },
      waiting: { control: [], stanzas: [] },
      recent: { types: [] },
      sections: {
        stream: { listener: expect.stringContaining('c2s'), hasOpened: true },
        transport: { address: '127.0.0.1', isEncrypted: false, bytesIn: expect.any(Number) },
        session: { jid: romeo.jid, isAvailable: true, priority: 5 },
      },
    })
    await romeo.ask('get', '<ping xmlns="urn:xmpp:ping"/>')
    const { recent } = await look()
    expect(recent.types.map(({ type }: { type: string }) => type)).toEqual(['bytes', 'iq'])
    expect((await ask(server, 'actors/detail?path=/root/nobody')).status).toBe(404)
    expect((await ask(server, 'actors/detail')).status).toBe(400)
  })

  it('shows how a connection is protected, and neither keys nor passwords', async () => {
    const tls = { mode: 'starttls', certfile: join(import.meta.dirname, '../support/certificates/rsa.pem') }
    const server = await start({ listener: { tls } })
    await session(server, 'romeo', { tls: 'starttls', tlsOptions: { servername: 'localhost' } })
    const { path } = actorsOfKind(server, 'Connection')[0]!
    const { json } = await ask(server, `actors/detail?path=${at(path)}`)
    expect(json.sections.tls).toEqual({
      protocol: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      serverName: 'localhost',
      isResumed: false,
    })
    expect(JSON.stringify(json)).not.toContain(PASSWORD)
  })
})

describe('summary', () => {
  it('counts per listener, and gives rates once there are two samples', async () => {
    const server = await start()
    await session(server, 'romeo')
    const { json } = await ask(server, 'summary')
    expect(json).toMatchObject({
      state: 'running',
      mayAct: true,
      hosts: ['localhost'],
      sessions: 1,
      counters: { sessionsNow: 1 },
      runtime: { actors: expect.any(Number) },
      memory: { rss: expect.any(Number) },
      loop: { maxMs: expect.any(Number), utilization: expect.any(Number) },
      rates: {},
    })
    const c2s = json.listeners.find(({ protocol }: { protocol: string }) => protocol === 'c2s')
    expect(c2s).toMatchObject({ connections: 1, sessions: 1, port: server.port })
    const reader = await EventReader.open(server, 'summary/events')
    await eventually(() => reader.named('sample').length >= 2)
    expect(reader.named('sample')[1]).toMatchObject({
      rates: { stanzasIn: expect.any(Number), 'actors.messages': expect.any(Number) },
    })
  })
})

describe('sessions', () => {
  it('finds by a part of the JID or the address, and pages', async () => {
    const server = await start()
    await session(server, 'romeo', { resource: 'garden', priority: 1 })
    await session(server, 'romeo', { resource: 'hall' })
    await session(server, 'juliet')
    const found = async (query: string) => (await ask(server, `sessions?${query}`)).json
    expect(await found('search=GARD')).toMatchObject({
      total: 3,
      matched: 1,
      items: [
        {
          jid: 'romeo@localhost/garden',
          path: expect.stringMatching(/^\/root\/listeners\/.*\/connection-1$/),
          listener: expect.stringContaining('c2s'),
          address: '127.0.0.1',
          isAvailable: true,
          priority: 1,
          isDetached: false,
          isEncrypted: false,
        },
      ],
    })
    expect(await found('search=127.0.0&limit=2&offset=2')).toMatchObject({ matched: 3, offset: 2, items: [{}] })
    expect(await found('host=elsewhere.example')).toMatchObject({ total: 0, items: [] })
  })
})
