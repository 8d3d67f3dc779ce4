import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { mamOptions, personalOptions, unsupportedMam } from '../../src/modules/mam-options.js'
import { isArchiveId } from '../../src/protocols/archive-id.js'
import { reroute } from '../../src/routing/session-lifecycle.js'
import { ManualClock } from '../support/clock.js'
import { available, session as login, startedServer } from '../support/server.js'
import { type Client, jid, settled, stanza, type WorldOptions, world } from '../support/world.js'
import { parseXml } from '../support/xml.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const say = (to: string, text: string, more = '', type = 'chat') =>
  `<message id="m" type="${type}" to="${to}"><body>${text}</body>${more}</message>`
const field = (name: string, ...values: string[]) =>
  `<field var="${name}">${values.map(value => `<value>${value}</value>`).join('')}</field>`
const form = (...fields: string[]) =>
  `<x xmlns="jabber:x:data" type="submit">${field('FORM_TYPE', 'urn:xmpp:mam:2')}${fields.join('')}</x>`
const set = (content: string) => `<set xmlns="http://jabber.org/protocol/rsm">${content}</set>`
const query = (content = '', attributes = '') =>
  `<iq id="q" type="set"><query xmlns="urn:xmpp:mam:2" ${attributes}>${content}</query></iq>`
const get = (name: string) => `<iq id="q" type="get"><${name} xmlns="urn:xmpp:mam:2"/></iq>`

interface Answer {
  /** `text id` of each result, in the order of their coming. */
  texts: string[]
  ids: string[]
  results: Element[]
  iq: Element
  fin: Element | undefined
}

