import { describe, expect, it, vi } from 'vitest'
import { mucOptions, unsupportedMuc } from '../../src/modules/muc-options.js'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { componentOf, servicePort } from '../support/component.js'
import { eventually, recordedEvents, type Setup, session, startedServer } from '../support/server.js'
import { world } from '../support/world.js'

/*
 * Rooms through sockets: what the rules say stands in test/protocols/muc; here is what the service, the rooms' actors and the store do.
 */

const service = 'conference.localhost'
const room = `tea@${service}`
const NS = 'http://jabber.org/protocol/muc'
const branch = '/root/modules/mod_muc-localhost/rooms'

const users = ['romeo', 'juliet', 'nurse', 'tybalt']

async function setUp(options: object = {}, setup: Setup = {}) {
  const server = await startedServer({
    users,
    modules: { mod_muc: options, mod_disco: {}, mod_ping: {}, mod_roster: {} },
    ...setup,
  })
  return server
}

const enters = (nick: string, to = room, inside = '') =>
  `<presence to='${to}/${nick}'><x xmlns='${NS}'><history maxstanzas='0'/>${inside}</x></presence>`

/** Enters and waits for the own presence. */
async function enter(client: Client, nick: string, to = room): Promise<void> {
  await client.send(enters(nick, to))
  await client.receives(`<presence from='${to}/${nick}'><x xmlns='${NS}#user'><status code='110'/></x></presence>`)
  await client.receives(`<message type='groupchat'><subject/></message>`)
}

/** What its owner wants a room to be. */
function configuration(fields: Record<string, string>): string {
  const values = Object.entries(fields).map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`)
  const type = `<field var='FORM_TYPE'><value>${NS}#roomconfig</value></field>`
  const form = `<x xmlns='jabber:x:data' type='submit'>${values.length > 0 ? type : ''}${values.join('')}</x>`
  return `<query xmlns='${NS}#owner'>${form}</query>`
}

/** Accepts the default configuration, or another. XEP-0045 §10.1 */
async function open(client: Client, fields: Record<string, string> = {}, to = room): Promise<void> {
  const answer = await client.ask('set', configuration(fields), { to })
  expect(answer.attrs.type, `${answer}`).toBe('result')
}

/** Romeo has made the room and is in it. */
async function withRoom(server: TestServer, fields: Record<string, string> = {}): Promise<Client> {
  const romeo = await session(server, 'romeo', { resource: 'orchard', priority: 1 })
  await enter(romeo, 'Romeo')
  await open(romeo, fields)
  return romeo
}

const persistent = { 'muc#roomconfig_persistentroom': '1' }
const setUpRoom = async (fields: Record<string, string> = {}, options: object = {}, setup: Setup = {}) => {
  const server = await setUp(options, setup)
  return { server, romeo: await withRoom(server, fields) }
}

/** The room has handled whatever the client sent it before. XEP-0410 */
const settledIn = (client: Client, nick: string, to = room) =>
  client.ask('get', `<ping xmlns='urn:xmpp:ping'/>`, { to: `${to}/${nick}` })

const conditionOf = (answer: { getChild(name: string): unknown }) => String(answer.getChild('error'))

