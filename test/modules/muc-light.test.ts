import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { mucLight } from '../../src/modules/muc-light.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { PASSWORD, session, startedServer } from '../support/server.js'
import { expectXml, world } from '../support/world.js'
import { parseXml } from '../support/xml.js'

/*
 * Light group chat over sockets. Titles name the ids of spec/muc-light.md.
 */

const ns = 'urn:xmpp:muclight:0'
const domain = 'muclight.localhost'
const tea = `tea@${domain}`
const at = (user: string) => `${user}@localhost`

interface Party {
  server: Awaited<ReturnType<typeof startedServer>>
  hare: Client
  alice: Client
  hatter: Client
}

/** Three users who are online, and the options of the service. */
async function party(options: object = {}, more: readonly string[] = []): Promise<Party> {
  const server = await startedServer({
    users: ['hare', 'alice', 'hatter', ...more],
    modules: {
      mod_muc_light: options,
      mod_disco: {},
      mod_ping: {},
      mod_roster: { versioning: true },
      mod_offline: {},
      mod_register: {},
    },
  })
  const [hare, alice, hatter] = await Promise.all(
    ['hare', 'alice', 'hatter'].map(user => session(server, user, { resource: 'x', priority: 0 })),
  )
  return { server, hare: hare!, alice: alice!, hatter: hatter! }
}

const user = (jid: string, affiliation: string) => `<user affiliation="${affiliation}">${jid}</user>`
const query = (part: string, content = '') => `<query xmlns="${ns}#${part}">${content}</query>`
const creation = (...users: string[]) => query('create', `<occupants>${users.join('')}</occupants>`)

const get = (client: Client, part: string, content = '', to = tea) => client.ask('get', query(part, content), { to })
const set = (client: Client, part: string, content = '', to = tea) => client.ask('set', query(part, content), { to })

/** The condition of an error answer; `result` for an answer that is none. */
function outcome(answer: Element): string {
  if (answer.attrs.type === 'result') return 'result'
  return answer.getChild('error')?.getChildElements()[0]?.getName() ?? answer.toString()
}

/** Waits for a notice of a room, by the part that it is about. */
async function notice(client: Client, part: string, from = tea): Promise<Element> {
  const message = await client.receives(
    `<message type="groupchat" from="${from}"><x xmlns="${ns}#${part}"/><body/></message>`,
  )
  return message.getChild('x', `${ns}#${part}`)!
}

const usersIn = (parent: Element | undefined) =>
  (parent?.getChildren('user') ?? []).map(item => `${item.attrs.affiliation} ${item.getText()}`)

const affiliations = async (client: Client, to = tea) =>
  usersIn((await get(client, 'affiliations', '', to)).getChild('query', `${ns}#affiliations`))

const configuration = async (client: Client, to = tea) => {
  const found = (await get(client, 'configuration', '', to)).getChild('query', `${ns}#configuration`)
  return Object.fromEntries((found?.getChildElements() ?? []).map(field => [field.getName(), field.getText()]))
}

/** A room `tea` of hare's, with members; what its making told everybody is taken. */
async function room({ hare, alice, hatter }: Party, ...members: string[]): Promise<string> {
  expect(outcome(await hare.ask('set', creation(...members.map(name => user(at(name), 'member'))), { to: tea }))).toBe(
    'result',
  )
  const told = await notice(hare, 'affiliations')
  const clients = { alice, hatter }
  for (const name of members) if (name in clients) await notice(clients[name as 'alice'], 'affiliations')
  return told.getChildText('version')!
}

describe('messages (§5.1)', () => {
  it('ML-11: every occupant, the sender too, gets one copy with all its children', async () => {
    const all = await party()
    await room(all, 'alice', 'hatter')
    await all.alice.send(
      `<message type="groupchat" to="${tea}" id="k1" xml:lang="de"><subject>s</subject><body>hi</body><extra xmlns="urn:x">1</extra></message>`,
    )
    for (const client of [all.hare, all.alice, all.hatter]) {
      const copy = await client.receives(
        `<message type="groupchat" from="${tea}/${at('alice')}" id="k1" xml:lang="de"><subject>s</subject><body>hi</body><extra xmlns="urn:x">1</extra></message>`,
      )
      expect(copy.attrs.to).toBe(client.bareJid)
      await client.receivesNothing('<message/>')
    }
  })

  it('ML-11: a message without an id gets one', async () => {
    const all = await party()
    await room(all)
    await all.hare.send(`<message type="groupchat" to="${tea}"><body>hi</body></message>`)
    expect((await all.hare.receives('<message><body>hi</body></message>')).attrs.id).toMatch(/^\d+-\d+-\d+$/)
  })

  it('ML-11, §12: copies go to bare JIDs, so priority decides who of an occupant’s clients shows them', async () => {
    const all = await party()
    await room(all, 'alice')
    const phone = await session(all.server, 'alice', { resource: 'phone', priority: 5 })
    const watch = await session(all.server, 'alice', { resource: 'watch', priority: -1 })
    await all.hare.send(`<message type="groupchat" to="${tea}" id="k"><body>hi</body></message>`)
    await phone.receives('<message id="k"/>')
    await all.hare.receives('<message id="k"/>')
    await all.alice.receivesNothing('<message id="k"/>')
    await watch.receivesNothing('<message id="k"/>')
  })

  it('ML-12: who is away misses it; nobody is told of an error', async () => {
    const all = await party({}, ['dormouse'])
    await room(all, 'dormouse')
    await all.hare.send(`<message type="groupchat" to="${tea}" id="k"><body>hi</body></message>`)
    await all.hare.receives('<message type="groupchat" id="k"/>')
    await all.hare.receivesNothing('<message type="error"/>')
    const dormouse = await session(all.server, 'dormouse', { priority: 0 })
    await dormouse.receivesNothing('<message/>')
  })

  it('ML-11: a room of a hundred gives everybody who is there the same payload', async () => {
    const all = await party()
    const ghosts = Array.from({ length: 100 }, (_, index) => user(at(`ghost${index}`), 'member'))
    expect(outcome(await all.hare.ask('set', creation(user(at('alice'), 'member'), ...ghosts), { to: tea }))).toBe(
      'result',
    )
    const payload = '<body>żółć &amp; &lt;</body><x xmlns="urn:x"><![CDATA[a<b]]></x>'
    await all.hare.send(`<message type="groupchat" to="${tea}" id="k">${payload}</message>`)
    for (const client of [all.hare, all.alice]) {
      await client.receives('<message id="k"><body>żółć &amp; &lt;</body><x xmlns="urn:x">a&lt;b</x></message>')
    }
  })
})

