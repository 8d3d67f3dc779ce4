import { describe, expect, it } from 'vitest'
import { eventually, session, startedServer } from '../support/server.js'
import { settled, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const query = '<query xmlns="jabber:iq:last"/>'
const ask = (to: string) => `<iq id="q" type="get" to="${to}">${query}</iq>`
const seconds = (n: number, text = '') =>
  `<iq id="q" type="result"><query xmlns="jabber:iq:last" seconds="${n}">${text}</query></iq>`

async function setUp() {
  const server = world({ modules: { mod_last: {}, mod_register: {} } })
  const orchard = await server.connect(`${romeo}/orchard`)
  const balcony = await server.connect(`${juliet}/balcony`)
  return { server, orchard, balcony }
}

describe('last activity (XEP-0012)', () => {
  it('of an account is the time since its last session ended, with what it said then (§3)', async () => {
    const { server, orchard, balcony } = await setUp()
    await server.roster(juliet, { jid: romeo, subscription: 'from' })
    await balcony.arrives()
    await orchard.sends(ask(juliet))
    orchard.receives(seconds(0))
    await balcony.sends('<presence type="unavailable"><status>Heading Home</status></presence>')
    await balcony.leaves()
    server.clock.advance(903_400)
    await orchard.sends(ask(juliet))
    orchard.receives(seconds(903, 'Heading Home'))
  })

  it('is 0 while any resource is connected, available or not (§3)', async () => {
    const { server, orchard, balcony } = await setUp()
    await server.roster(juliet, { jid: romeo, subscription: 'both' })
    await server.connect(`${juliet}/chamber`)
    await balcony.leaves()
    server.clock.advance(5000)
    await orchard.sends(ask(juliet))
    orchard.receives(seconds(0))
    expect(server.store.log).not.toContain(`lastActivity.put ${juliet}`)
  })

  it.each(['none', 'to'] as const)('is forbidden to somebody with subscription %s (§3)', async subscription => {
    const { server, orchard } = await setUp()
    await server.roster(juliet, { jid: romeo, subscription })
    await orchard.sends(ask(juliet))
    orchard.receives(`<iq id="q" type="error">${error('forbidden')}</iq>`)
  })

  it('of oneself needs no subscription; of an account that never was connected it is service-unavailable', async () => {
    const { server, orchard } = await setUp()
    await orchard.sends(ask(romeo))
    orchard.receives(seconds(0))
    await server.register('nurse@capulet.example')
    await server.roster('nurse@capulet.example', { jid: romeo, subscription: 'both' })
    await orchard.sends(ask('nurse@capulet.example'))
    orchard.receives(`<iq id="q" type="error">${error('service-unavailable')}</iq>`)
  })

  it('of a client is asked of the client, by those who see its presence (§4)', async () => {
    const { server, orchard, balcony } = await setUp()
    await server.roster(juliet, { jid: romeo, subscription: 'from' })
    await orchard.sends(ask(balcony.jid.text))
    balcony.receives(`<iq id="q" type="get" from="${romeo}/orchard">${query}</iq>`)
  })

  it.each([true, false])('of a client is forbidden to others, its roster in the cache: %s (§4)', async isCached => {
    const { server, orchard, balcony } = await setUp()
    if (isCached) await server.roster(juliet, { jid: 'nurse@capulet.example' })
    await orchard.sends(ask(balcony.jid.text))
    await settled()
    balcony.receives()
    orchard.receives(`<iq id="q" type="error" from="${juliet}/balcony">${error('forbidden')}</iq>`)
  })

  it('of the server is how long it runs (§5)', async () => {
    const { server, orchard } = await setUp()
    server.clock.advance(123_456)
    await orchard.sends(ask('montague.example'))
    orchard.receives(seconds(123))
  })

  it('is not written for an account that is being removed', async () => {
    const { server, orchard } = await setUp()
    await orchard.sends('<iq type="set" id="r"><query xmlns="jabber:iq:register"><remove/></query></iq>')
    await orchard.leaves()
    await settled()
    expect(await server.store.lastActivity.get('romeo', 'montague.example')).toBeUndefined()
  })
})

describe('last activity over a socket (XEP-0012)', () => {
  it('is what the connection that was lost left behind', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const client = await session(server, 'romeo', { resource: 'a', priority: 0 })
    client.drop()
    await eventually(() => server.internals.sessions.count === 0)
    const stored = () => server.internals.store.lastActivity.get('romeo', 'localhost')
    let found = await stored()
    for (let i = 0; i < 500 && found === undefined; i += 1) {
      await new Promise(resolve => setTimeout(resolve, 10))
      found = await stored()
    }
    expect(found?.status).toBe('')
  })
})
