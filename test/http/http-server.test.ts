import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls, type SecureContextOptions } from 'node:tls'
import forge from 'node-forge'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/observability/clock.js'
import { canBind, RawClient, serveApp } from './raw.js'

/** An app whose answers wait until the test gives them. */
function holdingApp() {
  const responses: ServerResponse[] = []
  let arrived: () => void = () => undefined
  return {
    app: (_request: unknown, response: ServerResponse) => {
      responses.push(response)
      arrived()
    },
    responses,
    async request(count: number): Promise<ServerResponse> {
      while (responses.length < count) {
        await new Promise<void>(resolve => {
          arrived = resolve
        })
      }
      return responses[count - 1]!
    },
  }
}

/** Settings that nobody reads again. */
const served = (settings: SecureContextOptions) => ({
  settings,
  certificates: { verify_peer: false },
  watch: () => () => undefined,
})

const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

function ask(port: number): RawClient {
  const client = new RawClient(port)
  client.socket.write(get)
  return client
}

/** A clock that stands still until the test lets the time pass. */
function heldClock() {
  const actions = new Set<() => void>()
  const clock: Clock = {
    now: () => 0,
    wall: () => 0,
    after: (_ms, action) => {
      actions.add(action)
      return () => actions.delete(action)
    },
  }
  return { clock, actions }
}

describe('max_connections', () => {
  it('HL-9: a connection above the limit is accepted and answered only after one ends', async () => {
    const holding = holdingApp()
    const server = await serveApp(holding.app, { maxConnections: 1 })
    const first = ask(server.port)
    const held = await holding.request(1)
    const second = ask(server.port)
    const third = ask(server.port)
    await Promise.all([once(second.socket, 'ready'), once(third.socket, 'ready')])
    held.end()
    await first.reply()
    expect(holding.responses).toHaveLength(1)

    first.socket.destroy()
    const next = await holding.request(2)
    expect(holding.responses).toHaveLength(2)
    next.end()
    await second.reply()
    second.socket.destroy()
    const last = await holding.request(3)
    last.end()
    await third.reply()
    third.socket.destroy()
    await server.close(0)
  })

  it('forgets a connection that ends while it waits', async () => {
    const holding = holdingApp()
    const server = await serveApp(holding.app, { maxConnections: 1 })
    const first = ask(server.port)
    await holding.request(1)
    const second = ask(server.port)
    await once(second.socket, 'ready')
    const third = ask(server.port)
    await once(third.socket, 'ready')
    second.socket.resetAndDestroy()
    await second.closed
    first.socket.destroy()
    const next = await holding.request(2)
    next.end('for the third')
    const reply = await third.reply()
    expect(reply.headers['transfer-encoding'] ?? reply.headers['content-length']).toBeDefined()
    third.socket.destroy()
    await server.close(0)
  })
})

describe('closing', () => {
  it('lets a running exchange end, cuts silent and waiting connections at once, and frees the port', async () => {
    const holding = holdingApp()
    const { clock, actions } = heldClock()
    const server = await serveApp(holding.app, { maxConnections: 3, clock })
    const running = ask(server.port)
    const response = await holding.request(1)
    const silent = new RawClient(server.port)
    const partial = new RawClient(server.port)
    const waiting = new RawClient(server.port)
    partial.socket.write('GET / HT')
    await Promise.all([silent, partial, waiting].map(client => once(client.socket, 'ready')))

    const closed = server.close(10_000)
    await Promise.all([silent.closed, partial.closed, waiting.closed])
    expect([silent.text, partial.text, waiting.text]).toEqual(['', '', ''])
    response.end('done')
    const reply = await running.reply()
    expect(reply.headers.connection).toBe('close')
    await closed
    expect(actions.size).toBe(0)
    expect(await canBind(server.port)).toBe(true)
  })

  it('cuts what still runs when the time is over', async () => {
    const holding = holdingApp()
    const { clock, actions } = heldClock()
    const server = await serveApp(holding.app, { clock })
    const client = ask(server.port)
    await holding.request(1)
    const closed = server.close(10_000)
    for (const action of actions) action()
    await Promise.all([closed, client.closed])
    expect(client.text).toBe('')
  })

  it('is fine for a server that never listened or is closed already', async () => {
    const server = await serveApp(holdingApp().app)
    await server.close(0)
    await server.close(0)
  })
})