describe('addressing and errors (§4)', () => {
  it('ML-5: a room has no resources', async () => {
    const all = await party()
    await room(all)
    expect(outcome(await all.hare.ask('get', query('info'), { to: `${tea}/x` }))).toBe('bad-request')
    await all.hare.send(`<message type="groupchat" id="m" to="${tea}/x"><body>hi</body></message>`)
    await all.hare.receives(
      '<message type="error" id="m"><error type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>',
    )
  })

  it('ML-6: presence is not answered', async () => {
    const all = await party()
    await room(all)
    for (const to of [tea, `${tea}/hare`, domain, `nothing@${domain}`]) await all.hare.send(`<presence to="${to}"/>`)
    await all.hare.settled()
    await all.hare.receivesNothing()
  })

  it('ML-7, ML-10: messages of other types are refused without their content, errors are ignored', async () => {
    const all = await party()
    await room(all, 'alice')
    for (const type of ['', ' type="chat"', ' type="headline"', ' type="normal"']) {
      await all.hare.send(`<message${type} id="m" to="${tea}"><body>hi</body></message>`)
      const error = await all.hare.receives('<message type="error" id="m"/>')
      expect(error.getChildElements().map(child => child.getName())).toEqual(['error'])
      expect(error.getChild('error')?.attrs.type).toBe('modify')
      expect(outcome(error)).toBe('bad-request')
    }
    await all.hare.send(`<message type="error" id="e" to="${tea}"><body>hi</body></message>`)
    await all.hare.send(`<message type="error" id="e" to="nothing@${domain}"><body>hi</body></message>`)
    await all.hare.settled()
    await all.hare.receivesNothing('<message/>')
    await all.alice.receivesNothing('<message/>')
  })

  it('ML-8: whether a room exists is not revealed to who is not in it', async () => {
    const all = await party()
    await room(all)
    const answers = async (to: string) => {
      const requests = [
        get(all.alice, 'info', '', to),
        get(all.alice, 'configuration', '', to),
        get(all.alice, 'affiliations', '', to),
        set(all.alice, 'configuration', '<subject>x</subject>', to),
        set(all.alice, 'configuration', '<nonsense>x</nonsense>', to),
        set(all.alice, 'affiliations', user(at('alice'), 'member'), to),
        set(all.alice, 'affiliations', user(at('alice'), 'nonsense'), to),
        set(all.alice, 'destroy', '', to),
      ]
      const found = (await Promise.all(requests)).map(answer => answer.getChild('error')!.toString())
      await all.alice.send(`<message type="groupchat" id="m" to="${to}"><body>hi</body></message>`)
      return [...found, (await all.alice.receives('<message type="error" id="m"/>')).getChild('error')!.toString()]
    }
    const there = await answers(tea)
    expect(there).toEqual(await answers(`nothing@${domain}`))
    for (const error of there) expect(error).toMatch(/^<error code="404" type="cancel"><item-not-found /)
  })

  it('ML-9: one error each', async () => {
    const all = await party()
    await room(all, 'alice')
    expect(outcome(await set(all.alice, 'destroy'))).toBe('not-allowed')
    expect(outcome(await set(all.hare, 'affiliations', user('@', 'member')))).toBe('bad-request')
    expect(outcome(await set(all.hare, 'affiliations', '<user>x@y</user>'))).toBe('bad-request')
    expect(outcome(await set(all.hare, 'create'))).toBe('conflict')
    expect(outcome(await all.hare.ask('get', '<query xmlns="urn:unknown"/>', { to: tea }))).toBe(
      'feature-not-implemented',
    )
    expect(outcome(await all.hare.ask('get', '<query xmlns="urn:unknown"/>', { to: domain }))).toBe(
      'feature-not-implemented',
    )
    expect(outcome(await get(all.hare, 'create'))).toBe('bad-request')
    expect(outcome(await all.hare.ask('set', `<other xmlns="${ns}#destroy"/>`, { to: tea }))).toBe('bad-request')
    for (const part of ['configuration', 'affiliations', 'destroy']) {
      expect(outcome(await set(all.hare, part, '', domain)), part).toBe('bad-request')
    }
    expect(outcome(await get(all.hare, 'info', '', domain))).toBe('bad-request')
    expect(outcome(await get(all.hare, 'blocking', '', tea))).toBe('bad-request')
    await all.hare.send(`<message type="groupchat" id="m" to="${domain}"><body>hi</body></message>`)
    expect(outcome(await all.hare.receives('<message type="error" id="m"/>'))).toBe('bad-request')
  })
})

