import { describe, expect, it } from 'vitest'
import { openSession } from '../../src/routing/session-lifecycle.js'
import { available, session, startedServer } from '../support/server.js'
import { Client, settled, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const items = (jids: string[]) => jids.map(jid => `<item jid="${jid}"/>`).join('')
const command = (name: string, ...jids: string[]) =>
  `<iq id="c" type="set"><${name} xmlns="urn:xmpp:blocking">${items(jids)}</${name}></iq>`
const list = '<iq id="l" type="get"><blocklist xmlns="urn:xmpp:blocking"/></iq>'
const listed = (...jids: string[]) =>
  `<iq id="l" type="result"><blocklist xmlns="urn:xmpp:blocking">${items(jids)}</blocklist></iq>`
const done = '<iq id="c" type="result"/>'

async function setUp(modules: Record<string, object> = {}) {
  const server = world({ modules: { mod_blocking: {}, mod_offline: {}, mod_ping: {}, ...modules } })
  const orchard = await server.connect(`${romeo}/orchard`)
  const balcony = await server.connect(`${juliet}/balcony`)
  return { server, orchard, balcony }
}

/** Each sees the other. */
async function friends(modules?: Record<string, object>) {
  const set = await setUp(modules)
  await set.server.roster(romeo, { jid: juliet, subscription: 'both' })
  await set.server.roster(juliet, { jid: romeo, subscription: 'both' })
  await set.orchard.arrives()
  await set.balcony.arrives()
  set.orchard.take()
  return set
}

describe('the block list (XEP-0191)', () => {
  it('is empty, grows and shrinks (§3.2 to §3.5)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(list)
    orchard.receives(listed())
    await orchard.sends(command('block', juliet, 'Shakespeare.example'))
    orchard.take()
    await orchard.sends(list)
    orchard.receives(listed(juliet, 'shakespeare.example'))
    await orchard.sends(command('unblock', juliet))
    orchard.take()
    await orchard.sends(list)
    orchard.receives(listed('shakespeare.example'))
    await orchard.sends(command('unblock'))
    orchard.take()
    await orchard.sends(list)
    expect(orchard.take().join()).toContain('<blocklist xmlns="urn:xmpp:blocking"/>')
  })

  it('is pushed, after the result, to the resources that asked for it and to no other (§3.3, §3.4)', async () => {
    const { server, orchard } = await setUp()
    const tomb = await server.connect(`${romeo}/tomb`)
    const cell = await server.connect(`${romeo}/cell`)
    await orchard.sends(list)
    await tomb.sends(list)
    orchard.take()
    tomb.take()
    const push = (name: string, ...jids: string[]) =>
      `<iq type="set" from="${romeo}"><${name} xmlns="urn:xmpp:blocking">${items(jids)}</${name}></iq>`
    for (const [name, ...jids] of [['block', juliet], ['unblock', juliet], ['unblock']] as [string, ...string[]][]) {
      await orchard.sends(command(name, ...jids))
      orchard.receives(done, push(name, ...jids))
      tomb.receives(push(name, ...jids))
      cell.receives()
    }
  })

  it.each([
    ['to block nobody', command('block'), 'bad-request'],
    ['an address that is none', command('block', '@@'), 'jid-malformed'],
  ])('refuses %s (§3.3)', async (_, xml, condition) => {
    const { orchard } = await setUp()
    await orchard.sends(xml)
    orchard.receives(`<iq id="c" type="error">${error(condition)}</iq>`)
  })

  it('is for its owner alone', async () => {
    const { orchard } = await setUp()
    await orchard.sends(list.replace('<iq', `<iq to="${juliet}"`))
    orchard.receives(`<iq id="l" type="error">${error('forbidden')}</iq>`)
  })

  it('is not changed when the store fails, and nobody is told otherwise', async () => {
    const { server, orchard, balcony } = await setUp()
    await orchard.sends(list)
    orchard.take()
    server.store.isFailing = true
    await orchard.sends(command('block', juliet))
    orchard.receives(`<iq id="c" type="error">${error('resource-constraint')}</iq>`)
    server.store.isFailing = false
    await balcony.sends(`<iq id="p" type="get" to="${romeo}/orchard"><ping xmlns="urn:xmpp:ping"/></iq>`)
    expect(orchard.take().join()).toContain('urn:xmpp:ping')
  })

  it('is gone with the account (XEP-0077 §3.2)', async () => {
    const { server, orchard, balcony } = await setUp({ mod_register: {} })
    await orchard.sends(command('block', juliet))
    await orchard.sends('<iq type="set" id="r"><query xmlns="jabber:iq:register"><remove/></query></iq>')
    await settled()
    const again = await server.connect(`${romeo}/new`)
    await balcony.sends(`<message to="${romeo}/new" type="chat"><body>hello</body></message>`)
    again.receives('<message><body>hello</body></message>')
  })
})

