import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { mamOptions, roomOptions, unsupportedMam } from '../../src/modules/mam-options.js'
import { archiveId, isArchiveId } from '../../src/protocols/archive-id.js'
import type { RoomArchive } from '../../src/routing/room-archive.js'
import { session as login, startedServer } from '../support/server.js'
import { type Client, jid, settled, stanza, type World, world } from '../support/world.js'
import { parseXml } from '../support/xml.js'

/*
 * Archives of rooms, which are those of light group chat here. Ids in titles are those of spec/muc-light.md; sections those of XEP-0313.
 */

const mam = 'urn:xmpp:mam:2'
const light = 'urn:xmpp:muclight:0'
const domain = 'muclight.montague.example'
const tea = `tea@${domain}`
const at = (user: string) => `${user}@montague.example`

const user = (name: string, affiliation: string) => `<user affiliation="${affiliation}">${at(name)}</user>`
const part = (name: string, content = '') => `<query xmlns="${light}#${name}">${content}</query>`
const iq = (content: string, { to = tea, type = 'set' } = {}) => `<iq id="q" type="${type}" to="${to}">${content}</iq>`
const field = (name: string, value: string) => `<field var="${name}"><value>${value}</value></field>`
const form = (...fields: string[]) =>
  `<x xmlns="jabber:x:data" type="submit">${field('FORM_TYPE', mam)}${fields.join('')}</x>`
const page = (content: string) => `<set xmlns="http://jabber.org/protocol/rsm">${content}</set>`
const query = (content = '') => iq(`<query xmlns="${mam}">${content}</query>`)
const say = (text: string, more = '', attributes = 'id="k"') =>
  `<message type="groupchat" to="${tea}" ${attributes}><body>${text}</body>${more}</message>`

const modules = (options: object = {}, pm?: object) => ({
  mod_muc_light: {},
  mod_mam_meta: { muc: { host: 'muclight.@HOST@', ...options }, ...(pm && { pm }) },
})

interface Party {
  server: World
  hare: Client
  alice: Client
  hatter: Client
}

/** Three users who are available, and a room of hare's with alice; what its making told everybody is taken. */
async function party(options: object = {}, pm?: object): Promise<Party> {
  const server = world({ modules: modules(options, pm) })
  const connect = async (name: string) => (await server.connect(`${at(name)}/x`)).arrives()
  const [hare, alice, hatter] = [await connect('hare'), await connect('alice'), await connect('hatter')]
  await hare.sends(iq(part('create', `<occupants>${user('alice', 'member')}</occupants>`)))
  for (const client of [hare, alice]) client.take()
  return { server, hare, alice, hatter }
}

const parsed = (xml: readonly string[]) => xml.map(text => parseXml(text, 'jabber:client'))

interface Answer {
  results: Element[]
  /** The messages that were kept. */
  messages: Element[]
  texts: string[]
  ids: string[]
  fin: Element | undefined
  /** `result`, or the condition of an error. */
  outcome: string
}

/** What a query brings. */
async function asks(client: Client, xml = query()): Promise<Answer> {
  client.take()
  await client.sends(xml)
  const arrived = parsed(client.take())
  const answer = arrived.pop()!
  const results = arrived.map(message => message.getChild('result', mam)!)
  const messages = results.map(result => result.getChild('forwarded')!.getChild('message', 'jabber:client')!)
  return {
    results,
    messages,
    texts: messages.map(message => message.getChildText('body') ?? ''),
    ids: results.map(({ attrs }) => attrs.id),
    fin: answer.getChild('fin', mam),
    outcome: outcomeOf(answer),
  }
}

function outcomeOf(answer: Element): string {
  if (answer.attrs.type === 'result') return 'result'
  return answer.getChild('error')?.getChildElements()[0]?.getName() ?? answer.toString()
}

async function does(client: Client, xml: string): Promise<string> {
  client.take()
  await client.sends(xml)
  return outcomeOf(parsed(client.take()).find(({ name }) => name === 'iq')!)
}

const idsIn = (message: Element) => message.getChildren('stanza-id').map(({ attrs }) => `${attrs.by} ${attrs.id}`)
const usersIn = (message: Element) => {
  const x = message.getChild('x', `${light}#affiliations`)
  return x?.getChildren('user').map(item => `${item.attrs.affiliation} ${item.getText()}`)
}

