import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.js'
import {
  actorsOfKind,
  clientOf,
  drained,
  eventually,
  PASSWORD,
  RawConnection,
  session,
  sharedServer,
  startedServer,
  streamHeader,
} from '../support/server.js'

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const startTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
const proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
const auth = (mechanism: string, data: string) =>
  `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='${mechanism}'>${data}</auth>`
const plain = auth('PLAIN', Buffer.from(`\0romeo\0${PASSWORD}`).toString('base64'))

/** Everything that a TLS socket gets, from now on. */
function listen(socket: tls.TLSSocket) {
  const heard = { text: '', isClosed: false }
  socket.setEncoding('utf8')
  socket.on('data', text => {
    heard.text += text
  })
  // What matters is that it closes.
  socket.on('error', () => {})
  socket.on('close', () => {
    heard.isClosed = true
  })
  return heard
}

describe('STARTTLS (§3.1.4)', () => {
  const server = sharedServer({
    users: ['romeo'],
    listeners: [{ tls: { mode: 'starttls', certfile } }, { tls: { mode: 'starttls_required', certfile } }, {}],
  })
  const port = (place: number) => server().addresses[place]!.port

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('leads to a new stream with a new id over %s', async version => {
    const client = await clientOf(server(), { tlsOptions: { minVersion: version, maxVersion: version } })
    await client.open()
    const id = client.header?.attrs.id
    await client.startTls()
    await client.open()
    expect(client.header?.attrs.id).not.toBe(id)
    expect((client.socket as tls.TLSSocket).getProtocol()).toBe(version) // `handshake` made it one
    await client.login('romeo', PASSWORD)
    await client.settled()
  })

  it('is answered with proceed, to the byte', async () => {
    const raw = await RawConnection.open(port(0))
    await raw.send(streamHeader())
    const before = (await raw.until('</stream:features>')).length
    await raw.send(startTls)
    expect((await raw.until('proceed')).slice(before)).toBe(proceed)
  })

  it.each([
    ['in the same segment', `${startTls}${streamHeader()}${plain}`],
    ['in the same segment, cut short', `${startTls}${streamHeader().slice(0, 40)}`],
  ])('lets nobody inject clear text %s (trap 28): it is not answered inside TLS', async (_, bytes) => {
    const raw = await RawConnection.open(port(0))
    await raw.send(streamHeader())
    await raw.until('</stream:features>')
    await raw.send(bytes)
    const answer = await raw.until('proceed')
    expect(answer.endsWith(proceed)).toBe(true)
    raw.socket.removeAllListeners('data')
    const secure = tls.connect({ socket: raw.socket, rejectUnauthorized: false })
    const heard = listen(secure)
    // Whatever was injected would be answered before this.
    secure.write(streamHeader())
    await eventually(() => heard.text.includes('</stream:features>'))
    expect(heard.text.match(/<stream:stream /g)).toHaveLength(1)
    expect(heard.text).not.toMatch(/success|failure|error/)
    expect(heard.text).toContain('PLUS')
  })

  it('lets nobody inject clear text that comes in a segment of its own', async () => {
    const raw = await RawConnection.open(port(0))
    await raw.send(streamHeader())
    await raw.until('</stream:features>')
    const features = raw.text.length
    // Two writes at once: they may arrive as one chunk or as two, before or after the handshake has begun.
    raw.socket.write(startTls)
    raw.socket.write(`${streamHeader()}${plain}`)
    await raw.until('proceed')
    raw.socket.removeAllListeners('data')
    const secure = tls.connect({ socket: raw.socket, rejectUnauthorized: false })
    const heard = listen(secure)
    secure.write(streamHeader())
    await eventually(() => heard.isClosed || heard.text.includes('</stream:features>'))
    expect(raw.text.slice(features)).toBe(proceed)
    expect(heard.text).not.toMatch(/success|failure|error/)
  })

  it.each([
    ['where it is not offered', 2, {}],
    ['on a stream that is encrypted', 0, { tls: 'starttls' }],
  ] as const)('is refused with failure and the end of the stream %s (RFC 6120 §5.4.2.2)', async (_, place, options) => {
    const client = await clientOf({ port: port(place) }, options)
    await client.open()
    if ('tls' in options) {
      await client.startTls()
      await client.open()
    }
    await client.send(startTls)
    await client.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>')
    expect(await client.closed()).toEqual({ streamEnded: true })
    await expect(client.receivesNext()).rejects.toThrow('before the connection was closed')
  })

  it.each([
    ['auth', plain],
    ['a message', "<message to='romeo@localhost'><body>x</body></message>"],
    ['a registration', "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"],
  ])('is the only way on where it is required: %s gets policy-violation with a text', async (_, element) => {
    const client = await clientOf({ port: port(1) })
    await client.open()
    await client.send(element)
    const error = await client.streamError('policy-violation')
    expect(error.getChildText('text')).toBe('Use of STARTTLS required')
  })

  it('does not forget failed logins: five in clear and over TLS together end the stream (§3.1.3)', async () => {
    const client = await clientOf(server())
    await client.open()
    const wrong = auth('PLAIN', Buffer.from('\0romeo\0wrong').toString('base64'))
    for (let i = 0; i < 2; i++) {
      await client.send(wrong)
      await client.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
    }
    await client.startTls()
    await client.open()
    for (let i = 0; i < 3; i++) {
      await client.send(wrong)
      await client.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
    }
    await client.streamError('policy-violation')
  })

  it('closes without a word of XML when the handshake fails, and serves the next client', async () => {
    const raw = await RawConnection.open(port(0))
    await raw.send(streamHeader())
    await raw.until('</stream:features>')
    await raw.send(startTls)
    const before = (await raw.until('proceed')).length
    await raw.send(`${'this is no TLS record '.repeat(20)}`)
    const after = (await raw.closed()).slice(before)
    expect(after).not.toMatch(/<|stream|error/)
    await session(server(), 'romeo', { tls: 'starttls' })
  })

  it('fails for a client that speaks nothing newer than TLS 1.1, without harm to others', async () => {
    const client = await clientOf(server(), {
      tlsOptions: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    })
    await client.open()
    await expect(client.startTls()).rejects.toThrow()
    await session(server(), 'romeo', { tls: 'starttls' })
  })
})

