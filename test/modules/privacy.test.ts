import { describe, expect, it } from 'vitest'
import { session, startedServer } from '../support/server.js'
import { type Client, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const query = (content: string) => `<query xmlns="jabber:iq:privacy">${content}</query>`
const iq = (type: string, content: string) => `<iq id="p" type="${type}">${query(content)}</iq>`
const done = '<iq id="p" type="result"/>'
const refused = (condition: string) => `<iq id="p" type="error">${error(condition)}</iq>`
const list = (name: string, ...items: string[]) => `<list name="${name}">${items.join('')}</list>`
const item = (attributes: string, content = '') => `<item ${attributes}>${content}</item>`
const denyJuliet = item(`type="jid" value="${juliet}" action="deny" order="1"`)
const push = (name: string) => `<iq type="set" from="${romeo}">${query(`<list name="${name}"/>`)}</iq>`

async function setUp(modules: Record<string, object> = {}) {
  const server = world({ modules: { mod_privacy: {}, mod_blocking: {}, mod_ping: {}, ...modules } })
  const orchard = await server.connect(`${romeo}/orchard`)
  const balcony = await server.connect(`${juliet}/balcony`)
  return { server, orchard, balcony }
}

/** Sets a list and makes it the active one. */
async function follows(client: Client, ...items: string[]) {
  await client.sends(iq('set', list('mine', ...items)))
  await client.sends(iq('set', '<active name="mine"/>'))
  client.take()
}

const say = (to: string, text = 'x') => `<message id="m" to="${to}"><body>${text}</body></message>`

describe('privacy lists (XEP-0016)', () => {
  it('are named, with the active and the default one (§2.3 to §2.6)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('get', ''))
    expect(orchard.take().join()).toContain('<query xmlns="jabber:iq:privacy"/>')
    for (const name of ['public', 'private']) await orchard.sends(iq('set', list(name, denyJuliet)))
    await orchard.sends(iq('set', '<active name="private"/>'))
    await orchard.sends(iq('set', '<default name="public"/>'))
    orchard.take()
    await orchard.sends(iq('get', ''))
    const names = '<active name="private"/><default name="public"/><list name="private"/><list name="public"/>'
    orchard.receives(`<iq id="p" type="result">${query(names)}</iq>`)
    await orchard.sends(iq('set', '<active/>'))
    await orchard.sends(iq('set', '<default/>'))
    orchard.take()
    await orchard.sends(iq('get', ''))
    expect(orchard.take().join()).not.toMatch(/active|default/)
  })

  it('are given back as they were set (§2.3, §2.6)', async () => {
    const { orchard } = await setUp()
    const items = [denyJuliet, item('action="allow" order="7"', '<iq/><presence-in/>')]
    await orchard.sends(iq('set', list('l', ...items)))
    orchard.take()
    await orchard.sends(iq('get', '<list name="l"/>'))
    orchard.receives(`<iq id="p" type="result">${query(list('l', ...items))}</iq>`)
  })

  it('are pushed by name to every connected resource (§2.2, §2.6)', async () => {
    const { server, orchard } = await setUp()
    const tomb = await server.connect(`${romeo}/tomb`)
    await orchard.sends(iq('set', list('l', denyJuliet)))
    tomb.receives(push('l'))
    expect(orchard.take()).toHaveLength(2)
    await orchard.sends(iq('set', '<list name="l"/>'))
    tomb.receives(push('l'))
  })

  it.each([
    ['a get of a list that is not there (§2.3)', 'get', '<list name="x"/>', 'item-not-found'],
    ['a get of two lists (§2.3)', 'get', '<list name="l"/><list name="l"/>', 'bad-request'],
    ['an active list that is not there (§2.4)', 'set', '<active name="x"/>', 'item-not-found'],
    ['a default list that is not there (§2.5)', 'set', '<default name="x"/>', 'item-not-found'],
    ['the removal of a list that is not there (§2.8)', 'set', '<list name="x"/>', 'item-not-found'],
    ['a set of two things (§2.1)', 'set', '<active/><default/>', 'bad-request'],
    [
      'a group that the roster does not have (§2.1)',
      'set',
      list('l', item('type="group" value="Nobody" action="deny" order="1"')),
      'item-not-found',
    ],
  ])('refuse %s', async (_, type, content, condition) => {
    const { orchard } = await setUp()
    await orchard.sends(iq('set', list('l', denyJuliet)))
    orchard.take()
    await orchard.sends(iq(type, content))
    orchard.receives(refused(condition))
  })

  it('in use by another resource are neither removed nor replaced as the default: conflict (§2.2, §2.5, §2.8)', async () => {
    const { server, orchard } = await setUp()
    for (const name of ['a', 'b']) await orchard.sends(iq('set', list(name, denyJuliet)))
    await orchard.sends(iq('set', '<default name="a"/>'))
    const tomb = await server.connect(`${romeo}/tomb`)
    orchard.take()
    for (const change of ['<default name="b"/>', '<default/>', '<list name="a"/>']) {
      await orchard.sends(iq('set', change))
      orchard.receives(refused('conflict'))
    }
    await tomb.sends(iq('set', '<active name="b"/>'))
    await orchard.sends(iq('set', '<list name="b"/>'))
    orchard.receives(refused('conflict'))
    await tomb.leaves()
    await orchard.sends(iq('set', '<default name="b"/>'))
    orchard.receives(done)
  })

  it('of others are forbidden', async () => {
    const { orchard } = await setUp()
    await orchard.sends(`<iq id="p" type="get" to="${juliet}">${query('')}</iq>`)
    orchard.receives(refused('forbidden'))
  })

  it('deny by subscription and by group, as the roster is at the time (§2.9)', async () => {
    const { server, orchard, balcony } = await setUp()
    await server.roster(romeo, { jid: juliet, subscription: 'none', groups: ['Enemies'] })
    await follows(orchard, item('type="group" value="Enemies" action="deny" order="1"'))
    await balcony.sends(say(`${romeo}/orchard`))
    balcony.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    await server.roster(romeo, { jid: juliet, subscription: 'none', groups: ['Friends'] })
    await balcony.sends(say(`${romeo}/orchard`, 'now'))
    orchard.receives('<message><body>now</body></message>')
    await follows(orchard, item('type="subscription" value="none" action="deny" order="1"'))
    await balcony.sends(say(`${romeo}/orchard`))
    orchard.receives()
    await server.roster(romeo, { jid: juliet, subscription: 'to' })
    await balcony.sends(say(`${romeo}/orchard`, 'again'))
    orchard.receives('<message><body>again</body></message>')
  })

  it('deny messages alone, IQs alone, or presence in one direction alone (§2.9 to §2.12)', async () => {
    const { server, orchard, balcony } = await setUp()
    await server.roster(romeo, { jid: juliet, subscription: 'both' })
    await server.roster(juliet, { jid: romeo, subscription: 'both' })
    await orchard.arrives()
    await balcony.arrives()
    orchard.take()
    const ping = `<iq id="g" type="get" to="${romeo}/orchard"><ping xmlns="urn:xmpp:ping"/></iq>`
    const only = (kind: string) => item(`type="jid" value="${juliet}" action="deny" order="1"`, `<${kind}/>`)
    const through = async () => {
      for (const xml of [say(`${romeo}/orchard`), ping, '<presence/>']) await balcony.sends(xml)
      const got = orchard.take().map(xml => /^<(\w+)/.exec(xml)?.[1])
      balcony.take()
      await orchard.sends('<presence/>')
      orchard.take()
      return [...got, balcony.take().length > 0 ? 'out' : '']
    }
    expect(await through()).toEqual(['message', 'iq', 'presence', 'out'])
    await follows(orchard, only('message'))
    expect(await through()).toEqual(['iq', 'presence', 'out'])
    await follows(orchard, only('iq'))
    expect(await through()).toEqual(['message', 'presence', 'out'])
    await follows(orchard, only('presence-in'))
    expect(await through()).toEqual(['message', 'iq', 'out'])
    await follows(orchard, only('presence-out'))
    expect(await through()).toEqual(['message', 'iq', 'presence', ''])
  })

  it('let their owner write to whom only incoming messages are denied from (§2.9)', async () => {
    const { orchard, balcony } = await setUp()
    await follows(orchard, item(`type="jid" value="${juliet}" action="deny" order="1"`, '<message/>'))
    await orchard.sends(say(`${juliet}/balcony`, 'out'))
    balcony.receives('<message><body>out</body></message>')
  })

  it('apply to the session that made one active, and the default to the others (§2.2)', async () => {
    const { server, orchard, balcony } = await setUp({ mod_offline: {} })
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    await orchard.arrives()
    await tomb.sends(iq('set', list('open', item('action="allow" order="1"'))))
    await tomb.sends(iq('set', list('closed', item('action="deny" order="1"'))))
    await tomb.sends(iq('set', '<active name="open"/>'))
    await orchard.sends(iq('set', '<default name="closed"/>'))
    for (const client of [orchard, tomb]) client.take()
    await balcony.sends(say(romeo, 'for whom it concerns'))
    tomb.receives('<message><body>for whom it concerns</body></message>')
    orchard.receives()
    balcony.receives()
    await tomb.leaves()
    balcony.take()
    await balcony.sends(say(romeo))
    balcony.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
  })

  it('and the block list are one: each shows what the other did (XEP-0191 §5)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('set', list('mine', item('type="jid" value="a@x.example" action="deny" order="4"'))))
    await orchard.sends(iq('set', '<default name="mine"/>'))
    await orchard.sends(`<iq id="b" type="set"><block xmlns="urn:xmpp:blocking"><item jid="${juliet}"/></block></iq>`)
    orchard.take()
    await orchard.sends(iq('get', '<list name="mine"/>'))
    const items = [denyJuliet, item('type="jid" value="a@x.example" action="deny" order="2"')]
    orchard.receives(`<iq id="p" type="result">${query(list('mine', ...items))}</iq>`)
    await orchard.sends('<iq id="b" type="get"><blocklist xmlns="urn:xmpp:blocking"/></iq>')
    orchard.receives(
      `<iq type="result"><blocklist xmlns="urn:xmpp:blocking"><item jid="${juliet}"/><item jid="a@x.example"/></blocklist></iq>`,
    )
  })

  it('cost nothing but a look-up where there are none: the store is asked once for each login', async () => {
    const { server, orchard, balcony } = await setUp()
    for (let i = 0; i < 20; i += 1) await balcony.sends(say(`${romeo}/orchard`))
    expect(orchard.take()).toHaveLength(20)
    expect(server.store.log.filter(line => line.startsWith('privacy.load'))).toHaveLength(2)
  })
})

describe('privacy lists over a socket (XEP-0016)', () => {
  it('deny what they deny', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const user = await session(server, 'romeo', { resource: 'orchard' })
    const other = await session(server, 'juliet', { resource: 'balcony' })
    const deny = item('type="jid" value="juliet@localhost" action="deny" order="1"', '<message/>')
    await user.ask('set', query(list('l', deny)))
    await user.ask('set', query('<default name="l"/>'))
    await other.send(say('romeo@localhost/orchard'))
    await other.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    await user.receivesNothing('<message/>')
  })
})