describe('creation (§5.2)', () => {
  it('ML-13, ML-14, ML-15: a room of a given name tells its occupants before its maker gets the result', async () => {
    const { hare, alice } = await party()
    await hare.send(
      `<iq type="set" id="c1" to="${tea}">${query('create', `<configuration><roomname>Tea</roomname></configuration><occupants>${user(at('alice'), 'member')}</occupants>`)}</iq>`,
    )
    const first = await hare.receivesNext()
    expect([first.getName(), first.attrs.id, first.attrs.from, first.attrs.type]).toEqual([
      'message',
      'c1',
      tea,
      'groupchat',
    ])
    expect(usersIn(first.getChild('x'))).toEqual([`owner ${at('hare')}`])
    expect(first.getChild('body')?.getText()).toBe('')
    expect(first.getChild('x')?.getChild('prev-version')).toBeUndefined()
    const result = await hare.receivesNext()
    expect([result.attrs.type, result.attrs.from, result.getChildElements().length]).toEqual(['result', tea, 0])
    expect(usersIn(await notice(alice, 'affiliations'))).toEqual([`member ${at('alice')}`])
    expect(await configuration(hare)).toMatchObject({ roomname: 'Tea', subject: '' })
    expect(outcome(await hare.ask('set', creation(), { to: tea }))).toBe('conflict')
  })

  it('ML-13, ML-15: a room that the server names has its result from the service', async () => {
    const { hare } = await party()
    const result = await hare.ask('set', query('create'), { to: domain })
    expect([result.attrs.type, result.attrs.from]).toEqual(['result', domain])
    const message = await hare.receives(`<message type="groupchat" id="${result.attrs.id}"/>`)
    expect(message.attrs.from).toMatch(/^\d+-\d+-\d+@muclight\.localhost$/)
    expect(await configuration(hare, message.attrs.from)).toMatchObject({ roomname: 'Untitled', subject: '' })
  })

  it('ML-4: fifty rooms made at once by the service have fifty names, also in a clock that stands', async () => {
    const server = await startedServer({
      users: ['hare'],
      modules: { mod_muc_light: {}, mod_ping: {} },
      clock: new ManualClock(),
    })
    const hare = await session(server, 'hare', { priority: 0 })
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => hare.ask('set', query('create'), { to: domain })),
    )
    expect(answers.map(outcome)).toEqual(Array.from({ length: 50 }, () => 'result'))
    const rooms = []
    for (let at = 0; at < 50; at += 1) rooms.push((await hare.receives('<message type="groupchat"/>')).attrs.from)
    expect(new Set(rooms).size).toBe(50)
  })

  const hare = at('hare')
  const alice = at('alice')
  it.each([
    ['creator listed', {}, creation(user(hare, 'member'))],
    ['creator listed in another spelling', {}, creation(user('HARE@LocalHost/x', 'member'))],
    ['affiliation none', {}, creation(user(alice, 'none'))],
    ['unknown affiliation', {}, creation(user(alice, 'admin'))],
    ['no affiliation', {}, query('create', `<occupants><user>${alice}</user></occupants>`)],
    ['no user', {}, query('create', `<occupants><guest affiliation="member">${alice}</guest></occupants>`)],
    ['the same user twice', {}, creation(user(alice, 'member'), user('Alice@localhost', 'member'))],
    ['two owners', {}, creation(user(alice, 'owner'), user(at('hatter'), 'owner'))],
    ['owner with equal_occupants', { equal_occupants: true }, creation(user(alice, 'owner'))],
    ['unknown field', {}, query('create', '<configuration><colour>x</colour></configuration>')],
    ['field version', {}, query('create', '<configuration><version>x</version></configuration>')],
    ['a long value', {}, query('create', `<configuration><roomname>${'x'.repeat(251)}</roomname></configuration>`)],
    ['text between elements', {}, query('create', '<configuration>x<subject>x</subject></configuration>')],
    ['too many occupants', { max_occupants: 2 }, creation(user(alice, 'member'), user(at('hatter'), 'member'))],
  ])('ML-16: %s', async (_, options, content) => {
    const all = await party(options)
    const answer = await all.hare.ask('set', content, { to: tea })
    expect(outcome(answer)).toBe('bad-request')
    expect(answer.getChild('error')?.attrs.type).toBe('modify')
    expect(outcome(await get(all.hare, 'info'))).toBe('item-not-found')
    await all.alice.receivesNothing('<message/>')
  })

  it('ML-16: an unknown field is named', async () => {
    const all = await party()
    const answer = await set(all.hare, 'create', '<configuration><colour>x</colour></configuration>')
    expect(answer.getChild('error')?.getChildText('text')).toBe('colour:unknown')
  })

  it('ML-16, ML-24, §12: rooms_per_user counts memberships; the creator is refused, others are left out', async () => {
    const all = await party({ rooms_per_user: 1 })
    await room(all, 'alice')
    expect(outcome(await set(all.hare, 'create', '', `other@${domain}`))).toBe('bad-request')
    expect(outcome(await all.hatter.ask('set', creation(user(alice, 'member')), { to: `other@${domain}` }))).toBe(
      'result',
    )
    expect(await affiliations(all.hatter, `other@${domain}`)).toEqual([`owner ${at('hatter')}`])
    await all.alice.receivesNothing('<message/>')
  })

  it('ML-17: a listed owner owns, and who blocks the creator is left out', async () => {
    const all = await party()
    await set(all.hatter, 'blocking', `<user action="deny">${hare}</user>`, domain)
    const content = creation(user(alice, 'owner'), user(at('hatter'), 'member'))
    expect(outcome(await all.hare.ask('set', content, { to: tea }))).toBe('result')
    expect(await affiliations(all.hare)).toEqual([`owner ${alice}`, `member ${hare}`])
    await all.hatter.receivesNothing('<message/>')
  })

  it('§2: equal_occupants makes the creator a member', async () => {
    const all = await party({ equal_occupants: true })
    await room(all, 'alice')
    expect(await affiliations(all.hare)).toEqual([`member ${alice}`, `member ${hare}`])
    expect(outcome(await set(all.hare, 'destroy'))).toBe('not-allowed')
    expect(outcome(await set(all.hare, 'affiliations', user(alice, 'owner')))).toBe('bad-request')
  })

  it('ML-1: equal_occupants does not switch all_can_invite on', async () => {
    const all = await party({ equal_occupants: true })
    await room(all)
    expect(outcome(await set(all.hare, 'affiliations', user(alice, 'member')))).toBe('not-allowed')
  })
})