describe('direct TLS (§3.1.8)', () => {
  const server = sharedServer({ users: ['romeo'], listener: { tls: { mode: 'tls', certfile } } })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('carries a session over %s', async version => {
    const client = await session(server(), 'romeo', {
      tls: 'direct',
      tlsOptions: { minVersion: version, maxVersion: version },
    })
    expect((client.socket as tls.TLSSocket).getProtocol()).toBe(version) // direct
    await client.settled()
  })

  it.each([
    ['xmpp-client', ['xmpp-client'], 'xmpp-client'],
    ['xmpp-client among others', ['h2', 'xmpp-client', 'http/1.1'], 'xmpp-client'],
    ['http/1.1 only', ['http/1.1'], 'http/1.1'],
    ['nothing', undefined, false],
  ])('gives a stream to a client whose ALPN lists %s', async (_, offered, chosen) => {
    const client = await clientOf(server(), {
      tls: 'direct',
      tlsOptions: offered === undefined ? {} : { ALPNProtocols: offered },
    })
    expect((client.socket as tls.TLSSocket).alpnProtocol).toBe(chosen) // direct
    await client.open()
  })

  it('answers clear XML with an alert or the end, never with XML (§1.6.4)', async () => {
    const raw = await RawConnection.open(server().port)
    await raw.send(streamHeader())
    expect(await raw.closed()).not.toMatch(/<|stream|xml/)
  })

  it('lets silent clients hold up nobody: one acceptor, ten of them, and the next is served at once (§1.3)', async () => {
    const narrow = await startedServer({ listener: { num_acceptors: 1, tls: { mode: 'tls', certfile } } })
    for (let i = 0; i < 10; i++) await RawConnection.open(narrow.port)
    const client = await clientOf(narrow, { tls: 'direct' })
    await client.open()
  })
})

