import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerTlsOptions, serverSecureContext, TlsOptionError } from '../../src/tls/context.js'
import { fixture, withTls } from './sockets.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meerkat-'))
  await writeFile(join(folder, 'empty.pem'), '')
  await writeFile(join(folder, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  await writeFile(
    join(folder, 'no-dh.pem'),
    '-----BEGIN DH PARAMETERS-----\nMAYCAQgCAQI=\n-----END DH PARAMETERS-----\n',
  )
  await writeFile(join(folder, 'broken-dh.pem'), '-----BEGIN DH PARAMETERS-----\nMIIB\n-----END DH PARAMETERS-----\n')
  await writeFile(join(folder, 'small-dh.pem'), smallDh)
  await writeFile(join(folder, 'broken-crl.pem'), '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n')
  await writeFile(join(folder, 'broken-key.pem'), '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')
})
afterAll(() => rm(folder, { recursive: true }))

// 512 bits
const smallDh = `-----BEGIN DH PARAMETERS-----
MEYCQQD1yByrguGcEtvUAYamUe489jiUGP1JSRTL1tHQhEqj1iRniupLA6qPkgtDuuKjX31pIZ5Fx7/5wNFxVhcaSBJvAgEC
-----END DH PARAMETERS-----
`

const inFolder = (name: string) => join(folder, `${name}.pem`)

