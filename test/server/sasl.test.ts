import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Client, LoginRefused } from '../support/client.js'
import { clientOf, PASSWORD, session, sharedServer, startedServer } from '../support/server.js'

const certificate = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const ns = 'urn:ietf:params:xml:ns:xmpp-sasl'
const base64 = (text: string) => Buffer.from(text).toString('base64')
const auth = (mechanism: string, data: string) => `<auth xmlns='${ns}' mechanism='${mechanism}'>${data}</auth>`
const response = (data: string) => `<response xmlns='${ns}'>${data}</response>`

async function opened(server: { port: number }, options: Parameters<typeof clientOf>[1] = {}): Promise<Client> {
  const client = await clientOf(server, options)
  await client.open()
  return client
}

/** Sends it and expects `<failure/>` with the condition; the stream goes on. */
async function refused(client: Client, raw: string, condition: string): Promise<void> {
  await client.send(raw)
  const failure = await client.receives(`<failure xmlns="${ns}"/>`)
  expect(failure.getChildElements()[0]?.getName()).toBe(condition)
}

async function logsIn(client: Client, raw: string): Promise<string> {
  await client.send(raw)
  await client.receives(`<success xmlns="${ns}"/>`)
  await client.open()
  return client.bind()
}

const condition = (login: Promise<unknown>) =>
  login.then(
    () => 'success',
    error => {
      if (error instanceof LoginRefused) return error.condition
      throw error
    },
  )

