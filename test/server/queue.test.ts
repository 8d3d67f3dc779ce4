import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { available, connectionOf, drained, eventually, type Setup, session, startedServer } from '../support/server.js'

const isOnline = (server: TestServer, jid: string) => server.internals.sessions.byFull(jid) !== undefined
const bodies = (client: Client, count: number) =>
  Promise.all(Array.from({ length: count }, async () => (await client.receives('<message/>')).getChildText('body')))

/** Juliet stops reading and so much was sent to her that the next stanza has to wait. Time stands still, so that no watchdog helps. */
async function stuckReader(setup: Setup) {
  const server = await startedServer({ users: ['romeo', 'juliet'], clock: new ManualClock(), ...setup })
  const juliet = await session(server, 'juliet', { resource: 'stuck', priority: 5 })
  const romeo = await session(server, 'romeo', { resource: 'r', priority: 0 })
  juliet.pause()
  const filler = 'x'.repeat(250_000)
  let fillers = 0
  while (!connectionOf(server, juliet).details.isBlocked) {
    await romeo.send(`<message to='juliet@localhost/stuck' type='chat'><body>${filler}</body></message>`)
    await romeo.settled()
    fillers++
  }
  const send = async (from: number, to: number, address = 'juliet@localhost') => {
    for (let i = from; i < to; i++) {
      await romeo.send(`<message to='${address}' type='chat'><body>${i}</body></message>`)
    }
    await romeo.settled()
  }
  return { server, juliet, romeo, send, fillers }
}