describe('a room', () => {
  it('is made by who enters it first, and belongs to him (XEP-0045 §10.1)', async () => {
    const server = await setUp()
    const romeo = await session(server, 'romeo', { priority: 1 })
    await romeo.send(enters('Romeo'))
    const own = await romeo.receives(`<presence from='${room}/Romeo'/>`)
    const codes = own.getChild('x', `${NS}#user`)!.getChildren('status')
    expect(codes.map(status => status.attrs.code).sort()).toEqual(['110', '201'])
    expect(`${own}`).toContain('affiliation="owner"')
    await open(romeo)
    const juliet = await session(server, 'juliet', { priority: 1 })
    await enter(juliet, 'Juliet')
    await romeo.receives(
      `<presence from='${room}/Juliet'><x xmlns='${NS}#user'><item role='participant'/></x></presence>`,
    )
  })

  it('passes each message on to all occupants, in one order (XEP-0045 §7.4)', async () => {
    const { server, romeo } = await setUpRoom()
    const juliet = await session(server, 'juliet', { priority: 1 })
    await enter(juliet, 'Juliet')
    const text = (nick: string, index: number) => `<body>${nick} &amp; ${index}</body>`
    const nick = { Romeo: romeo, Juliet: juliet }
    for (const [name, client] of Object.entries(nick)) {
      const said = Array.from(
        { length: 20 },
        (_, index) => `<message to='${room}' type='groupchat'>${text(name, index)}</message>`,
      )
      await client.send(said.join(''))
    }
    const heard = async (client: Client) => {
      const bodies: string[] = []
      for (let count = 0; count < 40; count++) {
        const message = await client.receives(`<message type='groupchat'><body/></message>`)
        expect(message.attrs.to).toBe(client.jid)
        const body = message.getChildText('body')!
        expect(message.attrs.from).toBe(`${room}/${body.split(' ')[0]}`)
        bodies.push(body)
      }
      return bodies
    }
    const [one, other] = [await heard(romeo), await heard(juliet)]
    expect(one).toEqual(other)
    expect(one.filter(body => body.startsWith('Romeo'))).toEqual(Array.from({ length: 20 }, (_, i) => `Romeo & ${i}`))
  })

  it('lets its owner kick and ban; who is banned stays out (XEP-0045 §8.2, §9.1)', async () => {
    const { server, romeo } = await setUpRoom()
    const juliet = await session(server, 'juliet', { priority: 1 })
    await enter(juliet, 'Juliet')
    const admin = (item: string) => romeo.ask('set', `<query xmlns='${NS}#admin'>${item}</query>`, { to: room })
    await admin(`<item nick='Juliet' role='none'><reason>hush</reason></item>`)
    await juliet.receives(
      `<presence from='${room}/Juliet' type='unavailable'><x xmlns='${NS}#user'><status code='307'/></x></presence>`,
    )
    await enter(juliet, 'Juliet')
    const banned = await admin(`<item jid='${juliet.bareJid}' affiliation='outcast'/>`)
    expect(banned.attrs.type).toBe('result')
    await juliet.receives(
      `<presence from='${room}/Juliet' type='unavailable'><x xmlns='${NS}#user'><status code='301'/></x></presence>`,
    )
    await juliet.send(enters('Juliet'))
    await juliet.receives(
      `<presence from='${room}/Juliet' type='error'><error><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    )
  })

  it('asks for the password, and for membership (XEP-0045 §7.2.5, §7.2.6)', async () => {
    const { server, romeo } = await setUpRoom({
      'muc#roomconfig_passwordprotectedroom': '1',
      'muc#roomconfig_roomsecret': 'mercutio',
    })
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send(enters('Juliet'))
    await juliet.receives(
      `<presence type='error'><error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    )
    await juliet.send(enters('Juliet', room, '<password>mercutio</password>'))
    await juliet.receives(`<presence from='${room}/Juliet'><x xmlns='${NS}#user'><status code='110'/></x></presence>`)
    await open(romeo, { 'muc#roomconfig_membersonly': '1' })
    await juliet.receives(
      `<presence from='${room}/Juliet' type='unavailable'><x xmlns='${NS}#user'><status code='322'/></x></presence>`,
    )
    await juliet.send(enters('Juliet', room, '<password>mercutio</password>'))
    await juliet.receives(
      `<presence type='error'><error><registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    )
  })

  it('passes on private messages and invitations (XEP-0045 §7.5, §7.8.2)', async () => {
    const { server, romeo } = await setUpRoom({ 'muc#roomconfig_allowinvites': '1' })
    const juliet = await session(server, 'juliet', { priority: 1 })
    const nurse = await session(server, 'nurse', { priority: 1 })
    await enter(juliet, 'Juliet')
    await juliet.send(`<message to='${room}/Romeo' type='chat'><body>psst</body></message>`)
    await romeo.receives(`<message from='${room}/Juliet' type='chat'><body>psst</body></message>`)
    await juliet.send(`<message to='${room}'><x xmlns='${NS}#user'><invite to='${nurse.bareJid}'/></x></message>`)
    await nurse.receives(`<message from='${room}'><x xmlns='${NS}#user'><invite/></x></message>`)
  })

  it('is left by who loses its connection, or logs out (RFC 6121 §4.6.3)', async () => {
    const { server, romeo } = await setUpRoom()
    const juliet = await session(server, 'juliet', { priority: 1 })
    const nurse = await session(server, 'nurse')
    await enter(juliet, 'Juliet')
    await enter(nurse, 'Nurse')
    juliet.drop()
    await romeo.receives(`<presence from='${room}/Juliet' type='unavailable'/>`)
    await nurse.send('</stream:stream>')
    await romeo.receives(`<presence from='${room}/Nurse' type='unavailable'/>`)
  })

  it('is left by who has changed its nick, too', async () => {
    const { server, romeo } = await setUpRoom()
    const juliet = await session(server, 'juliet', { priority: 1 })
    await enter(juliet, 'Juliet')
    await juliet.send(`<presence to='${room}/Jules'/>`)
    await romeo.receives(`<presence from='${room}/Jules'/>`)
    juliet.drop()
    await romeo.receives(`<presence from='${room}/Jules' type='unavailable'/>`)
  })

  it('answers the ping of an occupant to himself, and nobody else’s (XEP-0410)', async () => {
    const { server, romeo } = await setUpRoom()
    expect((await settledIn(romeo, 'Romeo')).attrs.type).toBe('result')
    const juliet = await session(server, 'juliet', { priority: 1 })
    expect(conditionOf(await settledIn(juliet, 'Juliet'))).toContain('not-acceptable')
  })
})

describe('a room that there is not', () => {
  it('is not found by anything but a presence for a nick', async () => {
    const server = await setUp()
    const romeo = await session(server, 'romeo', { priority: 1 })
    await romeo.send(`<message to='${room}' type='groupchat' id='m'><body>?</body></message>`)
    expect(conditionOf(await romeo.receives(`<message type='error' id='m'/>`))).toContain('item-not-found')
    const info = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`, { to: room })
    expect(conditionOf(info)).toContain('item-not-found')
    await romeo.send(`<presence to='${room}/Romeo' type='unavailable'/>`)
    await romeo.receivesNothing(`<presence type='error'/>`)
    await eventually(() => server.tree(branch)?.childCount === 0)
  })
})

