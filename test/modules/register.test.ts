import { describe, expect, it } from 'vitest'
import { register } from '../../src/modules/register.js'
import { passwordBits } from '../../src/protocols/registration.js'
import { expectXml, settled, stanza, type WorldOptions, world } from '../support/world.js'

const romeo = 'romeo@montague.example'
const juliet = 'juliet@capulet.example'
const error = (condition: string) => `<error><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
const query = (content: string) => `<query xmlns="jabber:iq:register">${content}</query>`
const account = (username: string, password: string) =>
  query(`<username>${username}</username><password>${password}</password>`)

function setUp(options: Record<string, unknown> = {}, services: WorldOptions['services'] = {}) {
  const server = world({ modules: { mod_register: options, mod_offline: {} }, services })
  /** What a client that has not logged in gets for an IQ. */
  async function asks(xml: string, address = '192.0.2.1'): Promise<string> {
    const reply = await server.running.answerUnauthenticated(stanza(xml), 'montague.example', address)
    await settled()
    return String(reply)
  }
  const registers = (username: string, password = 'wherefore', address?: string) =>
    asks(`<iq id="r" type="set">${account(username, password)}</iq>`, address)
  return { server, asks, registers }
}

describe('registration before login (XEP-0077 §3.1)', () => {
  it('is offered in the stream features, before login only', () => {
    const { server } = setUp()
    const features = (isAuthenticated: boolean) =>
      server.running.streamFeatures('montague.example', { isAuthenticated })
    expect(features(false)).toBe('<register xmlns="http://jabber.org/features/iq-register"/>')
    expect(features(true)).toBe('')
  })

  it('says which fields it wants', async () => {
    const { asks } = setUp()
    const form = await asks(`<iq id="r" type="get">${query('')}</iq>`)
    expectXml([form], ['<iq type="result" id="r" from="montague.example"/>'])
    expect(form).toMatch(/<instructions>.+<username\/><password\/>/)
    expect(form).not.toContain('<registered')
  })

  it('makes the account under its prepared name and answers after commit', async () => {
    const { server, registers } = setUp()
    let open = () => {}
    server.store.gate = new Promise(resolve => {
      open = resolve
    })
    let isAnswered = false
    const reply = registers('ROMEO').then(text => {
      isAnswered = true
      return text
    })
    await settled()
    expect(isAnswered).toBe(false)
    open()
    expectXml([await reply], ['<iq type="result" id="r" from="montague.example"/>'])
    expect(await server.store.accounts.exists('romeo', 'montague.example')).toBe(true)
  })

  it('refuses a name that is taken, in whatever spelling', async () => {
    const { registers } = setUp()
    await registers('romeo')
    expect(await registers('Romeo')).toContain('<conflict')
  })

  it.each([
    ['no username', query('<password>x</password>'), 'not-acceptable'],
    ['an empty password', account('romeo', ''), 'not-acceptable'],
    ['nothing', query(''), 'not-acceptable'],
    ['a username that is none', account('ro meo', 'x'), 'jid-malformed'],
    ['a whole JID', account('romeo@montague.example', 'x'), 'jid-malformed'],
    ['a removal', query('<remove/>'), 'unexpected-request'],
    ['a removal with more', query('<remove/><username>romeo</username>'), 'bad-request'],
  ])('refuses %s', async (_, content, condition) => {
    const { asks, server } = setUp()
    expect(await asks(`<iq id="r" type="set">${content}</iq>`)).toContain(`<${condition} `)
    expect(await server.store.accounts.count('montague.example')).toBe(0)
  })

  it('refuses a weak password with not-acceptable, by MongooseIM’s measure', async () => {
    const { registers } = setUp({ password_strength: 32 })
    expect(await registers('romeo', 'abc123')).toContain('<not-acceptable ')
    expect(await registers('romeo', 'L33tSp34k')).toContain('type="result"')
  })

  it('asks the access rule about the name', async () => {
    const { registers } = setUp(
      { access: 'register' },
      {
        access: (host, rule, jid) =>
          `${host} ${rule} ${jid.local}` === 'montague.example register romeo' ? 'allow' : 'deny',
      },
    )
    expect(await registers('tybalt')).toContain('<forbidden ')
    expect(await registers('romeo')).toContain('type="result"')
  })

  it('leaves what is not registration to the connection, and answers nothing to answers (spec §3.1.3)', async () => {
    const { asks } = setUp()
    expect(await asks('<iq id="x" type="get"><ping xmlns="urn:xmpp:ping"/></iq>')).toBe('undefined')
    expect(await asks('<iq id="x" type="get"/>')).toBe('undefined')
    expect(await asks('<iq id="x" type="result"/>')).toBe('undefined')
    expect(await asks('<iq type="get"><query xmlns="jabber:iq:register"/></iq>')).toContain('<bad-request ')
  })

  it('makes no account when the store does not answer, and says so', async () => {
    const { registers, server } = setUp()
    server.store.isFailing = true
    expect(await registers('romeo')).toContain('<resource-constraint ')
    expect(server.bugs).toEqual([])
  })

  it('welcomes the new account and tells the watchers', async () => {
    const { registers, server } = setUp({
      welcome_message: { subject: 'Hello', body: 'Be welcome.' },
      registration_watchers: [juliet],
    })
    const balcony = await (await server.connect(`${juliet}/balcony`)).arrives()
    await registers('romeo', 'wherefore', '192.0.2.7')
    balcony.receives(
      '<message from="montague.example" type="chat"><body>[2024-01-01T00:00:00.000Z] The account romeo@montague.example was registered from the address 192.0.2.7.</body></message>',
    )
    const orchard = await server.connect(`${romeo}/orchard`)
    await orchard.sends('<presence/>')
    expect(orchard.take()[1]).toMatch(/<subject>Hello<\/subject><body>Be welcome.<\/body>/)
  })
})

describe('ip_access', () => {
  const loopback = [
    { address: '127.0.0.0/8', policy: 'allow' },
    { address: '0.0.0.0/0', policy: 'deny' },
  ]
  it.each([
    [loopback, '127.0.0.1', true],
    [loopback, '::ffff:127.0.0.1', true],
    [loopback, '192.0.2.1', false],
    [[{ address: '10.20.0.0/16', policy: 'deny' }], '10.20.30.40', false],
    [[{ address: '10.20.0.0/16', policy: 'deny' }], '10.21.0.1', true],
    [[{ address: '192.0.2.1', policy: 'deny' }], '192.0.2.1', false],
    [[{ address: '2001:db8::/32', policy: 'deny' }], '2001:db8::1', false],
    [[{ address: '2001:db8::/32', policy: 'deny' }], '::1', true],
    [[], '192.0.2.1', true],
  ])('%j lets %s register: %s', async (ip_access, address, isAllowed) => {
    const { registers } = setUp({ ip_access })
    expect(await registers('romeo', 'wherefore', address)).toContain(isAllowed ? 'type="result"' : '<forbidden ')
  })

  it.each(['localhost', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/', '2001:db8::/129', ''])(
    'refuses the address %j in the file',
    address => {
      expect(register.config.safeParse({ ip_access: [{ address, policy: 'deny' }] }).success).toBe(false)
    },
  )

  it('as shipped lets loopback register and nobody else, over IPv6 too', async () => {
    const { registers } = setUp({ ...(register.shipped as object), access: 'all' })
    expect(await registers('a', 'wherefore', '::1')).toContain('type="result"')
    expect(await registers('b', 'wherefore', '127.0.0.1')).toContain('type="result"')
    expect(await registers('c', 'wherefore', '2001:db8::1')).toContain('<forbidden ')
  })
})

describe('general.registration_timeout', () => {
  it('limits each address to one account in that many seconds', async () => {
    const { registers, server } = setUp({}, { registrationTimeout: 600 })
    expect(await registers('a')).toContain('type="result"')
    expect(await registers('b')).toContain('<resource-constraint ')
    expect(await registers('b', 'wherefore', '192.0.2.2')).toContain('type="result"')
    server.clock.advance(599_999)
    expect(await registers('c')).toContain('<resource-constraint ')
    server.clock.advance(1)
    expect(await registers('c')).toContain('type="result"')
  })

  it('counts only accounts that were made, and two at once as two', async () => {
    const { registers } = setUp({}, { registrationTimeout: 600 })
    expect(await registers('ro meo')).toContain('<jid-malformed ')
    const both = await Promise.all([registers('a'), registers('b')])
    expect(both.filter(reply => reply.includes('type="result"'))).toHaveLength(1)
    expect(await registers('a', 'wherefore', '192.0.2.2')).toContain('<conflict ')
    expect(await registers('c', 'wherefore', '192.0.2.2')).toContain('type="result"')
  })
})

describe('registration in a session', () => {
  async function session() {
    const { server } = setUp()
    const orchard = await server.connect(`${romeo}/orchard`)
    return { server, orchard }
  }

  it('shows who is registered, asked of the server or of the account', async () => {
    const { orchard } = await session()
    for (const to of ['', 'to="montague.example"']) {
      await orchard.sends(`<iq id="r" type="get" ${to}>${query('')}</iq>`)
      orchard.receives(`<iq id="r" type="result">${query('<registered/><username>romeo</username><password/>')}</iq>`)
    }
  })

  it('changes the password of the own account and of no other (XEP-0077 §3.3)', async () => {
    const { server, orchard } = await session()
    await server.register('tybalt@montague.example')
    await orchard.sends(`<iq id="r" type="set" to="montague.example">${account('romeo', 'new')}</iq>`)
    orchard.receives('<iq id="r" type="result" from="montague.example"/>')
    expect((await server.store.accounts.credentials('romeo', 'montague.example'))?.password).toBe('new')
    await orchard.sends(`<iq id="r" type="set" to="montague.example">${account('tybalt', 'mine')}</iq>`)
    orchard.receives(`<iq id="r" type="error">${error('not-allowed')}</iq>`)
    expect((await server.store.accounts.credentials('tybalt', 'montague.example'))?.password).toBeUndefined()
    await orchard.sends(`<iq id="r" type="set" to="tybalt@montague.example">${query('<remove/>')}</iq>`)
    orchard.receives(`<iq id="r" type="error">${error('forbidden')}</iq>`)
  })

  it('is not for somebody of another host', async () => {
    const { server } = await session()
    const balcony = await server.connect(`${juliet}/balcony`)
    await balcony.sends(`<iq id="r" type="set" to="montague.example">${account('juliet', 'x')}</iq>`)
    balcony.receives(`<iq id="r" type="error">${error('not-allowed')}</iq>`)
  })

  it('removes the account: result, end of its sessions, contacts told, nothing remembered (XEP-0077 §3.2)', async () => {
    const { server, orchard } = await session()
    const removed: string[] = []
    server.routing.hooksOf('montague.example').accountRemoved.observe(gone => void removed.push(gone.text))
    const tomb = await (await server.connect(`${romeo}/tomb`)).arrives()
    const balcony = await server.connect(`${juliet}/balcony`)
    await server.roster(romeo, { jid: juliet, subscription: 'both' })
    await server.roster(juliet, { jid: romeo, subscription: 'both' })
    await balcony.arrives()
    await orchard.sends(`<iq id="r" type="set">${query('<remove/>')}</iq>`)
    orchard.receives('<iq id="r" type="result"/>')
    for (const client of [orchard, tomb]) expect(client.ended?.condition).toBe('not-authorized')
    const seen = balcony.take()
    expect(seen.map(xml => /type="([a-z]+)"/.exec(xml)![1])).toEqual([
      'unavailable',
      'unsubscribe',
      'set',
      'unsubscribed',
      'set',
    ])
    expect(server.routing.sessions.isConnected(romeo)).toBe(false)
    expect(await server.store.accounts.exists('romeo', 'montague.example')).toBe(false)
    expect((await server.store.rosters.load('romeo', 'montague.example')).items).toEqual([])
    expect((await server.store.rosters.load('juliet', 'capulet.example')).items[0]!.subscription).toBe('none')
    expect((await server.routing.rosters.get(orchard.jid.bare)).items.size).toBe(0)
    expect(removed).toEqual([romeo])
    expect(server.bugs).toEqual([])
  })
})

it('measures passwords as the handbook’s examples say', () => {
  const examples = { kotek: 23.5, abc123: 30.8, L33tSp34k: 53.4, CamelCase: 51.3, 'lowUP1#': 45.9, 'lowUP1#❤': 78 }
  for (const [password, bits] of Object.entries(examples)) expect(passwordBits(password)).toBeCloseTo(bits, 0)
})
