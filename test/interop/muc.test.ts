import { afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { connect, dropClients } from '../support/client.js'
import { domain, type Meerkat, register } from '../support/meerkat.js'
import { type Asker, askInRooms, type Encryption, slixmpp, startMeerkat } from './support.js'

/*
 * Rooms (XEP-0045) as slixmpp's users find them. Sections are those of XEP-0045.
 */

const service = `conference.${domain}`
const modules = `
[modules.mod_roster]
[modules.mod_disco]
[modules.mod_ping]
[modules.mod_register]
[modules.mod_muc]
[modules.mod_mam_meta]
  muc.host = "conference.@HOST@"
`

let server: Meerkat<Encryption>
const askers: Asker[] = []
let rooms = 0
let logins = 0

beforeAll(async () => {
  server = await startMeerkat({ more: modules, auth: '  scram_iterations = 4096' })
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(async () => {
  dropClients()
  for (const asker of askers.splice(0)) expect(await asker.stop()).toBe(0)
})

describe('two clients of slixmpp', () => {
  it('meet in a room, talk, whisper, change the subject and page the archive (§7)', async ({ skip }) => {
    const { room, romeo, juliet } = await party(skip)
    await juliet.ask('join', { room, nick: 'Juliet' })
    await romeo.event({ event: 'presence', nick: 'Juliet', role: 'participant' })
    const bodies = ['Wherefore art thou?', 'a < b & c', 'ἀλλ’ ἐγώ – Ромео, 朱丽叶 and 🐿️🌹']
    for (const body of bodies) await juliet.ask('say', { room, body })
    for (const body of bodies) {
      for (const one of [romeo, juliet])
        await one.event({ event: 'message', from: `${room}/Juliet`, type: 'groupchat', body })
    }
    await romeo.ask('whisper', { to: `${room}/Juliet`, body: 'psst' })
    await juliet.event({ event: 'message', from: `${room}/Romeo`, type: 'chat', body: 'psst' })
    await romeo.ask('set_subject', { room, subject: 'Balconies' })
    await juliet.event({ event: 'subject', from: `${room}/Romeo`, subject: 'Balconies' })
    expect(await juliet.ask('page', { room, max: 2 })).toEqual(bodies)
    expect(await juliet.ask('rooms', { service })).toContain(room)
    const nurse = await client('nurse', skip)
    expect(await nurse.ask('join', { room, nick: 'Nurse' })).toEqual({
      nick: 'Nurse',
      subject: 'Balconies',
      occupants: ['Juliet', 'Nurse', 'Romeo'],
      history: bodies,
    })
  })

  it('are invited, kicked and banned (§7.8, §8.2, §9.1)', async ({ skip }) => {
    const { room, romeo, juliet } = await party(skip)
    await romeo.ask('invite', { room, jid: juliet.jid })
    await juliet.event({ event: 'invited', from: room })
    await juliet.ask('join', { room, nick: 'Juliet' })
    await romeo.event({ event: 'presence', nick: 'Juliet' })
    await romeo.ask('kick', { room, nick: 'Juliet' })
    await juliet.event({ event: 'presence', nick: 'Juliet', type: 'unavailable', codes: [110, 307] })
    await juliet.ask('join', { room, nick: 'Juliet' })
    await romeo.ask('affiliate', { room, jid: juliet.jid.split('/')[0], affiliation: 'outcast' })
    await juliet.event({ event: 'presence', nick: 'Juliet', type: 'unavailable', codes: [110, 301] })
    await expect(juliet.ask('join', { room, nick: 'Juliet' })).rejects.toThrow('forbidden')
  })

  it('find the room as its owner has set it up (§10.2)', async ({ skip }) => {
    const { room, romeo, juliet } = await party(skip)
    await romeo.ask('configure', { room, values: { 'muc#roomconfig_membersonly': true } })
    await expect(juliet.ask('join', { room, nick: 'Juliet' })).rejects.toThrow('registration-required')
    await romeo.ask('affiliate', { room, jid: juliet.jid.split('/')[0], affiliation: 'member' })
    await juliet.ask('join', { room, nick: 'Juliet' })
    await juliet.ask('leave', { room, nick: 'Juliet' })
    await romeo.event({ event: 'presence', nick: 'Juliet', type: 'unavailable' })
  })
})

/** A room that romeo has made and is in, and juliet in front of its door. */
async function party(skip: TestContext['skip']) {
  const [romeo, juliet] = [await client('romeo', skip), await client('juliet', skip)]
  rooms += 1
  const room = `room${rooms}@${service}`
  await romeo.ask('join', { room, nick: 'Romeo' })
  await romeo.ask('configure', { room, values: {} })
  return { room, romeo, juliet }
}

async function client(name: string, skip: TestContext['skip']): Promise<Asker> {
  const missing = slixmpp.missing()
  if (missing !== undefined) {
    if (process.env.CI === 'true') throw new Error(missing)
    skip(missing)
  }
  logins += 1
  const account = { user: `${name}${logins}`, password: 'secret' }
  const raw = await connect({ port: server.ports.starttls, tls: 'starttls' })
  await raw.open()
  await raw.startTls()
  await raw.open()
  await register(raw, account)
  raw.drop()
  const asker = askInRooms({ account, server, encryption: 'starttls' }, 'interop')
  askers.push(asker)
  await asker.isOnline()
  return asker
}