describe('configuration (§5.3)', () => {
  it('ML-18: is not told to who knows the version; an empty version differs', async () => {
    const all = await party()
    const version = await room(all, 'alice')
    expect((await get(all.alice, 'configuration', `<version>${version}</version>`)).getChildElements()).toEqual([])
    for (const known of ['', '<version/>', '<version>old</version>']) {
      const found = (await get(all.alice, 'configuration', known)).getChild('query', `${ns}#configuration`)
      expect(found?.getChildElements().map(child => [child.getName(), child.getText()])).toEqual([
        ['version', version],
        ['roomname', 'Untitled'],
        ['subject', ''],
      ])
    }
  })

  it('ML-19: members change the subject alone, the owner every field', async () => {
    const all = await party()
    await room(all, 'alice')
    const asked = (client: Client, content: string) => set(client, 'configuration', content).then(outcome)
    expect(await asked(all.alice, '<subject>s</subject>')).toBe('result')
    expect(await asked(all.alice, '<subject>s</subject><roomname>r</roomname>')).toBe('not-allowed')
    expect(await asked(all.alice, '<roomname>r</roomname>')).toBe('not-allowed')
    expect(await asked(all.hare, '<roomname>a</roomname><roomname>b</roomname>')).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ roomname: 'b', subject: 's' })
    for (const field of ['colour', 'version', 'prev-version']) {
      expect(await asked(all.hare, `<${field}>x</${field}>`), field).toBe('bad-request')
    }
    expect(await configuration(all.hare)).toMatchObject({ roomname: 'b', subject: 's' })
  })

  it('a value has as many characters as fit into MongooseIM’s database, whatever their bytes', async () => {
    const all = await party()
    await room(all, 'alice')
    const subject = (text: string) => set(all.alice, 'configuration', `<subject>${text}</subject>`)
    expect(outcome(await subject('🐿'.repeat(250)))).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ subject: '🐿'.repeat(250) })
    const answer = await subject('🐿'.repeat(251))
    expect(outcome(answer)).toBe('bad-request')
    expect(answer.getChild('error')?.getChildText('text')).toBe('subject:too long')
    expect(await configuration(all.hare)).toMatchObject({ subject: '🐿'.repeat(250) })
  })

  it('ML-19: all_can_configure lets members change every field', async () => {
    const all = await party({ all_can_configure: true })
    await room(all, 'alice')
    expect(outcome(await set(all.alice, 'configuration', '<roomname>r</roomname>'))).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ roomname: 'r' })
  })

  it('ML-19, §2: fields of config_schema have their types', async () => {
    const schema = [
      { field: 'size', value: 30, internal_key: 'stored_size', type: 'integer' },
      { field: 'ratio', value: 0.5, internal_key: 'stored_ratio', type: 'float' },
    ]
    const all = await party({ config_schema: schema })
    await room(all)
    expect(await configuration(all.hare)).toMatchObject({ size: '30', ratio: '0.5' })
    for (const wrong of [
      '<size>x</size>',
      '<size>1.5</size>',
      '<size/>',
      '<ratio>x</ratio>',
      '<size>1e999</size>',
      '<ratio>1e999</ratio>',
    ]) {
      expect(outcome(await set(all.hare, 'configuration', wrong)), wrong).toBe('bad-request')
    }
    expect(outcome(await set(all.hare, 'configuration', '<size>-7</size><ratio>1.25</ratio>'))).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ size: '-7', ratio: '1.25' })
    const items = await all.hare.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: domain })
    expect(items.getChild('query')?.getChild('item')?.attrs.name).toBe('tea')
  })

  it('ML-20: occupants are told before the result, and versions chain', async () => {
    const all = await party()
    let version = await room(all, 'alice')
    for (const subject of ['one', 'two', 'three']) {
      await all.hare.send(
        `<iq type="set" id="${subject}" to="${tea}">${query('configuration', `<subject>${subject}</subject>`)}</iq>`,
      )
      const first = await all.hare.receivesNext()
      expect([first.getName(), first.attrs.id, first.attrs.from, first.attrs.type]).toEqual([
        'message',
        subject,
        tea,
        'groupchat',
      ])
      const result = await all.hare.receivesNext()
      expect([result.getName(), result.attrs.type, result.getChildElements()]).toEqual(['iq', 'result', []])
      const told = await notice(all.alice, 'configuration')
      expect(told.getChildElements().map(child => child.getName())).toEqual(['prev-version', 'version', 'subject'])
      expect(told.getChildText('prev-version')).toBe(version)
      expect(told.getChildText('subject')).toBe(subject)
      version = told.getChildText('version')!
    }
    expect((await configuration(all.hare)).version).toBe(version)
  })

  it('ML-3: a hundred quick changes have a hundred versions, also in a clock that stands', async () => {
    const server = await startedServer({
      users: ['hare'],
      modules: { mod_muc_light: {}, mod_ping: {} },
      clock: new ManualClock(),
    })
    const hare = await session(server, 'hare', { priority: 0 })
    await set(hare, 'create')
    await notice(hare, 'affiliations')
    const changes = Array.from({ length: 100 }, (_, index) => set(hare, 'configuration', `<subject>${index}</subject>`))
    expect(new Set((await Promise.all(changes)).map(outcome))).toEqual(new Set(['result']))
    const versions = new Set<string | null>()
    for (let at = 0; at < 100; at += 1) versions.add((await notice(hare, 'configuration')).getChildText('version'))
    expect(versions.size).toBe(100)
  })

  it('ML-21: an empty element clears a field, one with elements in it is no field', async () => {
    const all = await party()
    await room(all)
    await set(all.hare, 'configuration', '<subject>s</subject>')
    expect(outcome(await set(all.hare, 'configuration', '<subject><b/></subject>'))).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ subject: 's' })
    expect(outcome(await set(all.hare, 'configuration', '<subject/>'))).toBe('result')
    expect(await configuration(all.hare)).toMatchObject({ subject: '' })
  })
})