describe('a room at rest', () => {
  it('is gone for good when it is temporary and the last one leaves (XEP-0045 §10.1.1)', async () => {
    const { server, romeo } = await setUpRoom()
    await romeo.send(`<presence to='${room}/Romeo' type='unavailable'/>`)
    await romeo.receives(`<presence from='${room}/Romeo' type='unavailable'/>`)
    await eventually(() => server.tree(branch)?.childCount === 0)
    expect(await server.internals.store.muc.load(service, 'tea')).toBeUndefined()
    await romeo.send(enters('Romeo'))
    await romeo.receives(`<presence from='${room}/Romeo'><x xmlns='${NS}#user'><status code='201'/></x></presence>`)
  })

  it('costs what the store costs and no actor: 300 of them; who enters finds it as it was', async () => {
    const clock = new ManualClock()
    const server = await setUp(
      { hibernate_timeout: 1000, max_user_conferences: 0, default_room: { persistent: true } },
      { clock },
    )
    const romeo = await session(server, 'romeo', { priority: 1 })
    const names = Array.from({ length: 300 }, (_, index) => `r${index}@${service}`)
    for (const name of names) {
      await romeo.send(enters('Romeo', name))
      await romeo.receives(`<presence from='${name}/Romeo'><x xmlns='${NS}#user'><status code='201'/></x></presence>`)
      await open(romeo, {}, name)
    }
    await romeo.send(`<message to='${names[7]}' type='groupchat'><subject>Tea at five</subject></message>`)
    await romeo.send(`<message to='${names[7]}' type='groupchat'><body>Hello</body></message>`)
    await romeo.receives(`<message from='${names[7]}/Romeo'><body>Hello</body></message>`)
    expect(server.tree(branch)?.childCount).toBe(300)
    for (const name of names) {
      await romeo.send(`<presence to='${name}/Romeo' type='unavailable'/>`)
      await romeo.receives(`<presence from='${name}/Romeo' type='unavailable'/>`)
    }
    await eventually(() => {
      clock.advance(500)
      return server.tree(branch)?.childCount === 0
    })
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send(`<presence to='${names[7]}/Juliet'><x xmlns='${NS}'/></presence>`)
    const own = await juliet.receives(`<presence from='${names[7]}/Juliet'/>`)
    expect(`${own}`).toContain('affiliation="none"')
    await juliet.receives(
      `<message from='${names[7]}/Romeo'><body>Hello</body><delay xmlns='urn:xmpp:delay'/></message>`,
    )
    await juliet.receives(`<message><subject>Tea at five</subject></message>`)
    expect(server.tree(branch)?.childCount).toBe(1)
  })

  it('keeps who is what, and how it is set up, when the server stops', async () => {
    const { server, romeo } = await setUpRoom({ ...persistent, 'muc#roomconfig_roomname': 'The Tea Room' })
    await romeo.ask('set', `<query xmlns='${NS}#admin'><item affiliation='admin' jid='juliet@localhost'/></query>`, {
      to: room,
    })
    const stored = await server.internals.store.muc.load(service, 'tea')
    expect(stored?.affiliations.sort((a, b) => (a.jid < b.jid ? -1 : 1))).toEqual([
      { jid: 'juliet@localhost', affiliation: 'admin' },
      { jid: 'romeo@localhost', affiliation: 'owner' },
    ])
    expect(stored?.configuration).toMatchObject({
      config: { name: 'The Tea Room', isPersistent: true },
      isLocked: false,
    })
  })
})