describe('what the archive of a room has', () => {
  it('ML-35: a message once, from the occupant, with its id and all its children, to nobody', async () => {
    const { alice, hare } = await party()
    await alice.sends(say('hi', '<extra xmlns="urn:x">1</extra>'))
    const { messages, results } = await asks(hare)
    const kept = messages.filter(message => message.getChildText('body') === 'hi')
    expect(kept).toHaveLength(1)
    expect(kept[0]!.attrs).toEqual({
      xmlns: 'jabber:client',
      type: 'groupchat',
      id: 'k',
      from: `${tea}/${at('alice')}`,
    })
    expect(kept[0]!.getChildText('extra', 'urn:x')).toBe('1')
    expect(results.at(-1)!.parent!.attrs.from).toBe(tea)
  })

  it('ML-35: a message that came without an id has the one that occupants saw', async () => {
    const { alice } = await party()
    await alice.sends(say('hi', '', ''))
    const [live] = parsed(alice.take())
    const { messages } = await asks(alice)
    expect(messages.at(-1)!.attrs.id).toBe(live!.attrs.id)
    expect(live!.attrs.id).toMatch(/^\d+-\d+-\d+$/)
  })

  it('ML-35: the making of the room as one change of affiliations with all occupants and the version', async () => {
    const { hare } = await party()
    const { messages } = await asks(hare)
    expect(messages).toHaveLength(1)
    expect(messages[0]!.attrs.from).toBe(tea)
    expect(usersIn(messages[0]!)).toEqual([`member ${at('alice')}`, `owner ${at('hare')}`])
    expect(messages[0]!.getChild('x')?.getChildText('version')).toBeTruthy()
  })

  it('ML-35: changes of affiliations, with the version and without the one before', async () => {
    const { hare } = await party()
    await does(hare, iq(part('affiliations', user('hatter', 'member') + user('alice', 'none'))))
    const { messages } = await asks(hare)
    const last = messages.at(-1)!
    expect(last.attrs).toMatchObject({ from: tea, type: 'groupchat', id: 'q' })
    expect(usersIn(last)?.sort()).toEqual([`member ${at('hatter')}`, `none ${at('alice')}`])
    const x = last.getChild('x', `${light}#affiliations`)!
    expect([x.getChildText('version') !== null, x.getChild('prev-version')]).toEqual([true, undefined])
  })

  it('ML-35: changes of the configuration', async () => {
    const { hare } = await party()
    await does(hare, iq(part('configuration', '<roomname>Tea</roomname>')))
    const { messages } = await asks(hare)
    expect(messages.at(-1)!.getChild('x', `${light}#configuration`)?.getChildText('roomname')).toBe('Tea')
  })

  it.each([
    ['a typing notification', '<active xmlns="http://jabber.org/protocol/chatstates"/>', {}, 0],
    ['a chat marker', '<displayed xmlns="urn:xmpp:chat-markers:0" id="k"/>', {}, 0],
    [
      'a chat marker with archive_chat_markers',
      '<displayed xmlns="urn:xmpp:chat-markers:0" id="k"/>',
      { archive_chat_markers: true },
      1,
    ],
    ['a text that asks not to be stored', '<body>x</body><no-store xmlns="urn:xmpp:hints"/>', {}, 0],
    ['something without a text that asks to be stored', '<x xmlns="urn:x"/><store xmlns="urn:xmpp:hints"/>', {}, 1],
    ['a subject', '<subject>Tea</subject>', {}, 1],
  ])('§6.1.2: keeps %s or not', async (_, content, options, count) => {
    const { alice, hare } = await party(options)
    hare.take()
    await alice.sends(`<message type="groupchat" to="${tea}" id="k">${content}</message>`)
    const [live] = parsed(hare.take())
    expect(idsIn(live!)).toHaveLength(count)
    expect((await asks(hare)).messages).toHaveLength(1 + count)
  })

  it('ML-8: nothing of what the room refused', async () => {
    const { hatter, hare, alice } = await party()
    await hatter.sends(say('let me in'))
    await alice.sends(`<message type="chat" to="${tea}" id="k"><body>psst</body></message>`)
    expect((await asks(hare)).messages).toHaveLength(1)
  })

  it('§9.4: nothing that a sender says of who it is; the room itself tells', async () => {
    const { alice, hare } = await party()
    const x = '<x xmlns="http://jabber.org/protocol/muc#user"><item jid="queen@montague.example"/></x>'
    await alice.sends(say('hi', x))
    const { messages } = await asks(hare)
    const said = messages.at(-1)!.getChildren('x', 'http://jabber.org/protocol/muc#user')
    expect(said.map(item => item.getChild('item')?.attrs.jid)).toEqual([at('alice')])
    expect(messages[0]!.getChild('x', 'http://jabber.org/protocol/muc#user')).toBeUndefined()
  })
})