describe('affiliations (§5.4)', () => {
  it('ML-22: are told in order, and not at all to who knows the version', async () => {
    const all = await party()
    const version = await room(all, 'hatter', 'alice')
    expect(await affiliations(all.alice)).toEqual([
      `member ${at('alice')}`,
      `owner ${at('hare')}`,
      `member ${at('hatter')}`,
    ])
    const answer = await get(all.alice, 'affiliations', `<version>${version}</version>`)
    expect([answer.attrs.type, answer.getChildElements()]).toEqual(['result', []])
  })

  const [hare, alice, hatter] = ['hare', 'alice', 'hatter'].map(at) as [string, string, string]

  it('ML-23, ML-25: whoever stays is told all changes, who comes his own, who goes nothing but that', async () => {
    const all = await party()
    const version = await room(all, 'alice')
    await all.hare.send(
      `<iq type="set" id="a1" to="${tea}">${query('affiliations', `\n ${user(hatter, 'owner')}\n ${user(alice, 'none')}`)}</iq>`,
    )
    const first = await all.hare.receivesNext()
    expect([first.getName(), first.attrs.id, first.attrs.type, first.getChild('body')?.getText()]).toEqual([
      'message',
      'a1',
      'groupchat',
      '',
    ])
    const x = first.getChild('x', `${ns}#affiliations`)!
    expect(x.getChildText('prev-version')).toBe(version)
    expect(usersIn(x)).toEqual([`none ${alice}`, `member ${hare}`, `owner ${hatter}`])
    expect((await all.hare.receivesNext()).attrs.type).toBe('result')
    const joined = await notice(all.hatter, 'affiliations')
    expect(usersIn(joined)).toEqual([`owner ${hatter}`])
    expect(joined.getChild('prev-version')).toBeUndefined()
    expect(joined.getChildText('version')).toBe(x.getChildText('version'))
    const left = await notice(all.alice, 'affiliations')
    expect(left.getChildElements().map(child => child.toString().replace(/ xmlns="[^"]*"/, ''))).toEqual([
      `<user affiliation="none">${alice}</user>`,
    ])
    expect(await affiliations(all.hare)).toEqual([`member ${hare}`, `owner ${hatter}`])
  })

  it('ML-23: a member may leave and no more; all_can_invite lets him add members', async () => {
    const all = await party()
    await room(all, 'alice', 'hatter')
    const asked = (content: string) => set(all.alice, 'affiliations', content).then(outcome)
    for (const item of [
      user(at('queen'), 'member'),
      user(hatter, 'none'),
      user(hare, 'member'),
      user(hare, 'none'),
      user(alice, 'owner'),
    ]) {
      expect(await asked(item), item).toBe('not-allowed')
    }
    expect(await asked(user(alice, 'none') + user(hatter, 'none'))).toBe('not-allowed')
    expect(await asked(user(alice, 'none'))).toBe('result')
    expect(await asked(user(alice, 'none'))).toBe('item-not-found')
    const open = await party({ all_can_invite: true })
    await room(open, 'alice')
    expect(outcome(await set(open.alice, 'affiliations', user(hatter, 'member')))).toBe('result')
    expect(outcome(await set(open.alice, 'affiliations', user(at('queen'), 'owner')))).toBe('not-allowed')
    expect(outcome(await set(open.alice, 'affiliations', user(hatter, 'none')))).toBe('not-allowed')
  })

  it('ML-23: what changes nothing, or names a user twice, is refused', async () => {
    const all = await party({ max_occupants: 3 })
    await room(all, 'alice')
    const wrong = [
      user(alice, 'member'),
      user(hare, 'owner'),
      user(hatter, 'none'),
      user(hatter, 'member') + user(`${hatter}/x`, 'none'),
      user(alice, 'owner') + user(hatter, 'owner'),
      user(hatter, 'member') + user(at('queen'), 'member'),
      `${user(hatter, 'member')}text`,
    ]
    for (const content of wrong)
      expect(outcome(await set(all.hare, 'affiliations', content)), content).toBe('bad-request')
    expect(await affiliations(all.hare)).toEqual([`member ${alice}`, `owner ${hare}`])
  })

  it('ML-23: an owner who leaves is succeeded by the first member', async () => {
    const all = await party()
    await room(all, 'alice', 'hatter')
    expect(outcome(await set(all.hare, 'affiliations', user(hare, 'none')))).toBe('result')
    expect(usersIn(await notice(all.alice, 'affiliations'))).toEqual([`owner ${alice}`, `none ${hare}`])
    expect(await affiliations(all.alice)).toEqual([`owner ${alice}`, `member ${hatter}`])
  })

  it('ML-23: an owner who steps down while all others leave stays owner, and is not told so', async () => {
    const all = await party()
    await room(all, 'alice')
    expect(outcome(await set(all.hare, 'affiliations', user(hare, 'member') + user(alice, 'none')))).toBe('result')
    expect(usersIn(await notice(all.hare, 'affiliations'))).toEqual([`none ${alice}`])
    expect(await affiliations(all.hare)).toEqual([`owner ${hare}`])
  })

  it('ML-24: who blocks the requester or the room is not added, and nobody is told', async () => {
    const all = await party()
    await room(all)
    const version = (await configuration(all.hare)).version
    await set(all.alice, 'blocking', `<user action="deny">${hare}</user>`, domain)
    await set(all.hatter, 'blocking', `<room action="deny">${tea}</room>`, domain)
    expect(outcome(await set(all.hare, 'affiliations', user(alice, 'member') + user(hatter, 'member')))).toBe('result')
    await all.hare.receivesNothing('<message/>')
    await all.alice.receivesNothing('<message/>')
    expect((await configuration(all.hare)).version).toBe(version)
    await set(all.alice, 'blocking', `<user action="allow">${hare}</user>`, domain)
    expect(outcome(await set(all.hare, 'affiliations', user(alice, 'member') + user(hatter, 'member')))).toBe('result')
    expect(await affiliations(all.hare)).toEqual([`member ${alice}`, `owner ${hare}`])
  })

  it('ML-24: who is in rooms_per_user rooms is not added', async () => {
    const all = await party({ rooms_per_user: 1 })
    await room(all)
    await set(all.alice, 'create', '', `other@${domain}`)
    expect(outcome(await set(all.hare, 'affiliations', user(alice, 'member') + user(hatter, 'member')))).toBe('result')
    expect(await affiliations(all.hare)).toEqual([`owner ${hare}`, `member ${hatter}`])
  })

  it('ML-26: the room is gone with its last occupant, and its name is free', async () => {
    const all = await party()
    await room(all, 'alice')
    await set(all.hare, 'affiliations', user(hare, 'none'))
    expect(outcome(await set(all.alice, 'affiliations', user(alice, 'none')))).toBe('result')
    expect(usersIn(await notice(all.alice, 'affiliations'))).toEqual([`owner ${alice}`, `none ${hare}`])
    expect(usersIn(await notice(all.alice, 'affiliations'))).toEqual([`none ${alice}`])
    expect(outcome(await get(all.alice, 'info'))).toBe('item-not-found')
    expect(outcome(await set(all.hatter, 'create'))).toBe('result')
    expect(await affiliations(all.hatter)).toEqual([`owner ${hatter}`])
  })

  it('§12: concurrent changes follow one another, and versions chain without a gap', async () => {
    const all = await party()
    let version: string | null = await room(all, 'alice')
    const names = Array.from({ length: 20 }, (_, index) => at(`guest${index}`))
    const changes = names.map(name => set(all.hare, 'affiliations', user(name, 'member')))
    const subjects = names.map(name => set(all.alice, 'configuration', `<subject>${name}</subject>`))
    for (const answer of await Promise.all([...changes, ...subjects])) expect(outcome(answer)).toBe('result')
    for (let at = 0; at < 40; at += 1) {
      const x = (await all.alice.receives(`<message type="groupchat" from="${tea}"/>`)).getChildElements()[0]!
      expect(x.getChildText('prev-version')).toBe(version)
      version = x.getChildText('version')
    }
    expect(await affiliations(all.hare)).toHaveLength(22)
  })

  it('§12: Hare@LocalHost/x and hare@localhost are one user', async () => {
    const all = await party()
    await room(all)
    expect(outcome(await set(all.hare, 'affiliations', user('ALICE@LocalHost/x', 'member')))).toBe('result')
    expect(await affiliations(all.alice)).toEqual([`member ${alice}`, `owner ${hare}`])
  })

  it('§12: an occupant on the service itself makes no traffic, nor do two rooms that are in each other', async () => {
    const all = await party()
    const other = `other@${domain}`
    await room(all)
    await all.hare.ask('set', creation(user(tea, 'member')), { to: other })
    expect(
      outcome(await set(all.hare, 'affiliations', user(`ghost@${domain}`, 'member') + user(other, 'member'))),
    ).toBe('result')
    await all.hare.settled()
    for (let at = 0; at < 2; at += 1) await all.hare.receives('<message type="groupchat"/>')
    await all.hare.send(`<message type="groupchat" to="${tea}" id="k"><body>hi</body></message>`)
    await all.hare.receives('<message id="k"/>')
    await all.hare.settled()
    await all.hare.receivesNothing('<message/>')
    expect(all.server.internals.runtime.isIdle).toBe(true)
  })
})

