import { describe, expect, it } from 'vitest'
import { settled, type WorldOptions, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`

async function setUp(services: WorldOptions['services'] = {}) {
  const server = world({ modules: { mod_offline: {} }, services })
  await server.register(romeo)
  const balcony = await server.connect(`${juliet}/balcony`)
  const waiting = () => server.store.offline.count('romeo', 'montague.example')
  return { server, balcony, waiting }
}

const say = (text: string, type = 'chat') =>
  `<message id="m" type="${type}" to="${romeo}"><body>${text}</body></message>`

describe('offline messages (XEP-0160)', () => {
  it('wait, stamped with when they came (XEP-0203), and are handed over in order when their reader comes', async () => {
    const { server, balcony, waiting } = await setUp()
    await balcony.sends(say('one'))
    server.clock.advance(1500)
    await balcony.sends(say('two', 'normal'))
    balcony.receives()
    expect(await waiting()).toBe(2)
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence/>')
    const delay = (stamp: string) => `<delay xmlns="urn:xmpp:delay" from="montague.example" stamp="${stamp}"/>`
    orchard.receives(
      `<presence from="${romeo}/orchard"/>`,
      `<message from="${juliet}/balcony" to="${romeo}"><body>one</body>${delay('2024-01-01T00:00:00.000Z')}</message>`,
      `<message from="${juliet}/balcony" to="${romeo}"><body>two</body>${delay('2024-01-01T00:00:01.500Z')}</message>`,
    )
    expect(await waiting()).toBe(0)
  })

  it('do not go to a resource of negative priority until it rises', async () => {
    const { server, balcony, waiting } = await setUp()
    await balcony.sends(say('one'))
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence><priority>-1</priority></presence>')
    expect(await waiting()).toBe(1)
    orchard.take()
    await orchard.sends('<presence/>')
    expect(orchard.take()).toEqual([expect.any(String), expect.stringContaining('<body>one</body>')])
  })

  it('are handed over once, though two resources come at the same time, and many pages long', async () => {
    const { server, balcony, waiting } = await setUp({ access: () => 1000 })
    for (let i = 0; i < 130; i += 1) await balcony.sends(say(`line ${i}.`))
    const clients = [await server.connect(`${romeo}/a`), await server.connect(`${romeo}/b`)]
    await Promise.all(clients.map(client => client.sends('<presence/>')))
    const bodies = clients.flatMap(client => client.take().flatMap(xml => /line (\d+)\./.exec(xml)?.[1] ?? []))
    expect(bodies.map(Number)).toEqual(Array.from({ length: 130 }, (_, i) => i))
    expect(await waiting()).toBe(0)
  })

  it('that a reader who left did not take stay', async () => {
    const { server, balcony, waiting } = await setUp()
    await balcony.sends(say('one'))
    await balcony.sends(say('two'))
    const orchard = await server.connect(`${romeo}/orchard`)
    const deliver = orchard.deliver.bind(orchard)
    let left = 1
    orchard.deliver = stanza => {
      if (stanza.kind === 'message' && left-- <= 0) return false
      return deliver(stanza)
    }
    await orchard.sends('<presence/>')
    expect(orchard.take().join()).toContain('one')
    expect(await waiting()).toBe(1)
  })

  it('that are written while their reader comes reach him at once', async () => {
    const { server, balcony, waiting } = await setUp()
    let open = () => {}
    const orchard = await server.connect(`${romeo}/orchard`)
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    const sent = balcony.sends(say('one'))
    await settled()
    orchard.presence = '<presence/>' // he is there before the message is
    open()
    await sent
    orchard.receives('<message><body>one</body></message>')
    expect(await waiting()).toBe(0)
  })

  it.each([
    ['100 without an access rule', undefined, 100],
    ['what the rule says', 3, 3],
    ['none where the rule denies', 'deny', 0],
  ])('wait up to %s; the next is refused with service-unavailable', async (_, value, limit) => {
    const { balcony, waiting } = await setUp({
      access: (_host, rule) => (rule === 'max_user_offline_messages' ? value : undefined),
    })
    for (let i = 0; i < limit; i += 1) await balcony.sends(say('x'))
    balcony.receives()
    await balcony.sends(say('one too many'))
    balcony.receives(`<message id="m" type="error" from="${romeo}">${error('service-unavailable')}</message>`)
    expect(await waiting()).toBe(limit)
  })

  it.each([
    ['chat with a body', '<message type="chat" to="TO"><body>a</body></message>', 'stored'],
    [
      'chat with a body and a chat state',
      '<message type="chat" to="TO"><active xmlns="http://jabber.org/protocol/chatstates"/><body>a</body></message>',
      'stored',
    ],
    ['a receipt', '<message to="TO"><received xmlns="urn:xmpp:receipts" id="1"/></message>', 'stored'],
    [
      'a chat state alone',
      '<message type="chat" to="TO"><composing xmlns="http://jabber.org/protocol/chatstates"/><thread>t</thread></message>',
      'ignored',
    ],
    ['nothing at all', '<message type="chat" to="TO"/>', 'ignored'],
    [
      'no-store with a body',
      '<message type="chat" to="TO"><body>a</body><no-store xmlns="urn:xmpp:hints"/></message>',
      'refused',
    ],
    ['no-store without a body', '<message type="chat" to="TO"><no-store xmlns="urn:xmpp:hints"/></message>', 'ignored'],
    ['groupchat', '<message type="groupchat" to="TO"><body>a</body></message>', 'refused'],
    ['headline', '<message type="headline" to="TO"><body>a</body></message>', 'ignored'],
    ['error', '<message type="error" to="TO"><error type="cancel"/></message>', 'ignored'],
  ])('of this kind, %s, are treated as XEP-0160 §3 and XEP-0334 say', async (_, xml, fate) => {
    const { balcony, waiting } = await setUp()
    await balcony.sends(xml.replace('TO', romeo))
    expect([await waiting(), balcony.take().length]).toEqual([fate === 'stored' ? 1 : 0, fate === 'refused' ? 1 : 0])
  })

  it('are not kept for an account that does not exist', async () => {
    const { balcony, server } = await setUp()
    await balcony.sends(say('x').replace('romeo', 'nobody'))
    balcony.receives(`<message type="error">${error('service-unavailable')}</message>`)
    expect(server.store.log).not.toContain('offline.add nobody@montague.example')
  })

  it('bounce again when the module stops', async () => {
    const { balcony, server } = await setUp()
    server.running.stop()
    await balcony.sends(say('x'))
    balcony.receives(`<message type="error">${error('service-unavailable')}</message>`)
  })
})
