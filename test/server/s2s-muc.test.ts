import { expect, it } from 'vitest'
import type { Client } from '../support/client.js'
import { freePort } from '../support/programs.js'
import { eventually, session, startedServer } from '../support/server.js'

/*
 * Rooms whose occupants are on another server.
 */

const HERE = 'verona.example'
const THERE = 'mantua.example'
const service = `conference.${HERE}`
const room = `tea@${service}`
const NS = 'http://jabber.org/protocol/muc'

async function federated() {
  const ports = { [HERE]: await freePort(), [THERE]: await freePort(), [service]: 0 }
  ports[service] = ports[HERE]!
  const start = (domain: string, port: number) =>
    startedServer({
      users: ['romeo', 'juliet', 'nurse'],
      modules: { mod_ping: {}, mod_roster: {}, mod_muc: {}, mod_mam_meta: { muc: { host: 'conference.@HOST@' } } },
      config: {
        general: { hosts: [domain] },
        listen: { s2s: [{ port, ip_address: '127.0.0.1', num_acceptors: 2 }] },
        s2s: { address: Object.entries(ports).map(([host, at]) => ({ host, ip_address: '127.0.0.1', port: at })) },
      },
    })
  const here = await start(HERE, ports[HERE]!)
  const there = await start(THERE, ports[THERE]!)
  return {
    here,
    there,
    romeo: await session(here, 'romeo', { domain: HERE }),
    juliet: await session(there, 'juliet', { domain: THERE }),
  }
}

async function enters(client: Client, nick: string): Promise<void> {
  await client.send(`<presence to='${room}/${nick}'><x xmlns='${NS}'/></presence>`)
  await client.receives(`<presence from='${room}/${nick}'><x xmlns='${NS}#user'><status code='110'/></x></presence>`)
  await client.receives(`<message type='groupchat'><subject/></message>`)
}

it('has occupants on another server: they enter, talk, page its archive, are kicked and are missed (XEP-0045 §7, §8.2, §14)', async () => {
  const { there, romeo, juliet } = await federated()
  await enters(romeo, 'Romeo')
  const form = `<query xmlns='${NS}#owner'><x xmlns='jabber:x:data' type='submit'/></query>`
  expect((await romeo.ask('set', form, { to: room })).attrs.type).toBe('result')
  await enters(juliet, 'Juliet')
  await romeo.receives(`<presence from='${room}/Juliet'/>`)

  await juliet.send(`<message to='${room}' type='groupchat'><body>Ay me</body></message>`)
  for (const one of [romeo, juliet]) await one.receives(`<message from='${room}/Juliet'><body>Ay me</body></message>`)
  await romeo.send(`<message to='${room}/Juliet' type='chat'><body>psst</body></message>`)
  await juliet.receives(`<message from='${room}/Romeo' type='chat'><body>psst</body></message>`)

  const query = await juliet.ask('set', `<query xmlns='urn:xmpp:mam:2' queryid='q'/>`, { to: room })
  expect(query.attrs.type).toBe('result')
  const kept = `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='${room}/Juliet'><body>Ay me</body></message></forwarded>`
  await juliet.receives(`<message from='${room}'><result xmlns='urn:xmpp:mam:2' queryid='q'>${kept}</result></message>`)

  const out = `<query xmlns='${NS}#admin'><item nick='Juliet' role='none'/></query>`
  expect((await romeo.ask('set', out, { to: room })).attrs.type).toBe('result')
  const gone = `<presence from='${room}/Juliet' type='unavailable'>`
  await juliet.receives(`${gone}<x xmlns='${NS}#user'><status code='307'/></x></presence>`)
  await romeo.receives(`${gone}</presence>`)

  // Her server goes away: the room finds out when it has something for her.
  await enters(juliet, 'Juliet')
  await romeo.receives(`<presence from='${room}/Juliet'/>`)
  juliet.drop()
  await romeo.receives(`${gone}</presence>`)
  const nurse = await session(there, 'nurse', { domain: THERE })
  await enters(nurse, 'Nurse')
  await romeo.receives(`<presence from='${room}/Nurse'/>`)
  await there.stop()
  await eventually(() => there.status().connections === 0)
  await romeo.receives(`<presence from='${room}/Nurse' type='unavailable'/>`, { within: 30_000 })
})