describe('info and destruction (§5.5, §5.6)', () => {
  it('ML-27: tells both parts, or nothing to who knows the version', async () => {
    const all = await party()
    const version = await room(all, 'alice')
    const found = (await get(all.alice, 'info')).getChild('query', `${ns}#info`)!
    expect(found.getChildText('version')).toBe(version)
    expect(
      found
        .getChild('configuration')
        ?.getChildElements()
        .map(child => child.getName()),
    ).toEqual(['roomname', 'subject'])
    expect(usersIn(found.getChild('occupants'))).toEqual([`member ${at('alice')}`, `owner ${at('hare')}`])
    expect((await get(all.alice, 'info', `<version>${version}</version>`)).getChildElements()).toEqual([])
  })

  it('ML-28: the owner ends the room, and each is told before the result', async () => {
    const all = await party()
    await room(all, 'alice')
    expect(outcome(await set(all.alice, 'destroy'))).toBe('not-allowed')
    await all.hare.send(`<iq type="set" id="d1" to="${tea}">${query('destroy')}</iq>`)
    const first = await all.hare.receivesNext()
    expect([first.getName(), first.attrs.id, first.attrs.from]).toEqual(['message', 'd1', tea])
    expect((await all.hare.receivesNext()).attrs.type).toBe('result')
    const told = await all.alice.receives(
      `<message id="d1" from="${tea}"><x xmlns="${ns}#destroy"/><x xmlns="${ns}#affiliations"/><body/></message>`,
    )
    const x = told.getChild('x', `${ns}#affiliations`)!
    expect(x.getChildElements()).toHaveLength(1)
    expect(usersIn(x)).toEqual([`none ${at('alice')}`])
    expect(outcome(await get(all.hare, 'info'))).toBe('item-not-found')
  })
})

describe('blocking (§5.7)', () => {
  it('ML-29: items are added, read and removed', async () => {
    const { hare } = await party()
    const listed = async () => {
      const found = (await get(hare, 'blocking', '', domain)).getChild('query', `${ns}#blocking`)!
      return found.getChildElements().map(child => `${child.getName()} ${child.attrs.action} ${child.getText()}`)
    }
    const asked = (content: string) => set(hare, 'blocking', content, domain).then(outcome)
    expect(await listed()).toEqual([])
    expect(
      await asked(
        `<user action="deny">Alice@localhost/x</user>\n<room action="deny">${tea}</room><user action="allow">absent@x</user>`,
      ),
    ).toBe('result')
    expect(await listed()).toEqual([`room deny ${tea}`, `user deny ${at('alice')}`])
    expect(await asked(`<room action="allow">${tea}</room>`)).toBe('result')
    expect(await listed()).toEqual([`user deny ${at('alice')}`])
    for (const wrong of [
      '<user action="deny">localhost</user>',
      '<user action="deny">@x</user>',
      '<user action="deny"/>',
      '<host action="deny">a@x</host>',
      '<user action="block">a@x</user>',
      '<user>a@x</user>',
      `text<user action="deny">a@x</user>`,
    ]) {
      expect(await asked(wrong), wrong).toBe('bad-request')
    }
    expect(await listed()).toEqual([`user deny ${at('alice')}`])
  })

  it('ML-29: only adding is affected, existing membership stays', async () => {
    const all = await party()
    await room(all, 'alice')
    await set(all.alice, 'blocking', `<user action="deny">${at('hare')}</user>`, domain)
    expect(outcome(await set(all.hare, 'affiliations', user(at('alice'), 'owner')))).toBe('result')
    expect(await affiliations(all.alice)).toEqual([`owner ${at('alice')}`, `member ${at('hare')}`])
  })

  it('ML-30: blocking = false refuses both', async () => {
    const { hare } = await party({ blocking: false })
    expect(outcome(await get(hare, 'blocking', '', domain))).toBe('bad-request')
    expect(outcome(await set(hare, 'blocking', '<user action="deny">a@x</user>', domain))).toBe('bad-request')
  })
})

