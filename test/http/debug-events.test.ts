import { describe, expect, it } from 'vitest'
import { ask, debugListener, EventReader } from '../support/debug-client.js'
import { actorsOfKind, eventually, session, startedServer } from '../support/server.js'

const start = (more: object = {}) => startedServer({ users: ['romeo'], config: { listen: debugListener }, ...more })
const at = (path: string) => encodeURIComponent(path)

/** Until it works, for ten seconds at most. */
async function again<T>(attempt: () => Promise<T>): Promise<T> {
  const end = Date.now() + 10_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > end) throw error
    }
  }
}

describe('actors/events', () => {
  it('tells of a connection that comes, faults with its cause, and ends', async () => {
    const server = await start()
    const reader = await EventReader.open(server, 'actors/events')
    expect(await reader.until('hello')).toMatchObject({ rate: 100 })
    await session(server, 'romeo')
    const [connection] = actorsOfKind(server, 'Connection')
    const path = connection!.path
    expect(await reader.until('spawned', { path })).toMatchObject({ kind: 'Connection', at: expect.any(Number) })
    server.internals.runtime.fault(path, new Error('made by a test'))
    const cause = 'Error: made by a test'
    expect(await reader.until('faulted', { path })).toMatchObject({ during: 'receive', cause, action: 'stop' })
    expect(await reader.until('stopped', { path })).toMatchObject({ reason: 'fault' })
  })

  it('tells of an acceptor that is restarted, and only of the types and the part that were asked for', async () => {
    const server = await start()
    const [acceptor, other] = actorsOfKind(server, 'Acceptor')
    const { path } = acceptor!
    const reader = await EventReader.open(server, `actors/events?types=restarted,faulted&path=${at(path)}`)
    await reader.until('hello')
    server.internals.runtime.fault(other!.path, new Error('elsewhere'))
    server.internals.runtime.fault(path, new Error('here'))
    expect(await reader.until('restarted', { path })).toMatchObject({ kind: 'Acceptor', restarts: 1 })
    expect(new Set(reader.events.map(({ event }) => event))).toEqual(new Set(['hello', 'faulted', 'restarted']))
    expect(reader.named('faulted')).toHaveLength(1)
  })

  it('leaves out what is above the rate and says how much, but never a fault', async () => {
    const server = await start()
    const reader = await EventReader.open(server, 'actors/events?rate=1&types=hibernated,stopped,spawned,faulted')
    await reader.until('hello')
    const clients = await Promise.all(Array.from({ length: 5 }, () => session(server, 'romeo')))
    const [connection] = actorsOfKind(server, 'Connection')
    server.internals.runtime.fault(connection!.path, new Error('made by a test'))
    for (const client of clients) client.drop()
    await reader.until('faulted', { path: connection!.path })
    const told = await reader.until('left-out')
    expect(told).toMatchObject({ counts: expect.any(Object), total: expect.any(Number) })
    expect(told.total).toBeGreaterThan(0)
  })

  it('tells of a mailbox that is full, and of who comes to rest', async () => {
    const server = await start({ config: { listen: debugListener, general: { max_fsm_queue: 3 } } })
    const reader = await EventReader.open(server, 'actors/events?types=overflowed,hibernated,stopped')
    await reader.until('hello')
    await session(server, 'romeo')
    const { path } = actorsOfKind(server, 'Connection')[0]!
    await reader.until('hibernated', { path })
    const connection = server.internals.runtime.find(path) as unknown as {
      pauseStanzas(): void
      tellStanza(message: unknown): boolean
    }
    connection.pauseStanzas()
    for (let i = 0; i < 4; i++) connection.tellStanza({ type: 'goOn' })
    expect(await reader.until('overflowed', { path })).toMatchObject({ kind: 'Connection', waiting: 3, limit: 3 })
    expect(await reader.until('stopped', { path })).toMatchObject({ reason: 'queue-limit' })
  })

  it('costs the runtime nothing once nobody listens', async () => {
    const server = await start()
    const { runtime } = server.internals
    expect(runtime.observer).toBeUndefined()
    const readers = [await EventReader.open(server, 'actors/events'), await EventReader.open(server, 'actors/events')]
    await Promise.all(readers.map(reader => reader.until('hello')))
    expect(runtime.observer).toBeDefined()
    for (const reader of readers) reader.drop()
    await eventually(() => runtime.observer === undefined)
  })

  it('takes 16 streams at a time, and the next again when one has ended', async () => {
    const server = await start()
    const readers: EventReader[] = []
    for (let i = 0; i < 16; i++) readers.push(await EventReader.open(server, 'actors/events'))
    expect(await ask(server, 'summary/events')).toMatchObject({ status: 503, json: { error: expect.any(String) } })
    readers[0]!.drop()
    await again(() => EventReader.open(server, 'summary/events'))
  })

  it('ends when the server stops', async () => {
    const server = await start()
    const reader = await EventReader.open(server, 'actors/events')
    await reader.until('hello')
    const stopped = server.stop()
    await reader.closed()
    await stopped
  })
})
