import { createHash, createHmac, pbkdf2Sync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { offerMechanisms, startExchange } from '../../src/protocols/sasl/mechanisms.js'
import { deriveScramKeys } from '../../src/protocols/sasl/scram-keys.js'
import { channelBindings, tlsServerEndPoint } from '../../src/tls/channel-binding.js'
import { serverSecureContext } from '../../src/tls/context.js'
import { fixture, withTls } from './sockets.js'

const exporter = 'EXPORTER-Channel-Binding'

describe('tls-server-end-point (RFC 5929 §4.1)', () => {
  it.each([
    ['rsa', 'sha256'],
    ['rsa-sha1', 'sha256'],
    ['rsa-sha384', 'sha384'],
    ['rsa-sha512', 'sha512'],
    ['rsa-pss', 'sha384'],
    ['ecdsa', 'sha256'],
    ['ecdsa-sha384', 'sha384'],
  ])('is, for the certificate %s, its %s hash', (name, hash) => {
    const certificate = new X509Certificate(readFileSync(fixture(name)))
    const expected = createHash(hash).update(certificate.raw).digest('hex')
    expect(tlsServerEndPoint(certificate)?.toString('hex')).toBe(expected)
  })

  it('does not exist for an Ed25519 certificate', () => {
    expect(tlsServerEndPoint(new X509Certificate(readFileSync(fixture('ed25519'))))).toBeUndefined()
  })
})

describe('the channel-binding data of a connection (§3.1.5)', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is the same at both ends under %s', async version => {
    const tls = await serverSecureContext({ certfile: fixture('rsa') })
    await withTls(tls, { minVersion: version, maxVersion: version }, ({ server, client }) => {
      expect(client.getProtocol()).toBe(version)
      const bindings = channelBindings(server, tls.certificates[0])
      const sent = client.getPeerX509Certificate()!
      expect(bindings.get('tls-server-end-point')).toEqual(createHash('sha256').update(sent.raw).digest())
      const exported = version === 'TLSv1.3' ? client.exportKeyingMaterial(32, exporter, Buffer.alloc(0)) : undefined
      expect(bindings.get('tls-exporter')).toEqual(exported)
      expect([...bindings.keys()]).toEqual(
        version === 'TLSv1.3' ? ['tls-exporter', 'tls-server-end-point'] : ['tls-server-end-point'],
      )
    })
  })

  it('is empty under TLS 1.2 with an Ed25519 certificate, so that -PLUS is not offered', async () => {
    const tls = await serverSecureContext({ certfile: fixture('ed25519') })
    const types = await withTls(tls, { maxVersion: 'TLSv1.2' }, ({ server }) => [
      ...channelBindings(server, tls.certificates[0]).keys(),
    ])
    expect(types).toEqual([])
    const offer = offerMechanisms({
      configured: ['scram_sha256_plus', 'scram_sha256'],
      capabilities: new Set(['scram'] as const),
      hashes: ['sha256'],
      isEncrypted: true,
      mayPlainInClear: false,
      channelBindings: types,
      hasCertificate: false,
    })
    expect(offer).toEqual({ mechanisms: ['SCRAM-SHA-256'], channelBindings: [] })
  })

  it('is only the exporter under TLS 1.3 with an Ed25519 certificate', async () => {
    const tls = await serverSecureContext({ certfile: fixture('ed25519') })
    await withTls(tls, {}, ({ server }) => {
      expect([...channelBindings(server, tls.certificates[0]).keys()]).toEqual(['tls-exporter'])
    })
  })

  it('differs from one connection to the next for the exporter only', async () => {
    const tls = await serverSecureContext({ certfile: fixture('ecdsa') })
    const collect = () => withTls(tls, {}, ({ server }) => channelBindings(server, tls.certificates[0]))
    const [one, two] = [await collect(), await collect()]
    expect(one.get('tls-exporter')).not.toEqual(two.get('tls-exporter'))
    expect(one.get('tls-server-end-point')).toEqual(two.get('tls-server-end-point'))
  })
})

describe('SCRAM-SHA-256-PLUS over a real connection', () => {
  it.each([
    ['tls-exporter', 'its own connection', 'success'],
    ['tls-exporter', 'another connection', 'failure'],
    ['tls-server-end-point', 'its own connection', 'success'],
  ])('with %s of %s ends in %s', async (type, which, outcome) => {
    const tls = await serverSecureContext({ certfile: fixture('rsa-sha384') })
    const clientData = (client: Parameters<Parameters<typeof withTls>[2]>[0]['client']) =>
      type === 'tls-exporter'
        ? client.exportKeyingMaterial(32, exporter, Buffer.alloc(0))
        : createHash('sha384').update(client.getPeerX509Certificate()!.raw).digest()
    const elsewhere = await withTls(tls, {}, ({ client }) => clientData(client))
    await withTls(tls, {}, async ({ server, client }) => {
      const exchange = startExchange('SCRAM-SHA-256-PLUS', {
        host: 'localhost',
        offered: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
        channelBindings: channelBindings(server, tls.certificates[0]),
        nonce: 'server',
        secret: Buffer.from('secret'),
        iterations: [100],
        anonymousName: 'anonymous',
        identity: undefined,
        identitySources: [],
      })!
      const salt = Buffer.from('0123456789abcdef')
      expect(exchange.start(Buffer.from(`p=${type},,n=romeo,r=abc`)).type).toBe('lookup')
      exchange.credentials({ scram: { sha256: await deriveScramKeys('pencil', 'sha256', salt, 100) } })
      const data = which === 'its own connection' ? clientData(client) : elsewhere
      const binding = Buffer.concat([Buffer.from(`p=${type},,`), data]).toString('base64')
      const withoutProof = `c=${binding},r=abcserver`
      const authMessage = `n=romeo,r=abc,r=abcserver,s=${salt.toString('base64')},i=100,${withoutProof}`
      const mac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
      const clientKey = mac(pbkdf2Sync('pencil', salt, 100, 32, 'sha256'), 'Client Key')
      const signature = mac(createHash('sha256').update(clientKey).digest(), authMessage)
      const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')
      expect(exchange.respond(Buffer.from(`${withoutProof},p=${proof}`)).type).toBe(outcome)
    })
  })
})