describe('discovery (§5.8)', () => {
  const items = '<query xmlns="http://jabber.org/protocol/disco#items"'
  const rsm = 'http://jabber.org/protocol/rsm'

  it('ML-31, ML-32: the host lists the service, and the service says what it is', async () => {
    const { hare } = await party()
    const listed = await hare.ask('get', `${items}/>`, { to: 'localhost' })
    expect(listed.getChild('query')?.getChildByAttr('jid', domain)?.attrs).toMatchObject({ node: ns })
    const info = (
      await hare.ask('get', '<query xmlns="http://jabber.org/protocol/disco#info"/>', { to: domain })
    ).getChild('query')!
    expect(info.getChild('identity')?.attrs).toEqual({ category: 'conference', type: 'text', name: 'MUC Light' })
    expect(info.getChildren('feature').map(feature => feature.attrs.var)).toContain(ns)
  })

  it('ML-33: lists the requester’s rooms in pages', async () => {
    const { hare, alice } = await party({ rooms_per_page: 5 })
    const names = Array.from({ length: 12 }, (_, index) => `room${String(index).padStart(2, '0')}`)
    for (const name of names)
      await set(hare, 'create', `<configuration><roomname>The ${name}</roomname></configuration>`, `${name}@${domain}`)
    await set(alice, 'create', '', `alien@${domain}`)
    const page = async (set = '') => {
      const answer = await hare.ask('get', `${items}>${set && `<set xmlns="${rsm}">${set}</set>`}</query>`, {
        to: domain,
      })
      if (answer.attrs.type === 'error') return outcome(answer)
      const found = answer.getChild('query')!
      const about = found.getChild('set', rsm)
      const first = about?.getChild('first')
      return {
        rooms: found
          .getChildren('item')
          .map(item => item.attrs.jid.slice(4, 6))
          .join(),
        first: first && `${first.attrs.index} ${first.getText().slice(4, 6)}`,
        last: about?.getChildText('last')?.slice(4, 6),
        count: about?.getChildText('count'),
      }
    }
    const shown = (rooms: string, index: number) => ({
      rooms,
      first: `${index} ${rooms.slice(0, 2)}`,
      last: rooms.slice(-2),
      count: '12',
    })
    const jid = (index: string) => `room${index}@${domain}`
    expect(await page()).toEqual(shown('00,01,02,03,04', 0))
    expect(await page('<max>3</max>')).toEqual(shown('00,01,02', 0))
    expect(await page('<max>100</max>')).toEqual(shown('00,01,02,03,04', 0))
    expect(await page(`<max>3</max><after>${jid('04')}</after>`)).toEqual(shown('05,06,07', 5))
    expect(await page(`<after>${jid('09')}</after>`)).toEqual(shown('10,11', 10))
    expect(await page(`<max>3</max><before>${jid('04')}</before>`)).toEqual(shown('01,02,03', 1))
    expect(await page('<max>3</max><before/>')).toEqual(shown('09,10,11', 9))
    expect(await page('<max>3</max><index>7</index>')).toEqual(shown('07,08,09', 7))
    expect(await page('<max>0</max>')).toEqual({ rooms: '', first: undefined, last: undefined, count: '12' })
    for (const wrong of [
      `<after>${jid('99')}</after>`,
      `<before>alien@${domain}</before>`,
      '<after>x</after>',
      '<index>12</index>',
      '<max>2</max><index>99</index>',
    ]) {
      expect(await page(wrong), wrong).toBe('item-not-found')
    }
    expect(await page('<max>x</max>')).toBe('bad-request')
    const item = (await hare.ask('get', `${items}/>`, { to: domain })).getChild('query')!.getChild('item')!
    expect(item.attrs.name).toBe('The room00')
    expect(item.attrs.version).toBe((await configuration(hare, jid('00'))).version)
  })

  it('ML-33: no rooms, no page', async () => {
    const { hare } = await party()
    const answer = await hare.ask('get', `${items}><set xmlns="${rsm}"><max>3</max></set></query>`, { to: domain })
    expect(answer.getChild('query')?.getChildElements()).toEqual([])
  })

  it('§2: rooms_per_page = "infinity" gives them all at once', async () => {
    const { hare } = await party({ rooms_per_page: 'infinity' })
    for (let at = 0; at < 12; at += 1) await set(hare, 'create', '', domain)
    const answer = await hare.ask('get', `${items}/>`, { to: domain })
    expect(answer.getChild('query')?.getChildren('item')).toHaveLength(12)
  })
})

describe('rosters (§6)', () => {
  const roster = '<query xmlns="jabber:iq:roster" ver=""/>'

  it('ML-34: rooms_in_rosters shows rooms among the contacts, and pushes nothing', async () => {
    const all = await party({ rooms_in_rosters: true })
    await all.hare.ask('get', roster)
    await set(all.hare, 'create', '<configuration><roomname>Tea</roomname></configuration>')
    const version = (await notice(all.hare, 'affiliations')).getChildText('version')
    await all.hare.receivesNothing('<iq/>')
    const found = (await all.hare.ask('get', roster)).getChild('query')!
    const item = found.getChild('item')!
    expect(item.attrs).toMatchObject({ jid: tea, name: 'Tea', subscription: 'to' })
    expect([item.getChildText('group'), item.getChildText('version')]).toEqual([ns, version])
    const again = await all.hare.ask('get', `<query xmlns="jabber:iq:roster" ver="${found.attrs.ver}"/>`)
    expect(again.getChild('query')?.getChildren('item')).toHaveLength(1)
  })

  it('ML-34: without it rosters are left alone', async () => {
    const all = await party()
    await room(all)
    expect((await all.hare.ask('get', roster)).getChild('query')?.getChildElements()).toEqual([])
  })
})

describe('removed accounts (§8)', () => {
  it('ML-36: leave their rooms, which find new owners or end, and their blocking lists', async () => {
    const all = await party()
    await room(all, 'alice')
    const own = `own@${domain}`
    await set(all.hare, 'create', '', own)
    await set(all.hare, 'blocking', `<user action="deny">${at('alice')}</user>`, domain)
    await all.hare.send('<iq type="set" id="r"><query xmlns="jabber:iq:register"><remove/></query></iq>')
    expect(usersIn(await notice(all.alice, 'affiliations'))).toEqual([`owner ${at('alice')}`, `none ${at('hare')}`])
    expect(await affiliations(all.alice)).toEqual([`owner ${at('alice')}`])
    await all.hare.closed()
    await all.server.addUser('hare', PASSWORD)
    const again = await session(all.server, 'hare', { priority: 0 })
    expect(outcome(await get(again, 'info', '', own))).toBe('item-not-found')
    expect(outcome(await get(again, 'info'))).toBe('item-not-found')
    expect((await get(again, 'blocking', '', domain)).getChild('query')?.getChildElements()).toEqual([])
    expect(outcome(await set(again, 'create', '', own))).toBe('result')
  })

  it('ML-36: leave the rooms of other hosts too', async () => {
    const server = await startedServer({
      users: ['hare'],
      config: { general: { hosts: ['localhost', 'other.test'] } },
      modules: { mod_muc_light: {}, mod_ping: {}, mod_register: {} },
    })
    const hare = await session(server, 'hare', { priority: 0 })
    const there = 'tea@muclight.other.test'
    expect(outcome(await set(hare, 'create', '', there))).toBe('result')
    await hare.send('<iq type="set" id="r"><query xmlns="jabber:iq:register"><remove/></query></iq>')
    await hare.closed()
    await server.addUser('hare', PASSWORD)
    const again = await session(server, 'hare', { priority: 0 })
    expect(outcome(await get(again, 'info', '', there))).toBe('item-not-found')
    expect(outcome(await set(again, 'create', '', there))).toBe('result')
  })
})

