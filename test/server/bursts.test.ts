import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { componentOf, SECRET, servicePort, settled } from '../support/component.js'
import { freePort } from '../support/programs.js'
import { connectionOf, PASSWORD, recordedEvents, type Setup, session, startedServer } from '../support/server.js'

/*
 * What the server tells one recipient in one act counts as one stanza where `max_fsm_queue` limits how many may wait
 * (spec/listeners.md §1.10): a large room can be entered, and a long roster come online, by a client with a short queue.
 */

const LIMIT = 20
/** More than may wait. */
const MANY = 50
const room = 'tea@conference.localhost'
const muc = 'http://jabber.org/protocol/muc'
const crowd = 'crowd.localhost'

const friend = { name: '', subscription: 'both', ask: false, approved: false, groups: [] as string[] } as const
const numbers = Array.from({ length: MANY }, (_, number) => number)

/** Clients have a short queue; a component has as long a one as it needs, unless the test says otherwise. */
function started({ general = {}, ...setup }: Setup & { general?: object } = {}): Promise<TestServer> {
  return startedServer({
    users: ['romeo', 'juliet', 'nurse'],
    listener: { max_fsm_queue: LIMIT },
    modules: {
      mod_muc: { history_size: MANY },
      mod_roster: {},
      mod_ping: {},
      mod_blocking: {},
      mod_disco: {},
      mod_offline: {},
    },
    ...setup,
    config: {
      ...setup.config,
      general: { hosts: ['localhost'], ...general },
      listen: { service: [{ port: 0, ip_address: '127.0.0.1', password: SECRET, max_stanza_size: 1_000_000 }] },
    },
  })
}

const entrance = (nick: string, from?: string, inside = '') =>
  `<presence to='${room}/${nick}'${from === undefined ? '' : ` from='${from}'`}><x xmlns='${muc}'/>${inside}</presence>`

const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`
const fields = field('FORM_TYPE', `${muc}#roomconfig`) + field('muc#maxhistoryfetch', `${MANY}`)

/** Romeo's room, open. */
async function withRoom(server: TestServer): Promise<Client> {
  const romeo = await session(server, 'romeo', { priority: 0 })
  await romeo.send(entrance('Romeo'))
  await romeo.receives('<message><subject/></message>')
  await romeo.ask('set', `<query xmlns='${muc}#owner'><x xmlns='jabber:x:data' type='submit'>${fields}</x></query>`, {
    to: room,
  })
  return romeo
}

/** A component whose users enter the room one after the other, so that nothing but what they cause waits for it. */
async function crowded(server: TestServer, inside = ''): Promise<Client> {
  const component = await componentOf(servicePort(server), crowd)
  for (const number of numbers) {
    const from = `user${number}@${crowd}/r`
    await component.send(entrance(`n${number}`, from, inside))
    await component.receives(`<message to='${from}'><subject/></message>`)
  }
  await settled(component, crowd)
  return component
}

/** They see her and she them; and as many more have asked for that. */
async function befriended(server: TestServer, user: string, contacts: readonly string[], domain: string) {
  const { rosters } = server.internals.store
  await rosters.update(user, server.host, {
    put: contacts.map(contact => ({ ...friend, jid: `${contact}@${domain}` })),
    putRequests: contacts.map(contact => {
      const jid = `asking-${contact}@${domain}`
      return { jid, xml: `<presence type='subscribe' from='${jid}' to='${user}@${server.host}'/>` }
    }),
  })
  for (const contact of domain === server.host ? contacts : []) {
    await rosters.update(contact, domain, { put: [{ ...friend, jid: `${user}@${domain}` }] })
  }
}

/** What `of` finds in each of the next. */
async function next(client: Client, count: number, of: (attrs: Record<string, string>) => string): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) found.push(of((await client.receivesNext()).attrs))
  return found
}

const nickIn = ({ from = '' }: Record<string, string>) => from.slice(from.indexOf('/') + 1)
const nicks = numbers.map(number => `n${number}`)
/** Also more than may wait; each of them logs in. */
const contacts = numbers.slice(0, 30).map(number => `user${number}`)

