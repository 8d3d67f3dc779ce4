import { describe, expect, it } from 'vitest'
import { reroute } from '../../src/routing/session-lifecycle.js'
import { available, session, startedServer } from '../support/server.js'
import { type Client, stanza, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const enable = '<iq id="c" type="set"><enable xmlns="urn:xmpp:carbons:2"/></iq>'
const disable = '<iq id="c" type="set"><disable xmlns="urn:xmpp:carbons:2"/></iq>'
const copy = (direction: string, message: string, type = 'chat') =>
  `<message from="${romeo}" type="${type}"><${direction} xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` +
  `${message.replace('<message', '<message xmlns="jabber:client"')}</forwarded></${direction}></message>`

/** Romeo twice, at home with carbons, both available; and Juliet. */
async function setUp(modules: Record<string, object> = {}) {
  const server = world({ modules: { mod_carboncopy: {}, ...modules } })
  const garden = await (await server.connect(`${romeo}/garden`)).arrives(5)
  const home = await (await server.connect(`${romeo}/home`)).arrives(1)
  const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
  await home.sends(enable)
  for (const client of [garden, home, balcony]) client.take()
  return { server, garden, home, balcony }
}

const nothing = (...clients: Client[]) => {
  for (const client of clients) client.receives()
}

describe('message carbons (XEP-0280)', () => {
  it('are enabled and disabled as often as a client likes (§4, §5, §10.1)', async () => {
    const { garden, home, balcony } = await setUp()
    for (const request of [enable, enable, disable, disable]) {
      await home.sends(request)
      home.receives('<iq id="c" type="result"/>')
    }
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body></message>`)
    expect(garden.take()).toHaveLength(1)
    nothing(home)
  })

  it('are nobody else’s to enable: not-allowed (§4.1)', async () => {
    const { balcony } = await setUp()
    await balcony.sends(enable.replace('<iq', `<iq to="${romeo}"`))
    balcony.receives(`<iq id="c" type="error">${error('not-allowed')}</iq>`)
  })

  it('copy what arrives for another resource (§7)', async () => {
    const { garden, home, balcony } = await setUp()
    const message = `<message id="1" type="chat" from="${juliet}/balcony" to="${romeo}/garden"><body>What man art thou</body></message>`
    await balcony.sends(message)
    garden.receives(message)
    home.receives(copy('received', message))
  })

  it('copy what arrives for the account, to those who did not get it themselves (§7)', async () => {
    const { server, garden, home, balcony } = await setUp()
    const twin = await (await server.connect(`${romeo}/twin`)).arrives(5)
    for (const client of [garden, twin]) await client.sends(enable)
    for (const client of [garden, home, twin]) client.take()
    const message = `<message type="chat" from="${juliet}/balcony" to="${romeo}"><body>x</body></message>`
    await balcony.sends(message)
    garden.receives(message)
    twin.receives(message)
    home.receives(copy('received', message))
  })

  it('copy what another resource sends, whether it has carbons or not, and not to itself (§8)', async () => {
    const { garden, home, balcony } = await setUp()
    const message = `<message type="chat" from="${romeo}/garden" to="${juliet}/balcony"><body>Neither, fair saint</body></message>`
    await garden.sends(message)
    balcony.receives(message)
    home.receives(copy('sent', message))
    nothing(garden)
    await home.sends(`<message type="chat" to="${juliet}"><body>x</body></message>`)
    nothing(garden, home)
  })

  it('go to resources of negative priority and to those that sent no presence, once they asked', async () => {
    const { server, garden, balcony } = await setUp()
    const quiet = await server.connect(`${romeo}/quiet`)
    await quiet.sends(enable)
    quiet.take()
    await balcony.sends(`<message type="chat" to="${romeo}"><body>x</body></message>`)
    expect([garden.take().length, quiet.take().length]).toEqual([1, 1])
  })

  it('of what users send to themselves are made once', async () => {
    const { garden, home } = await setUp()
    await garden.sends(`<message type="chat" to="${romeo}"><body>note</body></message>`)
    expect([garden.take().length, home.take().length]).toEqual([1, 1])
    await garden.sends(`<message type="chat" to="${romeo}/home"><body>note</body></message>`)
    expect([garden.take().length, home.take().length]).toEqual([0, 1])
    await home.sends(`<message type="chat" to="${romeo}/garden"><body>note</body></message>`)
    expect([garden.take().length, home.take().length]).toEqual([1, 0])
  })

  const x = (content = '') => `<x xmlns="http://jabber.org/protocol/muc#user">${content}</x>`
  it.each([
    ['chat', 'type="chat"', '', true, true],
    ['normal with a body', '', '<body>x</body>', true, true],
    ['of a type that nobody knows, with a body', 'type="odd"', '<body>x</body>', true, true],
    ['normal without a body', '', '<subject>x</subject>', false, false],
    ['a receipt (XEP-0184)', '', '<received xmlns="urn:xmpp:receipts" id="1"/>', true, true],
    ['a chat state (XEP-0085)', '', '<active xmlns="http://jabber.org/protocol/chatstates"/>', true, true],
    ['a marker (XEP-0333)', '', '<displayed xmlns="urn:xmpp:chat-markers:0" id="1"/>', true, true],
    ['a direct invitation (XEP-0249)', '', '<x xmlns="jabber:x:conference" jid="r@x"/>', true, true],
    ['a mediated invitation (XEP-0045)', '', x('<invite from="a@x"/>'), true, true],
    ['private in a room', 'type="chat"', `<body>x</body>${x()}`, true, false],
    ['groupchat', 'type="groupchat"', '<body>x</body>', false, false],
    ['headline', 'type="headline"', '<body>x</body>', false, false],
    ['private (§9)', 'type="chat"', '<body>x</body><private xmlns="urn:xmpp:carbons:2"/>', false, false],
    ['no-copy (XEP-0334)', 'type="chat"', '<body>x</body><no-copy xmlns="urn:xmpp:hints"/>', false, false],
  ])('of a message that is %s follow §6.1', async (_, attributes, content, isSentCopied, isReceivedCopied) => {
    const { garden, home, balcony } = await setUp()
    await garden.sends(`<message ${attributes} to="${juliet}/balcony">${content}</message>`)
    expect(home.take().length > 0).toBe(isSentCopied)
    expect(balcony.take()).toHaveLength(1)
    await balcony.sends(`<message ${attributes} to="${romeo}/garden">${content}</message>`)
    expect(home.take().length > 0).toBe(isReceivedCopied)
    expect(garden.take()).toHaveLength(1)
  })

  it('leave <private/> where it is (§9)', async () => {
    const { garden, balcony } = await setUp()
    const mark = '<private xmlns="urn:xmpp:carbons:2"/>'
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body>${mark}</message>`)
    garden.receives(`<message type="chat"><body>x</body>${mark}</message>`)
  })

  it('of an error are made where the message that failed was copied (§6.1)', async () => {
    const { garden, home, balcony } = await setUp()
    await garden.sends(`<message id="a" type="chat" to="${juliet}/balcony"><body>x</body></message>`)
    await garden.sends(`<message id="b" to="${juliet}/balcony"><subject>x</subject></message>`)
    home.take()
    const fail = (id: string) =>
      `<message id="${id}" type="error" from="${juliet}/balcony" to="${romeo}/garden">${error('gone')}</message>`
    await balcony.sends(fail('b'))
    nothing(home)
    await balcony.sends(fail('a'))
    home.receives(copy('received', fail('a'), 'error'))
  })

  it('keep the namespaces of what they copy', async () => {
    const { home, balcony } = await setUp()
    const content = '<p:odd xmlns:p="urn:p"><p:inner/></p:odd>'
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body>${content}</message>`)
    const message = `<message to="${romeo}/garden"><body>x</body>${content}</message>`
    home.receives(copy('received', message))
  })

  it('are not made of what is blocked (XEP-0191)', async () => {
    const { garden, home, balcony } = await setUp({ mod_blocking: {} })
    await garden.sends(`<iq id="b" type="set"><block xmlns="urn:xmpp:blocking"><item jid="${juliet}"/></block></iq>`)
    for (const client of [garden, home]) client.take()
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body></message>`)
    await garden.sends(`<message type="chat" to="${juliet}"><body>x</body></message>`)
    nothing(home)
  })

  it('that a client did not take find no other way, and bounce to nobody (§10.3)', async () => {
    const { server, garden, home, balcony } = await setUp({ mod_offline: {} })
    const lost = stanza(
      copy('received', `<message type="chat"><body>x</body></message>`).replace(
        '<message',
        `<message to="${romeo}/home"`,
      ),
    )
    await home.leaves()
    for (const client of [garden, balcony]) client.take()
    await reroute(server.routing, home, lost)
    nothing(garden, balcony)
    home.takes = false
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body></message>`)
    nothing(balcony)
  })

  it('end with the session that asked for them', async () => {
    const { server, garden, home, balcony } = await setUp()
    await home.leaves()
    const again = await (await server.connect(`${romeo}/home`)).arrives(1)
    garden.take()
    await balcony.sends(`<message type="chat" to="${romeo}/garden"><body>x</body></message>`)
    nothing(again)
  })
})

describe('message carbons beside an archive (XEP-0313 §3.5)', () => {
  it('of what was sent bear the id that the sender’s archive gave it, which the addressee never sees', async () => {
    const { server, garden, home, balcony } = await setUp({ mod_mam_meta: {} })
    await garden.sends(`<message type="chat" to="${juliet}/balcony"><body>x</body></message>`)
    const page = await server.store.archive.page('romeo', 'montague.example', { limit: 2 })
    const id = `<stanza-id xmlns="urn:xmpp:sid:0" by="${romeo}" id="${page?.[0]?.id}"/>`
    home.receives(copy('sent', `<message type="chat" to="${juliet}/balcony"><body>x</body>${id}</message>`))
    expect(balcony.take().join()).not.toContain(romeo.concat('" id'))
  })

  it('bear none where the options say so, or where nothing is archived', async () => {
    const { garden, home } = await setUp({ mod_mam_meta: { no_stanzaid_element: true } })
    await garden.sends(`<message type="chat" to="${juliet}"><body>x</body></message>`)
    expect(home.take().join()).not.toContain('stanza-id')
    const { garden: other, home: twin } = await setUp({ mod_mam_meta: {} })
    await other.sends(
      `<message type="chat" to="${juliet}"><composing xmlns="http://jabber.org/protocol/chatstates"/></message>`,
    )
    const [copied = ''] = twin.take()
    expect(copied).toContain('composing')
    expect(copied).not.toContain('stanza-id')
  })
})

describe('message carbons over a socket (XEP-0280)', () => {
  it('copy both sides of a conversation, with the namespaces that only the stream declared', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const phone = await session(server, 'romeo', { resource: 'phone', priority: 0 })
    const desk = await session(server, 'romeo', { resource: 'desk', priority: 5 })
    const other = await session(server, 'juliet', { resource: 'balcony' })
    await available(other)
    await phone.ask('set', '<enable xmlns="urn:xmpp:carbons:2"/>')
    await desk.send('<message type="chat" id="s" to="juliet@localhost"><body>a</body><stream:odd/></message>')
    const wrapped = (direction: string, inner: string) =>
      `<message from="romeo@localhost" to="romeo@localhost/phone"><${direction} xmlns="urn:xmpp:carbons:2">` +
      `<forwarded xmlns="urn:xmpp:forward:0">${inner}</forwarded></${direction}></message>`
    const odd = '<odd xmlns="http://etherx.jabber.org/streams"/>'
    await phone.receives(
      wrapped(
        'sent',
        `<message xmlns="jabber:client" from="romeo@localhost/desk" id="s"><body>a</body>${odd}</message>`,
      ),
    )
    await other.send('<message type="chat" id="r" to="romeo@localhost"><body>b</body></message>')
    await desk.receives('<message id="r"><body>b</body></message>')
    await phone.receives(wrapped('received', '<message xmlns="jabber:client" id="r"><body>b</body></message>'))
    await phone.receivesNothing('<message id="r"/>')
  })
})