describe('a room that fails (DESIGN §2)', () => {
  const failing = async (fields: Record<string, string>) => {
    const events = recordedEvents()
    const { server, romeo } = await setUpRoom(fields, {}, { events })
    const juliet = await session(server, 'juliet', { priority: 1 })
    await enter(juliet, 'Juliet')
    const fault = () => expect(server.internals.runtime.fault(`${branch}/tea`, new Error('made by a test'))).toBe(true)
    return { server, romeo, juliet, fault, events }
  }

  it.each([
    ['persistent', persistent],
    ['temporary', {}],
  ])(
    'starts again from the store; occupants of a %s one are told, stay connected and enter again',
    async (_, fields) => {
      const { romeo, juliet, fault, server } = await failing(fields)
      fault()
      for (const [client, nick] of [
        [romeo, 'Romeo'],
        [juliet, 'Juliet'],
      ] as const) {
        await client.receives(
          `<presence from='${room}/${nick}' type='unavailable'><x xmlns='${NS}#user'><status code='110'/><status code='332'/></x></presence>`,
        )
      }
      await enter(romeo, 'Romeo')
      await enter(juliet, 'Juliet')
      await romeo.send(`<message to='${room}' type='groupchat'><body>again</body></message>`)
      await juliet.receives(`<message from='${room}/Romeo'><body>again</body></message>`)
      expect(server.status().connections).toBe(2)
    },
  )

  it('takes no other room with it, however often it fails', async () => {
    const { server, romeo, juliet, fault } = await failing(persistent)
    const other = `other@${service}`
    await enter(romeo, 'Romeo', other)
    for (let count = 0; count < 6; count++) {
      await eventually(() => server.tree(`${branch}/tea`) !== undefined)
      fault()
    }
    await juliet.receives(`<presence from='${room}/Juliet' type='unavailable'/>`)
    expect((await settledIn(romeo, 'Romeo', other)).attrs.type).toBe('result')
    await enter(juliet, 'Juliet')
  })
})

