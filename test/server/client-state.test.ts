import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import {
  clientOf,
  connectionOf,
  eventually,
  PASSWORD,
  session,
  sharedServer,
  startedServer,
} from '../support/server.js'

/*
 * XEP-0352 over real sockets; spec/listeners.md §2.8, §3.1.2, §3.1.3.
 */

const csi = 'urn:xmpp:csi:0'
const sm = 'urn:xmpp:sm:3'
const users = ['romeo', 'juliet']
const modules = { mod_ping: {}, mod_csi: {}, mod_stream_management: {}, mod_offline: {}, mod_roster: {} }
const inactive = `<inactive xmlns='${csi}'/>`
const active = `<active xmlns='${csi}'/>`
const chatState = (to: string, state: string) =>
  `<message to='${to}' type='chat'><${state} xmlns='http://jabber.org/protocol/chatstates'/></message>`
const show = (to: string, value: string) => `<presence to='${to}'><show>${value}</show></presence>`

async function pair(server: { port: number }): Promise<{ romeo: Client; juliet: Client }> {
  const romeo = await session(server, 'romeo', { priority: 0 })
  const juliet = await session(server, 'juliet', { priority: 0 })
  return { romeo, juliet }
}

describe('client state indication (XEP-0352)', () => {
  const server = sharedServer({ users, config: { modules } })

  it('is offered after the login and not before, and only where the module is on (§3.1.2)', async () => {
    const client = await clientOf(server())
    expect((await client.open()).getChild('csi', csi)).toBeUndefined()
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    expect((await client.open()).getChild('csi', csi)).toBeDefined()
    const without = await startedServer({ users, config: { modules: { mod_ping: {} } } })
    const other = await clientOf(without)
    await other.open()
    await other.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    expect((await other.open()).getChild('csi', csi)).toBeUndefined()
    await other.bind()
    const sender = await session(without, 'juliet')
    await other.send(`${inactive}<presence/>`)
    await other.settled()
    await sender.send(show(other.jid!, 'away'))
    await other.receives(`<presence from='${sender.jid}'><show>away</show></presence>`)
  })

  it('holds presence and chat states until the client is active, the last presence of each sender, in order', async () => {
    const { romeo, juliet } = await pair(server())
    await romeo.send(inactive)
    await romeo.settled()
    await juliet.send(show(romeo.jid!, 'away') + chatState(romeo.jid!, 'composing') + show(romeo.jid!, 'dnd'))
    await juliet.settled()
    await eventually(() => connectionOf(server(), romeo).details.held === 2)
    const before = romeo.bytesReceived
    await romeo.send(`${active}<iq type='get' id='after' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`)
    expect((await romeo.receivesNext()).toString()).toContain('composing')
    expect((await romeo.receivesNext()).getChildText('show')).toBe('dnd')
    // RFC 6120 §10.1: what the state causes comes before the answer to what follows.
    expect((await romeo.receivesNext()).attrs.id).toBe('after')
    expect(romeo.bytesReceived).toBeGreaterThan(before)
    await juliet.send(show(romeo.jid!, 'xa'))
    await romeo.receives('<presence><show>xa</show></presence>')
  })

  it('lets everything that is held out before a message of importance, and holds on', async () => {
    const { romeo, juliet } = await pair(server())
    await romeo.send(inactive + inactive)
    await romeo.settled()
    await juliet.send(show(romeo.jid!, 'away'))
    await juliet.send(`<message to='${romeo.jid}' type='chat'><body>wake up</body></message>`)
    expect((await romeo.receivesNext()).getChildText('show')).toBe('away')
    expect((await romeo.receivesNext()).getChildText('body')).toBe('wake up')
    await juliet.send(show(romeo.jid!, 'dnd'))
    await juliet.settled()
    await eventually(() => connectionOf(server(), romeo).details.held === 1)
  })

  it('is unrelated to presence, and what is unknown in its namespace is ignored', async () => {
    const { romeo, juliet } = await pair(server())
    await romeo.send(`<asleep xmlns='${csi}'/>${inactive}`)
    await romeo.settled()
    await juliet.send(`<presence type='subscribe' to='romeo@localhost'/>`)
    await romeo.receives("<presence type='subscribe' from='juliet@localhost'/>")
  })
})

describe('the limit of what is held (buffer_max, §2.8)', () => {
  it('lets everything out when there is one more', async () => {
    const config = { modules: { ...modules, mod_csi: { buffer_max: 2 } } }
    const server = await startedServer({ users, config })
    const { romeo, juliet } = await pair(server)
    await romeo.send(inactive)
    await romeo.settled()
    for (const state of ['active', 'composing']) await juliet.send(chatState(romeo.jid!, state))
    await juliet.settled()
    await eventually(() => connectionOf(server, romeo).details.held === 2)
    await juliet.send(chatState(romeo.jid!, 'paused'))
    for (const state of ['active', 'composing', 'paused']) {
      expect((await romeo.receivesNext()).toString()).toContain(state)
    }
  })
})

describe('client state with stream management (XEP-0198)', () => {
  it('does not count as sent what is held; a resumed stream is active (XEP-0352 §5)', async () => {
    const server = await startedServer({ users, config: { modules } })
    const { romeo, juliet } = await pair(server)
    await romeo.send(`<enable xmlns='${sm}' resume='true'/>${inactive}`)
    const { id } = (await romeo.receives(`<enabled xmlns='${sm}'/>`)).attrs
    await romeo.settled()
    await juliet.send(show(romeo.jid!, 'away') + chatState(romeo.jid!, 'composing'))
    await juliet.settled()
    await eventually(() => connectionOf(server, romeo).details.held === 2)
    expect(connectionOf(server, romeo).details.unacknowledged).toBe(1)
    romeo.drop()
    await eventually(() => connectionOf(server, romeo).details.isDetached === true)
    await juliet.send(show(romeo.jid!, 'dnd'))
    await juliet.settled()
    const again = await clientOf(server)
    await again.open()
    await again.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await again.open()
    await again.send(`<resume xmlns='${sm}' previd='${id}' h='1'/>`)
    await again.receives(`<resumed xmlns='${sm}' h='1'/>`)
    await again.receives('<message/>')
    await again.receives('<presence><show>dnd</show></presence>')
    again.jid = romeo.jid
    await again.receivesNothing('<presence/>')
    await juliet.send(show(romeo.jid!, 'chat'))
    await again.receives('<presence><show>chat</show></presence>')
    await again.send(`<a xmlns='${sm}' h='5'/>`)
    await again.settled()
  })
})