describe('the id on what occupants get (XEP-0359)', () => {
  it('is the one in the archive, and the same for all', async () => {
    const { alice, hare } = await party()
    await alice.sends(say('hi', `<stanza-id xmlns="urn:xmpp:sid:0" by="${tea}" id="forged"/>`))
    const [hers, his] = [parsed(alice.take()), parsed(hare.take())].map(([message]) => idsIn(message!))
    const { ids, messages } = await asks(hare)
    expect(hers).toEqual([`${tea} ${ids.at(-1)}`])
    expect(his).toEqual(hers)
    expect(isArchiveId(ids.at(-1)!)).toBe(true)
    expect(idsIn(messages.at(-1)!)).toEqual([])
  })

  it('ML-25: is on notices of changes too, for those who stay and those who come', async () => {
    const { hare, alice, hatter } = await party()
    await does(hare, iq(part('affiliations', user('hatter', 'member'))))
    const [staying, coming] = [parsed(alice.take())[0]!, parsed(hatter.take())[0]!]
    const { ids } = await asks(hare)
    expect(idsIn(staying)).toEqual([`${tea} ${ids.at(-1)}`])
    expect(idsIn(coming)).toEqual(idsIn(staying))
  })

  it('is left out with no_stanzaid_element, and a forged one all the same', async () => {
    const { alice, hare, server } = await party({ no_stanzaid_element: true })
    hare.take()
    await alice.sends(say('hi', `<stanza-id xmlns="urn:xmpp:sid:0" by="${tea}" id="forged"/>`))
    expect(idsIn(parsed(hare.take())[0]!)).toEqual([])
    expect(server.routing.rooms.archiveOf(domain)?.features).toEqual([mam, `${mam}#extended`])
  })

  it('a room that has no archive lets nobody forge one', async () => {
    const server = world({ modules: { mod_muc_light: {} } })
    const hare = await (await server.connect(`${at('hare')}/x`)).arrives()
    await hare.sends(iq(part('create')))
    hare.take()
    await hare.sends(say('hi', `<stanza-id xmlns="urn:xmpp:sid:0" by="TEA@${domain}" id="forged"/>`))
    expect(idsIn(parsed(hare.take())[0]!)).toEqual([])
    expect(await does(hare, query())).toBe('feature-not-implemented')
  })
})