describe('the service', () => {
  it('says what it is, and lists the public rooms page by page (XEP-0045 §6.1, §6.3, XEP-0059)', async () => {
    const server = await setUp({ default_room: { persistent: true } })
    const romeo = await session(server, 'romeo', { priority: 1 })
    for (const name of ['a', 'b', 'c']) {
      await enter(romeo, 'Romeo', `${name}@${service}`)
      await open(romeo, { 'muc#roomconfig_roomname': name.toUpperCase() }, `${name}@${service}`)
    }
    await enter(romeo, 'Romeo', `hidden@${service}`)
    await open(romeo, { 'muc#roomconfig_publicroom': '0' }, `hidden@${service}`)
    await enter(romeo, 'Romeo', `locked@${service}`)
    const info = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`, { to: service })
    expect(`${info}`).toContain(NS)
    const items = async (set = '') => {
      const query = `<query xmlns='http://jabber.org/protocol/disco#items'>${set}</query>`
      const answer = (await romeo.ask('get', query, { to: service })).getChild('query')!
      return answer.getChildren('item').map(item => `${item.attrs.jid?.split('@')[0]} ${item.attrs.name}`)
    }
    const set = (inside: string) => `<set xmlns='http://jabber.org/protocol/rsm'>${inside}</set>`
    expect(await items()).toEqual(['a A', 'b B', 'c C'])
    expect(await items(set('<max>2</max>'))).toEqual(['a A', 'b B'])
    expect(await items(set(`<max>2</max><after>b@${service}</after>`))).toEqual(['c C'])
    expect(await items(set('<max>1</max><before/>'))).toEqual(['c C'])
    const hosts = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#items'/>`, { to: 'localhost' })
    expect(`${hosts}`).toContain(service)
  })

  it('tells who has no right to it (access, access_create)', async () => {
    const setup = {
      config: {
        acl: { lords: [{ user: 'romeo' }], outcasts: [{ user: 'tybalt' }] },
        access: {
          muc: [
            { acl: 'outcasts', value: 'deny' },
            { acl: 'all', value: 'allow' },
          ],
          muc_create: [{ acl: 'lords', value: 'allow' }],
        },
      },
    }
    const { server } = await setUpRoom({}, { access: 'muc', access_create: 'muc_create' }, setup)
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send(enters('Juliet', `other@${service}`))
    expect(conditionOf(await juliet.receives(`<presence type='error'/>`))).toContain('not-allowed')
    await enter(juliet, 'Juliet')
    const tybalt = await session(server, 'tybalt', { priority: 1 })
    await tybalt.send(enters('Tybalt'))
    expect(conditionOf(await tybalt.receives(`<presence type='error'/>`))).toContain('forbidden')
  })

  it('lets the operator’s admins into every room (access_admin)', async () => {
    const setup = {
      config: { acl: { admins: [{ user: 'nurse' }] }, access: { muc_admin: [{ acl: 'admins', value: 'allow' }] } },
    }
    const fields = { 'muc#roomconfig_membersonly': '1' }
    const { server } = await setUpRoom(fields, { access_admin: 'muc_admin' }, setup)
    const nurse = await session(server, 'nurse', { priority: 1 })
    await nurse.send(enters('Nurse'))
    const own = await nurse.receives(
      `<presence from='${room}/Nurse'><x xmlns='${NS}#user'><status code='110'/></x></presence>`,
    )
    expect(`${own}`).toContain('affiliation="owner"')
  })

  it('limits the rooms that a user is in (max_user_conferences)', async () => {
    const { romeo } = await setUpRoom({}, { max_user_conferences: 2 })
    await enter(romeo, 'Romeo', `two@${service}`)
    await romeo.send(enters('Romeo', `three@${service}`))
    expect(conditionOf(await romeo.receives(`<presence type='error'/>`))).toContain('resource-constraint')
    await romeo.send(`<presence to='${room}/Romeo' type='unavailable'/>`)
    await romeo.receives(`<presence from='${room}/Romeo' type='unavailable'/>`)
    await enter(romeo, 'Romeo', `three@${service}`)
  })

  it('limits the name of a new room (max_room_id)', async () => {
    const { romeo } = await setUpRoom({}, { max_room_id: 3 })
    await romeo.send(enters('Romeo', `four@${service}`))
    expect(conditionOf(await romeo.receives(`<presence type='error'/>`))).toContain('not-allowed')
  })

  it('sets new rooms up as it is told (default_room)', async () => {
    const default_room = {
      title: 'Verona',
      members_only: true,
      affiliations: [{ user: 'juliet', server: 'localhost', affiliation: 'member' }],
      subject: 'Two households',
      subject_author: 'Chorus',
    }
    const { server } = await setUpRoom({}, { default_room })
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send(enters('Juliet'))
    await juliet.receives(
      `<presence from='${room}/Juliet'><x xmlns='${NS}#user'><item affiliation='member'/></x></presence>`,
    )
    await juliet.receives(`<message from='${room}/Chorus'><subject>Two households</subject></message>`)
    const nurse = await session(server, 'nurse', { priority: 1 })
    await nurse.send(enters('Nurse'))
    expect(conditionOf(await nurse.receives(`<presence type='error'/>`))).toContain('registration-required')
  })

  it('holds a message back that comes too soon, and refuses the one behind it (min_message_interval)', async () => {
    const clock = new ManualClock()
    const { romeo } = await setUpRoom({}, { min_message_interval: 5 }, { clock })
    for (const id of ['one', 'two', 'three']) {
      await romeo.send(`<message to='${room}' type='groupchat' id='${id}'><body>${id}</body></message>`)
    }
    await romeo.receives(`<message from='${room}/Romeo' id='one'/>`)
    expect(conditionOf(await romeo.receives(`<message type='error' id='three'/>`))).toContain('resource-constraint')
    await settledIn(romeo, 'Romeo')
    await romeo.receivesNothing(`<message id='two'/>`)
    clock.advance(6_000)
    await romeo.receives(`<message from='${room}/Romeo' id='two'/>`)
  })

  it('forgets an account that is removed', async () => {
    const modules = { mod_muc: {}, mod_register: { ip_access: [] } }
    const { server, romeo } = await setUpRoom(persistent, {}, { modules })
    await romeo.ask('set', `<query xmlns='${NS}#admin'><item affiliation='admin' jid='juliet@localhost'/></query>`, {
      to: room,
    })
    const juliet = await session(server, 'juliet')
    const answer = await juliet.ask('set', `<query xmlns='jabber:iq:register'><remove/></query>`)
    expect(answer.attrs.type).toBe('result')
    const { muc } = server.internals.store
    await vi.waitFor(async () => expect(await muc.affiliated(service, 'juliet@localhost')).toEqual([]), 10_000)
    expect((await muc.load(service, 'tea'))?.affiliations).toEqual([{ jid: 'romeo@localhost', affiliation: 'owner' }])
  })
})