/** What came upon a query. */
function readAnswer(arrived: readonly string[]): Answer {
  const elements = arrived.map(xml => parseXml(xml, 'jabber:client'))
  const iq = elements.pop()!
  const results = elements.map(element => element.getChild('result', 'urn:xmpp:mam:2')!)
  const messages = results.map(result => result.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message'))
  return {
    texts: messages.map(message => message?.getChildText('body') ?? ''),
    ids: results.map(({ attrs }) => attrs.id),
    results,
    iq,
    fin: iq.getChild('fin', 'urn:xmpp:mam:2'),
  }
}

async function asks(client: Client, xml = query()): Promise<Answer> {
  client.take()
  await client.sends(xml)
  return readAnswer(client.take())
}

const rsmOf = ({ fin }: Answer) => {
  const page = fin?.getChild('set', 'http://jabber.org/protocol/rsm')
  return {
    first: page?.getChildText('first') ?? undefined,
    last: page?.getChildText('last') ?? undefined,
    count: page?.getChildText('count') ?? undefined,
    isComplete: fin?.attrs.complete === 'true',
  }
}

const idsIn = (xml: string) =>
  parseXml(xml, 'jabber:client')
    .getChildren('stanza-id', 'urn:xmpp:sid:0')
    .map(({ attrs }) => `${attrs.by} ${attrs.id}`)

/** Romeo in the orchard and Juliet on the balcony, both available. */
async function setUp(options: object = {}, others: WorldOptions = {}) {
  const server = world({ ...others, modules: { mod_mam_meta: options, ...others.modules } })
  const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
  const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
  return { server, orchard, balcony }
}

describe('the archive (XEP-0313)', () => {
  it('keeps a message for both sides, and the recipient is told its id (§3.5)', async () => {
    const { orchard, balcony } = await setUp()
    await balcony.sends(say(`${romeo}/orchard`, 'What man art thou'))
    const [live = '', ...more] = orchard.take()
    expect(more).toEqual([])
    const [hers, his] = [await asks(balcony), await asks(orchard)]
    expect([hers.texts, his.texts]).toEqual([['What man art thou'], ['What man art thou']])
    expect(idsIn(live)).toEqual([`${romeo} ${his.ids[0]}`])
    expect(his.ids[0]).not.toBe(hers.ids[0])
    expect([...his.ids, ...hers.ids].every(isArchiveId)).toBe(true)
    const forwarded = his.results[0]!.getChild('forwarded')!
    expect(forwarded.getChild('delay', 'urn:xmpp:delay')?.attrs.stamp).toBe('2024-01-01T00:00:00.000Z')
    expect(forwarded.getChild('message', 'jabber:client')?.attrs).toMatchObject({
      from: `${juliet}/balcony`,
      to: `${romeo}/orchard`,
      type: 'chat',
      id: 'm',
    })
  })

  it('keeps what an account says to itself once (§6.1.1)', async () => {
    const { server, orchard } = await setUp()
    const home = await (await server.connect(`${romeo}/home`)).arrives()
    await orchard.sends(say(`${romeo}/home`, 'one'))
    await orchard.sends('<message type="chat"><body>two</body></message>')
    expect(home.take().flatMap(idsIn)).toHaveLength(2)
    expect((await asks(home)).texts).toEqual(['one', 'two'])
    expect((await asks(home, query(form(field('with', romeo))))).texts).toEqual(['one', 'two'])
  })

  it('keeps one of what goes to several resources, who all learn the same id (§6.1.1)', async () => {
    const { server, orchard, balcony } = await setUp({}, { modules: { mod_carboncopy: {} } })
    const home = await (await server.connect(`${romeo}/home`)).arrives()
    const asleep = await (await server.connect(`${romeo}/asleep`)).arrives(-1)
    await asleep.sends('<iq id="c" type="set"><enable xmlns="urn:xmpp:carbons:2"/></iq>')
    for (const client of [orchard, home, asleep]) client.take()
    await balcony.sends(say(romeo, 'to all'))
    const [first, second] = [orchard.take(), home.take()].map(([xml = '']) => idsIn(xml))
    expect(first).toEqual(second)
    const [copy = ''] = asleep.take()
    expect(copy).toContain(first![0]!.split(' ')[1])
    expect((await asks(asleep)).ids.map(id => `${romeo} ${id}`)).toEqual(first)
  })

  it('keeps what waits for an account, which is handed over later with the same id', async () => {
    const { server, balcony } = await setUp({}, { modules: { mod_offline: {} } })
    await server.register('mercutio@montague.example')
    await balcony.sends(say('mercutio@montague.example', 'late'))
    const verona = await server.connect('mercutio@montague.example/verona')
    await verona.sends('<presence/>')
    const live = verona.take().find(xml => xml.includes('late')) ?? ''
    const { ids, texts } = await asks(verona)
    expect(texts).toEqual(['late'])
    expect(idsIn(live)).toEqual([`mercutio@montague.example ${ids[0]}`])
  })

  it('keeps nothing twice that a session could not hand on any more', async () => {
    const { server, orchard, balcony } = await setUp()
    const home = await (await server.connect(`${romeo}/home`)).arrives(-1)
    orchard.take()
    await balcony.sends(say(`${romeo}/orchard`, 'once'))
    const [live = ''] = orchard.take()
    await orchard.leaves()
    await home.arrives(0)
    home.take()
    await reroute(server.routing, orchard, stanza(live))
    expect(home.take()).toEqual([live])
    expect((await asks(home)).texts).toEqual(['once'])
  })

  it('keeps nothing that is refused: for nobody, from the blocked, for a resource that is gone (§6.1)', async () => {
    const { server, orchard, balcony } = await setUp({}, { modules: { mod_privacy: {}, mod_blocking: {} } })
    await orchard.sends(`<iq id="b" type="set"><block xmlns="urn:xmpp:blocking"><item jid="${juliet}"/></block></iq>`)
    await balcony.sends(say(romeo, 'blocked'))
    await balcony.sends(say('nobody@montague.example', 'nobody'))
    await balcony.sends(say(`${romeo}/gone`, 'gone', '', 'normal'))
    expect((await asks(orchard)).texts).toEqual([])
    expect(await server.store.archive.ends('nobody', 'montague.example')).toBeUndefined()
    // What she said, she said.
    expect((await asks(balcony)).texts).toEqual(['blocked', 'nobody', 'gone'])
  })

  it('takes no ids that others claim to be its own, and leaves those of others (XEP-0359 §5)', async () => {
    const { orchard, balcony } = await setUp()
    const claim = (by: string) => `<stanza-id xmlns="urn:xmpp:sid:0" by="${by}" id="forged"/>`
    const origin = '<origin-id xmlns="urn:xmpp:sid:0" id="o"/>'
    await balcony.sends(say(romeo, 'x', claim('ROMEO@montague.example') + claim('x@y') + claim(juliet) + origin))
    const [live = ''] = orchard.take()
    const { ids } = await asks(orchard)
    expect(idsIn(live)).toEqual(['x@y forged', `${romeo} ${ids[0]}`])
    expect(live).toContain('origin-id')
    // Also where nothing is archived.
    await balcony.sends(`<message to="${romeo}">${claim(romeo)}<x xmlns="urn:y"/></message>`)
    expect(orchard.take().join()).not.toContain('forged')
  })

  it('gives no ids where the options say so', async () => {
    const { orchard, balcony } = await setUp({ no_stanzaid_element: true })
    await balcony.sends(say(romeo, 'x'))
    expect(orchard.take().flatMap(idsIn)).toEqual([])
    expect((await asks(orchard)).texts).toEqual(['x'])
  })

  it('hands a message on when it is stored and no earlier, in the order of its sender (DESIGN §7)', async () => {
    const { server, orchard, balcony } = await setUp()
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    const sent = balcony.sends(say(`${romeo}/orchard`, 'one'))
    await settled()
    expect(orchard.take()).toEqual([])
    expect(server.store.log.filter(line => line.startsWith('archive.append'))).toEqual([
      `archive.append ${juliet}`,
      `archive.append ${romeo}`,
    ])
    open()
    await sent
    expect(orchard.take()).toHaveLength(1)
  })

  it('does not hand on what could not be stored: the sender is told to try again, once', async () => {
    const { server, orchard, balcony } = await setUp()
    server.store.isFailing = true
    await balcony.sends(say(`${romeo}/orchard`, 'lost'))
    expect(orchard.take()).toEqual([])
    balcony.receives(`<message id="m" type="error">${error('resource-constraint')}</message>`)
    await balcony.sends(say('somebody@elsewhere.example', 'lost'))
    balcony.receives(`<message id="m" type="error">${error('resource-constraint')}</message>`)
    expect(server.bugs).toEqual([])
  })

  it('keeps group chat for its receivers only where the options say so', async () => {
    for (const [archive_groupchats, expected] of [
      [false, []],
      [true, ['all']],
    ] as const) {
      const { server, orchard } = await setUp({ pm: { archive_groupchats } })
      await server.arrives(
        `<message type="groupchat" from="room@x/nick" to="${romeo}/orchard"><body>all</body></message>`,
      )
      expect((await asks(orchard)).texts).toEqual(expected)
    }
  })

  it('is not there for users where only rooms are to have one', async () => {
    const { orchard, balcony } = await setUp({ muc: {} })
    await balcony.sends(say(romeo, 'x'))
    expect(orchard.take().flatMap(idsIn)).toEqual([])
    await orchard.sends(query())
    orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
  })

  it('is forgotten with its account', async () => {
    const { server, orchard, balcony } = await setUp()
    await balcony.sends(say(romeo, 'x'))
    await server.services.accounts.remove('romeo', 'montague.example')
    expect((await asks(orchard)).texts).toEqual([])
  })

  it('loses what is older than retention_days, on the clock (§3.2)', async () => {
    const { server, orchard, balcony } = await setUp({ retention_days: 2 })
    const days = (count: number) => server.clock.advance(count * 24 * 60 * 60 * 1000)
    await balcony.sends(say(romeo, 'old'))
    days(1)
    await balcony.sends(say(romeo, 'new'))
    await settled()
    expect((await asks(orchard)).texts).toEqual(['old', 'new'])
    days(1.1)
    await settled()
    expect((await asks(orchard)).texts).toEqual(['new'])
    days(1)
    await settled()
    expect((await asks(orchard)).texts).toEqual([])
    server.running.stop()
    expect(server.clock.pending).toBe(0)
  })
})

describe('queries of the archive (XEP-0313 §4)', () => {
  /** Ten messages, a second apart: even ones from Juliet's balcony, odd ones from her chamber. */
  async function filled(options: object = {}) {
    const set = await setUp(options)
    const { server, orchard, balcony } = set
    const chamber = await (await server.connect(`${juliet}/chamber`)).arrives()
    for (let i = 0; i < 10; i += 1) {
      await (i % 2 === 0 ? balcony : chamber).sends(say(romeo, `${i}`))
      server.clock.advance(1000)
    }
    await orchard.sends(say('nurse@capulet.example', 'nurse'))
    return { ...set, all: await asks(orchard) }
  }

  it('give everything in order, with the queryid, and say that it is all (§4, §4.3.2)', async () => {
    const { orchard, all } = await filled()
    expect(all.texts).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'nurse'])
    expect(rsmOf(all)).toEqual({ first: all.ids[0], last: all.ids[10], count: '11', isComplete: true })
    const named = await asks(orchard, query('', 'queryid="f27"'))
    expect(named.results.every(({ attrs }) => attrs.queryid === 'f27')).toBe(true)
    expect(all.results.every(({ attrs }) => attrs.queryid === undefined)).toBe(true)
  })

  it('are answered from the account to the resource that asked, and to no other', async () => {
    const { server, orchard } = await filled()
    const home = await (await server.connect(`${romeo}/home`)).arrives()
    await orchard.sends(query(set('<max>1</max>')))
    expect(home.take()).toEqual([])
    const [first = ''] = orchard.take().slice(-2)
    expect(parseXml(first, 'jabber:client').attrs).toMatchObject({ from: romeo, to: `${romeo}/orchard` })
  })

  it('go forwards and backwards in pages (§4.3)', async () => {
    const { orchard, all } = await filled()
    const page = async (content: string) => {
      const answer = await asks(orchard, query(set(content)))
      return { texts: answer.texts, ...rsmOf(answer) }
    }
    const { ids } = all
    expect(await page('<max>4</max>')).toEqual({
      texts: ['0', '1', '2', '3'],
      first: ids[0],
      last: ids[3],
      count: undefined,
      isComplete: false,
    })
    expect(await page(`<max>4</max><after>${ids[3]}</after>`)).toMatchObject({ texts: ['4', '5', '6', '7'] })
    expect(await page(`<max>4</max><after>${ids[7]}</after>`)).toMatchObject({
      texts: ['8', '9', 'nurse'],
      count: undefined,
      isComplete: true,
    })
    expect(await page('<max>3</max><before/>')).toMatchObject({ texts: ['8', '9', 'nurse'], isComplete: false })
    expect(await page(`<max>3</max><before>${ids[8]}</before>`)).toMatchObject({
      texts: ['5', '6', '7'],
      first: ids[5],
    })
    expect(await page(`<max>3</max><before>${ids[2]}</before>`)).toMatchObject({ texts: ['0', '1'], isComplete: true })
    expect(await page('<max>11</max>')).toMatchObject({ count: '11', isComplete: true })
    expect(await page('<max>0</max>')).toEqual({
      texts: [],
      first: undefined,
      last: undefined,
      count: '11',
      isComplete: false,
    })
  })

  it('give no more than max_result_limit, and default_result_limit without a max (§4.3.1)', async () => {
    const { orchard } = await filled({ default_result_limit: 2, max_result_limit: 5 })
    expect((await asks(orchard)).texts).toHaveLength(2)
    expect((await asks(orchard, query(set('<max>100</max>')))).texts).toHaveLength(5)
  })

  it('are filtered by contact: a bare JID means every resource, a full JID that one (§4.1.1)', async () => {
    const { orchard } = await filled()
    const withJid = async (text: string, more = '') =>
      (await asks(orchard, query(form(field('with', text)) + more))).texts
    expect(await withJid(juliet)).toHaveLength(10)
    expect(await withJid(`${juliet}/chamber`)).toEqual(['1', '3', '5', '7', '9'])
    expect(await withJid(`${juliet}/chamber`, set('<max>2</max><before/>'))).toEqual(['7', '9'])
    expect(await withJid('nurse@capulet.example')).toEqual(['nurse'])
    expect(await withJid('nobody@capulet.example')).toEqual([])
    expect(await withJid(romeo)).toEqual([])
  })

  it('are filtered by time, both ends within (§4.1.2)', async () => {
    const { orchard } = await filled()
    const between = async (...fields: string[]) => (await asks(orchard, query(form(...fields)))).texts
    expect(await between(field('start', '2024-01-01T00:00:08Z'))).toEqual(['8', '9', 'nurse'])
    expect(await between(field('end', '2024-01-01T00:00:01.000Z'))).toEqual(['0', '1'])
    expect(
      await between(
        field('start', '2024-01-01T00:00:02Z'),
        field('end', '2024-01-01T00:00:03.5Z'),
        field('with', juliet),
      ),
    ).toEqual(['2', '3'])
    expect(await between(field('start', '2024-01-01T00:00:05Z'), field('end', '2024-01-01T00:00:01Z'))).toEqual([])
  })

  it('are filtered by ids, which have to be there (§4.1.3)', async () => {
    const { orchard, all } = await filled()
    const { ids } = all
    const by = async (...fields: string[]) => (await asks(orchard, query(form(...fields)))).texts
    expect(await by(field('after-id', ids[7]!))).toEqual(['8', '9', 'nurse'])
    expect(await by(field('after-id', ids[1]!), field('before-id', ids[4]!))).toEqual(['2', '3'])
    expect(await by(field('ids', ids[5]!, ids[2]!, ids[5]!))).toEqual(['2', '5'])
    const unknown = ids[0]!.replace(/.$/, last => (last === '0' ? '1' : '0'))
    for (const content of [
      form(field('ids', ids[0]!, unknown)),
      form(field('after-id', unknown)),
      form(field('before-id', unknown)),
      set(`<after>${unknown}</after>`),
      set(`<before>${unknown}</before><max>0</max>`),
      set('<after>09af3-cc343-b409f</after>'),
    ]) {
      const { iq } = await asks(orchard, query(content))
      expect(iq.getChild('error')?.getChild('item-not-found')).toBeDefined()
    }
  })

  it('give a flipped page the newest first, the same page otherwise (§4.3.4)', async () => {
    const { orchard, all } = await filled()
    const flipped = await asks(orchard, query(`${set(`<max>3</max><after>${all.ids[1]}</after>`)}<flip-page/>`))
    expect(flipped.texts).toEqual(['4', '3', '2'])
    expect(rsmOf(flipped)).toMatchObject({ first: all.ids[2], last: all.ids[4] })
  })

  it('of somebody else’s archive are forbidden (§8.1)', async () => {
    const { balcony } = await filled()
    balcony.take()
    const prefs = get('prefs')
    for (const xml of [query(), get('query'), get('metadata'), prefs, prefs.replace('get', 'set')]) {
      await balcony.sends(xml.replace('<iq', `<iq to="${romeo}"`))
      balcony.receives(`<iq id="q" type="error">${error('forbidden')}</iq>`)
    }
  })

  it('of an unknown field are not implemented (§4.1.5)', async () => {
    const { orchard } = await filled()
    const { iq } = await asks(orchard, query(form(field('{http://example.com/}search', 'x'))))
    expect(iq.getChild('error')?.getChild('feature-not-implemented')).toBeDefined()
  })

  it('can ask for the form and for the ends of the archive (§4.1.5, §5)', async () => {
    const { server, orchard, all } = await filled()
    const { iq } = await asks(orchard, get('query'))
    expect(iq.getChild('query')?.getChild('x')?.getChildren('field')).toHaveLength(7)
    await orchard.sends(get('metadata'))
    orchard.receives(
      `<iq id="q" type="result"><metadata xmlns="urn:xmpp:mam:2"><start id="${all.ids[0]}" timestamp="2024-01-01T00:00:00.000Z"/>` +
        `<end id="${all.ids[10]}" timestamp="2024-01-01T00:00:10.000Z"/></metadata></iq>`,
    )
    const tybalt = await server.connect('tybalt@capulet.example/x')
    const empty = await asks(tybalt, get('metadata'))
    expect(empty.iq.getChild('metadata', 'urn:xmpp:mam:2')?.getChildElements()).toEqual([])
  })

  it('are offered by accounts (§7, XEP-0359 §4)', async () => {
    const { orchard } = await setUp({}, { modules: { mod_disco: {} } })
    const { iq } = await asks(
      orchard,
      `<iq id="d" type="get" to="${romeo}"><query xmlns="http://jabber.org/protocol/disco#info"/></iq>`,
    )
    const features = iq
      .getChild('query')
      ?.getChildren('feature')
      .map(({ attrs }) => attrs.var)
    expect(features).toEqual(expect.arrayContaining(['urn:xmpp:mam:2', 'urn:xmpp:mam:2#extended', 'urn:xmpp:sid:0']))
  })
})

