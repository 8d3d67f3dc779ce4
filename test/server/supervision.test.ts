import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Admission } from '../../src/actors/acceptor.js'
import { createRuntime, spawnActor, stopTree } from '../../src/actors/runtime/index.js'
import { type Binding, openTcp, SocketActor } from '../../src/actors/socket.js'
import { systemClock } from '../../src/observability/clock.js'
import type { Server } from '../../src/server.js'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import {
  actorsOfKind,
  clientOf,
  connectionOf,
  eventually,
  PASSWORD,
  RawConnection,
  recordedEvents,
  type Setup,
  session,
  startedServer,
  startInFolder,
} from '../support/server.js'

/*
 * DESIGN §2, actor by actor: what a fault of each kills, what starts again, what lives on.
 */

const listener = '/root/listeners/c2s-127.0.0.1-0-0'
const at = (server: Pick<Server, 'tree'>, path: string) => server.tree(path, { depth: 0 })
const acceptorOf = (server: Pick<Server, 'tree'>, client: Client) =>
  connectionOf(server, client).path.replace(/\/[^/]*$/, '')

async function talk(one: Client, other: Client): Promise<void> {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    await from.send(`<message to='${to.jid}'><body>from ${from.jid}</body></message>`)
    await to.receives(`<message from='${from.jid}'><body>from ${from.jid}</body></message>`)
  }
}

async function setUp(setup: Setup = {}) {
  const events = recordedEvents()
  const server = await startedServer({ users: ['romeo', 'juliet'], events, ...setup })
  const fault = (path: string) => {
    expect(server.internals.runtime.fault(path, new Error('made by a test'))).toBe(true)
  }
  const told = (name: string) => events.records.filter(record => record.name === name)
  return { server, fault, told }
}

/** Sessions until there are two on each of the two acceptors. */
async function fourSessions(server: TestServer) {
  const clients: Client[] = []
  for (const resource of ['a', 'b', 'c', 'd']) clients.push(await session(server, 'romeo', { resource, priority: 1 }))
  const acceptor = acceptorOf(server, clients[0]!)
  const here = clients.filter(client => acceptorOf(server, client) === acceptor)
  const there = clients.filter(client => acceptorOf(server, client) !== acceptor)
  return { acceptor, here, there }
}

async function isToldOfAnError(client: Client): Promise<void> {
  await client.streamError('internal-server-error')
  expect(await client.closed()).toEqual({ streamEnded: true })
}

describe('a fault of a connection', () => {
  it('ends that session alone: its peer gets internal-server-error, contacts see it go, others talk on', async () => {
    const { server, fault, told } = await setUp()
    const romeo = await session(server, 'romeo', { resource: 'x', priority: 1 })
    const juliet = await session(server, 'juliet', { priority: 1 })
    const another = await session(server, 'juliet', { priority: 1 })
    await romeo.send(`<presence to='${juliet.jid}'/>`)
    await juliet.receives(`<presence from='${romeo.jid}'/>`)
    const { path } = connectionOf(server, romeo)
    fault(path)
    await isToldOfAnError(romeo)
    await juliet.receives(`<presence type='unavailable' from='${romeo.jid}'/>`)
    expect(at(server, path)).toBeUndefined()
    expect(server.internals.sessions.byFull(romeo.jid!)).toBeUndefined()
    await talk(juliet, another)
    await session(server, 'romeo', { resource: 'x' })
    expect(server.status().counters).toMatchObject({ actorFaults: 1, actorRestarts: 0 })
    expect(told('actor.faulted').map(({ fields }) => fields)).toMatchObject([{ path, error: 'made by a test' }])
  })

  it('tells a peer that has not opened its stream with a header first', async () => {
    const { server, fault } = await setUp()
    const raw = await RawConnection.open(server.port)
    const [connection] = await eventually(() => {
      const found = actorsOfKind(server, 'Connection')
      return found.length > 0 && found
    })
    fault(connection!.path)
    expect(await raw.closed()).toMatch(
      /^<\?xml version='1.0'\?><stream:stream .*<stream:error><internal-server-error .*<\/stream:error><\/stream:stream>$/,
    )
  })

  it('has what it did not deliver brought to another resource, or kept', async () => {
    const { server, fault } = await setUp()
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet', { resource: 'stuck', priority: 1 })
    juliet.pause()
    while (!connectionOf(server, juliet).details.isBlocked) {
      await romeo.send(`<message to='${juliet.jid}' type='chat'><body>${'x'.repeat(100_000)}</body></message>`)
      await romeo.settled()
    }
    for (const body of ['one', 'two']) {
      await romeo.send(`<message to='juliet@localhost' type='chat'><body>${body}</body></message>`)
    }
    await romeo.settled()
    fault(connectionOf(server, juliet).path)
    juliet.drop()
    await eventually(() => server.internals.sessions.byFull('juliet@localhost/stuck') === undefined)
    const again = await session(server, 'juliet')
    await again.send('<presence/>')
    await again.receives('<message><body>one</body></message>')
    await again.receives('<message><body>two</body></message>')
  })
})