describe('options that limit', () => {
  const shaper = { config: { shaper: { slow: { max_rate: 200 } } } }
  const long = 'x'.repeat(1000)
  const message = (id: string) => `<message to='${room}' type='groupchat' id='${id}'><body>${long}</body></message>`
  const shows = (id: string) => `<presence to='${room}/Romeo'><status>${id}${long}</status></presence>`
  const heard = (id: string) => `<message from='${room}/Romeo' id='${id}'/>`
  const seen = (id: string) => `<presence from='${room}/Romeo'><status>${id}${long}</status></presence>`

  it.each([
    ['room_shaper', { room_shaper: 'slow' }, message, heard],
    ['user_message_shaper', { user_message_shaper: 'slow' }, message, heard],
    ['user_presence_shaper', { user_presence_shaper: 'slow' }, shows, seen],
    ['min_presence_interval', { min_presence_interval: 5 }, shows, seen],
  ])('%s: what comes too fast waits', async (_, options, make, back) => {
    const clock = new ManualClock()
    const { romeo } = await setUpRoom({}, options, { clock, ...shaper })
    clock.advance(60_000)
    await romeo.send(make('one'))
    await romeo.receives(back('one'))
    await romeo.send(make('two'))
    await settledIn(romeo, 'Romeo')
    await romeo.receivesNothing(back('two'))
    clock.advance(60_000)
    await romeo.receives(back('two'))
  })

  it('history_size: who enters gets so many messages', async () => {
    const { server, romeo } = await setUpRoom({}, { history_size: 2 })
    for (const id of ['a', 'b', 'c']) {
      await romeo.send(`<message to='${room}' type='groupchat' id='${id}'><body>${id}</body></message>`)
    }
    await settledIn(romeo, 'Romeo')
    const juliet = await session(server, 'juliet', { priority: 1 })
    await juliet.send(`<presence to='${room}/Juliet'><x xmlns='${NS}'/></presence>`)
    await juliet.receives(`<message id='b'><delay xmlns='urn:xmpp:delay'/></message>`)
    await juliet.receives(`<message id='c'><delay xmlns='urn:xmpp:delay'/></message>`)
    await settledIn(juliet, 'Juliet')
    await juliet.receivesNothing(`<message id='a'/>`)
  })

  it.each([
    ['max_room_name', 'muc#roomconfig_roomname'],
    ['max_room_desc', 'muc#roomconfig_roomdesc'],
  ])('%s: a longer one is refused', async (option, field) => {
    const { romeo } = await setUpRoom({}, { [option]: 3 })
    const answer = await romeo.ask('set', configuration({ [field]: 'four' }), { to: room })
    expect(conditionOf(answer)).toContain('not-acceptable')
    await open(romeo, { [field]: 'two' })
  })

  it('max_users and max_users_admin_threshold: a full room takes only so many admins more', async () => {
    const { server, romeo } = await setUpRoom({}, { max_users: 1, max_users_admin_threshold: 1 })
    for (const user of ['juliet', 'nurse', 'tybalt']) {
      if (user === 'tybalt') continue
      await romeo.ask('set', `<query xmlns='${NS}#admin'><item affiliation='admin' jid='${user}@localhost'/></query>`, {
        to: room,
      })
    }
    const tybalt = await session(server, 'tybalt', { priority: 1 })
    await tybalt.send(enters('Tybalt'))
    expect(conditionOf(await tybalt.receives(`<presence type='error'/>`))).toContain('service-unavailable')
    await enter(await session(server, 'juliet', { priority: 1 }), 'Juliet')
    const nurse = await session(server, 'nurse', { priority: 1 })
    await nurse.send(enters('Nurse'))
    expect(conditionOf(await nurse.receives(`<presence type='error'/>`))).toContain('service-unavailable')
  })

  it('access_persistent: others may not make a room persistent', async () => {
    const { romeo } = await setUpRoom({}, { access_persistent: 'none' })
    await romeo.ask('set', configuration(persistent), { to: room })
    const info = await romeo.ask('get', `<query xmlns='http://jabber.org/protocol/disco#info'/>`, { to: room })
    expect(`${info}`).toContain('muc_temporary')
  })

  it('hibernated_room_timeout and hibernated_room_check_interval: when an empty room leaves memory', async () => {
    const clock = new ManualClock()
    const options = { hibernate_timeout: 1_000, hibernated_room_timeout: 500, hibernated_room_check_interval: 10_000 }
    const { server, romeo } = await setUpRoom(persistent, options, { clock })
    await romeo.send(`<presence to='${room}/Romeo' type='unavailable'/>`)
    await romeo.receives(`<presence from='${room}/Romeo' type='unavailable'/>`)
    clock.advance(9_000)
    await romeo.settled()
    expect(server.tree(branch)?.childCount).toBe(1)
    clock.advance(1_500)
    await eventually(() => server.tree(branch)?.childCount === 0)
  })

  it('what is not supported is named', () => {
    const named = (options: object) => unsupportedMuc(mucOptions.parse(options)).map(({ path }) => path.join('.'))
    expect(named({})).toEqual([])
    expect(named({ http_auth_pool: 'none', load_permanent_rooms_at_startup: false })).toEqual([])
    const all = { http_auth_pool: 'muc', load_permanent_rooms_at_startup: true, default_room: { logging: true } }
    expect(named(all)).toEqual(['http_auth_pool', 'load_permanent_rooms_at_startup', 'default_room.logging'])
  })
})