describe('who may ask', () => {
  it('ML-35, ML-8: occupants only; others cannot tell the room from one that is not there', async () => {
    const { hatter, alice } = await party()
    for (const content of [`<query xmlns="${mam}"/>`, `<metadata xmlns="${mam}"/>`, `<prefs xmlns="${mam}"/>`]) {
      for (const type of content.includes('query') ? ['get', 'set'] : ['get']) {
        expect(await does(hatter, iq(content, { type }))).toBe('item-not-found')
        expect(await does(hatter, iq(content, { type, to: `none@${domain}` }))).toBe('item-not-found')
      }
    }
    expect((await asks(alice)).outcome).toBe('result')
  })

  it('ML-35: leaving ends it, also for what was said before', async () => {
    const { alice, hare } = await party()
    await alice.sends(say('hi'))
    expect(await does(alice, iq(part('affiliations', user('alice', 'none'))))).toBe('result')
    expect((await asks(alice)).outcome).toBe('item-not-found')
    expect((await asks(hare)).texts).toContain('hi')
  })

  it('ML-35: who comes sees what was said before', async () => {
    const { alice, hare, hatter } = await party()
    await alice.sends(say('hi'))
    await does(hare, iq(part('affiliations', user('hatter', 'member'))))
    expect((await asks(hatter)).texts).toContain('hi')
  })

  it('an occupant of another server gets the results, then the answer', async () => {
    const away: Element[] = []
    const server = world({
      modules: modules(),
      routing: { remote: sent => away.push(parseXml(String(sent), 'jabber:client')) > 0 },
    })
    const hare = await (await server.connect(`${at('hare')}/x`)).arrives()
    await hare.sends(
      iq(part('create', '<occupants><user affiliation="member">cat@cheshire.example</user></occupants>')),
    )
    await hare.sends(say('hi'))
    away.length = 0
    await server.arrives(query().replace('<iq ', '<iq from="cat@cheshire.example/tree" '))
    expect(away.map(({ name, attrs }) => [name, attrs.from, attrs.to])).toEqual([
      ['message', tea, 'cat@cheshire.example/tree'],
      ['message', tea, 'cat@cheshire.example/tree'],
      ['iq', tea, 'cat@cheshire.example/tree'],
    ])
  })

  it('preferences are refused (XEP-0441)', async () => {
    const { hare } = await party({}, {})
    const prefs = `<prefs xmlns="${mam}" default="never"><always/><never/></prefs>`
    expect(await does(hare, iq(prefs))).toBe('feature-not-implemented')
    expect(await does(hare, iq(`<prefs xmlns="${mam}"/>`, { type: 'get' }))).toBe('feature-not-implemented')
  })

  it('ML-5: not by the address of an occupant', async () => {
    const { hare } = await party()
    expect(await does(hare, iq(`<query xmlns="${mam}"/>`, { to: `${tea}/${at('hare')}` }))).toBe('bad-request')
  })

  it('ML-32: the service says so', async () => {
    const { hare } = await party()
    hare.take()
    await hare.sends(iq('<query xmlns="http://jabber.org/protocol/disco#info"/>', { to: domain, type: 'get' }))
    const info = parsed(hare.take())[0]!.getChild('query')!
    const features = info.getChildren('feature').map(({ attrs }) => attrs.var)
    expect(features).toEqual(expect.arrayContaining([light, mam, `${mam}#extended`, 'urn:xmpp:sid:0']))
  })
})

describe('queries', () => {
  /** Numbers 0 to `count` - 1, the even ones from hare. */
  async function filled(count: number, options: object = {}) {
    const all = await party(options)
    for (let number = 0; number < count; number += 1) {
      await (number % 2 === 0 ? all.hare : all.alice).sends(say(String(number)))
    }
    return all
  }

  it('§4.1.1: with an occupant, by its address in the room or its own', async () => {
    const { hare } = await filled(5)
    for (const jid of [`${tea}/${at('alice')}`, at('alice'), at('ALICE')]) {
      expect((await asks(hare, query(form(field('with', jid))))).texts).toEqual(['1', '3'])
    }
    const all = await asks(hare, query(form(field('with', tea))))
    expect(all.messages).toHaveLength(6)
    expect((await asks(hare, query(form(field('with', at('hatter')))))).messages).toEqual([])
  })

  it('§4.3: page by page, forwards, backwards and flipped', async () => {
    const { hare } = await filled(5)
    const first = await asks(hare, query(page('<max>2</max>')))
    expect(first.texts).toEqual(['', '0'])
    expect(first.fin?.attrs.complete).toBeUndefined()
    const second = await asks(hare, query(page(`<max>9</max><after>${first.ids[1]}</after>`)))
    expect(second.texts).toEqual(['1', '2', '3', '4'])
    expect(second.fin?.attrs.complete).toBe('true')
    const last = await asks(hare, query(`${page('<max>2</max><before/>')}<flip-page/>`))
    expect(last.texts).toEqual(['4', '3'])
    const before = await asks(hare, query(page(`<max>2</max><before>${last.ids[1]}</before>`)))
    expect(before.texts).toEqual(['1', '2'])
    const count = await asks(hare, query(page('<max>0</max>')))
    expect(count.fin?.getChild('set')?.getChildText('count')).toBe('6')
    const counted = await asks(hare, query(form(field('with', at('alice'))) + page('<max>0</max>')))
    expect(counted.fin?.getChild('set')?.getChildText('count')).toBe('2')
  })

  it('§4.1.3, §5: by id, and metadata tells the ends', async () => {
    const { hare } = await filled(3)
    const { ids } = await asks(hare)
    expect((await asks(hare, query(form(field('ids', ids[2]!))))).texts).toEqual(['1'])
    expect((await asks(hare, query(form(field('after-id', ids[1]!), field('before-id', ids[3]!))))).texts).toEqual([
      '1',
    ])
    hare.take()
    await hare.sends(iq(`<metadata xmlns="${mam}"/>`, { type: 'get' }))
    const metadata = parsed(hare.take())[0]!.getChild('metadata', mam)!
    expect([metadata.getChild('start')?.attrs.id, metadata.getChild('end')?.attrs.id]).toEqual([ids[0], ids[3]])
  })

  it('§4.1.5: the form is there', async () => {
    const { hare } = await party()
    expect(await does(hare, iq(`<query xmlns="${mam}"/>`, { type: 'get' }))).toBe('result')
  })

  it('default_result_limit and max_result_limit are those of rooms', async () => {
    const { hare } = await filled(5, { default_result_limit: 2, max_result_limit: 3 })
    expect((await asks(hare)).messages).toHaveLength(2)
    expect((await asks(hare, query(page('<max>9</max>')))).messages).toHaveLength(3)
  })

  it.each([
    ['a with that is no JID', form(field('with', '@')), 'bad-request'],
    ['a start that is no time', form(field('start', 'yesterday')), 'bad-request'],
    ['an end that is no time', form(field('end', '2024-13-01T00:00:00Z')), 'bad-request'],
    ['a field that nobody knows', form(field('moon', 'full')), 'feature-not-implemented'],
    ['a form of another type', '<x xmlns="jabber:x:data" type="submit"/>', 'bad-request'],
    ['an id that no archive has', page('<after>nonsense</after>'), 'item-not-found'],
    ['an id that this archive has not', page(`<after>${archiveId(1, '00000000')}</after>`), 'item-not-found'],
    ['such an id in a field', form(field('before-id', archiveId(1, '00000000'))), 'item-not-found'],
    ['such an id among those wanted', form(field('ids', archiveId(1, '00000000'))), 'item-not-found'],
    ['a page by its number', page('<index>1</index>'), 'feature-not-implemented'],
    ['a size that is no number', page('<max>many</max>'), 'bad-request'],
  ])('%s is refused', async (_, content, condition) => {
    const { hare, server } = await party()
    expect((await asks(hare, query(content))).outcome).toBe(condition)
    expect(server.bugs).toEqual([])
  })
})

