import { describe, expect, it } from 'vitest'
import { reroute } from '../../src/routing/session-lifecycle.js'
import { directedLimit } from '../../src/sessions/presence.js'
import { type Client, expectXml, jid, settled, stanza, type World, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`

/** Romeo and Juliet see each other's presence; the nurse sees Juliet's; Benvolio nobody's. */
async function verona(options: Parameters<typeof world>[0] = {}): Promise<World> {
  const server = world(options)
  await server.register(romeo, juliet, 'nurse@capulet.example', 'benvolio@montague.example')
  await server.roster(romeo, { jid: juliet, subscription: 'both' }, { jid: 'benvolio@montague.example' })
  await server.roster(
    juliet,
    { jid: romeo, subscription: 'both' },
    { jid: 'nurse@capulet.example', subscription: 'from' },
  )
  await server.roster('nurse@capulet.example', { jid: juliet, subscription: 'to' })
  return server
}

describe('initial presence (RFC 6121 §4.2)', () => {
  it('goes to subscribed contacts and own resources, and brings theirs', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const nurse = await (await server.connect('nurse@capulet.example/hall')).arrives()
    const benvolio = await (await server.connect('benvolio@montague.example/square')).arrives()
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    balcony.take()

    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence><show>away</show></presence>')
    orchard.receives(
      `<presence from="${romeo}/orchard" to="${romeo}"><show>away</show></presence>`,
      `<presence from="${romeo}/tomb"/>`,
      `<presence from="${juliet}/balcony" to="${romeo}/orchard"/>`,
    )
    balcony.receives(`<presence from="${romeo}/orchard" to="${juliet}"><show>away</show></presence>`)
    tomb.receives(`<presence from="${romeo}/orchard" to="${romeo}"><show>away</show></presence>`)
    nurse.receives()
    benvolio.receives()
  })

  it('is not shown to resources that are connected but not available', async () => {
    const server = await verona()
    const balcony = await server.connect(`${juliet}/balcony`)
    await (await server.connect(`${romeo}/orchard`)).arrives()
    balcony.receives()
  })

  it('reaches a contact elsewhere, and asks it for its presence (§4.3.1)', async () => {
    const out: string[] = []
    const server = world({ routing: { remote: sent => out.push(sent.toString()) > 0 } })
    await server.register(romeo)
    await server.roster(
      romeo,
      { jid: 'paris@verona.example', subscription: 'both' },
      { jid: 'rosaline@verona.example', subscription: 'to' },
    )
    await (await server.connect(`${romeo}/orchard`)).arrives()
    expectXml(out, [
      `<presence from="${romeo}/orchard" to="paris@verona.example"/>`,
      `<presence from="${romeo}/orchard" type="probe" to="paris@verona.example"/>`,
      `<presence from="${romeo}/orchard" type="probe" to="rosaline@verona.example"/>`,
    ])
  })

  it('shows later changes without asking anybody again (§4.4)', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    balcony.take()
    await orchard.sends('<presence id="p2"><status>under the balcony</status></presence>')
    balcony.receives(`<presence id="p2" from="${romeo}/orchard"><status>under the balcony</status></presence>`)
    orchard.receives(`<presence id="p2" from="${romeo}/orchard"/>`)
  })

  it('of a client that goes while its roster is being read is shown to nobody', async () => {
    const server = await verona()
    await server.roster('nurse@capulet.example', { jid: 'peter@capulet.example', subscription: 'from' })
    server.routing.rosters.forget(jid('nurse@capulet.example'))
    const peter = await (await server.connect('peter@capulet.example/kitchen')).arrives()
    const hall = await server.connect('nurse@capulet.example/hall')
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    const sent = hall.sends('<presence/>')
    await hall.leaves()
    open()
    await sent
    peter.receives()
    expect(hall.presence).toBeUndefined()
  })

  it('with the store out of reach is refused, and works when it is back', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const fresh = await server.connect('mercutio@montague.example/square')
    server.store.isFailing = true
    await fresh.sends('<presence/>')
    fresh.receives(`<presence type="error">${error('resource-constraint')}</presence>`)
    expect(fresh.presence).toBeUndefined()
    server.store.isFailing = false
    await fresh.sends('<presence/>')
    fresh.receives('<presence from="mercutio@montague.example/square"/>')
    balcony.receives()
  })
})

describe('priority (RFC 6121 §4.7.2.3)', () => {
  it.each([
    ['127', 127],
    ['-128', -128],
    ['0', 0],
    [' 5 ', 5],
    ['+3', 3],
  ])('takes %j', async (text, value) => {
    const server = world()
    const client = await server.connect(`${romeo}/orchard`)
    await client.sends(`<presence><priority>${text}</priority></presence>`)
    expect(client.priority).toBe(value)
  })

  it.each(['128', '-129', '1.5', '', 'high', '0x10', '1e2', '99999999999'])(
    'refuses %j with bad-request',
    async text => {
      const server = world()
      const client = await server.connect(`${romeo}/orchard`)
      await client.sends(`<presence id="p"><priority>${text}</priority></presence>`)
      client.receives(`<presence id="p" type="error">${error('bad-request')}</presence>`)
      expect(client.presence).toBeUndefined()
    },
  )

  it('refuses two of them', async () => {
    const server = world()
    const client = await server.connect(`${romeo}/orchard`)
    await client.sends('<presence><priority>1</priority><priority>2</priority></presence>')
    client.receives(`<presence type="error">${error('bad-request')}</presence>`)
  })

  it('is zero again when a later presence names none', async () => {
    const server = world()
    const client = await (await server.connect(`${romeo}/orchard`)).arrives(7)
    await client.sends('<presence/>')
    expect(client.priority).toBe(0)
  })

  it('tells modules when a session starts and stops to take messages for its account', async () => {
    const server = world()
    const hooks = server.routing.hooksOf('montague.example')
    const log: string[] = []
    hooks.becameAvailable.observe(session => void log.push(`+${session.jid.resource}`))
    hooks.becameUnavailable.observe(session => void log.push(`-${session.jid.resource}`))
    const client = await server.connect(`${romeo}/orchard`)
    await client.sends('<presence><priority>-1</priority></presence>')
    expect(log).toEqual([])
    await client.sends('<presence><priority>0</priority></presence>')
    await client.sends('<presence><priority>5</priority></presence>')
    await client.sends('<presence type="unavailable"/>')
    await client.leaves()
    expect(log).toEqual(['+orchard', '-orchard'])
  })
})

describe('unavailable presence (RFC 6121 §4.5)', () => {
  async function both() {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    balcony.take()
    tomb.take()
    return { server, balcony, tomb, orchard }
  }

  it('that a client sends goes to contacts, other resources and itself', async () => {
    const { balcony, tomb, orchard } = await both()
    await orchard.sends('<presence type="unavailable"><status>to Mantua</status></presence>')
    for (const client of [balcony, tomb, orchard]) {
      client.receives(`<presence type="unavailable" from="${romeo}/orchard"><status>to Mantua</status></presence>`)
    }
    expect(orchard.presence).toBeUndefined()
  })

  it('is sent on behalf of a client whose connection is gone, once', async () => {
    const { balcony, tomb, orchard } = await both()
    await orchard.leaves('Replaced by new connection')
    await orchard.leaves()
    for (const client of [balcony, tomb]) {
      client.receives(
        `<presence type="unavailable" from="${romeo}/orchard"><status>Replaced by new connection</status></presence>`,
      )
    }
  })

  it('is not repeated when the client that said it goes', async () => {
    const { balcony, orchard } = await both()
    await orchard.sends('<presence type="unavailable"/>')
    balcony.take()
    await orchard.leaves()
    balcony.receives()
  })

  it('of a client that never was available tells nobody', async () => {
    const { server, balcony, tomb } = await both()
    const silent = await server.connect(`${romeo}/silent`)
    await silent.sends('<presence type="unavailable"/>')
    await silent.leaves()
    balcony.receives()
    tomb.receives()
    silent.receives()
  })

  it('makes room for the next initial presence', async () => {
    const { balcony, orchard } = await both()
    await orchard.sends('<presence type="unavailable"/>')
    orchard.take()
    balcony.take()
    await orchard.sends('<presence/>')
    balcony.receives(`<presence from="${romeo}/orchard"/>`)
    expect(orchard.take().join()).toContain(`${juliet}/balcony`)
  })
})

describe('directed presence (RFC 6121 §4.6)', () => {
  it('goes to the entity alone, which is told when the session goes', async () => {
    const server = await verona()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const square = await (await server.connect('benvolio@montague.example/square')).arrives()
    await orchard.sends('<presence to="benvolio@montague.example/square"><show>dnd</show></presence>')
    square.receives(
      `<presence from="${romeo}/orchard" to="benvolio@montague.example/square"><show>dnd</show></presence>`,
    )
    await orchard.sends('<presence><status>new</status></presence>')
    square.receives()
    await orchard.leaves('gone')
    square.receives(`<presence type="unavailable" from="${romeo}/orchard"><status>gone</status></presence>`)
  })

  it('of a client that is not available to others ends with it too', async () => {
    const server = await verona()
    const orchard = await server.connect(`${romeo}/orchard`)
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await orchard.sends(`<presence to="${juliet}"/>`)
    balcony.receives(`<presence from="${romeo}/orchard" to="${juliet}"/>`)
    await orchard.leaves()
    balcony.receives(`<presence type="unavailable" from="${romeo}/orchard"/>`)
  })

  it('is withdrawn by directed unavailable presence', async () => {
    const server = await verona()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const square = await (await server.connect('benvolio@montague.example/square')).arrives()
    await orchard.sends('<presence to="benvolio@montague.example/square"/>')
    await orchard.sends('<presence to="benvolio@montague.example/square" type="unavailable"/>')
    square.receives('<presence/>', '<presence type="unavailable"/>')
    await orchard.leaves()
    square.receives()
  })

  it('to a subscribed contact brings one farewell, not two', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    await orchard.sends(`<presence to="${juliet}/balcony"/>`)
    balcony.take()
    await orchard.leaves()
    balcony.receives('<presence type="unavailable"/>')
  })

  it('is bounded: the entity above the limit is refused, and nothing grows', async () => {
    const server = await verona({ routing: { remote: () => true } })
    const orchard = await server.connect(`${romeo}/orchard`)
    for (let i = 0; i < directedLimit; i += 1)
      orchard.directed = (orchard.directed ?? new Set()).add(`room${i}@muc.example/r`)
    await orchard.sends('<presence id="x" to="onemore@muc.example/r"/>')
    orchard.receives(`<presence id="x" type="error">${error('resource-constraint')}</presence>`)
    await orchard.sends('<presence to="room5@muc.example/r"/>')
    orchard.receives()
    expect(orchard.directed!.size).toBe(directedLimit)
  })
})

describe('probes (RFC 6121 §4.3.2)', () => {
  async function probing(from: string): Promise<{ server: World; prober: Client }> {
    const server = await verona()
    const prober = await server.connect(from)
    prober.isInterested = true
    return { server, prober }
  }

  it('of a subscriber are answered with the last presence of each available resource (item 4)', async () => {
    const { server, prober } = await probing(`${juliet}/balcony`)
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence id="a1"><show>chat</show><x xmlns="urn:example:x"/></presence>')
    await (await server.connect(`${romeo}/tomb`)).arrives(-1)
    await server.connect(`${romeo}/mute`)
    await prober.sends(`<presence type="probe" to="${romeo}"/>`)
    prober.receives(
      `<presence id="a1" from="${romeo}/orchard" to="${juliet}/balcony"><show>chat</show><x xmlns="urn:example:x"/></presence>`,
      `<presence from="${romeo}/tomb" to="${juliet}/balcony"/>`,
    )
  })

  it('of a subscriber when nobody is available are answered with unavailable from the bare JID (item 3)', async () => {
    const { prober } = await probing(`${juliet}/balcony`)
    await prober.sends(`<presence type="probe" to="${romeo}"/>`)
    prober.receives(`<presence type="unavailable" from="${romeo}" to="${juliet}/balcony"/>`)
  })

  it('of anybody else are answered with unsubscribed, whether there is an account or not (item 1)', async () => {
    const out: string[] = []
    const server = await verona({ routing: { remote: sent => out.push(sent.toString()) > 0 } })
    await (await server.connect(`${romeo}/orchard`)).arrives()
    await server.arrives(`<presence type="probe" from="paris@verona.example/x" to="${romeo}"/>`)
    await server.arrives('<presence type="probe" from="paris@verona.example/x" to="nobody@montague.example"/>')
    expectXml(out, [
      `<presence from="${romeo}" type="unsubscribed" to="paris@verona.example"/>`,
      '<presence from="nobody@montague.example" type="unsubscribed" to="paris@verona.example"/>',
    ])
  })

  it('of somebody who got directed presence are not answered with unsubscribed (§4.6)', async () => {
    const out: string[] = []
    const server = await verona({ routing: { remote: sent => out.push(sent.toString()) > 0 } })
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence to="room@muc.example/romeo"/>')
    await server.arrives(`<presence type="probe" from="room@muc.example/romeo" to="${romeo}"/>`)
    expect(out).toEqual([expect.stringContaining('to="room@muc.example/romeo"')])
  })

  it('that come to a new resource through a stale subscription set it right', async () => {
    const server = await verona()
    await server.roster(juliet, { jid: romeo, subscription: 'to' })
    await (await server.connect(`${juliet}/balcony`)).arrives()
    const orchard = await server.connect(`${romeo}/orchard`)
    orchard.isInterested = true
    await orchard.sends('<presence/>')
    expect(orchard.take().join()).not.toContain(`${juliet}/balcony`)
    const item = (await server.routing.rosters.get(orchard.jid.bare)).items.get(juliet)
    expect(item!.subscription).toBe('from')
  })
})

describe('presence that arrives from elsewhere (RFC 6121 §8.5)', () => {
  it('for a bare JID goes to every available resource, negative ones too, and to no other (§8.5.2.1.2)', async () => {
    const server = await verona()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives(-5)
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives(5)
    const mute = await server.connect(`${romeo}/mute`)
    orchard.take()
    await server.arrives(`<presence from="x@verona.example/y" to="${romeo}"/>`)
    orchard.receives('<presence/>')
    tomb.receives('<presence/>')
    mute.receives()
  })

  it('for a full JID goes there, or nowhere (§8.5.3.1, §8.5.3.2.2)', async () => {
    const server = await verona()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    await server.arrives(`<presence from="x@verona.example/y" to="${romeo}/orchard" type="unavailable"/>`)
    orchard.receives('<presence type="unavailable"/>')
    await server.arrives(`<presence from="x@verona.example/y" to="${romeo}/tomb"/>`)
    await server.arrives('<presence from="x@verona.example/y" to="nobody@montague.example"/>')
    orchard.receives()
  })
})

it('refuses presence of a type that there is not, and a probe or subscription without addressee', async () => {
  const server = world()
  const client = await server.connect(`${romeo}/orchard`)
  for (const xml of [
    '<presence type="here"/>',
    '<presence type="probe"/>',
    '<presence type="subscribe"/>',
    `<presence type="here" to="${juliet}"/>`,
  ]) {
    await client.sends(xml)
    client.receives(`<presence type="error">${error('bad-request')}</presence>`)
  }
})

describe('sessions', () => {
  it('replace one of the same full JID: it gets conflict, its contacts see it go, then the new one come (spec §3.1.6)', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const old = await (await server.connect(`${romeo}/orchard`)).arrives()
    balcony.take()
    const young = await server.connect(`${romeo}/orchard`)
    expect(old.ended).toEqual({ condition: 'conflict', text: 'Replaced by new connection' })
    await young.sends('<presence/>')
    await old.leaves('anything')
    balcony.receives(
      `<presence type="unavailable" from="${romeo}/orchard"><status>Replaced by new connection</status></presence>`,
      `<presence from="${romeo}/orchard"/>`,
    )
    expect(server.routing.sessions.byFull(`${romeo}/orchard`)).toBe(young)
  })

  it('above max_user_sessions replace the oldest', async () => {
    const server = world({ routing: { maxSessions: () => 2 } })
    const [first, second, third] = [
      await server.connect(`${romeo}/1`),
      await server.connect(`${romeo}/2`),
      await server.connect(`${romeo}/3`),
    ]
    expect(first.ended?.condition).toBe('conflict')
    expect(second.ended).toBeUndefined()
    expect(server.routing.sessions.resources(romeo)).toEqual([second, third])
  })

  it('give back what they could not deliver: to another resource, or to the sender', async () => {
    const server = await verona()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    await orchard.leaves()
    balcony.take()
    tomb.take()
    const give = (xml: string) => reroute(server.routing, orchard, stanza(xml))
    await give(`<message type="chat" from="${juliet}/balcony" to="${romeo}/orchard"><body>a</body></message>`)
    tomb.receives('<message><body>a</body></message>')
    await give(`<message type="chat" from="${juliet}/balcony" to="${romeo}"><body>seen by both</body></message>`)
    await give(`<presence from="${juliet}/balcony" to="${romeo}"/>`)
    tomb.receives()
    await give(`<iq type="get" id="1" from="${juliet}/balcony" to="${romeo}/orchard"><q xmlns="q"/></iq>`)
    balcony.receives(`<iq type="error" id="1">${error('service-unavailable')}</iq>`)
  })
})

it('tells 200 online contacts without reading the roster or looking at the presence again', async () => {
  const server = world()
  await server.register(romeo)
  const names = Array.from({ length: 200 }, (_, i) => `c${i}@capulet.example`)
  await server.roster(romeo, ...names.map(jid => ({ jid, subscription: 'from' as const })))
  const clients = []
  for (const name of names) clients.push(await (await server.connect(`${name}/r`)).arrives())
  const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
  for (const client of clients) client.take()
  const asked = server.store.log.length
  await orchard.sends('<presence><show>away</show></presence>')
  await settled()
  for (const client of clients) client.receives('<presence><show>away</show></presence>')
  expect(server.store.log.length).toBe(asked)
})