describe('a fault of an acceptor', () => {
  it('ends its share of the connections; it starts again, the others talk on, the port stays', async () => {
    const { server, fault } = await setUp()
    const { acceptor, here, there } = await fourSessions(server)
    fault(acceptor)
    for (const client of here) await isToldOfAnError(client)
    await talk(there[0]!, there[1]!)
    expect(await eventually(() => at(server, acceptor)?.state !== 'stopped' && at(server, acceptor))).toMatchObject({
      restarts: 1,
      faults: 1,
      childCount: 0,
    })
    expect(at(server, listener)).toMatchObject({ restarts: 0, faults: 0 })
    // Both acceptors take their turns again.
    const { here: some, there: others } = await fourSessions(server)
    expect([some.length, others.length]).toEqual([2, 2])
    expect(server.status().counters).toMatchObject({ actorFaults: 1, actorRestarts: 1 })
  })
})

describe('a fault of the socket actor', () => {
  it('closes and opens the port, the same one again; every connection lives on', async () => {
    const { server, fault, told } = await setUp()
    const { here, there } = await fourSessions(server)
    fault(`${listener}/socket`)
    await eventually(() => told('listener.bound').length === 2)
    expect(told('listener.bound').map(({ fields }) => fields.port)).toEqual([server.port, server.port])
    expect(at(server, `${listener}/socket`)).toMatchObject({
      restarts: 1,
      details: { port: server.port, isListening: true },
    })
    await talk(here[0]!, there[0]!)
    await talk(here[1]!, there[1]!)
    await session(server, 'juliet')
    expect(server.status().connections).toBe(5)
  })

  it('may come before the port is bound: nothing is left listening', async () => {
    const runtime = createRuntime({ onFault: () => {} })
    let opened: ReturnType<typeof openTcp> | undefined
    const binding: Binding = {
      address: '127.0.0.1',
      wasBound: false,
      port: 0,
      backlog: 1,
      retries: { count: 0, everyMs: 100 },
      open(admission) {
        opened = openTcp(admission)
        return opened
      },
      onBound() {},
      onRetry() {},
      onFailed() {},
    }
    const actor = spawnActor(runtime.root, init => new SocketActor(init, binding, new Admission(), systemClock))
    actor.stop('fault')
    // By the time that a later one listens, it would too.
    const later = openTcp(new Admission())
    later.server.listen({ host: '127.0.0.1', port: 0 })
    await once(later.server, 'listening')
    expect(opened?.server.listening).toBe(false)
    await Promise.all([later.close(), stopTree(runtime.root)])
  })
})

describe('a fault of a listener', () => {
  it('ends its connections; it starts again on its port with all that is under it; other listeners live on', async () => {
    const { server, fault, told } = await setUp({ listeners: [{}, {}] })
    const [first, second] = server.addresses
    const gone = await session({ port: first!.port }, 'romeo')
    const one = await session({ port: second!.port }, 'romeo')
    const other = await session({ port: second!.port }, 'juliet')
    fault(listener)
    await isToldOfAnError(gone)
    await eventually(() => told('listener.bound').length === 3)
    expect(told('listener.bound').at(-1)?.fields).toMatchObject({ port: first!.port })
    expect(at(server, listener)).toMatchObject({ restarts: 1, childCount: 3 })
    expect(at(server, '/root/listeners')).toMatchObject({ restarts: 0, faults: 0 })
    await talk(one, other)
    await session({ port: first!.port }, 'romeo').then(client => talk(client, one))
  })

  it('comes of too many faults below it: the sixth of an acceptor within 10 s (the limit of DESIGN §2)', async () => {
    const { server, fault, told } = await setUp()
    const acceptor = `${listener}/acceptor-0`
    for (let i = 1; i <= 5; i++) {
      fault(acceptor)
      await eventually(() => at(server, acceptor)?.restarts === i && at(server, acceptor)?.state !== 'stopped')
    }
    expect(at(server, listener)?.restarts).toBe(0)
    fault(acceptor)
    await eventually(() => told('listener.bound').length === 2)
    expect(at(server, listener)?.restarts).toBe(1)
    expect(at(server, acceptor)?.restarts).toBe(0)
    await session(server, 'romeo')
  })
})