describe('the end of a room', () => {
  it('ML-26: with its last occupant its archive is forgotten, and a new room of the name begins anew', async () => {
    const { hare, alice, server } = await party()
    await alice.sends(say('old'))
    await does(alice, iq(part('affiliations', user('alice', 'none'))))
    await does(hare, iq(part('affiliations', user('hare', 'none'))))
    expect((await asks(hare)).outcome).toBe('item-not-found')
    expect(await server.store.archive.count('tea', domain, {}, 9)).toBe(0)
    await does(alice, iq(part('create')))
    expect((await asks(alice)).texts).toEqual([''])
  })

  it('ML-28: destroyed, it takes its archive along', async () => {
    const { hare, server } = await party()
    expect(await does(hare, iq(part('destroy')))).toBe('result')
    expect(await server.store.archive.count('tea', domain, {}, 9)).toBe(0)
  })

  it('ML-36: an account that is removed leaves the archive to the others', async () => {
    const { hare, alice, server } = await party()
    await hare.sends(say('bye'))
    await server.store.accounts.remove('hare', 'montague.example')
    await server.routing.hooksOf('montague.example').accountRemoved.emit(jid(at('hare')))
    const { texts, messages } = await asks(alice)
    expect(texts).toContain('bye')
    expect(usersIn(messages.at(-1)!)).toEqual(expect.arrayContaining([`none ${at('hare')}`, `owner ${at('alice')}`]))
  })
})

describe('the archives of occupants', () => {
  const own = iq(`<query xmlns="${mam}"/>`).replace(` to="${tea}"`, '')

  it('have nothing of what is said in rooms', async () => {
    const { hare, alice } = await party({}, {})
    await alice.sends(say('hi'))
    expect((await asks(hare, own)).messages).toEqual([])
    expect((await asks(alice, own)).messages).toEqual([])
  })

  it('have it once with archive_groupchats, and the live message bears both ids', async () => {
    const { hare, alice } = await party({}, { archive_groupchats: true })
    hare.take()
    await alice.sends(say('hi'))
    const live = idsIn(parsed(hare.take())[0]!)
    const { ids, texts, messages } = await asks(hare, own)
    // The notice of the room's making came first.
    expect(texts).toEqual(['', 'hi'])
    expect(live).toEqual(expect.arrayContaining([`${at('hare')} ${ids[1]}`]))
    expect(live).toHaveLength(2)
    expect(messages[1]!.attrs.from).toBe(`${tea}/${at('alice')}`)
    expect((await asks(alice, own)).texts).toEqual(['', 'hi'])
  })

  it('are not there where only rooms have archives', async () => {
    const { hare } = await party()
    expect(await does(hare, own)).toBe('service-unavailable')
  })
})