describe('the service among the rest of the server', () => {
  const romeo = 'romeo@montague.example'
  const there = 'muclight.montague.example'
  const orchard = `orchard@${there}`

  async function inside() {
    const server = world({ modules: { mod_muc_light: {} } })
    const client = await server.connect(`${romeo}/x`)
    await client.arrives()
    await client.sends(`<iq type="set" id="c" to="${orchard}">${query('create')}</iq>`)
    client.receives(`<message id="c" from="${orchard}"/>`, '<iq id="c" type="result"/>')
    return { server, client }
  }

  it('ML-9: requests in other namespaces go to whoever answers them', async () => {
    const { server, client } = await inside()
    const asked = '<query xmlns="urn:x"/>'
    for (const [to, target] of [
      [orchard, 'account'],
      [there, 'host'],
    ] as const) {
      await client.sends(`<iq type="get" id="x" to="${to}">${asked}</iq>`)
      client.receives(
        '<iq type="error" id="x"><error type="cancel"><feature-not-implemented xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>',
      )
      const handler = () => parseXml('<answer xmlns="urn:x"/>', 'urn:x')
      const undo = server.routing.iq.register({
        domain: there,
        target,
        type: 'get',
        ns: 'urn:x',
        name: 'query',
        handler,
      })
      await client.sends(`<iq type="get" id="x" to="${to}">${asked}</iq>`)
      client.receives(`<iq type="result" id="x" from="${to}"><answer xmlns="urn:x"/></iq>`)
      undo()
    }
  })

  it('tells who asks that the store is away, and changes nothing', async () => {
    const { server, client } = await inside()
    const wait = '<error type="wait"><resource-constraint xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>'
    server.store.isFailing = true
    await client.sends(`<iq type="set" id="s" to="${orchard}">${query('configuration', '<subject>x</subject>')}</iq>`)
    client.receives(`<iq type="error" id="s">${wait}</iq>`)
    await client.sends(`<message type="groupchat" id="m" to="${orchard}"><body>hi</body></message>`)
    client.receives(`<message type="error" id="m">${wait}</message>`)
    server.store.isFailing = false
    await client.sends(`<message type="groupchat" id="m" to="${orchard}"><body>hi</body></message>`)
    client.receives(`<message type="groupchat" id="m" from="${orchard}/${romeo}"/>`)
    expect(server.bugs).toEqual([])
  })

  it('takes users of other servers, and sends them their copies', async () => {
    const sent: string[] = []
    const remote = (stanza: { toString(): string }) => sent.push(stanza.toString()) > 0
    const server = world({ modules: { mod_muc_light: {} }, routing: { remote } })
    const far = 'tybalt@verona.test'
    await server.arrives(
      `<iq type="set" id="c" from="${far}/x" to="${orchard}">${query('create', `<occupants>${user(romeo, 'member')}</occupants>`)}</iq>`,
    )
    const client = await server.connect(`${romeo}/x`)
    await client.arrives()
    await client.sends(`<message type="groupchat" id="m" to="${orchard}"><body>hi</body></message>`)
    client.receives(`<message type="groupchat" id="m" from="${orchard}/${romeo}"/>`)
    expectXml(sent, [
      `<message type="groupchat" id="c" from="${orchard}" to="${far}"/>`,
      `<iq type="result" id="c" from="${orchard}" to="${far}/x"/>`,
      `<message type="groupchat" id="m" from="${orchard}/${romeo}" to="${far}"><body>hi</body></message>`,
    ])
  })

  it('leaves with its module', async () => {
    const { server, client } = await inside()
    server.running.stop()
    await client.sends(`<iq type="get" id="i" to="${orchard}">${query('info')}</iq>`)
    client.receives(
      '<iq type="error" id="i"><error><remote-server-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>',
    )
  })

  it('does not start where something else has its domain', () => {
    expect(() => world({ modules: { mod_muc_light: { host: 'rooms.example' } } })).toThrow(
      'the domain rooms.example is served already',
    )
  })
})

describe('[modules.mod_muc_light] (§2)', () => {
  it('has the name that `host` gives it', async () => {
    const { hare } = await party({ host: 'rooms.@HOST@' })
    expect(outcome(await set(hare, 'create', '', 'tea@rooms.localhost'))).toBe('result')
  })

  it('ML-2: a default of the wrong type is a fault of the configuration', async () => {
    const field = { field: 'size', value: '30', internal_key: 'size', type: 'integer' }
    expect(mucLight.config.safeParse({ config_schema: [field] }).success).toBe(false)
    await expect(startedServer({ modules: { mod_muc_light: { config_schema: [field] } } })).rejects.toThrow(
      /config_schema/,
    )
  })

  it.each([
    { field: 'a b', value: '' },
    { field: 'version', value: '' },
    { field: 'size', value: 1, internal_key: 'size' },
    { field: 'size', value: 1.5, internal_key: 'size', type: 'integer' },
  ])('takes no field such as %j', field => {
    expect(mucLight.config.safeParse({ config_schema: [field] }).success).toBe(false)
  })

  it('takes no field twice, neither by its name nor by that in the store', () => {
    const field = (name: string, key: string) => ({ field: name, value: '', internal_key: key, type: 'binary' })
    expect(mucLight.config.safeParse({ config_schema: [field('a', 'k'), field('a', 'l')] }).success).toBe(false)
    expect(mucLight.config.safeParse({ config_schema: [field('a', 'k'), field('b', 'k')] }).success).toBe(false)
    expect(mucLight.config.safeParse({ config_schema: [field('a', 'k'), field('b', 'l')] }).success).toBe(true)
  })

  it('§11: legacy_mode is refused when the configuration is loaded', async () => {
    await expect(startedServer({ modules: { mod_muc_light: { legacy_mode: true } } })).rejects.toThrow(/legacy/)
  })
})