describe('somebody who is blocked (XEP-0191 §3.3)', () => {
  it.each([
    ['a message to a resource', `<message id="m" type="chat" to="${romeo}/orchard"><body>x</body></message>`],
    ['a message to the account', `<message id="m" type="chat" to="${romeo}"><body>x</body></message>`],
    ['a normal message', `<message id="m" to="${romeo}/orchard"><body>x</body></message>`],
    ['a question to a resource', `<iq id="m" type="get" to="${romeo}/orchard"><ping xmlns="urn:xmpp:ping"/></iq>`],
    ['a question to the account', `<iq id="m" type="set" to="${romeo}"><ping xmlns="urn:xmpp:ping"/></iq>`],
  ])('gets service-unavailable for %s, once, and the user gets nothing', async (_, xml) => {
    const { server, orchard, balcony } = await friends()
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    await orchard.sends(command('block', juliet))
    for (const client of [orchard, tomb, balcony]) client.take()
    await balcony.sends(xml)
    expect(balcony.take()).toEqual([expect.stringMatching(/id="m".*service-unavailable|service-unavailable.*id="m"/)])
    orchard.receives()
    tomb.receives()
    expect(await server.store.offline.count('romeo', 'montague.example')).toBe(0)
  })

  it.each([
    ['an answer', `<iq id="m" type="result" to="${romeo}/orchard"/>`],
    ['presence', `<presence to="${romeo}"/>`],
    ['presence to a resource', `<presence to="${romeo}/orchard"/>`],
    ['a subscription request', `<presence type="subscribe" to="${romeo}"/>`],
    ['a probe', `<presence type="probe" to="${romeo}"/>`],
    ['a headline', `<message type="headline" to="${romeo}"><body>x</body></message>`],
  ])('hears nothing of %s, and neither does the user', async (_, xml) => {
    const { orchard, balcony } = await friends()
    await orchard.sends(command('block', juliet))
    orchard.take()
    balcony.take()
    await balcony.sends(xml)
    balcony.receives()
    orchard.receives()
  })

  it('finds an account that is not connected as closed, and messages for it are not stored', async () => {
    const { server, orchard, balcony } = await setUp()
    await orchard.sends(command('block', juliet))
    await orchard.leaves()
    await balcony.sends(`<message id="m" type="chat" to="${romeo}"><body>x</body></message>`)
    balcony.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    expect(await server.store.offline.count('romeo', 'montague.example')).toBe(0)
  })

  it('sees the user go, and come back when unblocked; and so does the user', async () => {
    const { orchard, balcony } = await friends()
    await orchard.sends(command('block', juliet))
    balcony.receives(`<presence type="unavailable" from="${romeo}/orchard"/>`)
    orchard.receives(done, `<presence type="unavailable" from="${juliet}/balcony"/>`)
    await orchard.sends('<presence><show>away</show></presence>')
    balcony.receives()
    orchard.take()
    await orchard.sends(command('unblock', juliet))
    balcony.receives(`<presence from="${romeo}/orchard"><show>away</show></presence>`)
    orchard.receives(done, `<presence from="${juliet}/balcony"/>`)
  })

  it('who got directed presence sees the user go too', async () => {
    const { orchard, balcony } = await setUp()
    await orchard.arrives()
    await orchard.sends(`<presence to="${juliet}/balcony"/>`)
    balcony.take()
    await orchard.sends(command('block', juliet))
    balcony.receives(`<presence type="unavailable" from="${romeo}/orchard"/>`)
  })

  it('who has no subscription is told nothing', async () => {
    const { orchard, balcony } = await setUp()
    await orchard.arrives()
    await balcony.arrives()
    await orchard.sends(command('block', juliet))
    await orchard.sends(command('unblock', juliet))
    balcony.receives()
  })

  it('does not see a resource that comes later, nor is seen', async () => {
    const { server, orchard, balcony } = await friends()
    await orchard.sends(command('block', juliet))
    balcony.take()
    const tomb = await server.connect(`${romeo}/tomb`)
    await tomb.sends('<presence/>')
    expect(tomb.take().join()).not.toContain(juliet)
    balcony.receives()
    const chamber = await server.connect(`${juliet}/chamber`)
    await chamber.sends('<presence/>')
    expect(chamber.take().join()).not.toContain(romeo)
    expect(tomb.take().join()).not.toContain('chamber')
  })

  it('is not told that there is no subscription when its server still believes in one', async () => {
    const { server, orchard, balcony } = await friends()
    await orchard.sends(command('block', juliet))
    await server.roster(romeo, { jid: juliet, subscription: 'none' })
    balcony.take()
    const chamber = await server.connect(`${juliet}/chamber`)
    await chamber.sends('<presence/>')
    expect(chamber.take().join()).not.toContain(romeo)
  })

  it.each([
    ['a message', `<message id="m" to="${juliet}/balcony"><body>x</body></message>`],
    ['a question', `<iq id="m" type="get" to="${juliet}"><ping xmlns="urn:xmpp:ping"/></iq>`],
    ['presence', `<presence id="m" to="${juliet}"/>`],
    ['a subscription', `<presence id="m" type="subscribe" to="${juliet}"/>`],
  ])('is not written to: %s is not-acceptable with <blocked/>', async (_, xml) => {
    const { orchard, balcony } = await setUp()
    await orchard.sends(command('block', juliet))
    orchard.take()
    await orchard.sends(xml)
    const blocked = '<blocked xmlns="urn:xmpp:blocking:errors"/>'
    const [answer] = orchard.take()
    expect(answer).toContain('id="m"')
    expect(answer).toContain('<not-acceptable')
    expect(answer).toContain(blocked)
    balcony.receives()
  })

  it('may be a whole domain, but never an own resource nor the own server (XEP-0191 §5)', async () => {
    const { server, orchard } = await setUp()
    const tomb = await server.connect(`${romeo}/tomb`)
    const benvolio = await server.connect('benvolio@montague.example/x')
    await orchard.sends(command('block', 'montague.example', romeo))
    orchard.take()
    await benvolio.sends(`<message id="m" to="${romeo}/orchard"><body>x</body></message>`)
    benvolio.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    await tomb.sends(`<message to="${romeo}/orchard"><body>mine</body></message>`)
    orchard.receives('<message><body>mine</body></message>')
    await orchard.sends('<iq id="p" type="get" to="montague.example"><ping xmlns="urn:xmpp:ping"/></iq>')
    orchard.receives('<iq id="p" type="result"/>')
  })

  it('had messages stored before: they are not handed over any more, and hold up nothing', async () => {
    const { server, orchard, balcony } = await setUp()
    await orchard.leaves()
    await balcony.sends(`<message type="chat" to="${romeo}"><body>from juliet</body></message>`)
    const nurse = await server.connect('nurse@capulet.example/x')
    await nurse.sends(`<message type="chat" to="${romeo}"><body>from the nurse</body></message>`)
    const tomb = await server.connect(`${romeo}/tomb`)
    await tomb.sends(command('block', juliet))
    await tomb.sends('<presence/>')
    const got = tomb.take().join()
    expect([got.includes('from juliet'), got.includes('from the nurse')]).toEqual([false, true])
    expect(await server.store.offline.count('romeo', 'montague.example')).toBe(0)
  })
})