describe('time limits', () => {
  it('§5: half a head is answered with 408 after 5 s, silence before or after a request is closed without a word', {
    timeout: 15_000,
  }, async () => {
    const holding = holdingApp()
    const server = await serveApp(holding.app)
    const half = new RawClient(server.port)
    half.socket.write('GET / HTTP/1.1\r\nHo')
    const silent = new RawClient(server.port)
    const used = ask(server.port)
    const held = await holding.request(1)
    held.end()
    await used.reply()
    await Promise.all([half.closed, silent.closed, used.closed])
    expect(used.text).toBe('')
    expect(half.text).toMatch(/^HTTP\/1\.1 408 /)
    expect(silent.text).toBe('')
    await server.close(0)
  })
})

describe('an exchange', () => {
  it('§5: 60 s of silence in the middle of a request end its connection', async () => {
    const holding = holdingApp()
    const server = await serveApp(holding.app)
    const client = new RawClient(server.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf')
    const { socket } = (await holding.request(1)).req
    expect(socket.timeout).toBe(60_000)
    socket.setTimeout(1) // the minute is over
    await client.closed
    expect(client.text).toBe('')
    await server.close(0)
  })
})

describe('garbage behind a request', () => {
  it('never mixes an error into an answer that is under way', async () => {
    const holding = holdingApp()
    const server = await serveApp(holding.app)
    const client = new RawClient(server.port)
    client.socket.write(get)
    const response = await holding.request(1)
    response.writeHead(200, { 'content-length': '10' }).write('half')
    client.socket.write('\u0000\u0001garbage\r\n\r\n')
    await client.closed
    expect(client.text).not.toContain(' 400 ')
    await server.close(0)
  })
})

describe('TLS', () => {
  const keys = forge.pki.rsa.generateKeyPair(1024)
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = keys.publicKey
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000)
  const names = [{ name: 'commonName', value: 'localhost' }]
  certificate.setSubject(names)
  certificate.setIssuer(names)
  certificate.sign(keys.privateKey, forge.md.sha256.create())
  const tls = {
    cert: forge.pki.certificateToPem(certificate),
    key: forge.pki.privateKeyToPem(keys.privateKey),
    ciphers: 'DEFAULT@SECLEVEL=0', // the short key above is quick to make
  }

  it('serves https, offers http/1.1 alone, and holds connections above the limit', async () => {
    const server = await serveApp((_request, response) => void response.end('secure'), {
      tls: served(tls),
      maxConnections: 1,
    })
    const options = { rejectUnauthorized: false, ciphers: tls.ciphers }
    const first = connectTls({ port: server.port, host: '127.0.0.1', ALPNProtocols: ['h2', 'http/1.1'], ...options })
    await once(first, 'secureConnect')
    expect(first.alpnProtocol).toBe('http/1.1')
    const answered = new Promise<string>((resolve, reject) => {
      const request = secureRequest({ port: server.port, host: '127.0.0.1', agent: false, ...options }, response => {
        response.setEncoding('utf8').once('data', resolve)
      })
      request.once('error', reject).end()
    })
    first.destroy()
    expect(await answered).toBe('secure')
    await server.close(0)
  })

  it('HT-1: plain HTTP sent to it fails', async () => {
    const server = await serveApp((_request, response) => void response.end('secure'), { tls: served(tls) })
    const client = ask(server.port)
    await client.closed
    expect(client.text).not.toContain('secure')
    await server.close(0)
  })

  it('closes while a handshake is not over', async () => {
    const { clock, actions } = heldClock()
    const server = await serveApp((_request, response) => void response.end('secure'), { tls: served(tls), clock })
    const client = new RawClient(server.port)
    await once(client.socket, 'ready')
    const arrived = once(server.server, 'connection')
    new RawClient(server.port)
    await arrived
    const closed = server.close(10_000)
    for (const action of actions) action()
    await Promise.all([closed, client.closed])
  })

  it('waits for nobody whose handshake ends after it began to close', async () => {
    const { clock } = heldClock()
    const server = await serveApp((_request, response) => void response.end('secure'), { tls: served(tls), clock })
    const raw = connect(server.port, '127.0.0.1')
    const arrived = once(server.server, 'connection')
    await Promise.all([once(raw, 'ready'), arrived])
    const closed = server.close(10_000)
    const client = connectTls({ socket: raw, rejectUnauthorized: false })
    client.on('error', () => undefined)
    await closed
    await once(client, 'close')
  })
})