describe('the certificate of a listener (§1.5)', () => {
  const file = (name: string) => join(certfile, `../${name}.pem`)

  it.each([
    ['one file', { certfile: file('rsa') }],
    ['the key in a file of its own', { certfile: file('rsa-certificate'), keyfile: file('rsa-key') }],
    ['an encrypted key', { certfile: file('rsa-certificate'), keyfile: file('rsa-key-encrypted'), password: 'secret' }],
    ['ECDSA', { certfile: file('ecdsa') }],
    ['Ed25519', { certfile: file('ed25519') }],
  ])('is served from %s', async (_, files) => {
    const server = await startedServer({ listener: { tls: { mode: 'tls', ...files } } })
    const client = await clientOf(server, { tls: 'direct' })
    await client.open()
  })

  it('comes with its chain, so that a client that trusts the root trusts it', async () => {
    const server = await startedServer({ listener: { tls: { mode: 'starttls', certfile: file('chain') } } })
    const client = await clientOf(server, { tls: 'starttls', ca: readFileSync(file('ca')) })
    await client.open()
    await client.startTls()
    await client.open()
  })

  it.each([
    ['is missing', { certfile: file('nothing') }, 'there is no such file'],
    ['has no key', { certfile: file('rsa-certificate') }, 'holds no PEM private key'],
    ['does not go with its key', { certfile: file('mismatch') }, 'does not belong'],
    ['has an encrypted key and no password', { certfile: file('rsa-encrypted') }, 'needs a password'],
  ])('that %s keeps the server from starting', async (_, files, message) => {
    const starting = startedServer({ listener: { tls: { mode: 'tls', ...files } } })
    await expect(starting).rejects.toMatchObject({ problem: 'certificate', message: expect.stringContaining(message) })
  })
})

describe('the time limit of the TLS handshake (§1.6.4: 10 s, then the connection is destroyed)', () => {
  it.each([
    ['tls', ''],
    ['starttls', startTls],
  ])('ends a client that stays silent, mode %s, without a byte', async (mode, ask) => {
    const clock = new ManualClock()
    const server = await startedServer({ clock, listener: { tls: { mode, certfile } } })
    const raw = await RawConnection.open(server.port)
    if (ask !== '') {
      await raw.send(streamHeader())
      await raw.until('</stream:features>')
      await raw.send(ask)
      await raw.until(proceed)
    }
    const before = raw.text.length
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    await drained(server)
    clock.advance(9_900)
    await drained(server)
    expect(actorsOfKind(server, 'Connection')).toHaveLength(1)
    clock.advance(300)
    expect((await raw.closed()).slice(before)).toBe('')
    await eventually(() => actorsOfKind(server, 'Connection').length === 0)
  })

  it('also holds where the client drips its hello', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ clock, listener: { tls: { mode: 'tls', certfile } } })
    const raw = await RawConnection.open(server.port)
    await eventually(() => actorsOfKind(server, 'Connection').length === 1)
    for (const byte of [0x16, 0x03, 0x01, 0x02, 0x00]) {
      await raw.send(Buffer.of(byte))
      clock.advance(2_500)
      await drained(server)
    }
    expect(await raw.closed()).toBe('')
  })

  it('is over once TLS is there: then the limit of the state counts', async () => {
    const clock = new ManualClock()
    const server = await startedServer({ clock, listener: { tls: { mode: 'tls', certfile } } })
    const client = await clientOf(server, { tls: 'direct' })
    await eventually(() => actorsOfKind(server, 'Connection').some(({ details }) => details.isEncrypted))
    await drained(server)
    clock.advance(59_000)
    await client.open()
  })
})