describe('max_fsm_queue (§1.10)', () => {
  it('lets as many stanzas wait as it says, shown in the tree, and ends the connection at one more', async () => {
    const { server, juliet, send, fillers } = await stuckReader({ listener: { max_fsm_queue: 10 } })
    await send(0, 10)
    expect(connectionOf(server, juliet)).toMatchObject({ waitingStanzas: 10, mailbox: 10, mailboxPeak: 10 })
    expect(server.internals.runtime.counters.overflows).toBe(0)
    await send(10, 11)
    await eventually(() => !isOnline(server, 'juliet@localhost/stuck'))
    expect(server.internals.runtime.counters.overflows).toBe(1)
    expect(server.status()).toMatchObject({ sessions: 1, connections: 1 })
    // What was with the socket comes, then why there is no more.
    juliet.resume()
    await bodies(juliet, fillers)
    await juliet.streamError('resource-constraint')
    await expect(juliet.receives('<message/>')).rejects.toThrow('before the connection was closed')
  })

  it('has what could not be delivered kept for the next session, in order', async () => {
    const { server, send } = await stuckReader({ listener: { max_fsm_queue: 10 } })
    await send(0, 11)
    while ((await server.internals.store.offline.count('juliet', 'localhost')) < 11);
    const again = await session(server, 'juliet', { resource: 'again' })
    await again.send('<presence/>')
    const came = await bodies(again, 11)
    expect(came.map(Number).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    // The one that was too many found another way before the others did.
    expect(came.filter(body => body !== '10').map(Number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await again.receivesNothing('<message/>')
  })

  it('has it brought to another resource of the account that is there', async () => {
    const { server, send } = await stuckReader({ listener: { max_fsm_queue: 10 } })
    const other = await session(server, 'juliet', { resource: 'other', priority: 1 })
    await send(0, 11, 'juliet@localhost/stuck')
    expect((await bodies(other, 11)).map(Number).sort((a, b) => a - b)).toEqual([...Array(11).keys()])
    await other.receivesNothing('<message/>')
  })

  it('has it brought there one by one: the other resource may have a shorter queue', async () => {
    const { server, send } = await stuckReader({ listeners: [{ max_fsm_queue: 40 }, { max_fsm_queue: 3 }] })
    const other = await session({ port: server.addresses[1]!.port }, 'juliet', { resource: 'other', priority: 1 })
    await send(0, 41, 'juliet@localhost/stuck')
    expect((await bodies(other, 41)).map(Number).sort((a, b) => a - b)).toEqual([...Array(41).keys()])
    await other.settled()
  })

  it('gives a message to all resources of a priority once, also when one of them ends', async () => {
    const { server, juliet, send } = await stuckReader({ listener: { max_fsm_queue: 10 } })
    const other = await session(server, 'juliet', { resource: 'other', priority: 5 })
    await send(0, 5)
    expect(await bodies(other, 5)).toEqual(['0', '1', '2', '3', '4'])
    juliet.drop()
    await eventually(() => !isOnline(server, 'juliet@localhost/stuck'))
    await other.receives('<presence type="unavailable" from="juliet@localhost/stuck"/>')
    await other.receivesNothing('<message/>')
  })

  it('tells contacts that the session is gone, and leaves the sender and others alone', async () => {
    const { server, romeo, send } = await stuckReader({ listener: { max_fsm_queue: 3 } })
    const watcher = await session(server, 'juliet', { resource: 'watcher', priority: 1 })
    await send(0, 4, 'juliet@localhost/stuck')
    await watcher.receives('<presence type="unavailable" from="juliet@localhost/stuck"/>')
    await romeo.settled()
  })

  it('is no limit where nobody sets one: the session survives and gets everything in order', async () => {
    const { server, juliet, send, fillers } = await stuckReader({})
    await send(0, 500)
    expect(connectionOf(server, juliet).waitingStanzas).toBe(500)
    juliet.resume()
    await bodies(juliet, fillers)
    expect((await bodies(juliet, 500)).map(Number)).toEqual([...Array(500).keys()])
    await juliet.settled()
    expect(server.internals.runtime.counters.overflows).toBe(0)
  })

  it('comes from general.max_fsm_queue where the listener has none of its own', async () => {
    const general = { hosts: ['localhost'], max_fsm_queue: 4 }
    const one = await stuckReader({ config: { general } })
    await one.send(0, 4)
    expect(isOnline(one.server, 'juliet@localhost/stuck')).toBe(true)
    await one.send(4, 5)
    await eventually(() => !isOnline(one.server, 'juliet@localhost/stuck'))
    const two = await stuckReader({ config: { general }, listener: { max_fsm_queue: 6 } })
    await two.send(0, 6)
    expect(isOnline(two.server, 'juliet@localhost/stuck')).toBe(true)
  })
})

describe('16 MiB waiting to be written (§1.9)', () => {
  it('end the connection with resource-constraint; others talk on and what waited is kept', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'], clock: new ManualClock() })
    const juliet = await session(server, 'juliet', { resource: 'stuck', priority: 1 })
    const romeo = await session(server, 'romeo', { priority: 1 })
    juliet.pause()
    const body = 'x'.repeat(4 * 1024 * 1024)
    let sent = 0
    // Twice the ceiling is well above what the kernel takes besides.
    while (isOnline(server, 'juliet@localhost/stuck') && sent < 12) {
      await romeo.send(`<message to='juliet@localhost' type='chat'><body>${body}</body></message>`)
      await romeo.settled()
      sent++
    }
    await eventually(() => !isOnline(server, 'juliet@localhost/stuck'))
    juliet.resume()
    const error = await juliet.receives('<stream:error/>')
    expect(error.getChild('resource-constraint')).toBeDefined()
    juliet.drop()
    await romeo.settled()
  })
})

describe('hibernate_after (§1.8)', () => {
  it('0: a connection hibernates at the end of the drain that handled a stanza, each time', async () => {
    const server = await startedServer({ users: ['romeo'], clock: new ManualClock() })
    const romeo = await session(server, 'romeo')
    await eventually(() => connectionOf(server, romeo).state === 'hibernated')
    const { hibernations, messages } = connectionOf(server, romeo)
    expect(hibernations).toBeGreaterThan(0)
    await romeo.send('<presence/>')
    await eventually(() => connectionOf(server, romeo).messages > messages)
    await eventually(() => connectionOf(server, romeo).state === 'hibernated')
    expect(connectionOf(server, romeo).hibernations).toBeGreaterThan(hibernations)
    await romeo.settled()
  })

  it('200: a connection is awake 100 ms after a stanza, hibernates after 300 ms, and answers afterwards', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ users: ['romeo'], clock, listener: { hibernate_after: 200 } })
    const romeo = await session(server, 'romeo')
    const pass = async (ms: number) => {
      await drained(server)
      clock.advance(ms)
      await drained(server)
    }
    const state = () => connectionOf(server, romeo).state
    await pass(100)
    expect(state()).toBe('idle')
    expect(connectionOf(server, romeo).hibernations).toBe(0)
    await pass(200)
    expect(state()).toBe('hibernated')
    expect(connectionOf(server, romeo).hibernations).toBe(1)
    await romeo.send('<presence/> '.repeat(20))
    await romeo.settled()
    expect(state()).not.toBe('hibernated')
    await pass(100)
    expect(state()).toBe('idle')
    await pass(300)
    expect(state()).toBe('hibernated')
    expect(connectionOf(server, romeo).hibernations).toBe(2)
    await romeo.settled()
  })

  it('a hibernated session is delivered to as ever', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ users: ['romeo', 'juliet'], clock, listener: { hibernate_after: 200 } })
    const juliet = await session(server, 'juliet', { priority: 1 })
    const romeo = await session(server, 'romeo')
    await drained(server)
    for (let i = 0; i < 30; i++) clock.advance(200)
    expect(connectionOf(server, juliet).state).toBe('hibernated')
    await romeo.send(`<message to='${juliet.jid}'><body>awake?</body></message>`)
    await juliet.receives('<message><body>awake?</body></message>')
    await available(juliet, 2)
  })
})
