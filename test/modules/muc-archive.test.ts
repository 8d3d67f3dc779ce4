import { describe, expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { session, startedServer } from '../support/server.js'

/*
 * What becomes of messages of a room that are taken back: XEP-0424, XEP-0425, and their tombstones in the room's archive.
 */

const service = 'conference.localhost'
const room = `tea@${service}`
const NS = 'http://jabber.org/protocol/muc'

async function inRoom(...users: string[]): Promise<Client[]> {
  const server = await startedServer({
    users: ['romeo', 'juliet', 'nurse'],
    modules: { mod_muc: {}, mod_ping: {}, mod_mam_meta: { muc: { host: 'conference.@HOST@' } } },
  })
  const clients: Client[] = []
  for (const user of users) {
    const client = await session(server, user)
    await client.send(`<presence to='${room}/${user}'><x xmlns='${NS}'/></presence>`)
    await client.receives(`<presence from='${room}/${user}'><x xmlns='${NS}#user'><status code='110'/></x></presence>`)
    await client.receives(`<message type='groupchat'><subject/></message>`)
    const form = `<query xmlns='${NS}#owner'><x xmlns='jabber:x:data' type='submit'/></query>`
    if (clients.length === 0) await client.ask('set', form, { to: room })
    clients.push(client)
  }
  return clients
}

/** Says it, and gives the archive's id of it. */
async function says(client: Client, body: string, by: readonly Client[]): Promise<string> {
  await client.send(`<message to='${room}' type='groupchat' id='o-${body}'><body>${body}</body></message>`)
  let id = ''
  for (const one of by) {
    const heard = await one.receives(`<message type='groupchat'><body>${body}</body></message>`)
    id = heard.getChild('stanza-id', 'urn:xmpp:sid:0')?.attrs.id
  }
  return id
}

let queries = 0

/** What the archive has under the id: the body, or who is said to have taken it back. */
async function archived(client: Client, id: string): Promise<string> {
  queries += 1
  const answer = await client.ask('set', `<query xmlns='urn:xmpp:mam:2' queryid='q${queries}'/>`, { to: room })
  expect(answer.attrs.type).toBe('result')
  const found = await client.receives(
    `<message from='${room}'><result xmlns='urn:xmpp:mam:2' queryid='q${queries}' id='${id}'/></message>`,
  )
  const forwarded = found.getChild('result', 'urn:xmpp:mam:2')?.getChild('forwarded', 'urn:xmpp:forward:0')
  const message = forwarded?.getChild('message')
  const body = message?.getChildText('body') ?? ''
  const retracted = message?.getChild('retracted', 'urn:xmpp:message-retract:1')
  if (retracted === undefined) return body
  const moderated = retracted.getChild('moderated', 'urn:xmpp:message-moderate:1')
  return `${body}taken back by ${moderated?.attrs.by ?? 'its author'}`
}

describe('a message of an archived room', () => {
  it('is taken back by its author, and the archive keeps a tombstone (XEP-0424 §4)', async () => {
    const [romeo, juliet] = (await inRoom('romeo', 'juliet')) as [Client, Client]
    const first = await says(juliet, 'Oops', [romeo, juliet])
    const second = await says(juliet, 'Ay me', [romeo, juliet])
    const retract = `<retract xmlns='urn:xmpp:message-retract:1' id='${first}'/>`
    await juliet.send(`<message to='${room}' type='groupchat' id='r'>${retract}<body>/me retracts</body></message>`)
    for (const one of [romeo, juliet]) await one.receives(`<message type='groupchat' id='r'>${retract}</message>`)
    await romeo.settled()
    expect(await archived(romeo, first)).toBe('taken back by its author')
    expect(await archived(romeo, second)).toBe('Ay me')
  })

  it('stays what it was when somebody else says to take it back (XEP-0424 §6)', async () => {
    const [romeo, juliet] = (await inRoom('romeo', 'juliet')) as [Client, Client]
    const id = await says(romeo, 'Mine', [romeo, juliet])
    const retract = `<retract xmlns='urn:xmpp:message-retract:1' id='${id}'/>`
    await juliet.send(`<message to='${room}' type='groupchat' id='r'>${retract}<body>x</body></message>`)
    await juliet.receives(`<message type='groupchat' id='r'/>`)
    await juliet.settled()
    expect(await archived(juliet, id)).toBe('Mine')
  })

  it('is taken back by a moderator for everybody, and nobody reads it again (XEP-0425 §3, §4)', async () => {
    const [romeo, juliet, nurse] = (await inRoom('romeo', 'juliet', 'nurse')) as [Client, Client, Client]
    const id = await says(juliet, 'Spam', [romeo, juliet, nurse])
    const moderate = `<moderate xmlns='urn:xmpp:message-moderate:1' id='${id}'><retract xmlns='urn:xmpp:message-retract:1'/><reason>No</reason></moderate>`
    const refused = await juliet.ask('set', moderate, { to: room })
    expect(`${refused}`).toContain('forbidden')
    expect((await romeo.ask('set', moderate, { to: room })).attrs.type).toBe('result')
    const notice = `<retract xmlns='urn:xmpp:message-retract:1' id='${id}'><moderated xmlns='urn:xmpp:message-moderate:1' by='${room}/romeo'/><reason>No</reason></retract>`
    for (const one of [romeo, juliet, nurse]) {
      await one.receives(`<message from='${room}' type='groupchat'>${notice}</message>`)
    }
    await nurse.settled()
    expect(await archived(nurse, id)).toBe(`taken back by ${room}/romeo`)
    // Who enters now does not get it as history either.
    await nurse.send(`<presence to='${room}/nurse' type='unavailable'/>`)
    await nurse.receives(`<presence from='${room}/nurse' type='unavailable'/>`)
    await nurse.send(`<presence to='${room}/nurse'><x xmlns='${NS}'/></presence>`)
    await nurse.receives(`<message type='groupchat'><subject/></message>`)
    await nurse.receivesNothing(`<message type='groupchat'><body>Spam</body></message>`)
  })
})
