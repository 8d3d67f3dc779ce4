import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { clientOf, connectionOf, eventually, PASSWORD, type Setup, session, startedServer } from '../support/server.js'

/*
 * What waits for a client that may come back (XEP-0198 §5) stands in the store too, so that it survives the server. DESIGN §7
 */

const sm = 'urn:xmpp:sm:3'
const users = ['romeo', 'juliet']
const bare = 'romeo@localhost'

const chat = (to: string, body: string, more = '') =>
  `<message to='${to}' type='chat'><body>${body}</body>${more}</message>`

async function enable(client: Client): Promise<string> {
  await client.send(`<enable xmlns='${sm}' resume='true'/>`)
  return String((await client.receives(`<enabled xmlns='${sm}'/>`)).attrs.id)
}

/** Romeo with sessions that can be resumed, and Juliet, who writes. */
async function setUp(resources = ['x'], setup: Setup = {}) {
  const clock = new ManualClock()
  const server = await startedServer({ users, clock, ...setup })
  const juliet = await session(server, 'juliet', { priority: 0 })
  const romeos: { client: Client; id: string }[] = []
  for (const resource of resources) {
    const client = await session(server, 'romeo', { resource, priority: 0 })
    romeos.push({ client, id: await enable(client) })
  }
  return { clock, server, juliet, romeos, romeo: romeos[0]! } // there is one at least
}

async function detached(server: TestServer, client: Client): Promise<void> {
  client.drop()
  await eventually(() => connectionOf(server, client).details.isDetached === true)
}

/** Goes on with a session of Romeo's. */
async function resumed(server: TestServer, { client, id }: { client: Client; id: string }, h: number): Promise<Client> {
  const again = await clientOf(server)
  await again.open()
  await again.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
  await again.open()
  await again.send(`<resume xmlns='${sm}' previd='${id}' h='${h}'/>`)
  await again.receives(`<resumed xmlns='${sm}'/>`)
  again.jid = client.jid
  return again
}

const acknowledge = (client: Client, h: number) => client.send(`<a xmlns='${sm}' h='${h}'/>`)
const waiting = (server: TestServer) => server.internals.store.offline.count('romeo', 'localhost')

/** Waits until so many messages stand in the store for Romeo. */
async function stored(server: TestServer, count: number): Promise<void> {
  const end = Date.now() + 10_000
  while ((await waiting(server)) !== count && Date.now() < end) await new Promise(resolve => setTimeout(resolve, 2))
  expect(await waiting(server)).toBe(count)
}

async function receives(client: Client, ...bodies: string[]): Promise<Element[]> {
  const found: Element[] = []
  for (const body of bodies) {
    const message = await client.receives('<message><body/></message>')
    expect(message.getChildText('body')).toBe(body)
    found.push(message)
  }
  return found
}

const expectNothing = (client: Client) => client.receivesNothing('<message/>')