describe('a client whose queue is short', () => {
  it('enters a large room: all presences, the history and the subject, in order, and then what is said', async () => {
    const server = await started()
    const romeo = await withRoom(server)
    await crowded(server)
    for (const number of numbers) {
      await romeo.send(`<message to='${room}' type='groupchat' id='m${number}'><body>x</body></message>`)
      await romeo.receives(`<message id='m${number}'/>`)
    }
    const juliet = await session(server, 'juliet')
    await juliet.send(entrance('Juliet'))
    await romeo.receives(`<presence from='${room}/Juliet'/>`)
    await romeo.send(`<message to='${room}' type='groupchat' id='news'><body>x</body></message>`)
    expect(await next(juliet, MANY + 2, nickIn)).toEqual(['Romeo', ...nicks, 'Juliet'])
    expect(await next(juliet, MANY, ({ id = '' }) => id)).toEqual(numbers.map(number => `m${number}`))
    expect((await juliet.receivesNext()).getChild('subject')).toBeDefined()
    expect((await juliet.receivesNext()).attrs.id).toBe('news')
    expect(connectionOf(server, juliet).waitingStanzas).toBe(0)
  })

  it('comes online with more contacts than may wait, and with more requests', async () => {
    const server = await started()
    await Promise.all(contacts.map(user => server.addUser(user, PASSWORD)))
    await befriended(server, 'juliet', contacts, 'localhost')
    for (const user of contacts) await session(server, user, { priority: 0, resource: 'r' })
    const juliet = await session(server, 'juliet', { priority: 0 })
    for (const user of contacts) {
      await juliet.receives(`<presence type='subscribe' from='asking-${user}@localhost'/>`)
      await juliet.receives(`<presence from='${user}@localhost/r'/>`)
    }
    // All of them at once are gone for who blocks the domain, and there again.
    await juliet.ask('set', `<block xmlns='urn:xmpp:blocking'><item jid='localhost'/></block>`)
    for (const user of contacts) await juliet.receives(`<presence type='unavailable' from='${user}@localhost/r'/>`)
    await juliet.ask('set', `<unblock xmlns='urn:xmpp:blocking'/>`)
    for (const user of contacts) await juliet.receives(`<presence from='${user}@localhost/r'/>`)
  }, 60_000)

  it('gets the messages that waited for it', async () => {
    const server = await started()
    const romeo = await session(server, 'romeo', { priority: 0 })
    for (const number of numbers) {
      await romeo.send(`<message to='juliet@localhost' type='chat' id='m${number}'><body>x</body></message>`)
    }
    await romeo.settled()
    const juliet = await session(server, 'juliet', { priority: 0 })
    for (const number of numbers) await juliet.receives(`<message id='m${number}'/>`)
  })
})

/** What fills the kernel's buffers, so that the server knows that the client does not read. */
async function stuck(server: TestServer, client: Client, sender: Client): Promise<void> {
  client.pause()
  const body = 'x'.repeat(50_000)
  for (let sent = 0; sent < 1_000; sent++) {
    await sender.send(`<message to='${client.jid}'><body>${body}</body></message>`)
    await sender.settled()
    if (connectionOf(server, client).details.isBlocked === true) return
  }
  throw new Error('the kernel takes more than 50 MB')
}