describe('a fault of the storage actor', () => {
  it('harms nobody: it starts again, the store stays open', async () => {
    const { server, fault } = await setUp()
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet')
    fault('/root/storage/store')
    await eventually(() => at(server, '/root/storage/store')?.restarts === 1)
    await talk(romeo, juliet)
    expect((await romeo.ask('get', '<query xmlns="jabber:iq:roster"/>')).attrs.type).toBe('result')
    await session(server, 'romeo')
    expect(server.internals.store.isOpen).toBe(true)
    expect(at(server, '/root/storage/store')?.details).toEqual({ isOpen: true })
  })
})

describe('the death of the storage worker', () => {
  it('ends no session; the worker starts again and what was acknowledged is there', async () => {
    const place = mkdtempSync(join(tmpdir(), 'meerkat-supervision-'))
    onTestFinished(() => rmSync(place, { recursive: true, force: true }))
    const events = recordedEvents()
    const server = await startInFolder(place, { events })
    onTestFinished(() => server.stop())
    for (const user of ['romeo', 'juliet']) await server.internals.authenticator.create(user, 'localhost', PASSWORD)
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet')
    const item = '<query xmlns="jabber:iq:roster"><item jid="nurse@localhost"/></query>'
    expect((await juliet.ask('set', item)).attrs.type).toBe('result')
    await server.internals.store.kill()
    await talk(romeo, juliet)
    await eventually(() => server.internals.store.isOpen)
    expect(events.records.filter(({ name }) => /^storage/.test(name)).map(({ name }) => name)).toEqual([
      'storage.failed',
      'storage.recovered',
    ])
    const again = await session(server, 'juliet')
    const roster = await again.ask('get', '<query xmlns="jabber:iq:roster"/>')
    expect(String(roster)).toContain('nurse@localhost')
    expect(server.status().counters.actorFaults).toBe(0)
    await talk(romeo, juliet)
  })

  it('in the middle of a login is a failure that may be tried again', async () => {
    const { server } = await setUp()
    const client = await clientOf(server)
    await client.open()
    // From here on the worker answers nothing any more.
    const killed = server.internals.store.kill()
    await client.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0romeo\0${PASSWORD}`).toString('base64')}</auth>`,
    )
    const answer = await client.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
    // The next worker may be there already; the account went with the memory of the first.
    expect(['temporary-auth-failure', 'not-authorized']).toContain(answer.getChildElements()[0]?.getName())
    expect(client.isClosed).toBe(false)
    await killed
  })
})

describe('a fault that nobody above survives', () => {
  it('ends the server: every client is told, nothing is left running', async () => {
    const place = mkdtempSync(join(tmpdir(), 'meerkat-supervision-'))
    onTestFinished(() => rmSync(place, { recursive: true, force: true }))
    let failure: Error | undefined
    const server = await startInFolder(place, {
      onFailed: error => {
        failure = error
      },
    })
    await server.internals.authenticator.create('romeo', 'localhost', PASSWORD)
    const romeo = await session(server, 'romeo')
    expect(server.internals.runtime.fault('/root/listeners', new Error('made by a test'))).toBe(true)
    await isToldOfAnError(romeo)
    await eventually(() => failure)
    expect(server.internals.store.isOpen).toBe(false)
    expect(server.status()).toMatchObject({ state: 'draining', connections: 0, sessions: 0 })
    await expect(clientOf(server)).rejects.toThrow()
    // The next server finds everything free.
    const next = await startInFolder(place, {})
    onTestFinished(() => next.stop())
    await session(next, 'romeo')
  })
})