describe('archiving preferences (XEP-0441)', () => {
  const prefs = (standard: string, always = '', never = '') =>
    `<prefs xmlns="urn:xmpp:mam:2" default="${standard}"><always>${always}</always><never>${never}</never></prefs>`
  const change = (content: string) => `<iq id="p" type="set">${content}</iq>`
  const stored = { user_prefs_store: 'rdbms' }

  it('are not there unless the options say where they are kept', async () => {
    const { orchard } = await setUp()
    await orchard.sends(get('prefs'))
    orchard.receives(`<iq id="q" type="error">${error('feature-not-implemented')}</iq>`)
  })

  it('say always until somebody says otherwise, and are stored (§2.1)', async () => {
    const { server, orchard } = await setUp(stored)
    await orchard.sends(get('prefs'))
    orchard.receives(`<iq id="q" type="result">${prefs('always')}</iq>`)
    const wanted = prefs('roster', `<jid>${juliet}</jid>`, '<jid>a@x</jid>')
    await orchard.sends(change(wanted))
    orchard.receives(`<iq id="p" type="result">${wanted}</iq>`)
    expect(await server.store.archive.preferences('romeo', 'montague.example')).toEqual({
      standard: 'roster',
      always: [juliet],
      never: ['a@x'],
    })
    await orchard.sends(get('prefs'))
    orchard.receives(`<iq id="q" type="result">${wanted}</iq>`)
  })

  it('decide what is archived from then on, each side for itself (§2.1.1, §2.3)', async () => {
    const { server, orchard, balcony } = await setUp(stored)
    const texts = async () => (await asks(orchard)).texts
    await orchard.sends(change(prefs('always', '', `<jid>${juliet}</jid>`)))
    await balcony.sends(say(romeo, 'one'))
    await orchard.sends(say(juliet, 'two'))
    expect(await texts()).toEqual([])
    expect((await asks(balcony)).texts).toEqual(['one', 'two'])
    await orchard.sends(change(prefs('never', `<jid>${juliet}/balcony</jid>`)))
    await balcony.sends(say(romeo, 'three'))
    await orchard.sends(say(juliet, 'four'))
    expect(await texts()).toEqual(['three'])
    await orchard.sends(change(prefs('roster')))
    await balcony.sends(say(romeo, 'five'))
    await server.routing.rosters.change(jid(romeo), () => ({
      change: {
        put: [{ jid: juliet, name: '', subscription: 'none', ask: false, approved: false, groups: [] }],
      },
      committed: () => undefined,
    }))
    await balcony.sends(say(romeo, 'six'))
    expect(await texts()).toEqual(['three', 'six'])
  })

  it('that make no sense are refused (§2.1.1)', async () => {
    const { orchard } = await setUp(stored)
    await orchard.sends(change('<prefs xmlns="urn:xmpp:mam:2" default="maybe"/>'))
    orchard.receives(`<iq id="p" type="error">${error('bad-request')}</iq>`)
  })
})

