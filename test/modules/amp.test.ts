import { describe, expect, it, vi } from 'vitest'
import { session, startedServer } from '../support/server.js'
import { world } from '../support/world.js'

const host = 'montague.example'
const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const ns = 'http://jabber.org/protocol/amp'
const rule = (condition: string, value: string, action: string) =>
  `<rule condition="${condition}" value="${value}" action="${action}"/>`
const message = (to: string, ...rules: string[]) =>
  `<message id="m" type="chat" to="${to}"><body>x</body><amp xmlns="${ns}">${rules.join('')}</amp></message>`
const told = (status: string, ...rules: string[]) =>
  `<message id="m" from="${host}" to="${romeo}/orchard"${status === 'error' ? ' type="error"' : ''}>` +
  `<amp xmlns="${ns}" status="${status}" from="${romeo}/orchard">${rules.join('')}</amp></message>`

/** Juliet shows Romeo her presence. */
async function setUp(modules: Record<string, object> = { mod_offline: {} }) {
  const server = world({ modules: { mod_amp: {}, mod_disco: {}, ...modules } })
  await server.register(juliet)
  await server.roster(juliet, { jid: romeo, subscription: 'from' })
  return { server, orchard: await server.connect(`${romeo}/orchard`) }
}

describe('advanced message processing (XEP-0079)', () => {
  it('is named in the stream features and in service discovery, with what it can do (§2.1.1, §8)', async () => {
    const { server, orchard } = await setUp()
    expect(server.running.streamFeatures(host, { isAuthenticated: false })).toContain(
      '<amp xmlns="http://jabber.org/features/amp"/>',
    )
    const info = `<query xmlns="http://jabber.org/protocol/disco#info" node="${ns}"/>`
    await orchard.sends(`<iq id="q" type="get" to="${host}">${info}</iq>`)
    const features = [
      ...orchard
        .take()
        .join()
        .matchAll(/var="([^"]+)"/g),
    ].map(match => match[1])
    expect(features).toEqual([
      ns,
      ...['alert', 'drop', 'error', 'notify'].map(action => `${ns}?action=${action}`),
      ...['deliver', 'expire-at', 'match-resource'].map(condition => `${ns}?condition=${condition}`),
    ])
  })

  // What happens to a message, and the conditions that are then met.
  it.each([
    ['to a resource that is there', `${juliet}/balcony`, 'direct', ['any', 'exact']],
    ['to another resource', `${juliet}/elsewhere`, 'direct', ['any', 'other']],
    ['to the account, which is there', juliet, 'direct', ['any', 'other']],
  ])('knows that a message %s is delivered (§3.3.1, §3.3.3)', async (_, to, deliver, matches) => {
    const { server, orchard } = await setUp()
    await (await server.connect(`${juliet}/balcony`)).arrives()
    for (const value of ['direct', 'stored', 'none', 'forward', 'gateway']) {
      await orchard.sends(message(to, rule('deliver', value, 'alert')))
      expect(orchard.take().length > 0).toBe(value === deliver)
    }
    for (const value of ['any', 'exact', 'other']) {
      await orchard.sends(message(to, rule('match-resource', value, 'alert')))
      expect(orchard.take().length > 0).toBe(matches.includes(value))
    }
  })

  it.each([
    ['is stored', { mod_offline: {} }, 'stored'],
    ['is lost without offline storage', {}, 'none'],
  ])('knows that a message for nobody %s (§3.3.1)', async (_, modules, deliver) => {
    const { orchard } = await setUp(modules)
    for (const value of ['direct', 'stored', 'none']) {
      await orchard.sends(message(juliet, rule('deliver', value, 'alert')))
      expect(orchard.take().some(xml => xml.includes('status="alert"'))).toBe(value === deliver)
    }
  })

  it.each([
    ['alert', 1, 0],
    ['drop', 0, 0],
    ['error', 1, 0],
    ['notify', 1, 1],
  ])('does what the action %s says (§3.4)', async (action, tells, delivers) => {
    const { server, orchard } = await setUp()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await orchard.sends(message(juliet, rule('deliver', 'direct', action)))
    expect(balcony.take()).toHaveLength(delivers)
    if (tells === 0) orchard.receives()
    else orchard.receives(told(action, rule('deliver', 'direct', action)))
  })

  it('says in an error which rule failed (§3.4.3)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(message(juliet, rule('deliver', 'stored', 'error')))
    const failed = `<failed-rules xmlns="${ns}#errors">${rule('deliver', 'stored', 'error')}</failed-rules>`
    orchard.receives(
      `<message id="m" type="error"><error type="modify" code="500"><undefined-condition xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>${failed}</error></message>`,
    )
  })

  it('goes on behind notify and stops at anything else (§2.2.3)', async () => {
    const { server, orchard } = await setUp()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    const rules = [
      rule('deliver', 'stored', 'drop'),
      rule('match-resource', 'any', 'notify'),
      rule('deliver', 'direct', 'alert'),
      rule('match-resource', 'other', 'error'),
    ]
    await orchard.sends(message(juliet, ...rules))
    orchard.receives(told('notify', rules[1]!), told('alert', rules[2]!))
    balcony.receives()
  })

  it.each([
    ['an action', rule('deliver', 'direct', 'explode'), 'bad-request', 'unsupported-actions'],
    ['a condition', rule('expire-in', '60', 'drop'), 'bad-request', 'unsupported-conditions'],
    ['a condition of an odd name', rule('toString', 'x', 'drop'), 'bad-request', 'unsupported-conditions'],
    ['a value', rule('deliver', 'someday', 'drop'), 'not-acceptable', 'invalid-rules'],
    ['no date', rule('expire-at', 'tomorrow', 'drop'), 'not-acceptable', 'invalid-rules'],
    ['a day that is none', rule('expire-at', '2026-13-01T00:00:00Z', 'drop'), 'not-acceptable', 'invalid-rules'],
    [
      'a time that is not UTC',
      rule('expire-at', '2026-01-01T00:00:00+02:00', 'drop'),
      'not-acceptable',
      'invalid-rules',
    ],
  ])('refuses %s that it does not know, naming the rule (§6)', async (_, bad, condition, specific) => {
    const { orchard } = await setUp()
    const good = rule('deliver', 'direct', 'notify')
    await orchard.sends(message(juliet, good, bad))
    const named = `<${specific} xmlns="${ns}">${bad}</${specific}>`
    orchard.receives(
      `<message id="m" type="error" from="${host}"><amp xmlns="${ns}">${good}${bad}</amp>` +
        `<error type="modify"><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>${named}</error></message>`,
    )
  })

  describe('with expire-at (§3.3.2, §3.5.2)', () => {
    const [past, future] = ['2023-12-31T23:59:59Z', '2024-01-01T01:00:00.5+00:00']

    it('lets nothing through to somebody who is there from that time on', async () => {
      const { server, orchard } = await setUp()
      const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
      await orchard.sends(message(juliet, rule('expire-at', past, 'alert')))
      orchard.receives(told('alert', rule('expire-at', past, 'alert')))
      balcony.receives()
      await orchard.sends(message(juliet, rule('expire-at', future, 'alert')))
      orchard.receives()
      expect(balcony.take()).toHaveLength(1)
      server.clock.advance(2 * 60 * 60 * 1000)
      await orchard.sends(message(juliet, rule('expire-at', future, 'drop')))
      orchard.receives()
      balcony.receives()
    })

    it.each([
      ['alert', 1, 0],
      ['drop', 0, 0],
      ['error', 1, 0],
      ['notify', 1, 1],
    ])('asks for the time when a stored message is delivered: %s', async (action, tells, delivers) => {
      const { server, orchard } = await setUp()
      const expiring = rule('expire-at', future, action)
      for (let sent = 0; sent < 2; sent++) {
        await orchard.sends(message(juliet, expiring))
        orchard.receives()
        expect(await server.store.offline.count('juliet', 'capulet.example')).toBe(1)
        if (sent === 1) server.clock.advance(60 * 60 * 1000 + 500)
        const balcony = await server.connect(`${juliet}/balcony`)
        await balcony.sends('<presence/>')
        await vi.waitFor(async () => expect(await server.store.offline.count('juliet', 'capulet.example')).toBe(0))
        const messages = balcony.take().filter(xml => xml.startsWith('<message'))
        expect(messages).toHaveLength(sent === 0 ? 1 : delivers)
        const answers = orchard.take().filter(xml => xml.startsWith('<message'))
        expect(answers).toHaveLength(sent === 0 ? 0 : tells)
        for (const xml of answers) expect(xml).toContain(`status="${action}"`)
        await balcony.leaves()
        orchard.take()
      }
      expect(server.bugs).toEqual([])
    })

    it('believes no time but that of our own store', async () => {
      const { server } = await setUp()
      const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
      const delayed = (from: string) =>
        `<message from="x@elsewhere.example" to="${juliet}"><body>x</body><amp xmlns="${ns}">${rule('expire-at', past, 'error')}</amp>` +
        `<delay xmlns="urn:xmpp:delay" from="${from}" stamp="2023-01-01T00:00:00Z"/></message>`
      await server.arrives(delayed('elsewhere.example'))
      expect(balcony.take()).toHaveLength(1)
    })
  })

  it('applies the rules at the edge, however often they are to be applied on the way (per-hop, §2.1.2)', async () => {
    const { server, orchard } = await setUp()
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    for (const perHop of ['true', 'false']) {
      const direct = rule('deliver', 'direct', 'notify')
      await orchard.sends(message(juliet, direct).replace('<amp', `<amp per-hop="${perHop}"`))
      orchard.receives(told('notify', direct))
      expect(balcony.take()).toHaveLength(1)
    }
  })

  it('tells nobody who is there who may not see it (§9)', async () => {
    const { server, orchard } = await setUp()
    await server.roster(juliet, { jid: romeo, subscription: 'to' })
    await orchard.sends(message(juliet, rule('deliver', 'stored', 'notify')))
    orchard.receives(
      `<message id="m" type="error"><error><not-acceptable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`,
    )
    expect(await server.store.offline.count('juliet', 'capulet.example')).toBe(0)
  })

  it('follows no rules to another server, which is service-unavailable (§2.2.4)', async () => {
    const { orchard } = await setUp()
    await orchard.sends(message('nurse@elsewhere.example', rule('deliver', 'direct', 'notify')))
    orchard.receives(
      `<message id="m" type="error"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`,
    )
  })
})

describe('advanced message processing over a socket (XEP-0079)', () => {
  it('notifies of what is stored', async () => {
    const server = await startedServer({ users: ['romeo'], modules: { mod_amp: {}, mod_offline: {}, mod_ping: {} } })
    const client = await session(server, 'romeo')
    await client.send(message('romeo@localhost', rule('deliver', 'stored', 'notify')))
    await client.receives(`<message id="m"><amp xmlns="${ns}" status="notify"/></message>`)
    await client.settled()
    expect(await server.internals.store.offline.count('romeo', 'localhost')).toBe(1)
  })
})