describe('an occupant that is a component', () => {
  it('takes part, and is out when it cannot be reached any more (XEP-0045 §14.1)', async () => {
    const config = { listen: { service: [{ port: 0, ip_address: '127.0.0.1', password: 'secret' }] } }
    const { server, romeo } = await setUpRoom({}, {}, { config })
    const bot = await componentOf(servicePort(server), 'bot.localhost')
    await bot.send(`<presence from='iris@bot.localhost/1' to='${room}/Iris'><x xmlns='${NS}'/></presence>`)
    await bot.receives(`<presence from='${room}/Iris' to='iris@bot.localhost/1'/>`)
    await romeo.receives(`<presence from='${room}/Iris'/>`)
    await romeo.send(`<message to='${room}' type='groupchat'><body>Hello</body></message>`)
    await bot.receives(`<message from='${room}/Romeo' to='iris@bot.localhost/1'><body>Hello</body></message>`)
    bot.drop()
    await eventually(() => {
      void romeo.send(`<message to='${room}' type='groupchat'><body>?</body></message>`)
      return server.internals.runtime !== undefined && server.status().connections === 1
    })
    await romeo.send(`<message to='${room}' type='groupchat'><body>Still here?</body></message>`)
    await romeo.receives(`<presence from='${room}/Iris' type='unavailable'/>`)
  })
})