describe('[modules.mod_mam_meta] (spec/listeners.md §2.8)', () => {
  const problems = (options: object) =>
    unsupportedMam(mamOptions.parse(options)).map(({ path, code }) => `${path.join('.')} ${code}`)

  it('takes what means what the server does anyway', () => {
    expect(problems({ backend: 'rdbms', async_writer: true, pm: { user_prefs_store: 'mnesia' } })).toEqual([])
  })

  it.each([
    [{ backend: 'cassandra' }, 'backend not_supported'],
    [{ pm: { user_prefs_store: 'cassandra' } }, 'pm.user_prefs_store not_supported'],
    [{ async_writer: false }, 'async_writer not_supported'],
    [{ max_batch_size: 30 }, 'max_batch_size not_supported'],
    [{ is_archivable_message: 'my_module' }, 'is_archivable_message not_supported'],
    [{ riak: {} }, 'riak not_supported'],
    [{ full_text_search: true }, 'full_text_search not_supported_yet'],
    [{ message_retraction: true }, 'message_retraction not_supported_yet'],
    [{ pm: { same_mam_id_for_peers: true } }, 'pm.same_mam_id_for_peers not_supported_yet'],
  ])('refuses %j', (options, expected) => {
    expect(problems(options)).toEqual([expected])
  })

  it.each([{ retention_days: 0 }, { pm: { retention_days: 1 } }, { max_result_limit: -1 }, { pm: true }, { x: 1 }])(
    'does not know %j',
    options => {
      expect(mamOptions.safeParse(options).success).toBe(false)
    },
  )

  it('lets `pm` say otherwise than the whole', () => {
    const options = mamOptions.parse({ max_result_limit: 10, default_result_limit: 7, pm: { max_result_limit: 20 } })
    expect(personalOptions(options)).toMatchObject({ max_result_limit: 20, default_result_limit: 7 })
  })
})

