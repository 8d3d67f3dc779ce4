import { describe, expect, it } from 'vitest'
import { modules } from '../../src/modules/index.js'
import { rosterLimits } from '../../src/protocols/roster.js'
import { type Client, jid, settled, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const query = (items: string, attributes = '') => `<query xmlns="jabber:iq:roster" ${attributes}>${items}</query>`
const set = (item: string) => `<iq id="s" type="set">${query(item)}</iq>`
const push = (item: string) => `<iq type="set" from="${romeo}">${query(item)}</iq>`
const result = '<iq id="s" type="result"/>'

async function romeoWith(options: Record<string, unknown> = {}) {
  const server = world({ modules: { mod_roster: options } })
  const orchard = await server.connect(`${romeo}/orchard`)
  return { server, orchard }
}

async function interested(client: Client): Promise<Client> {
  await client.sends(`<iq id="g" type="get">${query('')}</iq>`)
  client.take()
  return client
}

describe('roster get (RFC 6121 §2.2)', () => {
  it('brings the whole roster, an empty one too, and pushes from then on (§2.1.6)', async () => {
    const { server, orchard } = await romeoWith()
    await orchard.sends(`<iq id="g" type="get">${query('')}</iq>`)
    expect(orchard.take()).toEqual([expect.stringContaining('<query xmlns="jabber:iq:roster"/>')])
    expect(orchard.isInterested).toBe(true)
    await server.roster(romeo, {
      jid: juliet,
      name: 'Juliet & co',
      subscription: 'both',
      groups: ['Friends', 'Lovers'],
    })
    await server.roster(romeo, { jid: 'x@y.example', ask: true, approved: true })
    await orchard.sends(`<iq id="g" type="get" to="${romeo}">${query('')}</iq>`)
    orchard.receives(
      `<iq id="g" type="result" from="${romeo}" to="${romeo}/orchard">${query(
        `<item jid="${juliet}" name="Juliet &amp; co" subscription="both"><group>Friends</group><group>Lovers</group></item>` +
          '<item jid="x@y.example" subscription="none" ask="subscribe" approved="true"/>',
      )}</iq>`,
    )
  })

  it('of somebody else’s roster is forbidden, and so is setting it (§2.3.3)', async () => {
    const { server, orchard } = await romeoWith()
    await server.register(juliet)
    for (const type of ['get', 'set']) {
      await orchard.sends(`<iq id="g" type="${type}" to="${juliet}">${query('<item jid="a@b.example"/>')}</iq>`)
      orchard.receives(`<iq id="g" type="error" from="${juliet}">${error('forbidden')}</iq>`)
    }
  })
})

describe('roster set (RFC 6121 §2.3, §2.4)', () => {
  it('is confirmed after commit, then pushed to every interested resource', async () => {
    const { server, orchard } = await romeoWith()
    await interested(orchard)
    const garden = await interested(await server.connect(`${romeo}/garden`))
    const deaf = await server.connect(`${romeo}/deaf`)
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    const sent = orchard.sends(set(`<item jid="${juliet}" name="Juliet"><group>Friends</group></item>`))
    await settled()
    orchard.receives()
    open()
    await sent
    const item = `<item jid="${juliet}" name="Juliet" subscription="none"><group>Friends</group></item>`
    orchard.receives(result, push(item))
    garden.receives(push(item))
    deaf.receives()
    expect((await server.store.rosters.load('romeo', 'montague.example')).items).toHaveLength(1)
  })

  it('changes name and groups, and nothing that only the server may (§2.1.2)', async () => {
    const { server, orchard } = await romeoWith()
    await server.roster(romeo, { jid: juliet, name: 'J', subscription: 'to', groups: ['A'] })
    await interested(orchard)
    await orchard.sends(
      set(`<item jid="${juliet}" subscription="both" ask="subscribe" approved="true"><group>B</group></item>`),
    )
    orchard.receives(result, push(`<item jid="${juliet}" subscription="to"><group>B</group></item>`))
    const stored = (await server.store.rosters.load('romeo', 'montague.example')).items[0]
    expect(stored).toEqual({ jid: juliet, name: '', subscription: 'to', ask: false, approved: false, groups: ['B'] })
  })

  const long = 'x'.repeat(1024)
  it.each([
    ['no item', '', 'bad-request'],
    ['two items', '<item jid="a@b.example"/><item jid="c@b.example"/>', 'bad-request'],
    ['an item without jid', '<item name="x"/>', 'bad-request'],
    ['a jid that is none', '<item jid="@b.example"/>', 'jid-malformed'],
    ['a group twice', '<item jid="a@b.example"><group>x</group><group>x</group></item>', 'bad-request'],
    ['a group without name', '<item jid="a@b.example"><group/></item>', 'not-acceptable'],
    ['a name that is too long', `<item jid="a@b.example" name="${long}"/>`, 'not-acceptable'],
    ['a group that is too long', `<item jid="a@b.example"><group>${long}</group></item>`, 'not-acceptable'],
    ['the account itself', `<item jid="${romeo}"/>`, 'not-allowed'],
    ['a removal of nothing', '<item jid="a@b.example" subscription="remove"/>', 'item-not-found'],
    [
      'too many groups',
      `<item jid="a@b.example">${Array.from({ length: rosterLimits.groupsPerItem + 1 }, (_, i) => `<group>${i}</group>`).join('')}</item>`,
      'not-acceptable',
    ],
  ])('with %s is refused (§2.3.3)', async (_, item, condition) => {
    const { server, orchard } = await romeoWith()
    await interested(orchard)
    await orchard.sends(set(item))
    orchard.receives(`<iq id="s" type="error">${error(condition)}</iq>`)
    expect((await server.store.rosters.load('romeo', 'montague.example')).items).toEqual([])
  })

  it('takes a name of 1023 bytes, and counts bytes, not characters', async () => {
    const { orchard } = await romeoWith()
    await orchard.sends(set(`<item jid="a@b.example" name="${'é'.repeat(511)}x"/>`))
    orchard.receives(result)
    await orchard.sends(set(`<item jid="a@b.example" name="${'é'.repeat(512)}"/>`))
    orchard.receives(`<iq id="s" type="error">${error('not-acceptable')}</iq>`)
  })

  it('above the number of items is refused; changing one that is there is not', async () => {
    const { server, orchard } = await romeoWith()
    await server.roster(romeo, ...Array.from({ length: rosterLimits.items }, (_, i) => ({ jid: `c${i}@x.example` })))
    await orchard.sends(set('<item jid="a@b.example"/>'))
    orchard.receives(`<iq id="s" type="error">${error('not-allowed')}</iq>`)
    await orchard.sends(set('<item jid="c7@x.example" name="seven"/>'))
    orchard.receives(result)
  })

  it('that the store refuses is refused, and nobody hears of it', async () => {
    const { server, orchard } = await romeoWith()
    const garden = await interested(await server.connect(`${romeo}/garden`))
    await interested(orchard)
    server.store.isFailing = true
    await orchard.sends(set('<item jid="a@b.example"/>'))
    orchard.receives(`<iq id="s" type="error">${error('resource-constraint')}</iq>`)
    garden.receives()
  })

  it('from two resources at once loses nothing, and every resource sees the same order', async () => {
    const { server, orchard } = await romeoWith({ versioning: true })
    const garden = await interested(await server.connect(`${romeo}/garden`))
    await interested(orchard)
    const both = [orchard, garden]
    await Promise.all(Array.from({ length: 10 }, (_, i) => both[i % 2]!.sends(set(`<item jid="c${i}@x.example"/>`))))
    const pushes = (client: Client) =>
      client
        .take()
        .filter(xml => xml.includes('type="set"'))
        .map(xml => /jid="(c\d)/.exec(xml)![1])
    const seen = pushes(orchard)
    expect(new Set(seen).size).toBe(10)
    expect(pushes(garden)).toEqual(seen)
    expect((await server.store.rosters.load('romeo', 'montague.example')).items).toHaveLength(10)
  })
})

describe('roster remove (RFC 6121 §2.5)', () => {
  it('ends both subscriptions and tells the contact', async () => {
    const { server, orchard } = await romeoWith()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await server.roster(romeo, { jid: juliet, subscription: 'both' })
    await server.roster(juliet, { jid: romeo, subscription: 'both' })
    await orchard.arrives()
    balcony.take()
    await orchard.sends(set(`<item jid="${juliet}" subscription="remove"/>`))
    orchard.receives(
      result,
      push(`<item jid="${juliet}" subscription="remove"/>`),
      `<presence type="unavailable" from="${juliet}/balcony"/>`,
    )
    balcony.receives(
      `<presence type="unavailable" from="${romeo}/orchard"/>`,
      `<presence type="unsubscribe" from="${romeo}"/>`,
      `<iq type="set">${query(`<item jid="${romeo}" subscription="to"/>`)}</iq>`,
      `<presence type="unsubscribed" from="${romeo}"/>`,
      `<iq type="set">${query(`<item jid="${romeo}" subscription="none"/>`)}</iq>`,
    )
    expect((await server.routing.rosters.get(jid(romeo))).items.size).toBe(0)
  })
})

describe('roster versioning (RFC 6121 §2.6)', () => {
  it('answers nothing to whom knows the version, everything to whom does not, and counts pushes', async () => {
    const { server, orchard } = await romeoWith({ versioning: true })
    expect(server.running.streamFeatures('montague.example', { isAuthenticated: true })).toContain(
      'urn:xmpp:features:rosterver',
    )
    await server.roster(romeo, { jid: juliet })
    await orchard.sends(`<iq id="g" type="get">${query('', 'ver=""')}</iq>`)
    orchard.receives(`<iq id="g" type="result">${query(`<item jid="${juliet}"/>`, 'ver="1"')}</iq>`)
    await orchard.sends(`<iq id="g" type="get">${query('', 'ver="1"')}</iq>`)
    expect(orchard.take()).toEqual([expect.not.stringContaining('<query')])
    await orchard.sends(set('<item jid="a@b.example"/>'))
    orchard.receives(result, `<iq type="set">${query('<item jid="a@b.example"/>', 'ver="2"')}</iq>`)
    await orchard.sends(`<iq id="g" type="get">${query('', 'ver="1"')}</iq>`)
    expect(orchard.take().join()).toContain('ver="2"')
  })

  it('is neither offered nor written when it is off', async () => {
    const { server, orchard } = await romeoWith()
    const features = server.running.streamFeatures('montague.example', { isAuthenticated: true })
    expect(features).toBe('<sub xmlns="urn:xmpp:features:pre-approval"/>')
    expect(server.running.streamFeatures('montague.example', { isAuthenticated: false })).toBe('')
    await interested(orchard)
    await orchard.sends(set('<item jid="a@b.example"/>'))
    expect(orchard.take().join()).not.toContain('ver=')
  })
})

it('says which options it does not honour', () => {
  const roster = modules.find(({ name }) => name === 'mod_roster')!
  const parsed = roster.config.parse({ backend: 'riak', riak: { bucket_type: 'x' }, iqdisc: { type: 'one_queue' } })
  expect(roster.unsupported!(parsed).map(({ path, code }) => [path.join('.'), code])).toEqual([
    ['backend', 'not_supported'],
    ['riak', 'not_supported'],
    ['iqdisc.type', 'not_supported'],
  ])
  expect(roster.unsupported!(roster.config.parse({ backend: 'rdbms', iqdisc: { type: 'no_queue' } }))).toEqual([])
})