describe('a client that does not read', () => {
  it('is told who is in the room, as one stanza, and is ended by its limit; the room goes on for the others', async () => {
    const events = recordedEvents()
    const server = await started({ events })
    const romeo = await withRoom(server)
    const juliet = await session(server, 'juliet', { priority: 0 })
    await juliet.send(entrance('Juliet'))
    await juliet.receives('<message><subject/></message>')
    await crowded(server)
    for (const nick of nicks) await juliet.receives(`<presence from='${room}/${nick}'/>`)
    const nurse = await session(server, 'nurse', { priority: 0 })
    await stuck(server, juliet, nurse)
    // Who becomes an admin sees real addresses, and is told all of them.
    const admin = `<query xmlns='${muc}#admin'><item affiliation='admin' jid='juliet@localhost'/></query>`
    expect((await romeo.ask('set', admin, { to: room })).attrs.type).toBe('result')
    const waiting = connectionOf(server, juliet)
    expect(waiting.mailbox).toBeGreaterThan(MANY)
    for (let said = waiting.waitingStanzas; said <= LIMIT; said++) {
      expect(server.internals.sessions.byFull(juliet.jid!)).toBeDefined()
      await romeo.send(`<message to='${room}' type='groupchat' id='s${said}'><body>x</body></message>`)
      await romeo.receives(`<message id='s${said}'/>`)
    }
    await romeo.receives(`<presence from='${room}/Juliet' type='unavailable'/>`)
    const ended = events.records.filter(({ name }) => name === 'session.closed').map(({ fields }) => fields)
    expect(ended).toContainEqual({ jid: juliet.jid, reason: 'resource-constraint' })
  }, 60_000)

  it('gets all of it when it reads on in time', async () => {
    const server = await started()
    const romeo = await withRoom(server)
    const juliet = await session(server, 'juliet', { priority: 0 })
    await juliet.send(entrance('Juliet'))
    await juliet.receives('<message><subject/></message>')
    await crowded(server)
    for (const nick of nicks) await juliet.receives(`<presence from='${room}/${nick}'/>`)
    await stuck(server, juliet, await session(server, 'nurse', { priority: 0 }))
    await romeo.ask('set', `<query xmlns='${muc}#admin'><item affiliation='admin' jid='juliet@localhost'/></query>`, {
      to: room,
    })
    await romeo.send(`<message to='${room}' type='groupchat' id='news'><body>x</body></message>`)
    await romeo.receives(`<message id='news'/>`)
    juliet.resume()
    for (const number of numbers) {
      const item = `<item jid='user${number}@${crowd}/r'/>`
      await juliet.receives(`<presence from='${room}/n${number}'><x xmlns='${muc}#user'>${item}</x></presence>`)
    }
    await juliet.receives(`<message id='news'/>`)
  }, 60_000)

  it('is ended by the bytes of a burst, more than 16 MiB of them', async () => {
    const server = await started({ listener: { max_fsm_queue: LIMIT, max_stanza_size: 1_000_000 } })
    const romeo = await withRoom(server)
    for (const number of numbers.slice(0, 40)) {
      await romeo.send(
        `<message to='${room}' type='groupchat' id='m${number}'><body>${'x'.repeat(500_000)}</body></message>`,
      )
      await romeo.receives(`<message id='m${number}'/>`)
    }
    const juliet = await session(server, 'juliet', { priority: 0 })
    await juliet.send(entrance('Juliet'))
    await romeo.receives(`<presence from='${room}/Juliet'/>`)
    await romeo.receives(`<presence from='${room}/Juliet' type='unavailable'/>`)
    await juliet.closed()
  }, 60_000)
})

describe('a connection that serves many', () => {
  it('is a component with more occupants than may wait for it', async () => {
    const server = await started({ general: { max_fsm_queue: LIMIT } })
    const romeo = await withRoom(server)
    const component = await crowded(server)
    for (const id of ['one', 'two']) {
      await romeo.send(`<message to='${room}' type='groupchat' id='${id}'><body>x</body></message>`)
      for (const number of numbers) await component.receives(`<message id='${id}' to='user${number}@${crowd}/r'/>`)
    }
    // A subject that goes and comes, and the end of the room.
    await romeo.ask('set', `<query xmlns='${muc}#owner'><destroy/></query>`, { to: room })
    for (const nick of nicks) await component.receives(`<presence type='unavailable' from='${room}/${nick}'/>`)
    await settled(component, crowd)
  }, 60_000)

  it('is another server, with more contacts there than may wait for it', async () => {
    const [here, there] = [await freePort(), await freePort()]
    const federated = (own: number, host: string, other: number, domain: string, users: string[]) =>
      startedServer({
        users,
        listener: { max_fsm_queue: 1_000 },
        config: {
          general: { hosts: [host], max_fsm_queue: LIMIT },
          listen: { s2s: [{ port: own, ip_address: '127.0.0.1', num_acceptors: 2 }] },
          s2s: { address: [{ host: domain, ip_address: '127.0.0.1', port: other }] },
        },
      })
    const verona = await federated(here, 'verona.example', there, 'mantua.example', ['juliet'])
    const mantua = await federated(there, 'mantua.example', here, 'verona.example', [])
    await befriended(verona, 'juliet', contacts, 'mantua.example')
    await Promise.all(contacts.map(user => mantua.addUser(user, PASSWORD)))
    const clients: Client[] = []
    for (const user of contacts) {
      const item = { ...friend, jid: 'juliet@verona.example' }
      await mantua.internals.store.rosters.update(user, 'mantua.example', { put: [item] })
      clients.push(await session(mantua, user, { domain: 'mantua.example', priority: 0, resource: 'r' }))
    }
    // The stream is not there yet when she comes online.
    const juliet = await session(verona, 'juliet', { domain: 'verona.example', priority: 0, resource: 'r' })
    for (const client of clients) await client.receives(`<presence from='juliet@verona.example/r'/>`)
    for (const user of contacts) await juliet.receives(`<presence from='${user}@mantua.example/r'/>`)
    await juliet.send(`<presence type='unavailable'/>`)
    for (const client of clients) await client.receives(`<presence from='juliet@verona.example/r' type='unavailable'/>`)
  }, 60_000)
})
