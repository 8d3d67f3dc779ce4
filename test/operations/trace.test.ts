import { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { redact } from '../../src/operations/redact.js'
import { startTrace, traceRequest } from '../../src/operations/trace.js'
import { Stanza } from '../../src/protocols/stanza/stanza.js'
import { Hooks } from '../../src/routing/hooks.js'
import { Onlookers } from '../../src/routing/onlookers.js'
import { ManualClock } from '../support/clock.js'
import { jid } from '../support/world.js'

function ways() {
  const hooks = new Hooks()
  const onlookers = new Onlookers()
  return { hooks, onlookers, routing: { hosts: ['localhost'], hooksOf: () => hooks, onlookers } }
}

describe('a trace', () => {
  it('stands in the way of stanzas only while it runs, and only where it was asked for', () => {
    const { hooks, routing } = ways()
    const clock = new ManualClock()
    const both = startTrace(routing, clock, traceRequest.parse({}))
    expect([hooks.sent.isEmpty, hooks.received.isEmpty]).toEqual([false, false])
    both.close()
    expect([hooks.sent.isEmpty, hooks.received.isEmpty]).toEqual([true, true])
    startTrace(routing, clock, traceRequest.parse({ direction: 'sent', seconds: 5 }))
    expect([hooks.sent.isEmpty, hooks.received.isEmpty]).toEqual([false, true])
    clock.advance(5000)
    expect(hooks.sent.isEmpty).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('watches components and other servers only while it runs, beside whoever else does', () => {
    const { onlookers, routing } = ways()
    const clock = new ManualClock()
    expect(onlookers.tell).toBeUndefined()
    startTrace(routing, clock, traceRequest.parse({ via: 'client' }))
    expect(onlookers.tell).toBeUndefined()
    const seen: string[] = []
    const leave = onlookers.add((direction, end) => seen.push(`${direction} ${end}`))
    const feed = startTrace(routing, clock, traceRequest.parse({}))
    onlookers.tell?.('sent', 'server', Stanza.parse('<message from="a@b" to="c@localhost"/>'))
    expect(seen).toEqual(['sent server'])
    feed.close()
    expect(onlookers.tell).toBeDefined()
    leave()
    expect(onlookers.tell).toBeUndefined()
  })

  it.each([
    ['romeo@localhost', 2],
    ['romeo@localhost/b', 0],
    ['juliet@localhost/x', 1],
    ['localhost', 3],
    ['elsewhere.example', 1],
  ])('shows for %s what is from it or to it', async (wanted, count) => {
    const { hooks, routing } = ways()
    const feed = startTrace(routing, new ManualClock(), traceRequest.parse({ jid: wanted, direction: 'sent' }))
    const send = (from: string, to: string) =>
      hooks.sent.run(Stanza.parse(`<message from="${from}" to="${to}"/>`), { jid: jid(from) })
    send('romeo@localhost/a', 'juliet@localhost/x')
    send('romeo@localhost/a', 'elsewhere.example')
    send('juliet@localhost/y', 'juliet@localhost')
    feed.close()
    const events = []
    for await (const batch of feed.batches()) events.push(...batch)
    expect(events.filter(({ event }) => event === 'stanza')).toHaveLength(count)
  })

  it('looks into 200 stanzas a second and counts the others', async () => {
    const { hooks, routing } = ways()
    const feed = startTrace(routing, new ManualClock(), traceRequest.parse({ count: 1000 }))
    for (let i = 0; i < 500; i++) {
      hooks.sent.run(Stanza.parse('<message from="a@localhost/x"/>'), { jid: jid('a@localhost/x') })
    }
    feed.close()
    const events = []
    for await (const batch of feed.batches()) events.push(...batch)
    expect(events.filter(({ event }) => event === 'stanza')).toHaveLength(200)
    expect(events.at(-1)).toMatchObject({ event: 'left-out', data: { total: 300 } })
  })

  it('shows 4096 characters of a long stanza, and looks into none of more than 64 KiB', async () => {
    const { hooks, routing } = ways()
    const feed = startTrace(routing, new ManualClock(), traceRequest.parse({ bodies: true, direction: 'sent' }))
    const long = (length: number) => `<message from="a@localhost/x"><body>${'y'.repeat(length)}</body></message>`
    for (const length of [5000, 70_000]) hooks.sent.run(Stanza.parse(long(length)), { jid: jid('a@localhost/x') })
    feed.close()
    const shown = []
    for await (const batch of feed.batches()) shown.push(...batch.filter(({ event }) => event === 'stanza'))
    expect(shown.map(({ data }) => data)).toMatchObject([
      { xml: expect.stringMatching(/^.{4096}$/), isCut: true },
      { xml: '', isCut: true },
    ])
  })
})

describe('redact', () => {
  const secret = 'hunter2'
  const query = (xmlns: string, child: Element) => {
    const iq = new Element('iq', { type: 'set', id: '1' })
    iq.c('query', { xmlns }).cnode(child)
    return iq
  }
  const field = (attrs: object) => {
    const one = new Element('field', attrs as Record<string, string>)
    one.c('value').t(secret)
    return one
  }

  it.each([
    ['a password', query('urn:x', new Element('password').t(secret) as Element)],
    ['an access token', query('urn:x', new Element('access-token').t(secret) as Element)],
    ['anything of registration', query('jabber:iq:register', new Element('x').t(secret) as Element)],
    ['SASL', query('urn:ietf:params:xml:ns:xmpp-sasl', new Element('auth').t(secret) as Element)],
    ['private XML', query('jabber:iq:private', new Element('x', { xmlns: 'urn:x', a: secret }))],
    ['an attribute', query('urn:xmpp:extdisco:2', new Element('service', { password: secret, name: 'x' }))],
    ['the password of a media stream', query('urn:x', new Element('transport', { pwd: secret, ufrag: 'x' }))],
    ['its key', query('urn:x', new Element('crypto', { 'key-params': secret, tag: '1' }))],
    [
      'a header that lets somebody in',
      query('urn:x', new Element('header', { name: 'Authorization' }).t(secret) as Element),
    ],
    ['a header with a cookie', query('urn:x', new Element('header', { name: 'Cookie' }).t(secret) as Element)],
    ['a field of the kind', query('jabber:x:data', field({ type: 'text-private', var: 'x' }))],
    ['a field of the name', query('jabber:x:data', field({ var: 'muc#roomconfig_roomsecret' }))],
  ])('hides %s from everybody', (_what, element) => {
    for (const bodies of [true, false]) expect(redact(element, { bodies }).toString()).not.toContain(secret)
    expect(element.toString()).toContain(secret)
  })

  it('keeps what says how things are, and hides what people say', () => {
    const iq = query('jabber:iq:roster', new Element('item', { jid: 'a@b', name: 'Anne', subscription: 'both' }))
    expect(redact(iq, { bodies: false }).toString()).toBe(
      '<iq type="set" id="1"><query xmlns="jabber:iq:roster"><item jid="a@b" name="…" subscription="both"/></query></iq>',
    )
    expect(redact(iq, { bodies: true }).toString()).toBe(iq.toString())
  })

  it('does not follow without end', () => {
    const top = new Element('message')
    let inner = top
    for (let depth = 0; depth < 500; depth++) inner = inner.c('x')
    expect(redact(top, { bodies: true }).toString().split('<x').length).toBeLessThan(60)
  })
})