describe('what waits for a client that may come back (XEP-0198 §5, DESIGN §7)', () => {
  it('is not stored while the client is there', async () => {
    const { server, juliet, romeo } = await setUp()
    await juliet.send(chat(romeo.client.jid!, 'x'))
    await juliet.settled()
    await receives(romeo.client, 'x')
    expect(await waiting(server)).toBe(0)
  })

  it('is stored before its sender has it acknowledged, whichever address it has', async () => {
    const { server, juliet, romeo } = await setUp()
    await enable(juliet)
    await detached(server, romeo.client)
    for (const [index, to] of [romeo.client.jid!, bare, `${bare}/other`].entries()) {
      const { offline } = server.internals.store
      const add = offline.add.bind(offline)
      let goOn = () => {}
      const isAsked = new Promise<void>(asked => {
        offline.add = async (...given) => {
          asked()
          await new Promise<void>(resolve => {
            goOn = resolve
          })
          return add(...given)
        }
      })
      await juliet.send(`${chat(to, 'x')}<r xmlns='${sm}'/>`)
      const answer = juliet.receives(`<a xmlns='${sm}'/>`)
      await isAsked
      const early = await Promise.race([answer, new Promise(resolve => setTimeout(() => resolve('none'), 100))])
      expect(early).toBe('none')
      goOn()
      expect((await answer).attrs.h).toBe(`${index + 1}`)
      expect(await waiting(server)).toBe(index + 1)
      offline.add = add
    }
  })

  it('goes when the client has acknowledged it after it came back, not before; it gets everything once and in order', async () => {
    const { server, juliet, romeo } = await setUp()
    await detached(server, romeo.client)
    for (const body of ['1', '2', '3']) await juliet.send(chat(romeo.client.jid!, body))
    await juliet.settled()
    expect(await waiting(server)).toBe(3)
    const again = await resumed(server, romeo, 0)
    await receives(again, '1', '2', '3')
    expect(await waiting(server)).toBe(3)
    await acknowledge(again, 2)
    await stored(server, 1)
    await acknowledge(again, 3)
    await stored(server, 0)
    await expectNothing(again)
    await again.send('<presence/>')
    await expectNothing(again)
  })

  it('is also what was sent before the client went and is not acknowledged; resuming with its count removes the rest', async () => {
    const { server, juliet, romeo } = await setUp()
    for (const body of ['1', '2', '3']) await juliet.send(chat(romeo.client.jid!, body))
    await receives(romeo.client, '1', '2', '3')
    await acknowledge(romeo.client, 1)
    await romeo.client.settled()
    await detached(server, romeo.client)
    await stored(server, 2)
    const again = await resumed(server, romeo, 2)
    await receives(again, '3')
    await stored(server, 1)
    await acknowledge(again, 4) // the answer to `settled` stands between
    await stored(server, 0)
  })

  it('is kept from other resources as long as the client may come back, and is theirs after that, once', async () => {
    const { clock, server, juliet, romeo } = await setUp()
    await detached(server, romeo.client)
    await juliet.send(chat(romeo.client.jid!, 'mine'))
    await juliet.settled()
    const other = await session(server, 'romeo', { resource: 'other', priority: 0 })
    await juliet.send(chat(bare, 'for both'))
    await juliet.settled()
    await receives(other, 'for both')
    await expectNothing(other)
    expect(await waiting(server)).toBe(1)
    clock.advance(601_000)
    const [message] = await receives(other, 'mine')
    expect(message!.getChildren('delay', 'urn:xmpp:delay')).toHaveLength(1)
    await stored(server, 0)
    await expectNothing(other)
  })

  it('waits as any offline message when the client does not come back, and is handed over in order', async () => {
    const { clock, server, juliet, romeo } = await setUp()
    await juliet.send(chat(romeo.client.jid!, '1'))
    await receives(romeo.client, '1')
    await detached(server, romeo.client)
    for (const body of ['2', '3']) await juliet.send(chat(bare, body))
    await juliet.settled()
    clock.advance(601_000)
    await eventually(() => server.status().sessions === 1)
    await stored(server, 3)
    const next = await session(server, 'romeo', { resource: 'next', priority: 0 })
    await receives(next, '1', '2', '3')
    await stored(server, 0)
  })

  it('is stored once for several sessions that wait; when one of the clients has it, it goes', async () => {
    const { clock, server, juliet, romeos } = await setUp(['x', 'y'])
    for (const { client } of romeos) await detached(server, client)
    await juliet.send(chat(bare, 'both'))
    await juliet.settled()
    expect(await waiting(server)).toBe(1)
    const again = await resumed(server, romeos[0]!, 0)
    await receives(again, 'both')
    await acknowledge(again, 2) // the other's presence came first
    await stored(server, 0)
    // The other's time is over.
    clock.advance(601_000)
    await eventually(() => server.status().sessions === 2)
    await expectNothing(again)
    expect(await waiting(server)).toBe(0)
  })

  it.each([
    ['a headline', "<message to='TO' type='headline'><body>x</body></message>"],
    [
      'a chat state',
      "<message to='TO' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    ],
    ['what must not be stored', chat('TO', 'x', "<no-store xmlns='urn:xmpp:hints'/>")],
    ['groupchat', "<message to='TO' type='groupchat'><body>x</body></message>"],
    ['an IQ', "<iq to='TO' type='get' id='q'><query xmlns='jabber:iq:version'/></iq>"],
  ])('is not stored where nobody would store it (XEP-0160 §3): %s', async (_, xml) => {
    const { server, juliet, romeo } = await setUp()
    await detached(server, romeo.client)
    await juliet.send(xml.replace('TO', romeo.client.jid!))
    await juliet.settled()
    expect(await waiting(server)).toBe(0)
    const again = await resumed(server, romeo, 0)
    await again.receives(xml.startsWith('<iq') ? "<iq id='q'/>" : '<message/>')
  })

  it('is no carbon copy: what another client of the account has is not stored again (XEP-0280)', async () => {
    const modules = { mod_offline: {}, mod_roster: {}, mod_carboncopy: {}, mod_stream_management: {} }
    const { server, juliet, romeo } = await setUp(['x'], { config: { modules } })
    await romeo.client.ask('set', "<enable xmlns='urn:xmpp:carbons:2'/>")
    const other = await session(server, 'romeo', { resource: 'other', priority: 5 })
    await detached(server, romeo.client)
    await juliet.send(chat(other.jid!, 'for the other'))
    await juliet.settled()
    await receives(other, 'for the other')
    expect(await waiting(server)).toBe(0)
  })

  it('is not stored when it comes from somebody who is blocked', async () => {
    const modules = { mod_offline: {}, mod_roster: {}, mod_blocking: {}, mod_stream_management: {} }
    const { server, juliet, romeo } = await setUp(['x'], { config: { modules } })
    await romeo.client.ask('set', `<block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/></block>`)
    await detached(server, romeo.client)
    await juliet.send(chat(romeo.client.jid!, 'x'))
    await juliet.send(chat(bare, 'x'))
    await juliet.settled()
    expect(await waiting(server)).toBe(0)
  })

  it('is refused with an error of type wait while the store does not answer, and its sender may try again', async () => {
    const { server, juliet, romeo } = await setUp()
    await detached(server, romeo.client)
    const { offline } = server.internals.store
    const add = offline.add.bind(offline)
    const { StoreUnavailable } = await import('../../src/storage/store.js')
    offline.add = async () => Promise.reject(new StoreUnavailable('away'))
    await juliet.send(chat(romeo.client.jid!, 'x'))
    const error = await juliet.receives("<message type='error'/>")
    expect(error.getChild('error')?.attrs.type).toBe('wait')
    offline.add = add
    await juliet.send(chat(romeo.client.jid!, 'again'))
    await juliet.settled()
    expect(await waiting(server)).toBe(1)
    await resumed(server, romeo, 0)
  })

  it('is counted and told of: sessions that wait, come back, and are given up', async () => {
    const { clock, server, romeos } = await setUp(['x', 'y'])
    for (const { client } of romeos) await detached(server, client)
    expect(server.status().counters).toMatchObject({ sessionsDetached: 2, sessionsDetachedNow: 2, sessionsNow: 3 })
    await resumed(server, romeos[0]!, 0)
    expect(server.status().counters).toMatchObject({ sessionsResumed: 1, sessionsDetachedNow: 1, sessionsLost: 0 })
    clock.advance(601_000)
    await eventually(() => server.status().sessions === 2)
    expect(server.status().counters).toMatchObject({ sessionsDetachedNow: 0, sessionsLost: 1, sessionsNow: 2 })
  })
})

describe('offline messages that were handed to a client that acknowledges (XEP-0160, XEP-0198)', () => {
  const offline = async () => {
    const server = await startedServer({ users })
    const juliet = await session(server, 'juliet', { priority: 0 })
    for (const body of ['1', '2', '3']) await juliet.send(chat(bare, body))
    await juliet.settled()
    const client = await session(server, 'romeo', { resource: 'x' })
    const id = await enable(client)
    await client.send('<presence/>')
    await receives(client, '1', '2', '3')
    return { server, juliet, client, id }
  }

  it('stay in the store until it has them, and go to nobody else', async () => {
    const { server, client } = await offline()
    expect(await waiting(server)).toBe(3)
    const other = await session(server, 'romeo', { resource: 'other', priority: 0 })
    await expectNothing(other)
    await acknowledge(client, 4) // its own presence is one of them
    await stored(server, 0)
    await expectNothing(other)
  })

  it('stay there, and wait for the next, when it goes without a word', async () => {
    const { server, client } = await offline()
    await client.close()
    await stored(server, 3)
    const next = await session(server, 'romeo', { resource: 'next', priority: 0 })
    const messages = await receives(next, '1', '2', '3')
    for (const message of messages) expect(message.getChildren('delay', 'urn:xmpp:delay')).toHaveLength(1)
    await stored(server, 0)
  })

  it('come again when it resumes, once', async () => {
    const { server, client, id } = await offline()
    await detached(server, client)
    const again = await resumed(server, { client, id }, 2)
    await receives(again, '2', '3')
    await acknowledge(again, 4)
    await stored(server, 0)
    await expectNothing(again)
  })
})
