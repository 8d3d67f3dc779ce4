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
  await writeFile(join(folder, 'broken-key.pem'), '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')
})
afterAll(() => rm(folder, { recursive: true }))

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