describe('the archive of a room (XEP-0313)', () => {
  const modules = { mod_muc: {}, mod_mam_meta: { muc: { host: 'conference.@HOST@' } } }
  const ask = (client: Client) => client.ask('set', `<query xmlns='urn:xmpp:mam:2' queryid='q'/>`, { to: room })

  it('has what was said before anybody hears it; its id is in the message, and a failing room loses nothing', async () => {
    const { server, romeo } = await setUpRoom(persistent, {}, { modules })
    await romeo.send(`<message to='${room}' type='groupchat'><body>Hello</body></message>`)
    const said = await romeo.receives(`<message from='${room}/Romeo'><body>Hello</body></message>`)
    const id = said.getChild('stanza-id', 'urn:xmpp:sid:0')
    expect(id?.attrs.by).toBe(room)
    server.internals.runtime.fault(`${branch}/tea`, new Error('made by a test'))
    await romeo.receives(`<presence from='${room}/Romeo' type='unavailable'/>`)
    await enter(romeo, 'Romeo')
    expect((await ask(romeo)).attrs.type).toBe('result')
    await romeo.receives(
      `<message from='${room}'><result xmlns='urn:xmpp:mam:2' queryid='q' id='${id?.attrs.id}'/></message>`,
    )
  })

  it('is not for who may not enter', async () => {
    const { server } = await setUpRoom({ 'muc#roomconfig_membersonly': '1' }, {}, { modules })
    const juliet = await session(server, 'juliet', { priority: 1 })
    expect(conditionOf(await ask(juliet))).toContain('forbidden')
    const answer = await juliet.ask('set', `<query xmlns='urn:xmpp:mam:2'/>`, { to: `none@${service}` })
    expect(conditionOf(answer)).toContain('item-not-found')
  })
})

describe('a store that does not answer', () => {
  const host = 'montague.example'
  const tea = `tea@conference.${host}`
  const configure = (name: string) =>
    `<iq type='set' id='${name}' to='${tea}'>${configuration({ 'muc#roomconfig_roomname': name })}</iq>`

  it('refuses what it would have to keep, and the room is as it was', async () => {
    const server = world({ modules: { mod_muc: {} } })
    const { store } = server
    const romeo = await (await server.connect(`romeo@${host}/x`)).arrives()
    const comes = async (...parts: string[]) => {
      const arrived: string[] = []
      await vi.waitFor(() => {
        arrived.push(...romeo.take())
        const isThere = arrived.some(xml => parts.every(part => xml.includes(part)))
        expect(isThere, `${parts} in ${arrived}`).toBe(true)
      }, 10_000)
    }
    await romeo.sends(enters('Romeo', tea))
    await comes('<subject')
    await romeo.sends(configure('one'))
    await comes('id="one"', 'type="result"')
    store.isFailing = true
    await romeo.sends(configure('two'))
    await comes('id="two"', 'type="error"', 'resource-constraint')
    store.isFailing = false
    await romeo.sends(
      `<iq type='get' id='info' to='${tea}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    )
    await comes('id="info"', 'name="one"')
    await romeo.sends(`<message to='${tea}' type='groupchat'><body>Hello</body></message>`)
    await comes('<body>Hello</body>')
    expect(server.bugs).toEqual([])
  })
})