describe('a store that is slow or away', () => {
  it('occupants get a message once it is kept, those of several senders in the order of the archive', async () => {
    const { server, hare, alice } = await party()
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    hare.take()
    const sent = [hare.sends(say('one')), alice.sends(say('two')), hare.sends(say('three')), alice.sends(say('four'))]
    await settled()
    expect(hare.take()).toEqual([])
    open()
    server.store.gate = undefined
    await Promise.all(sent)
    const live = parsed(hare.take()).map(message => message.getChildText('body'))
    expect(live).toHaveLength(4)
    expect((await asks(hare)).texts).toEqual(['', ...live])
  })

  it('the sender is told to try again, and nobody gets what is not kept', async () => {
    const { server, hare, alice } = await party()
    hare.take()
    alice.take()
    server.store.isFailing = true
    await alice.sends(say('hi'))
    server.store.isFailing = false
    const [answer] = parsed(alice.take())
    expect(answer?.attrs.type).toBe('error')
    expect(answer?.getChild('error')?.attrs.type).toBe('wait')
    expect(hare.take()).toEqual([])
    expect((await asks(hare)).messages).toHaveLength(1)
  })
})

describe('retention and options', () => {
  it('retention_days holds for rooms too', async () => {
    const all = { ...modules() }
    const server = world({ modules: { ...all, mod_mam_meta: { ...all.mod_mam_meta, retention_days: 2 } } })
    const hare = await (await server.connect(`${at('hare')}/x`)).arrives()
    await hare.sends(iq(part('create')))
    await hare.sends(say('old'))
    server.clock.advance(3 * 24 * 60 * 60 * 1000)
    await hare.sends(say('new'))
    for (let turn = 0; turn < 3; turn += 1) {
      server.clock.advance(60 * 60 * 1000)
      await settled()
    }
    expect((await asks(hare)).texts).toEqual(['new'])
  })

  it('those of `muc` come before those of the whole', () => {
    const given = mamOptions.parse({
      archive_chat_markers: true,
      max_result_limit: 7,
      muc: { host: 'rooms.@HOST@', max_result_limit: 3, no_stanzaid_element: true },
    })
    expect(roomOptions(given)).toMatchObject({
      host: 'rooms.@HOST@',
      archive_chat_markers: true,
      max_result_limit: 3,
      default_result_limit: 50,
      no_stanzaid_element: true,
    })
    expect(roomOptions(mamOptions.parse({}))).toBeUndefined()
  })

  it.each([
    [{ muc: {} }, []],
    [{ muc: { is_archivable_message: 'mod_mam_utils', backend: 'rdbms', cache_users: true } }, []],
    [{ muc: { backend: 'riak' } }, ['muc.backend not_supported']],
    [{ muc: { is_archivable_message: 'mine' } }, ['muc.is_archivable_message not_supported']],
    [{ muc: { user_prefs_store: 'rdbms' } }, ['muc.user_prefs_store not_supported']],
    [{ muc: { message_retraction: true } }, ['muc.message_retraction not_supported_yet']],
  ])('%j: what of them is refused', (options, refused) => {
    expect(unsupportedMam(mamOptions.parse(options)).map(({ path, code }) => `${path.join('.')} ${code}`)).toEqual(
      refused,
    )
  })
})

