import { describe, expect, it } from 'vitest'
import { sendAs } from '../../src/operations/sender.js'
import type { OperationServices } from '../../src/operations/services.js'
import { StoreUnavailable } from '../../src/storage/store.js'
import { expectXml, jid, settled, stanza, type World, world } from '../support/world.js'

/*
 * What an account sends without a session, past the modules.
 */

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const say = (content = '<body>hi</body>', attributes = '') =>
  `<message type="chat" id="m" to="${juliet}" ${attributes}>${content}</message>`

/** Sends it as Romeo, who has no session that could do so. */
async function send({ routing }: World, xml: string, from = romeo) {
  // The cast: sending asks for nothing else.
  await sendAs({ routing } as OperationServices, jid(from), stanza(xml))
  await settled()
}

/** Rooms are actors: what they do is not done at once. */
async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`it did not come to be: ${isSo}`)
    await settled()
  }
}

const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`

describe('sending without a session', () => {
  it('stamps the sender, whatever the stanza says', async () => {
    const server = world()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await send(server, say('<body>hi</body>', 'from="paris@capulet.example"'))
    balcony.receives(`<message id="m" from="${romeo}"><body>hi</body></message>`)
  })

  it('follows the default privacy list of the account, not the active one of a session (XEP-0016 §2.2)', async () => {
    const server = world({ modules: { mod_privacy: {} } })
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const set = (content: string) =>
      orchard.sends(`<iq id="p" type="set"><query xmlns="jabber:iq:privacy">${content}</query></iq>`)
    await set(`<list name="no"><item type="jid" value="${juliet}" action="deny" order="1"/></list>`)
    await set('<active name="no"/>')
    orchard.take()
    await send(server, say())
    balcony.receives('<message id="m"/>')
    await set('<default name="no"/>')
    orchard.take()
    await send(server, say())
    balcony.receives()
    orchard.receives(`<message type="error" id="m" from="${juliet}">${error('not-acceptable')}</message>`)
  })

  it('knows the privacy list of an account that has no session at all', async () => {
    const server = world({ modules: { mod_privacy: {}, mod_blocking: {} } })
    const orchard = await server.connect(`${romeo}/orchard`)
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await orchard.sends(`<iq id="b" type="set"><block xmlns="urn:xmpp:blocking"><item jid="${juliet}"/></block></iq>`)
    await orchard.leaves()
    await send(server, say())
    balcony.receives()
    expect(server.bugs).toEqual([])
  })

  it('does not count as a sign of life of anybody (XEP-0199)', async () => {
    const server = world({ modules: { mod_ping: { send_pings: true, ping_interval: 60 } } })
    const orchard = await server.connect(`${romeo}/orchard`)
    server.clock.advance(50_000)
    await send(server, say())
    server.clock.advance(10_000)
    orchard.receives('<iq type="get"><ping xmlns="urn:xmpp:ping"/></iq>')
    server.clock.advance(600_000)
    expect(server.bugs).toEqual([])
  })

  it('is copied to all sessions that want copies, also the only one (XEP-0280 §8)', async () => {
    const server = world({ modules: { mod_carboncopy: {} } })
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<iq id="e" type="set"><enable xmlns="urn:xmpp:carbons:2"/></iq>')
    orchard.take()
    await send(server, say())
    orchard.receives('<message><sent xmlns="urn:xmpp:carbons:2"/></message>')
  })

  it('obeys the rules that a message brings along, and tells sessions what came of them (XEP-0079)', async () => {
    const server = world({ modules: { mod_amp: {} } })
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await server.roster(juliet, { jid: romeo, subscription: 'both' })
    const rule = (action: string) =>
      `<amp xmlns="http://jabber.org/protocol/amp"><rule condition="deliver" action="${action}" value="direct"/></amp>`
    await send(server, say(rule('notify')))
    balcony.receives('<message id="m"/>')
    orchard.receives(
      '<message from="montague.example"><amp xmlns="http://jabber.org/protocol/amp" status="notify"/></message>',
    )
    await send(server, say(rule('drop')))
    balcony.receives()
  })

  it('shows only what is sent to somebody where it is presence, for nobody is there to be available', async () => {
    const server = world({ modules: { mod_last: {} } })
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await send(server, `<presence to="${juliet}"/>`)
    balcony.receives(`<presence from="${romeo}"/>`)
    await send(server, '<presence type="unavailable"/>')
    expect(server.bugs).toEqual([])
  })

  it('takes subscriptions through the machine (RFC 6121 §3)', async () => {
    const server = world({ modules: { mod_roster: {} } })
    await server.register(romeo)
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await send(server, `<presence type="subscribe" to="${juliet}/balcony"/>`)
    balcony.receives(`<presence type="subscribe" from="${romeo}" to="${juliet}"/>`)
    expect((await server.routing.rosters.get(jid(romeo))).stateOf(juliet)).toMatchObject({ ask: true })
  })

  it('routes an IQ, whose answer nobody hears', async () => {
    const server = world({ modules: { mod_ping: {} } })
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    await send(server, '<iq type="get" id="1" to="capulet.example"><ping xmlns="urn:xmpp:ping"/></iq>')
    await send(server, '<iq type="get" to="capulet.example"/>')
    orchard.receives()
    expect(server.bugs).toEqual([])
  })

  it('tells what goes wrong to the sessions that are available, and to nobody where there is none (RM-2, A-9)', async () => {
    const server = world()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives(-1)
    const tomb = await server.connect(`${romeo}/tomb`)
    await send(server, say())
    orchard.receives(
      `<message type="error" id="m" from="${juliet}" to="${romeo}">${error('service-unavailable')}</message>`,
    )
    tomb.receives()
    await orchard.leaves()
    await send(server, say())
    expect(server.bugs).toEqual([])
  })

  it('tells so too what a room refuses (A-25)', async () => {
    const server = world({ modules: { mod_muc: {} } })
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const room = 'tea@conference.capulet.example'
    await balcony.sends(`<presence to="${room}/j"><x xmlns="http://jabber.org/protocol/muc"/></presence>`)
    await until(() => balcony.take().some(xml => xml.includes('code="110"')))
    await send(server, `<message type="groupchat" id="g" to="${room}"><body>hi</body></message>`)
    const refusals: string[] = []
    await until(() => refusals.push(...orchard.take()) > 0)
    expectXml(refusals, [`<message type="error" id="g" from="${room}">${error('not-acceptable')}</message>`])
  })

  it('leaves errors alone that somebody sends to the account (RFC 6121 §8.5.2.1.1)', async () => {
    const server = world()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    await server.arrives(`<message type="error" from="${juliet}" to="${romeo}">${error('gone')}</message>`)
    orchard.receives()
  })

  it('of a full JID is answered there', async () => {
    const server = world()
    const orchard = await server.connect(`${romeo}/orchard`)
    await send(server, say(), `${romeo}/orchard`)
    orchard.receives(`<message type="error" to="${romeo}/orchard"/>`)
  })

  it('asks no modules where it is not for an account of ours, but gets there', async () => {
    const server = world({ modules: { mod_privacy: {}, mod_mam_meta: { pm: {} } } })
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    for (const from of ['montague.example', 'friar@elsewhere.example']) {
      await send(server, say(), from)
      balcony.receives(`<message from="${from}"/>`)
    }
    expect(server.bugs).toEqual([])
  })

  it('resolves when what must be stored is stored, and rejects when it cannot be', async () => {
    const server = world({ modules: { mod_mam_meta: { pm: {} }, mod_offline: {} } })
    await server.register(romeo, juliet)
    await send(server, say())
    const archived = (account: string) => server.store.archive.count(jid(account).local, jid(account).domain, {}, 10)
    expect([await archived(romeo), await archived(juliet)]).toEqual([1, 1])
    const { append } = server.store.archive
    for (const full of [1, 2]) {
      let count = 0
      // The sender's archive, then the addressee's.
      server.store.archive.append = entry =>
        ++count === full ? Promise.reject(new StoreUnavailable('gone')) : append.call(server.store.archive, entry)
      await expect(send(server, say())).rejects.toThrow(StoreUnavailable)
    }
    expect(server.bugs).toEqual([])
  })
})