describe('the archive behind real sockets', () => {
  const options = {
    users: ['romeo', 'juliet'],
    modules: { mod_mam_meta: {}, mod_carboncopy: {}, mod_offline: {}, mod_ping: {} },
  }

  it('is paged through, ten thousand messages long, by a client whose queue is short', async () => {
    const server = await startedServer({ ...options, listener: { max_fsm_queue: 20 } })
    const xml = Buffer.from('<message from="juliet@localhost/balcony" to="romeo@localhost"><body>x</body></message>')
    const entry = { user: 'romeo', host: 'localhost', contact: 'juliet@localhost', resource: 'balcony', xml }
    const count = 10_000
    const name = (number: number) => `00f${number.toString(36).padStart(8, '0')}00000000`
    await Promise.all(
      Array.from({ length: count }, (_, number) =>
        server.internals.store.archive.append({ ...entry, id: name(number) }),
      ),
    )
    const reader = await login(server, 'romeo')
    let pages = 0
    let seen = 0
    for (let after = ''; ; pages += 1) {
      const page = `<max>50</max>${after === '' ? '' : `<after>${after}</after>`}`
      const result = await reader.ask('set', `<query xmlns="urn:xmpp:mam:2">${set(page)}</query>`)
      for (;;) {
        const message = await reader.receives('<message/>')
        expect(message.getChild('result')?.attrs.id).toBe(name(seen))
        seen += 1
        if (seen % 50 === 0) break
      }
      const fin = result.getChild('fin', 'urn:xmpp:mam:2')
      after = fin?.getChild('set')?.getChildText('last') ?? ''
      expect(after).toBe(name(seen - 1))
      if (fin?.attrs.complete === 'true') break
    }
    expect([pages, seen]).toEqual([199, count])
  }, 60_000)

  it('gives a message that waited the id that it has in the archive', async () => {
    const server = await startedServer({ ...options, clock: new ManualClock() })
    const sender = await login(server, 'juliet', { resource: 'balcony' })
    await sender.send(
      say('romeo@localhost', 'wait for me', '<stanza-id xmlns="urn:xmpp:sid:0" by="romeo@localhost" id="x"/>'),
    )
    await sender.settled()
    const reader = await login(server, 'romeo', { priority: 0 })
    const live = await reader.receives('<message><body>wait for me</body></message>')
    await reader.ask('set', '<query xmlns="urn:xmpp:mam:2"/>')
    const archived = await reader.receives('<message><result xmlns="urn:xmpp:mam:2"/></message>')
    expect(live.getChildren('stanza-id').map(({ attrs }) => attrs.id)).toEqual([archived.getChild('result')?.attrs.id])
  })

  it('has what two resources send at the same time in the order in which it is delivered', async () => {
    const server = await startedServer(options)
    const reader = await login(server, 'romeo')
    await available(reader)
    const senders = await Promise.all(['a', 'b'].map(resource => login(server, 'juliet', { resource })))
    const burst = (name: string) =>
      Array.from({ length: 50 }, (_, number) => say('romeo@localhost', `${name}${number}`)).join('')
    await Promise.all(senders.map((sender, index) => sender.send(burst('ab'[index]!))))
    const live: string[] = []
    while (live.length < 100) live.push((await reader.receives('<message/>')).getChildText('body') ?? '')
    const archived: string[] = []
    for (const page of ['<max>50</max>', '<before/><max>50</max>']) {
      await reader.ask('set', `<query xmlns="urn:xmpp:mam:2">${set(page)}</query>`)
      for (let i = 0; i < 50; i += 1) {
        const result = (await reader.receives('<message/>')).getChild('result')
        archived.push(result?.getChild('forwarded')?.getChild('message')?.getChildText('body') ?? '')
      }
    }
    expect(archived).toEqual(live)
    for (const name of 'ab') {
      const own = live.filter(text => text.startsWith(name))
      expect(own).toEqual(Array.from({ length: 50 }, (_, number) => `${name}${number}`))
    }
  })
})
