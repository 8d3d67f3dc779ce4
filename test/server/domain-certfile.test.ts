import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { clientOf, PASSWORD, startedServer } from '../support/server.js'

/*
 * A certificate for each domain, for clients. spec/listeners.md §2.5, §3.1.4
 */

const file = (name: string) => join(import.meta.dirname, `../support/certificates/${name}.pem`)
const fingerprint = (name: string) => new X509Certificate(readFileSync(file(name))).fingerprint256
const names = Object.fromEntries(['rsa', 'ecdsa', 'chain'].map(name => [fingerprint(name), name]))
const OTHER = 'other.localhost'

/** `localhost` has a certificate of its own, the other domain that of the listener. */
function started(tls: object): Promise<TestServer> {
  return startedServer({
    users: ['romeo'],
    listener: { tls: { certfile: file('rsa'), ...tls } },
    config: {
      general: { hosts: ['localhost', OTHER] },
      s2s: { domain_certfile: [{ domain: 'localhost', certfile: file('ecdsa') }] },
    },
  })
}

const shown = (socket: unknown) => names[(socket as TLSSocket).getPeerCertificate().fingerprint256] // it is one by now

const asking = { verify_peer: true, cacertfile: file('ca') }

describe('domain_certfile for clients (§2.5, §3.1.4)', () => {
  it.each([
    ['without client certificates', {}],
    ['with client certificates', asking],
  ])('STARTTLS shows the certificate of the domain that the stream is for, %s', async (_, more) => {
    const server = await started({ mode: 'starttls', ...more })
    for (const [domain, certificate] of [
      ['localhost', 'ecdsa'],
      [OTHER, 'rsa'],
    ] as const) {
      // Whatever name TLS says.
      const client = await clientOf(server, { domain, tlsOptions: { servername: 'localhost' } })
      await client.open()
      await client.startTls()
      expect(shown(client.socket)).toBe(certificate)
    }
  })

  it.each([
    ['without client certificates', {}],
    ['with client certificates', asking],
  ])('direct TLS shows the certificate of the domain that TLS names, %s', async (_, more) => {
    const server = await started({ mode: 'tls', ...more })
    const shownFor = async (tlsOptions: ConnectionOptions) =>
      shown((await clientOf(server, { tls: 'direct', tlsOptions })).socket)
    expect(await shownFor({ servername: 'localhost' })).toBe('ecdsa')
    expect(await shownFor({ servername: 'LOCALHOST' })).toBe('ecdsa')
    expect(await shownFor({ servername: OTHER })).toBe('rsa')
    expect(await shownFor({ servername: 'nobody.example' })).toBe('rsa')
    expect(await shownFor({ servername: '' })).toBe('rsa')
  })

  it.each(['starttls', 'tls'])('channels are bound to the certificate that was shown (%s)', async mode => {
    const server = await started({ mode })
    const client = await clientOf(server, {
      tlsOptions: { servername: 'localhost' },
      ...(mode === 'tls' && { tls: 'direct' as const }),
    })
    if (mode === 'starttls') {
      await client.open()
      await client.startTls()
      await client.open()
    }
    await client.login('romeo', PASSWORD, { mechanism: 'SCRAM-SHA-1-PLUS' })
    expect(client.jid).toMatch(/^romeo@localhost\//)
  })

  it('a file that is no good stops the start, as that of the listener does', async () => {
    const config = { s2s: { domain_certfile: [{ domain: 'localhost', certfile: file('mismatch') }] } }
    const listener = { tls: { certfile: file('rsa'), mode: 'tls' } }
    await expect(startedServer({ listener, config })).rejects.toThrow('mismatch.pem')
  })
})