describe('a server TLS context', () => {
  it.each<[string, () => ServerTlsOptions]>([
    ['an RSA certificate and its key in one file', () => ({ certfile: fixture('rsa') })],
    ['an ECDSA certificate', () => ({ certfile: fixture('ecdsa') })],
    ['an Ed25519 certificate', () => ({ certfile: fixture('ed25519') })],
    ['the key in a file of its own', () => ({ certfile: fixture('rsa-certificate'), keyfile: fixture('rsa-key') })],
    [
      'a keyfile that is not the key in certfile',
      () => ({ certfile: fixture('mismatch'), keyfile: fixture('rsa-key') }),
    ],
    ['an encrypted key', () => ({ certfile: fixture('rsa-encrypted'), password: 'secret' })],
    [
      'an encrypted key in a file of its own',
      () => ({ certfile: fixture('rsa-certificate'), keyfile: fixture('rsa-key-encrypted'), password: 'secret' }),
    ],
    ['a password for a key that needs none', () => ({ certfile: fixture('rsa'), password: 'secret' })],
  ])('is made of %s, and serves a client with it', async (_what, options) => {
    const tls = await serverSecureContext(options())
    await withTls(tls, {}, ({ client }) => {
      expect(client.getPeerX509Certificate()?.raw).toEqual(tls.certificates[0].raw)
    })
  })

  it('sends the chain, so that a client which trusts only the root accepts it', async () => {
    const tls = await serverSecureContext({ certfile: fixture('chain') })
    expect(tls.certificates).toHaveLength(2)
    const trusting = { ca: readFileSync(fixture('ca')), servername: 'localhost', rejectUnauthorized: true }
    expect(await withTls(tls, trusting, ({ client }) => client.authorized)).toBe(true)
    const other = await serverSecureContext({ certfile: fixture('ecdsa') })
    await expect(withTls(other, trusting, () => true)).rejects.toThrow(/self-signed/)
  })

  it('speaks TLS 1.2 and 1.3 and refuses a client that knows only TLS 1.1 (DESIGN §10)', async () => {
    const tls = await serverSecureContext({ certfile: fixture('rsa') })
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const limits = { minVersion: version, maxVersion: version }
      expect(await withTls(tls, limits, ({ client }) => client.getProtocol())).toBe(version)
    }
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
    await expect(withTls(tls, old, () => true)).rejects.toThrow(/unsupported protocol|protocol version/)
  })

  it('serves a client that knows only DHE', async () => {
    const tls = await serverSecureContext({ certfile: fixture('rsa') })
    const dhe = { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES256-GCM-SHA384' } as const
    expect(await withTls(tls, dhe, ({ client }) => client.getCipher().name)).toBe('DHE-RSA-AES256-GCM-SHA384')
  })

  it('takes settings that override its own', async () => {
    const tls = await serverSecureContext({ certfile: fixture('rsa') }, { minVersion: 'TLSv1.3' })
    await expect(withTls(tls, { maxVersion: 'TLSv1.2' }, () => true)).rejects.toThrow(
      /unsupported protocol|protocol version/,
    )
  })

  it('serves DHE with the parameters of dhfile', async () => {
    const tls = await serverSecureContext({ certfile: fixture('rsa'), dhfile: fixture('dh') })
    const dhe = { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES256-GCM-SHA384' } as const
    const key = await withTls(tls, dhe, ({ client }) => client.getEphemeralKeyInfo())
    expect(key).toMatchObject({ type: 'DH', size: 3072 })
  })

  it('lets nobody negotiate again', async () => {
    const tls = await serverSecureContext({ certfile: fixture('rsa') }, { maxVersion: 'TLSv1.2' })
    const again = withTls(tls, {}, ({ client, server }) => {
      server.on('error', () => {})
      return new Promise((resolve, reject) => {
        client.once('error', reject)
        client.renegotiate({}, error => (error === null ? resolve('renegotiated') : reject(error)))
      })
    })
    await expect(again).rejects.toThrow(/no renegotiation/i)
  })

  it('takes every authority of cacertfile and every list of crl_files', async () => {
    const { settings } = await serverSecureContext({
      certfile: fixture('rsa'),
      cacertfile: fixture('chain'),
      crl_files: [fixture('crl'), fixture('crl')],
    })
    expect(settings.ca).toHaveLength(2)
    expect(settings.crl).toHaveLength(2)
  })

  it.each<[string, () => Partial<ServerTlsOptions>, keyof ServerTlsOptions, RegExp]>([
    ['a cacertfile that is missing', () => ({ cacertfile: inFolder('nothing') }), 'cacertfile', /no such file/],
    ['a cacertfile without a certificate', () => ({ cacertfile: fixture('rsa-key') }), 'cacertfile', /no PEM cert/],
    ['a broken authority', () => ({ cacertfile: inFolder('broken') }), 'cacertfile', /number 1 is broken/],
    ['a dhfile that is missing', () => ({ dhfile: inFolder('nothing') }), 'dhfile', /no such file/],
    ['a dhfile with something else', () => ({ dhfile: fixture('rsa') }), 'dhfile', /no PEM Diffie-Hellman/],
    ['a dhfile that is cut short', () => ({ dhfile: inFolder('broken-dh') }), 'dhfile', /no prime/],
    ['a dhfile without a prime', () => ({ dhfile: inFolder('no-dh') }), 'dhfile', /no prime/],
    ['parameters that are too small', () => ({ dhfile: inFolder('small-dh') }), 'dhfile', /refused by OpenSSL/],
    ['a revocation list that is missing', () => ({ crl_files: [inFolder('nothing')] }), 'crl_files', /no such file/],
    ['a file without a revocation list', () => ({ crl_files: [fixture('ca')] }), 'crl_files', /no PEM revocation/],
    [
      'a broken list',
      () => ({ crl_files: [fixture('crl'), inFolder('broken-crl')] }),
      'crl_files',
      /refused by OpenSSL/,
    ],
  ])('is not made of %s; the error names the option and the file', async (_what, options, option, problem) => {
    const error = await serverSecureContext({ certfile: fixture('rsa'), ...options() }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(TlsOptionError)
    const file = [options()[option]].flat().at(-1)
    expect(error).toMatchObject({ option, file, problem: expect.stringMatching(problem) })
  })

  it.each<[string, () => ServerTlsOptions, keyof ServerTlsOptions, RegExp]>([
    ['a certfile that is missing', () => ({ certfile: inFolder('nothing') }), 'certfile', /no such file/],
    ['a certfile that is a folder', () => ({ certfile: folder }), 'certfile', /is a folder/],
    ['an empty certfile', () => ({ certfile: inFolder('empty') }), 'certfile', /no PEM certificate/],
    ['a certfile with only a key', () => ({ certfile: fixture('rsa-key') }), 'certfile', /no PEM certificate/],
    ['a broken certificate', () => ({ certfile: inFolder('broken') }), 'certfile', /certificate number 1 is broken/],
    ['a certfile without a key', () => ({ certfile: fixture('rsa-certificate') }), 'certfile', /no PEM private key/],
    ['a key of another certificate', () => ({ certfile: fixture('mismatch') }), 'certfile', /does not belong/],
    [
      'a keyfile that is missing',
      () => ({ certfile: fixture('rsa'), keyfile: inFolder('nothing') }),
      'keyfile',
      /no such file/,
    ],
    [
      'a keyfile with only a certificate',
      () => ({ certfile: fixture('rsa'), keyfile: fixture('rsa-certificate') }),
      'keyfile',
      /no PEM private key/,
    ],
    [
      'a keyfile of another certificate',
      () => ({ certfile: fixture('rsa'), keyfile: fixture('other-key') }),
      'keyfile',
      /does not belong/,
    ],
    [
      'a broken keyfile',
      () => ({ certfile: fixture('rsa'), keyfile: inFolder('broken-key') }),
      'keyfile',
      /private key is broken/,
    ],
    [
      'an encrypted key and no password',
      () => ({ certfile: fixture('rsa-encrypted') }),
      'password',
      /needs a password/,
    ],
    [
      'an encrypted key and another password',
      () => ({ certfile: fixture('rsa-encrypted'), password: 'pa55word' }),
      'password',
      /does not open/,
    ],
  ])('is not made of %s; the error names the option', async (_what, options, option, problem) => {
    const error = await serverSecureContext(options()).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TlsOptionError)
    expect(error).toMatchObject({ option, problem: expect.stringMatching(problem) })
    expect(String(error)).not.toContain('pa55word')
  })
})