describe('lists that are not read yet', () => {
  it('are no bug while the store is away: a login works, and they are read when somebody asks', async () => {
    const { server, orchard, balcony } = await setUp()
    await orchard.sends(command('block', juliet))
    await orchard.leaves()
    await server.services.routing.hooksOf('montague.example').accountRemoved.emit(orchard.jid.bare) // forgotten here, not in the store
    server.store.isFailing = true
    const tomb = new Client(server.routing, `${romeo}/tomb`)
    openSession(server.routing, tomb)
    await settled()
    const say = (id: string) => `<message id="${id}" to="${romeo}/tomb"><body>x</body></message>`
    await balcony.sends(say('early'))
    balcony.receives(`<message id="early" type="error">${error('resource-constraint')}</message>`)
    server.store.isFailing = false
    await balcony.sends(say('late'))
    balcony.receives(`<message id="late" type="error">${error('service-unavailable')}</message>`)
    tomb.receives()
    expect(server.bugs).toEqual([])
  })

  it('lose no message whose session leaves meanwhile: it is stored', async () => {
    const { server, orchard, balcony } = await setUp()
    await orchard.leaves()
    await server.routing.hooksOf('montague.example').accountRemoved.emit(orchard.jid.bare) // forgotten
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    const tomb = new Client(server.routing, `${romeo}/tomb`)
    openSession(server.routing, tomb)
    await balcony.sends(`<message type="chat" to="${romeo}/tomb"><body>x</body></message>`)
    const left = tomb.leaves()
    open()
    await left
    await settled()
    expect(await server.store.offline.count('romeo', 'montague.example')).toBe(1)
    tomb.receives()
    balcony.receives()
  })

  it('hold stanzas for a new session back, in order, until they are known', async () => {
    let open = () => {}
    const restarted = world({ modules: { mod_blocking: {}, mod_offline: {} } })
    await restarted.store.privacy.update('romeo', 'montague.example', {
      put: [{ name: 'l', items: [{ type: 'jid', value: juliet, action: 'deny', stanzas: [], order: 1 }] }],
      defaultName: 'l',
    })
    const [one, two] = [
      await restarted.connect(`${juliet}/balcony`),
      await restarted.connect('nurse@capulet.example/x'),
    ]
    await restarted.register(romeo)
    restarted.store.gate = new Promise(resolve => {
      open = resolve
    })
    const late = restarted.connect(`${romeo}/late`)
    await settled()
    open()
    const session = await late
    for (const n of [1, 2]) await two.sends(`<message to="${romeo}/late"><body>${n}</body></message>`)
    await one.sends(`<message id="m" to="${romeo}/late"><body>blocked</body></message>`)
    session.receives('<message><body>1</body></message>', '<message><body>2</body></message>')
    one.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
  })
})

describe('the block list over a socket (XEP-0191)', () => {
  it('blocks, survives a new login, and unblocks', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const user = await session(server, 'romeo', { resource: 'orchard' })
    const other = await session(server, 'juliet', { resource: 'balcony' })
    await user.ask('set', '<block xmlns="urn:xmpp:blocking"><item jid="juliet@localhost"/></block>')
    await user.close()
    const again = await session(server, 'romeo', { resource: 'orchard' })
    await available(again)
    await other.send('<message id="m" type="chat" to="romeo@localhost/orchard"><body>x</body></message>')
    await other.receives(`<message id="m" type="error">${error('service-unavailable')}</message>`)
    await again.receivesNothing('<message/>')
    await again.ask('set', '<unblock xmlns="urn:xmpp:blocking"/>')
    await other.send('<message id="n" type="chat" to="romeo@localhost/orchard"><body>y</body></message>')
    await again.receives('<message id="n"><body>y</body></message>')
  })
})
