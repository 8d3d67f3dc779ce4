import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UserError } from '../../src/cli/args.js'
import { runCert } from '../../src/cli/cert.js'
import { CertificateError, ensureDevelopmentCertificate } from '../../src/tls/certificates.js'
import { serverSecureContext } from '../../src/tls/context.js'
import { withTls } from './sockets.js'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meerkat-'))
})
afterEach(() => rm(folder, { recursive: true }))

const path = (name: string) => join(folder, name)
const certificateOf = async (name: string) => new X509Certificate(await readFile(path(name)))

describe('a development certificate', () => {
  it('is accepted, for each of its hosts, by a client that trusts the development authority', async () => {
    const hosts = ['localhost', 'm\u00fcnchen.example', '127.0.0.1', '[::1]']
    const made = await ensureDevelopmentCertificate(path('server.pem'), hosts, path('dev-ca.pem'))
    expect(made).toEqual([path('dev-ca.key'), path('dev-ca.pem'), path('server.pem')])
    const tls = await serverSecureContext({ certfile: path('server.pem') })
    const ca = await readFile(path('dev-ca.pem'))
    for (const servername of ['localhost', 'xn--mnchen-3ya.example']) {
      expect(await withTls(tls, { ca, servername, rejectUnauthorized: true }, ({ client }) => client.authorized)).toBe(
        true,
      )
    }
    const [certificate] = tls.certificates
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(certificate.checkIP('::1')).toBe('::1')
    expect(certificate.checkHost('example.net')).toBeUndefined()
  })

  it('is what RFC 5280 and RFC 6120 §13.7.1.2 ask for', async () => {
    await ensureDevelopmentCertificate(path('server.pem'), ['m\u00fcnchen.example'], path('dev-ca.pem'))
    const [certificate, authority] = [await certificateOf('server.pem'), await certificateOf('dev-ca.pem')]
    expect(authority.ca).toBe(true)
    expect(certificate.ca).toBe(false)
    expect(certificate.checkIssued(authority)).toBe(true)
    expect(certificate.verify(authority.publicKey)).toBe(true)
    expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048)
    const name = Buffer.from('m\u00fcnchen.example')
    const xmppAddr = Buffer.concat([Buffer.from('06082b06010505070805a0120c10', 'hex'), name])
    expect(certificate.raw.includes(xmppAddr)).toBe(true)
    const years = (Date.parse(authority.validTo) - Date.now()) / (365.25 * 86_400_000)
    expect(years).toBeGreaterThan(9.9)
    expect((Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 86_400_000).toBeLessThan(826)
  })

  it('and its authority can be read by their owner only, and no draft stays behind', async () => {
    await ensureDevelopmentCertificate(path('deep/er/server.pem'), ['localhost'], path('dev-ca.pem'))
    for (const name of ['deep/er/server.pem', 'dev-ca.pem', 'dev-ca.key']) {
      expect((await stat(path(name))).mode & 0o777).toBe(0o600)
    }
    expect((await readdir(folder)).sort()).toEqual(['deep', 'dev-ca.key', 'dev-ca.pem'])
    expect(await readdir(path('deep/er'))).toEqual(['server.pem'])
    expect(await readFile(path('dev-ca.pem'), 'utf8')).not.toContain('PRIVATE')
  })

  it('is never written over', async () => {
    await writeFile(path('server.pem'), 'mine')
    expect(await ensureDevelopmentCertificate(path('server.pem'), ['localhost'], path('dev-ca.pem'))).toEqual([])
    expect(await readFile(path('server.pem'), 'utf8')).toBe('mine')
    expect(await readdir(folder)).toEqual(['server.pem'])
  })

  it('is signed by the authority that is there already', async () => {
    await ensureDevelopmentCertificate(path('one.pem'), ['one.example'], path('dev-ca.pem'))
    const authority = await certificateOf('dev-ca.pem')
    expect(await ensureDevelopmentCertificate(path('two.pem'), ['two.example'], path('dev-ca.pem'))).toEqual([
      path('two.pem'),
    ])
    expect((await certificateOf('two.pem')).verify(authority.publicKey)).toBe(true)
  })

  it('made by several at the same time is one, under one authority', async () => {
    const files = ['a.pem', 'a.pem', 'b.pem', 'c.pem']
    const made = await Promise.all(
      files.map(file => ensureDevelopmentCertificate(path(file), ['localhost'], path('dev-ca.pem'))),
    )
    expect(made.flat().sort()).toEqual(['a.pem', 'b.pem', 'c.pem', 'dev-ca.key', 'dev-ca.pem'].map(path))
    const authority = await certificateOf('dev-ca.pem')
    for (const file of files) expect((await certificateOf(file)).verify(authority.publicKey)).toBe(true)
  })

  it.each([
    ['a broken authority', async () => writeFile(path('dev-ca.pem'), 'nonsense'), /cannot sign/],
    [
      'an authority without its key',
      async () => {
        await ensureDevelopmentCertificate(path('one.pem'), ['one.example'], path('dev-ca.pem'))
        await rm(path('dev-ca.key'))
      },
      /cannot sign/,
    ],
    ['a folder that is a file', async () => writeFile(path('deep'), ''), /deep/],
  ])('is not made with %s; the error says so', async (_what, prepare, message) => {
    await prepare()
    const error = await ensureDevelopmentCertificate(path('deep/two.pem'), ['two.example'], path('dev-ca.pem')).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(CertificateError)
    expect(String(error)).toMatch(message)
  })
})

describe('meerkat cert', () => {
  const run = async (hosts: string[], options: { json?: boolean; out?: string } = {}) => {
    const lines: string[] = []
    const output = { out: (line: string) => void lines.push(line), error: () => expect.fail('nothing goes wrong') }
    const code = await runCert(hosts, { dataDir: path('data'), json: false, ...options }, output)
    return { code, lines }
  }

  it('makes a certificate for each host and prints the files', async () => {
    const { code, lines } = await run(['LOCALHOST', 'localhost', 'chat.example'])
    expect(code).toBe(0)
    expect(lines.map(line => line.split('  ')[0])).toEqual(
      ['dev-ca.key', 'dev-ca.pem', 'localhost.pem', 'chat.example.pem'].map(name => path(`data/${name}`)),
    )
    expect((await certificateOf('data/chat.example.pem')).checkHost('chat.example')).toBe('chat.example')
  })

  it('prints one JSON object with --json, and says which files were there', async () => {
    await run(['localhost'], { out: path('certs') })
    const { code, lines } = await run(['localhost', '[::1]'], { out: path('certs'), json: true })
    expect(code).toBe(0)
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0]!)).toEqual({
      ok: true,
      authority: path('data/dev-ca.pem'),
      made: [path('certs/::1.pem')],
      certificates: [
        { host: 'localhost', file: path('certs/localhost.pem'), made: false },
        { host: '[::1]', file: path('certs/::1.pem'), made: true },
      ],
    })
  })

  it.each([[['../evil']], [['good.example', 'a b']], [['']]])('refuses %j and makes nothing', async hosts => {
    await expect(run(hosts)).rejects.toThrow(UserError)
    expect(await readdir(folder)).toEqual([])
  })

  it('says so when it cannot write', async () => {
    await writeFile(path('data'), '')
    await expect(run(['localhost'])).rejects.toThrow(UserError)
  })
})
