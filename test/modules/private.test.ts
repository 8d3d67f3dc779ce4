import { describe, expect, it } from 'vitest'
import { fragmentLimit } from '../../src/modules/private.js'
import { PASSWORD, session, startedServer } from '../support/server.js'
import { world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const query = (content: string) => `<query xmlns="jabber:iq:private">${content}</query>`
const iq = (type: string, content: string, to = '') => `<iq id="q" type="${type}"${to}>${query(content)}</iq>`

async function setUp() {
  const server = world({ modules: { mod_private: {} } })
  return { server, orchard: await server.connect(`${romeo}/orchard`) }
}

describe('private XML storage (XEP-0049)', () => {
  it('gives back what was stored under a namespace, and an empty element where nothing was (§2.3)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('get', '<exodus xmlns="exodus:prefs"/>'))
    orchard.receives(`<iq id="q" type="result">${query('<exodus xmlns="exodus:prefs"/>')}</iq>`)
    await orchard.sends(iq('set', '<exodus xmlns="exodus:prefs"><nick>Hamlet &amp; co</nick></exodus>'))
    orchard.receives('<iq id="q" type="result"/>')
    await orchard.sends(iq('get', '<exodus xmlns="exodus:prefs"/>'))
    orchard.receives(
      `<iq id="q" type="result">${query('<exodus xmlns="exodus:prefs"><nick>Hamlet &amp; co</nick></exodus>')}</iq>`,
    )
  })

  it('stores several fragments at once, and replaces each by its root (§2.3)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(iq('set', '<a xmlns="x">1</a><b xmlns="x">2</b><a xmlns="y">3</a>'))
    await orchard.sends(iq('set', '<a xmlns="x">4</a>'))
    orchard.take()
    for (const [root, text] of [
      ['<a xmlns="x"/>', '4'],
      ['<b xmlns="x"/>', '2'],
      ['<a xmlns="y"/>', '3'],
    ] as const) {
      await orchard.sends(iq('get', root))
      expect(orchard.take().join()).toContain(`>${text}<`)
    }
  })

  it.each([
    ['a get without a fragment', 'get', '', 'bad-request'],
    ['a get of two fragments', 'get', '<a xmlns="x"/><b xmlns="y"/>', 'bad-request'],
    ['a get without a namespace of its own', 'get', '<a/>', 'not-acceptable'],
    ['a set of nothing', 'set', '', 'not-acceptable'],
    ['a set without a namespace of its own', 'set', '<a xmlns="x"/><b/>', 'not-acceptable'],
  ])('refuses %s (§2.3)', async (_, type, content, condition) => {
    const { orchard } = await setUp()
    await orchard.sends(iq(type, content))
    orchard.receives(`<iq id="q" type="error">${error(condition)}</iq>`)
  })

  it.each(['get', 'set'])('refuses somebody else a %s with forbidden (§2.3)', async type => {
    const { server, orchard } = await setUp()
    await server.register('juliet@capulet.example')
    await orchard.sends(iq(type, '<a xmlns="x"/>', ' to="juliet@capulet.example"'))
    orchard.receives(`<iq id="q" type="error">${error('forbidden')}</iq>`)
  })

  it('keeps a bounded number of fragments for one account', async () => {
    const { orchard } = await setUp()
    const many = Array.from({ length: fragmentLimit }, (_, i) => `<a xmlns="x:${i}"/>`).join('')
    await orchard.sends(iq('set', many))
    orchard.receives('<iq id="q" type="result"/>')
    await orchard.sends(iq('set', '<a xmlns="one:too:many"/>'))
    orchard.receives(`<iq id="q" type="error">${error('resource-constraint')}</iq>`)
    await orchard.sends(iq('set', '<a xmlns="x:1">new</a>'))
    orchard.receives('<iq id="q" type="result"/>')
  })

  it('answers resource-constraint while the store is away', async () => {
    const { server, orchard } = await setUp()
    server.store.isFailing = true
    await orchard.sends(iq('set', '<a xmlns="x"/>'))
    orchard.receives(`<iq id="q" type="error">${error('resource-constraint')}</iq>`)
  })
})

describe('private XML storage over a socket (XEP-0049)', () => {
  it('keeps every namespace that the stanza or the stream declared around a fragment', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const client = await session(server, 'romeo', { resource: 'orchard' })
    await client.send(
      '<iq type="set" id="s" xmlns:p="urn:p"><query xmlns="jabber:iq:private" xmlns:q="urn:q">' +
        '<p:root q:mark="1"><p:inner/><q:inner>p:value</q:inner><stream:odd/><plain/></p:root></query></iq>',
    )
    await client.receives('<iq type="result" id="s"/>')
    const answer = await client.ask('get', query('<r:root xmlns:r="urn:p"/>'))
    const root = answer.getChild('query', 'jabber:iq:private')?.getChildElements()[0]
    expect(root?.is('root', 'urn:p')).toBe(true)
    expect(root?.getChildElements().map(child => [child.getName(), child.getNS()])).toEqual([
      ['inner', 'urn:p'],
      ['inner', 'urn:q'],
      ['odd', 'http://etherx.jabber.org/streams'],
      ['plain', 'jabber:iq:private'],
    ])
    expect(root?.findNS('q')).toBe('urn:q')
  })

  it('is gone with the account, also for one of the same name (XEP-0077 §3.2)', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const client = await session(server, 'romeo')
    await client.ask('set', query('<a xmlns="x">old</a>'))
    await client.send('<iq type="set" id="r"><query xmlns="jabber:iq:register"><remove/></query></iq>')
    await client.receives('<iq type="result" id="r"/>')
    await client.closed()
    await server.addUser('romeo', PASSWORD)
    const again = await session(server, 'romeo')
    const answer = await again.ask('get', query('<a xmlns="x"/>'))
    expect(answer.getChild('query', 'jabber:iq:private')?.getChild('a', 'x')?.children).toEqual([])
  })
})