describe('SASL PLAIN (§3.1.5)', () => {
  const server = sharedServer({
    users: ['romeo', 'juliet'],
    config: { general: { hosts: ['localhost', 'other.example'] } },
  })

  it.each([
    ['no authzid', `\0romeo\0${PASSWORD}`],
    ['a domain behind the name, which is ignored', `\0romeo@elsewhere.example\0${PASSWORD}`],
    ['the name in capitals, which is prepared', `\0ROMEO\0${PASSWORD}`],
    ['the own bare JID as authzid', `romeo@localhost\0romeo\0${PASSWORD}`],
    ['the own name as authzid', `romeo\0romeo\0${PASSWORD}`],
  ])('logs in with %s', async (_, message) => {
    expect(await logsIn(await opened(server()), auth('PLAIN', base64(message)))).toMatch(/^romeo@localhost\/./)
  })

  it('asks with an empty challenge where auth carries nothing', async () => {
    const client = await opened(server())
    await client.send(auth('PLAIN', ''))
    const challenge = await client.receives(`<challenge xmlns="${ns}"/>`)
    expect(challenge.getText()).toBe('')
    expect(await logsIn(client, response(base64(`\0romeo\0${PASSWORD}`)))).toMatch(/^romeo@localhost\//)
  })

  it.each([
    ['a wrong password', '\0romeo\0wrong', 'not-authorized'],
    ['an unknown user', `\0nobody\0${PASSWORD}`, 'not-authorized'],
    ['no user', `\0\0${PASSWORD}`, 'not-authorized'],
    ['no password', '\0romeo\0', 'not-authorized'],
    ['a user that no JID can have', `\0ro meo\0${PASSWORD}`, 'not-authorized'],
    ['a password of 1 024 bytes', `\0romeo\0${'x'.repeat(1024)}`, 'not-authorized'],
    ['an authzid of somebody else', `juliet@localhost\0romeo\0${PASSWORD}`, 'invalid-authzid'],
    ['the name of somebody else as authzid', `juliet\0romeo\0${PASSWORD}`, 'invalid-authzid'],
    ['an authzid on another host of ours', `romeo@other.example\0romeo\0${PASSWORD}`, 'invalid-authzid'],
    ['a full JID as authzid', `romeo@localhost/x\0romeo\0${PASSWORD}`, 'invalid-authzid'],
    ['two fields', `romeo\0${PASSWORD}`, 'malformed-request'],
    ['four fields', `\0romeo\0${PASSWORD}\0`, 'malformed-request'],
    ['no field', 'romeo', 'malformed-request'],
    ['an empty message', '', 'malformed-request'],
  ])('refuses %s', async (_, message, expected) => {
    await refused(await opened(server()), auth('PLAIN', base64(message) || '='), expected)
  })

  it('does not let an account of one host in on another', async () => {
    const client = await clientOf(server(), { domain: 'other.example' })
    await client.open()
    await refused(client, auth('PLAIN', base64(`\0romeo\0${PASSWORD}`)), 'not-authorized')
  })

  it.each([
    ['a letter that is none', 'AHJvbWVvAHIwbTMw*'],
    ['a missing padding', base64(`\0romeo\0${PASSWORD}`).replace(/=+$/, '').slice(0, -1)],
    ['white space inside', 'AHJv bWVvAHIwbTMw'],
    ['too much padding', 'AAAA===='],
    ['stray bits', 'AB=='],
  ])('answers base64 that is none with incorrect-encoding: %s', async (_, data) => {
    await refused(await opened(server()), auth('PLAIN', data), 'incorrect-encoding')
  })

  it('answers bytes that are not UTF-8 with malformed-request', async () => {
    const bytes = Buffer.concat([Buffer.from('\0romeo\0'), Buffer.of(0xff)]).toString('base64')
    await refused(await opened(server()), auth('PLAIN', bytes), 'malformed-request')
  })

  it.each(['', 'X-UNKNOWN', 'plain', 'SCRAM-SHA-1-PLUS', 'EXTERNAL', 'ANONYMOUS', 'DIGEST-MD5', '__proto__'])(
    'answers a mechanism that is not on offer (%s) with invalid-mechanism',
    async mechanism => {
      await refused(await opened(server()), auth(mechanism, '='), 'invalid-mechanism')
    },
  )

  it('answers auth without a mechanism with invalid-mechanism', async () => {
    await refused(await opened(server()), `<auth xmlns='${ns}'/>`, 'invalid-mechanism')
  })

  it('may be tried again after a failure, by another mechanism too', async () => {
    const client = await opened(server())
    await refused(client, auth('PLAIN', base64('\0romeo\0wrong')), 'not-authorized')
    await refused(client, auth('X-UNKNOWN', ''), 'invalid-mechanism')
    await client.login('romeo', PASSWORD, { mechanism: 'SCRAM-SHA-256' })
    await client.settled()
  })

  it('ends the stream with policy-violation after the fifth failure of any kind (§3.1.3)', async () => {
    const client = await opened(server())
    await refused(client, auth('PLAIN', base64('\0romeo\0wrong')), 'not-authorized')
    await refused(client, auth('X-UNKNOWN', ''), 'invalid-mechanism')
    await refused(client, auth('PLAIN', '*'), 'incorrect-encoding')
    await client.send(auth('SCRAM-SHA-1', ''))
    await client.receives(`<challenge xmlns="${ns}"/>`)
    await refused(client, `<abort xmlns='${ns}'/>`, 'aborted')
    await refused(client, auth('PLAIN', base64('\0nobody\0wrong')), 'not-authorized')
    await client.streamError('policy-violation')
    expect(await client.closed()).toEqual({ streamEnded: true })
  })
})

describe('an exchange in the middle (§3.1.3)', () => {
  const server = sharedServer({ users: ['romeo'] })

  it('ends with failure aborted where the client aborts, and another may follow', async () => {
    const client = await opened(server())
    await client.send(auth('SCRAM-SHA-1', base64('n,,n=romeo,r=abc')))
    await client.receives(`<challenge xmlns="${ns}"/>`)
    await refused(client, `<abort xmlns='${ns}'/>`, 'aborted')
    await client.login('romeo', PASSWORD)
  })

  it.each([
    ['a message', "<message to='romeo@localhost'><body>x</body></message>"],
    ['another auth', auth('PLAIN', '=')],
  ])('is given up by anything but a response: %s is dropped', async (_, element) => {
    const client = await opened(server())
    await client.send(auth('SCRAM-SHA-1', base64('n,,n=romeo,r=abc')))
    await client.receives(`<challenge xmlns="${ns}"/>`)
    await client.send(element)
    // Nothing came for it, and the exchange is no more.
    await client.login('romeo', PASSWORD)
    await client.receivesNothing()
  })

  it('refuses a response that belongs to nothing, by silence', async () => {
    const client = await opened(server())
    await client.send(response('AAAA'))
    await client.login('romeo', PASSWORD)
    await client.receivesNothing()
  })

  it('answers what no exchange wants next with malformed-request', async () => {
    const client = await opened(server())
    await client.send(auth('SCRAM-SHA-1', base64('n,,n=romeo,r=abc')))
    await client.receives(`<challenge xmlns="${ns}"/>`)
    await refused(client, response(base64('nonsense')), 'malformed-request')
    await client.send(auth('SCRAM-SHA-1', base64('n,,n=romeo,r=abc')))
    await client.receives(`<challenge xmlns="${ns}"/>`)
    await refused(client, response('%'), 'incorrect-encoding')
  })

  it('refuses stanzas and binding before a login: messages by silence, an IQ by service-unavailable (§3.1.3)', async () => {
    const client = await opened(server())
    await client.send("<message to='romeo@localhost'><body>x</body></message><presence/><x xmlns='urn:x'/>")
    await client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    const error = await client.receivesNext()
    expect(error.attrs).toMatchObject({ type: 'error', id: 'b', from: 'localhost' })
    expect(error.attrs.to).toBeUndefined()
    expect(error.getChildElements().map(child => child.getName())).toEqual(['error'])
    expect(error.getChild('error')?.attrs).toMatchObject({ type: 'cancel', code: '503' })
    expect(error.getChild('error')?.getChild('service-unavailable')).toBeDefined()
    await client.login('romeo', PASSWORD)
    await client.receivesNothing()
  })

  it('refuses a second stream header before a login with policy-violation (§3.1.3)', async () => {
    const client = await opened(server())
    const sent =
      "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    await client.send(sent)
    await client.streamError('policy-violation')
  })

  it('does not carry a login over to another host', async () => {
    const two = await startedServer({ users: ['romeo'], config: { general: { hosts: ['localhost', 'b.example'] } } })
    const client = await opened(two)
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.send(
      "<stream:stream to='b.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    )
    await client.streamError('host-unknown')
  })
})

describe('SCRAM (§3.1.5)', () => {
  const server = sharedServer({ users: ['romeo', 'juliet'] })

  it.each(['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])(
    'logs in by %s, and the server proves itself',
    async mechanism => {
      const client = await session(server(), 'romeo', { mechanism })
      await client.settled()
    },
  )

  it.each([
    ['a wrong password', 'romeo', 'wrong'],
    ['an unknown user, no sooner than a known one', 'nobody', 'wrong'],
  ])('refuses %s at the last step with not-authorized', async (_, user, password) => {
    const client = await opened(server())
    expect(await condition(client.authenticate('SCRAM-SHA-256', user, password))).toBe('not-authorized')
  })

  it('shows an unknown user a salt that stays the same', async () => {
    const salts = new Set<string>()
    for (let i = 0; i < 2; i++) {
      const client = await opened(server())
      await client.send(auth('SCRAM-SHA-1', base64('n,,n=nobody,r=abc')))
      const challenge = Buffer.from(
        (await client.receives(`<challenge xmlns="${ns}"/>`)).getText(),
        'base64',
      ).toString()
      expect(challenge).toMatch(/^r=abc.{20,},s=[A-Za-z0-9+/]+=*,i=4096$/)
      salts.add(challenge.split(',')[1] ?? '')
    }
    expect(salts.size).toBe(1)
  })

  it.each([
    ['an authzid of somebody else', { authzid: 'juliet@localhost' }, 'invalid-authzid'],
    ['a c= that contradicts the GS2 header', { bindingInput: Buffer.from('y,,') }, 'not-authorized'],
    ['a c= with another authzid', { bindingInput: Buffer.from('n,a=juliet@localhost,') }, 'not-authorized'],
    ['a channel-binding flag where none can be', { gs2Header: 'p=tls-exporter,,' }, 'malformed-request'],
  ])('refuses %s', async (_, options, expected) => {
    const client = await opened(server())
    expect(await condition(client.authenticate('SCRAM-SHA-256', 'romeo', PASSWORD, options))).toBe(expected)
  })

  it.each([
    ['the own bare JID as authzid', { authzid: 'romeo@localhost' }],
    ['the flag y where no -PLUS was offered', { gs2Header: 'y,,' }],
  ])('takes %s', async (_, options) => {
    const client = await opened(server())
    await client.authenticate('SCRAM-SHA-256', 'romeo', PASSWORD, options)
  })
})

describe('SCRAM with channel binding (§3.1.5)', () => {
  const server = sharedServer({
    users: ['romeo'],
    listeners: [
      { tls: { mode: 'starttls', certfile: certificate('rsa') } },
      { tls: { mode: 'tls', certfile: certificate('rsa') } },
      { tls: { mode: 'tls', certfile: certificate('ecdsa-sha384') } },
      { tls: { mode: 'tls', certfile: certificate('rsa-sha1') } },
      { tls: { mode: 'tls', certfile: certificate('ed25519') } },
      { tls: { module: 'just_tls', mode: 'tls', certfile: certificate('rsa') } },
    ],
  })
  const connectTo = async (place: number, version?: 'TLSv1.2' | 'TLSv1.3') => {
    const client = await clientOf(
      { port: server().addresses[place]!.port },
      {
        tls: place === 0 ? 'starttls' : 'direct',
        tlsOptions: version === undefined ? {} : { minVersion: version, maxVersion: version },
      },
    )
    await client.open()
    if (place === 0) {
      await client.startTls()
      await client.open()
    }
    return client
  }

  it.each([
    ['starttls', 0, 'TLSv1.3', 'tls-exporter'],
    ['starttls', 0, 'TLSv1.3', 'tls-server-end-point'],
    ['starttls', 0, 'TLSv1.2', 'tls-server-end-point'],
    ['direct TLS', 1, 'TLSv1.3', 'tls-exporter'],
    ['direct TLS', 1, 'TLSv1.3', 'tls-server-end-point'],
    ['direct TLS', 1, 'TLSv1.2', 'tls-server-end-point'],
    ['a SHA-384 certificate', 2, 'TLSv1.3', 'tls-server-end-point'],
    ['a SHA-1 certificate', 3, 'TLSv1.3', 'tls-server-end-point'],
    ['an Ed25519 certificate', 4, 'TLSv1.3', 'tls-exporter'],
    ['module just_tls', 5, 'TLSv1.3', 'tls-exporter'],
  ] as const)('logs in over %s (listener %i, %s) by %s', async (_, place, version, binding) => {
    for (const mechanism of ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-512-PLUS']) {
      const client = await connectTo(place, version)
      await client.authenticate(mechanism, 'romeo', PASSWORD, { binding })
      await client.open()
      expect(await client.bind('x')).toBe('romeo@localhost/x')
      client.drop()
    }
  })

  it.each([
    ['the binding of another connection', { bindingInput: Buffer.from(`p=tls-exporter,,${'x'.repeat(32)}`) }],
    ['no binding data', { bindingInput: Buffer.from('p=tls-exporter,,') }],
    ['a type that is not offered', { gs2Header: 'p=tls-unique,,' }],
  ])('refuses %s with not-authorized', async (_, options) => {
    const client = await connectTo(1)
    expect(await condition(client.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, options))).toBe(
      'not-authorized',
    )
  })

  it('refuses -PLUS without a binding type with malformed-request', async () => {
    const client = await connectTo(1)
    const login = client.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, { gs2Header: 'n,,' })
    expect(await condition(login)).toBe('malformed-request')
  })

  it('refuses tls-exporter on TLS 1.2', async () => {
    const client = await connectTo(1, 'TLSv1.2')
    const login = client.authenticate('SCRAM-SHA-256-PLUS', 'romeo', PASSWORD, {
      bindingInput: Buffer.alloc(48),
    })
    expect(await condition(login)).toBe('not-authorized')
  })

  it('refuses the flag y, which means that somebody hid -PLUS, and takes n', async () => {
    const fooled = await connectTo(1)
    const login = fooled.authenticate('SCRAM-SHA-256', 'romeo', PASSWORD, { gs2Header: 'y,,' })
    expect(await condition(login)).toBe('not-authorized')
    const plain = await connectTo(1)
    await plain.authenticate('SCRAM-SHA-256', 'romeo', PASSWORD)
  })
})

describe('SASL ANONYMOUS (§3.1.5)', () => {
  const server = sharedServer({ config: { auth: { methods: ['anonymous'] } } })

  it('gives each a name of 16 hex digits and a counter, and a session that works', async () => {
    const names = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const client = await opened(server())
      await client.authenticate('ANONYMOUS')
      await client.open()
      expect(await client.bind('x')).toMatch(/^[0-9a-f]{16}\d+@localhost\/x$/)
      await client.settled()
      names.add(client.bareJid)
    }
    expect(names.size).toBe(3)
  })

  it('takes a trace of 255 characters and no longer one', async () => {
    const client = await opened(server())
    await refused(client, auth('ANONYMOUS', base64('x'.repeat(256))), 'malformed-request')
    await logsIn(client, auth('ANONYMOUS', base64('é'.repeat(255))))
  })

  it('is all that there is where the configuration says so: PLAIN is no mechanism', async () => {
    await refused(await opened(server()), auth('PLAIN', base64('\0romeo\0x')), 'invalid-mechanism')
  })
})
