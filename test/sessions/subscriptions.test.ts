import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rosterLimits } from '../../src/protocols/roster.js'
import { type Client, expectXml, jid, settled, stanza, type World, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const push = (account: string, item: string) =>
  `<iq type="set" from="${account}"><query xmlns="jabber:iq:roster">${item}</query></iq>`
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`

async function lovers() {
  const server = world()
  const orchard = await (await server.connect(`${romeo}/orchard`)).arrives()
  const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
  return { server, orchard, balcony }
}

describe('RFC 6121 §3.1: asking for a subscription', () => {
  it('goes from the request over the approval to presence, each step pushed', async () => {
    const { orchard, balcony } = await lovers()
    await orchard.sends(
      `<presence id="s1" type="subscribe" to="${juliet}/balcony"><status>it is the east</status></presence>`,
    )
    orchard.receives(push(romeo, `<item jid="${juliet}" subscription="none" ask="subscribe"/>`))
    balcony.receives(
      `<presence id="s1" type="subscribe" from="${romeo}" to="${juliet}"><status>it is the east</status></presence>`,
    )

    await balcony.sends(`<presence id="s2" type="subscribed" to="${romeo}"/>`)
    balcony.receives(push(juliet, `<item jid="${romeo}" subscription="from"/>`))
    orchard.receives(
      `<presence id="s2" type="subscribed" from="${juliet}" to="${romeo}"/>`,
      push(romeo, `<item jid="${juliet}" subscription="to"/>`),
      `<presence from="${juliet}/balcony" to="${romeo}"/>`,
    )
  })

  it('of an account that does not exist is answered with unsubscribed (§3.1.3 item 1)', async () => {
    const { orchard } = await lovers()
    await orchard.sends('<presence type="subscribe" to="rosaline@capulet.example"/>')
    orchard.receives(
      push(romeo, '<item jid="rosaline@capulet.example" subscription="none" ask="subscribe"/>'),
      '<presence type="unsubscribed" from="rosaline@capulet.example"/>',
      push(romeo, '<item jid="rosaline@capulet.example" subscription="none"/>'),
    )
  })

  it('waits for a contact who is away, and is shown to each new resource until it is answered (§3.1.3 item 4)', async () => {
    const { server, orchard, balcony } = await lovers()
    await balcony.leaves()
    orchard.take()
    await orchard.sends(`<presence type="subscribe" to="${juliet}"><x xmlns="urn:example:x">soft</x></presence>`)
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    for (const resource of ['hall', 'garden']) {
      const client = await server.connect(`${juliet}/${resource}`)
      client.receives()
      await client.sends('<presence/>')
      expect(client.take().filter(xml => xml.includes('"subscribe"'))).toEqual([
        expect.stringContaining('<x xmlns="urn:example:x">soft</x>'),
      ])
      await client.sends('<presence><show>away</show></presence>')
      expect(client.take().join()).not.toContain('"subscribe"')
    }
    const hall = (await server.connect(`${juliet}/cell`)) as Client
    await hall.sends(`<presence type="unsubscribed" to="${romeo}"/>`)
    const last = await server.connect(`${juliet}/last`)
    await last.sends('<presence/>')
    expect(last.take().join()).not.toContain('"subscribe"')
  })

  it('leaves nothing in the contact’s roster until it is approved (§3.1.3, security warning)', async () => {
    const { server, orchard, balcony } = await lovers()
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    expect(balcony.take()).toHaveLength(1)
    const roster = await server.routing.rosters.get(jid(juliet))
    expect(roster.items.size).toBe(0)
    expect([...roster.requests.keys()]).toEqual([romeo])
  })

  it('of somebody subscribed already is answered by the server (§3.1.3 item 2)', async () => {
    const out: string[] = []
    const server = world({ routing: { remote: sent => out.push(sent.toString()) > 0 } })
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await server.roster(juliet, { jid: 'paris@verona.example', subscription: 'from' })
    await server.arrives(`<presence type="subscribe" from="paris@verona.example/x" to="${juliet}/balcony"/>`)
    balcony.receives()
    expectXml(out, [`<presence from="${juliet}" type="subscribed" to="paris@verona.example"/>`])
  })

  it('of oneself is refused', async () => {
    const { orchard } = await lovers()
    await orchard.sends(`<presence type="subscribe" to="${romeo}"/>`)
    orchard.receives(`<presence type="error">${error('not-allowed')}</presence>`)
  })

  it('is refused when the roster or the list of waiting requests is full', async () => {
    const { server, orchard, balcony } = await lovers()
    const items = Array.from({ length: rosterLimits.items }, (_, i) => ({ jid: `c${i}@x.example` }))
    await server.roster(romeo, ...items)
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    orchard.receives(`<presence type="error">${error('resource-constraint')}</presence>`)
    balcony.receives()
    const putRequests = Array.from({ length: rosterLimits.requests }, (_, i) => ({
      jid: `c${i}@x.example`,
      xml: '<presence/>',
    }))
    await server.routing.rosters.change(jid(juliet), () => ({ change: { putRequests }, committed: () => undefined }))
    const tybalt = await server.connect('tybalt@capulet.example/street')
    await tybalt.sends(`<presence type="subscribe" to="${juliet}"/>`)
    balcony.receives()
    expect((await server.routing.rosters.get(jid(juliet))).requests.size).toBe(rosterLimits.requests)
  })
})

async function befriended() {
  const { server, orchard, balcony } = await lovers()
  await server.roster(romeo, { jid: juliet, subscription: 'both' })
  await server.roster(juliet, { jid: romeo, subscription: 'both' })
  return { server, orchard, balcony }
}

describe('RFC 6121 §3.2: cancelling a subscription', () => {
  it('shows unavailable, then the cancellation, then pushes', async () => {
    const { orchard, balcony } = await befriended()
    await balcony.sends(`<presence type="unsubscribed" to="${romeo}"/>`)
    orchard.receives(
      `<presence type="unavailable" from="${juliet}/balcony"/>`,
      `<presence type="unsubscribed" from="${juliet}" to="${romeo}"/>`,
      push(romeo, `<item jid="${juliet}" subscription="from"/>`),
    )
    balcony.receives(push(juliet, `<item jid="${romeo}" subscription="to"/>`))
  })
})

describe('RFC 6121 §3.3: unsubscribing', () => {
  it('tells the contact, who is not seen any more', async () => {
    const { orchard, balcony } = await befriended()
    await orchard.sends(`<presence type="unsubscribe" to="${juliet}"/>`)
    balcony.receives(
      `<presence type="unsubscribe" from="${romeo}" to="${juliet}"/>`,
      push(juliet, `<item jid="${romeo}" subscription="to"/>`),
    )
    orchard.receives(
      push(romeo, `<item jid="${juliet}" subscription="from"/>`),
      `<presence type="unavailable" from="${juliet}/balcony"/>`,
    )
  })

  it('takes a request back that was not answered, without a trace', async () => {
    const { server, orchard, balcony } = await lovers()
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    await orchard.sends(`<presence type="unsubscribe" to="${juliet}"/>`)
    balcony.receives('<presence type="subscribe"/>', '<presence type="unsubscribe"/>')
    expect((await server.routing.rosters.get(jid(juliet))).requests.size).toBe(0)
  })
})

describe('RFC 6121 §3.4: pre-approval', () => {
  it('is pushed, stays at home, and answers the request when it comes', async () => {
    const { orchard, balcony } = await lovers()
    await balcony.sends(`<presence type="subscribed" to="${romeo}"/>`)
    balcony.receives(push(juliet, `<item jid="${romeo}" subscription="none" approved="true"/>`))
    orchard.receives()
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    balcony.receives(push(juliet, `<item jid="${romeo}" subscription="from"/>`))
    orchard.receives(
      push(romeo, `<item jid="${juliet}" subscription="none" ask="subscribe"/>`),
      `<presence type="subscribed" from="${juliet}"/>`,
      push(romeo, `<item jid="${juliet}" subscription="to"/>`),
      `<presence from="${juliet}/balcony"/>`,
    )
  })
})

describe('delivery', () => {
  it('shows a request to available resources and an answer to interested ones', async () => {
    const { server, orchard, balcony } = await lovers()
    const silent = await server.connect(`${juliet}/silent`)
    const plain = await server.connect(`${romeo}/plain`)
    await plain.sends('<presence/>')
    orchard.take()
    plain.take()
    await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
    expect(balcony.take()).toHaveLength(1)
    silent.receives()
    await balcony.sends(`<presence type="subscribed" to="${romeo}"/>`)
    // available, but it never asked for its roster
    plain.receives(`<presence from="${juliet}/balcony"/>`)
  })
})

/** One side's view of the other, as consistency needs it. */
async function relation(server: World, account: string, contact: string) {
  const state = (await server.routing.rosters.get(jid(account))).stateOf(contact)
  const isTo = state.subscription === 'to' || state.subscription === 'both'
  const isFrom = state.subscription === 'from' || state.subscription === 'both'
  return { isTo, isFrom, ask: state.ask, pendingIn: state.pendingIn }
}

it('keeps rosters consistent with each other under any traffic between three users, on- and offline', async () => {
  const users = ['a@montague.example', 'b@montague.example', 'c@capulet.example']
  const user = fc.integer({ min: 0, max: 2 })
  const type = fc.constantFrom(
    'subscribe',
    'subscribed',
    'unsubscribe',
    'unsubscribed',
    'remove',
    'presence',
    'unavailable',
  )
  const step = fc.record({ from: user, to: user, type, isConcurrent: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const server = world({ modules: { mod_roster: {} } })
      const clients: Client[] = []
      for (const name of users) clients.push(await server.connect(`${name}/r`))
      let running: Promise<void>[] = []
      for (const { from, to, type, isConcurrent } of steps) {
        if (from === to) continue
        const client = clients[from]!
        const contact = users[to]!
        if (type === 'presence') running.push(client.sends('<presence/>'))
        else if (type === 'unavailable') running.push(client.sends('<presence type="unavailable"/>'))
        else if (type === 'remove') {
          const query = `<query xmlns="jabber:iq:roster"><item jid="${contact}" subscription="remove"/></query>`
          running.push(client.sends(`<iq id="r" type="set">${query}</iq>`))
        } else running.push(client.sends(`<presence type="${type}" to="${contact}"/>`))
        if (isConcurrent) continue
        await Promise.all(running)
        running = []
      }
      await Promise.all(running)
      await settled()
      expect(server.bugs).toEqual([])
      for (const account of users) {
        for (const contact of users) {
          if (account === contact) continue
          const ours = await relation(server, account, contact)
          const theirs = await relation(server, contact, account)
          expect({ to: ours.isTo, ask: ours.ask }).toEqual({ to: theirs.isFrom, ask: theirs.pendingIn })
        }
        // What is cached is what is stored.
        const stored = await server.store.rosters.load(jid(account).local, jid(account).domain)
        const cached = await server.routing.rosters.get(jid(account))
        expect({ version: cached.version, items: [...cached.items.values()] }).toEqual({
          version: stored.version,
          items: stored.items,
        })
        expect([...cached.requests.keys()]).toEqual(stored.requests.map(request => request.jid))
      }
    }),
    { numRuns: 60 },
  )
}, 20_000)

it('does not answer a probe of somebody whose request waits, which would deny it', async () => {
  const { server, orchard } = await lovers()
  await orchard.sends(`<presence type="subscribe" to="${juliet}"/>`)
  orchard.take()
  await server.routing.route(stanza(`<presence type="probe" from="${romeo}/orchard" to="${juliet}"/>`))
  await settled()
  orchard.receives()
  expect(await relation(server, juliet, romeo)).toMatchObject({ pendingIn: true })
})