describe('what other kinds of rooms ask of the archive', () => {
  const room = jid(tea)
  const witch = (text: string) =>
    stanza(`<message type="groupchat" from="${tea}/witch" to="${tea}" id="k"><body>${text}</body></message>`)
  const archived = async () => {
    const all = await party()
    return { ...all, archive: all.server.routing.rooms.archiveOf(domain)! }
  }
  async function kept(archive: RoomArchive, text: string): Promise<string> {
    const id = archive.newId()
    await archive.append({ room, id, message: witch(text), sender: at('alice') })
    return id
  }

  it('§4.1.1: an occupant is found by its nickname', async () => {
    const { archive, hare } = await archived()
    await kept(archive, 'hail')
    const { texts, messages } = await asks(hare, query(form(field('with', `${tea}/witch`))))
    expect(texts).toEqual(['hail'])
    expect(messages[0]!.attrs.to).toBeUndefined()
    expect(messages[0]!.getChild('x', 'http://jabber.org/protocol/muc#user')?.getChild('item')?.attrs.jid).toBe(
      at('alice'),
    )
  })

  it('XEP-0424 §4: what was retracted is a tombstone under the same id', async () => {
    const { archive, hare } = await archived()
    const id = await kept(archive, 'hail')
    const retracted = '<retracted xmlns="urn:xmpp:message-retract:1" stamp="2024-01-01T00:00:00Z" id="r"/>'
    await archive.retract({ room, id, retracted, author: at('hatter') })
    expect((await asks(hare)).texts.at(-1)).toBe('hail')
    await archive.retract({ room, id, retracted, author: at('alice') })
    const after = await asks(hare)
    expect(after.ids.at(-1)).toBe(id)
    const stone = after.messages.at(-1)!
    expect(stone.attrs).toMatchObject({ from: `${tea}/witch`, id: 'k', type: 'groupchat' })
    expect(stone.getChild('body')).toBeUndefined()
    expect(stone.getChild('retracted', 'urn:xmpp:message-retract:1')?.attrs.id).toBe('r')
    await archive.retract({ room, id: archiveId(1, '00000000'), retracted, author: undefined })
  })

  it('§4.1.1: who may not know the occupants does not find them by their own addresses', async () => {
    const server = world({ modules: { mod_mam_meta: { muc: { host: 'rooms.@HOST@' } } } })
    const rooms = 'rooms.montague.example'
    const service = jid(rooms)
    server.routing.rooms.serve(rooms, { mayRead: async () => ({ seesRealJids: false }) })
    server.routing.routes.add(rooms, {
      kind: 'service',
      node: 'local',
      deliver: async given => {
        const reply = await server.routing.iq.answer(service.domain, 'account', given)
        if (reply) await server.routing.route(reply)
      },
    })
    const hare = await (await server.connect(`${at('hare')}/x`)).arrives()
    const archive = server.routing.rooms.archiveOf(rooms)!
    const heath = jid(`heath@${rooms}`)
    const message = stanza(`<message type="groupchat" from="heath@${rooms}/witch"><body>hail</body></message>`)
    await archive.append({ room: heath, id: archive.newId(), message, sender: at('alice') })
    const to = heath.text
    const ask = (fields: string) => iq(`<query xmlns="${mam}">${fields}</query>`, { to })
    const found = await asks(hare, ask(form(field('with', `${to}/witch`))))
    expect(found.texts).toEqual(['hail'])
    expect(found.messages[0]!.getChild('x', 'http://jabber.org/protocol/muc#user')).toBeUndefined()
    expect((await asks(hare, ask(form(field('with', at('alice')))))).outcome).toBe('forbidden')
  })
})

describe('over sockets and the store that ships', () => {
  it('ML-35: a page of a room after the server was started anew', async () => {
    const server = await startedServer({
      users: ['hare', 'alice'],
      modules: { mod_muc_light: {}, mod_mam_meta: { muc: { host: 'muclight.@HOST@' } } },
    })
    const there = 'tea@muclight.localhost'
    const hare = await login(server, 'hare', { priority: 0 })
    const created = `<query xmlns="${light}#create"><occupants><user affiliation="member">alice@localhost</user></occupants></query>`
    expect((await hare.ask('set', created, { to: there })).attrs.type).toBe('result')
    await hare.receives('<message><body/></message>')
    const live: string[] = []
    for (let number = 0; number < 20; number += 1) {
      await hare.send(`<message type="groupchat" to="${there}" id="k${number}"><body>${number}</body></message>`)
    }
    for (let number = 0; number < 20; number += 1) {
      const message = await hare.receives(`<message id="k${number}"/>`)
      live.push(...message.getChildren('stanza-id').map(({ attrs }) => String(attrs.id)))
    }
    const alice = await login(server, 'alice', { priority: 0 })
    await alice.ask('set', `<query xmlns="${mam}">${page('<max>20</max><before/>')}</query>`, { to: there })
    const ids: string[] = []
    for (let number = 0; number < 20; number += 1) {
      ids.push((await alice.receives('<message/>')).getChild('result')!.attrs.id)
    }
    expect(ids).toEqual(live)
  })
})
