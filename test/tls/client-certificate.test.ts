import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { connect, type SecureVersion, type TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type ClientCertificateOptions,
  ClientVerifier,
  judgeCertificate,
  type Verdict,
} from '../../src/tls/client-certificate.js'
import { serverSecureContext } from '../../src/tls/context.js'
import { fixture } from './sockets.js'

/** One handshake, as its owner on the server's side hears of it. */
async function handshake(options: ClientCertificateOptions, name: string | undefined, version: SecureVersion) {
  const { settings } = await serverSecureContext({ certfile: fixture('rsa'), cacertfile: fixture('ca') })
  const verifier = new ClientVerifier(settings, options, offered => offered[0]!)
  const pem = name === undefined ? {} : { cert: readFileSync(fixture(name)), key: readFileSync(fixture(name)) }
  const listener = createServer()
  onTestFinished(() => void listener.close())
  const port = await new Promise<number>(resolve => {
    listener.listen(0, '127.0.0.1', () => {
      const address = listener.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const outcome = new Promise<{ verdict: Verdict; subject?: string | undefined; problem?: string }>(resolve => {
    listener.once('connection', raw => {
      raw.on('error', () => {})
      verifier.begin(raw, {
        verified(socket: TLSSocket, certificate) {
          socket.on('error', () => {})
          resolve({ verdict: certificate === undefined ? 'ignored' : 'trusted', subject: certificate?.subject })
        },
        refused: problem => resolve({ verdict: 'refused', problem }),
      })
    })
  })
  const limits = { minVersion: version, maxVersion: version }
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...limits, ...pem })
  client.on('error', () => {})
  onTestFinished(() => void client.destroy())
  const found = await outcome
  if (found.verdict === 'refused') await new Promise<void>(resolve => client.once('close', () => resolve()))
  return found
}

const names = [undefined, 'client', 'client-self-signed', 'client-expired', 'client-other-authority']
const peer = { module: 'just_tls', verify_mode: 'peer' } as const
const selfSigned = { module: 'just_tls', verify_mode: 'selfsigned_peer' } as const

// Columns as in `names`: none, valid, self-signed, expired, of another authority.
const table: [string, ClientCertificateOptions, Verdict[]][] = [
  ['fast_tls', { module: 'fast_tls' }, ['ignored', 'trusted', 'ignored', 'ignored', 'ignored']],
  ['just_tls', { module: 'just_tls' }, ['ignored', 'trusted', 'refused', 'refused', 'refused']],
  ['just_tls, peer', peer, ['ignored', 'trusted', 'refused', 'refused', 'refused']],
  [
    'just_tls, peer, no disconnect',
    { ...peer, disconnect_on_failure: false },
    ['ignored', 'trusted', 'ignored', 'ignored', 'ignored'],
  ],
  ['just_tls, selfsigned_peer', selfSigned, ['ignored', 'trusted', 'trusted', 'refused', 'refused']],
  [
    'just_tls, selfsigned_peer, no disconnect',
    { ...selfSigned, disconnect_on_failure: false },
    ['ignored', 'trusted', 'trusted', 'ignored', 'ignored'],
  ],
  [
    'just_tls, none',
    { module: 'just_tls', verify_mode: 'none' },
    ['ignored', 'trusted', 'trusted', 'trusted', 'trusted'],
  ],
]
const cells = table.flatMap(([row, options, verdicts]) =>
  names.map((name, column) => [row, name ?? 'no certificate', options, name, verdicts[column]] as const),
)

describe('certificates of clients (§1.6.4)', () => {
  it.each(cells)('%s, %s', async (_row, _name, options, name, verdict) => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      expect((await handshake(options, name, version)).verdict).toBe(verdict)
    }
  })

  it('are handed out where they are trusted, and named by what is wrong where they are refused', async () => {
    expect(await handshake(peer, 'client', 'TLSv1.3')).toMatchObject({ subject: 'CN=romeo' })
    expect(await handshake(peer, 'client-expired', 'TLSv1.3')).toMatchObject({ problem: 'CERT_HAS_EXPIRED' })
  })

  it('are not trusted because they are self-signed when something else is wrong with them too', async () => {
    expect(await handshake(selfSigned, 'client-self-signed-expired', 'TLSv1.3')).toMatchObject({
      verdict: 'refused',
      problem: 'CERT_HAS_EXPIRED',
    })
  })

  it('leave nothing behind when the client goes away in the middle of the handshake', async () => {
    const { settings } = await serverSecureContext({ certfile: fixture('rsa') })
    const verifier = new ClientVerifier(settings, peer, offered => offered[0]!)
    const told: string[] = []
    const listener = createServer()
    onTestFinished(() => void listener.close())
    const begun = new Promise<Socket>(resolve => {
      listener.once('connection', raw => {
        raw.on('error', () => {})
        verifier.begin(raw, { verified: () => told.push('verified'), refused: () => told.push('refused') })
        resolve(raw)
      })
    })
    await once(listener.listen(0, '127.0.0.1'), 'listening')
    const { port } = listener.address() as AddressInfo // a TCP server that listens has one
    const client = createConnection(port, '127.0.0.1')
    const raw = await begun
    expect(verifier.pending).toBe(1)
    client.destroy()
    await once(raw, 'close')
    expect({ pending: verifier.pending, told }).toEqual({ pending: 0, told: [] })
    // A socket that is closed already begins nothing.
    verifier.begin(raw, { verified: () => told.push('verified'), refused: () => told.push('refused') })
    expect(verifier.pending).toBe(0)
  })

  it('are not trusted under selfsigned_peer because somewhere in their chain something is self-signed', () => {
    expect(judgeCertificate(selfSigned, 'SELF_SIGNED_CERT_IN_CHAIN')).toBe('refused')
  })
})
