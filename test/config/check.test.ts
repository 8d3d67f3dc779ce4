import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCheck } from '../../src/cli/check.js'
import { fileFindings } from '../../src/cli/check-files.js'
import { ensureDevelopmentCertificate } from '../../src/tls/certificates.js'
import { fixture } from '../tls/sockets.js'
import { fixtureModules, grammar } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'meerkat-check-'))
const at = (name: string) => join(folder, name)
afterAll(() => rmSync(folder, { recursive: true }))

const FILE = at('meerkat.toml')
const tls = (lines: string) =>
  `[general]\nhosts = ["localhost"]\n[[listen.c2s]]\nport = 5222\ntls.mode = "starttls"\n${lines}\n`

interface Report {
  ok: boolean
  problems: { line: number; path: string; code: string; value?: unknown; message: string }[]
}

async function check(text: string, options: { json?: boolean; dev?: boolean } = {}) {
  writeFileSync(FILE, text)
  const lines: string[] = []
  const output = { out: (line: string) => void lines.push(line), error: (line: string) => void lines.push(line) }
  const code = await runCheck(
    { file: FILE, json: false, dev: false, env: {}, modules: fixtureModules, ...options },
    output,
  )
  return { code, lines }
}

/** The problems of files, without the grammar's. */
async function checked(lines: string, dev = false) {
  const { code, lines: out } = await check(tls(lines), { json: true, dev })
  expect(out).toHaveLength(1)
  // The shape is what the first test below looks at.
  const { ok, problems } = JSON.parse(out[0]!) as Report
  expect(code).toBe(ok ? 0 : 1)
  return problems.map(({ path, code, line, value, message }) => ({ path, code, line, value, message }))
}

beforeAll(async () => {
  await ensureDevelopmentCertificate(at('good.pem'), ['localhost'], at('ca.pem'))
  const pem = readFileSync(at('good.pem'), 'utf8')
  const certificate = pem.slice(0, pem.indexOf('-----END CERTIFICATE-----') + 26)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(at('certificate.pem'), certificate)
  writeFileSync(at('key.pem'), pem.slice(certificate.length))
  writeFileSync(at('other-key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(at('mismatch.pem'), `${certificate}${privateKey.export({ type: 'pkcs8', format: 'pem' })}`)
  const key = pem.slice(certificate.length)
  const locked = createPrivateKey(key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'hunter2',
  })
  writeFileSync(at('locked.pem'), `${certificate}${locked}`)
  writeFileSync(at('empty.pem'), '')
  mkdirSync(at('folder'))
})

describe('meerkat check', () => {
  it('says one line and 0 for a good file', async () => {
    expect(await check('[general]\nhosts = ["localhost"]\n')).toEqual({
      code: 0,
      lines: [`${FILE}: the configuration is good`],
    })
  })

  it('says every problem, one per line, and 1', async () => {
    expect(await check('[general]\nhosts = []\nx = 1\n')).toEqual({
      code: 1,
      lines: [
        `${FILE}:2:1  general.hosts  incorrect_value  found []; allowed: a non-empty array of different domain names`,
        expect.stringContaining(`${FILE}:3:1  general.x  unexpected_option  unknown key`),
      ],
    })
  })

  it('--json prints one object, good or bad (DESIGN §8)', async () => {
    expect(await check('[general]\nhosts = ["localhost"]\n', { json: true })).toEqual({
      code: 0,
      lines: ['{"ok":true,"problems":[]}'],
    })
    const { code, lines } = await check('[general]\nhosts = 5\n', { json: true })
    expect(code).toBe(1)
    expect(lines.map(line => JSON.parse(line))).toEqual([
      {
        ok: false,
        problems: [
          {
            file: FILE,
            line: 2,
            column: 1,
            path: 'general.hosts',
            code: 'malformed_option',
            value: 5,
            message: 'found 5; allowed: a non-empty array of different domain names',
          },
        ],
      },
    ])
  })

  it('says that a file cannot be read', async () => {
    const lines: string[] = []
    const output = { out: (line: string) => void lines.push(line), error: (line: string) => void lines.push(line) }
    const options = { file: at('none.toml'), json: false, dev: false, env: {}, modules: [] }
    expect(await runCheck(options, output)).toBe(1)
    expect(lines).toEqual([expect.stringMatching(/none\.toml:1:1 {2}syntax_error {2}the file cannot be read: ENOENT/)])
  })

  it('accepts a certificate with its key, in one file or two', async () => {
    expect(await checked('tls.certfile = "good.pem"')).toEqual([])
    expect(await checked('tls.certfile = "certificate.pem"\ntls.keyfile = "key.pem"')).toEqual([])
    expect(await checked('tls.certfile = "locked.pem"\ntls.password = "hunter2"')).toEqual([])
  })

  it.each([
    ['a missing file', 'certfile = "none.pem"', 'certfile', /there is no such file/],
    ['a folder', 'certfile = "folder"', 'certfile', /is a folder/],
    ['an empty file', 'certfile = "empty.pem"', 'certfile', /holds no PEM certificate/],
    ['a file without a key', 'certfile = "certificate.pem"', 'certfile', /holds no PEM private key/],
    ['a key of another certificate in the file', 'certfile = "mismatch.pem"', 'certfile', /does not belong/],
    [
      'a key of another certificate in its own file',
      'certfile = "good.pem"\ntls.keyfile = "other-key.pem"',
      'keyfile',
      /does not belong/,
    ],
    ['a missing key file', 'certfile = "good.pem"\ntls.keyfile = "none.pem"', 'keyfile', /there is no such file/],
    ['an encrypted key without a password', 'certfile = "locked.pem"', 'password', /encrypted/],
    ['a wrong password', 'certfile = "locked.pem"\ntls.password = "hunter3"', 'password', /does not open/],
  ])('refuses %s as incorrect_value at its key', async (_, lines, key, message) => {
    const problems = await checked(`tls.${lines}`)
    expect(problems).toMatchObject([
      { path: `listen.c2s[0].tls.${key}`, code: 'incorrect_value', message: expect.stringMatching(message) },
    ])
    expect(JSON.stringify(problems)).not.toContain('hunter')
  })

  it('points at the line of the key', async () => {
    expect(await checked('# a comment\ntls.certfile = "none.pem"')).toMatchObject([{ line: 7, value: at('none.pem') }])
  })

  it.skipIf(process.getuid?.() === 0)('refuses a file that may not be read', async () => {
    writeFileSync(at('secret.pem'), '')
    chmodSync(at('secret.pem'), 0)
    expect(await checked('tls.certfile = "secret.pem"')).toMatchObject([
      { message: expect.stringMatching(/may not be read/) },
    ])
  })

  it('--dev takes missing certificates, which `start --dev` makes, but no broken ones', async () => {
    expect(await checked('tls.certfile = "none.pem"', true)).toEqual([])
    expect(await checked('tls.certfile = "mismatch.pem"', true)).toHaveLength(1)
  })

  it('tells of every listener in one run', async () => {
    const text = `${tls('tls.certfile = "none.pem"')}[[listen.c2s]]\nport = 5223\ntls = {mode = "tls", certfile = "empty.pem"}\n`
    const { lines } = await check(text)
    expect(lines.map(line => line.split('  ')[1])).toEqual(['listen.c2s[0].tls.certfile', 'listen.c2s[1].tls.certfile'])
  })
})

describe('the other files that TLS names', () => {
  it('are opened too', async () => {
    const { config } = grammar(`[general]
hosts = ["localhost"]
[[listen.c2s]]
port = 1
tls = {module = "just_tls", cacertfile = "${at('empty.pem')}", dhfile = "${at('ca.pem')}", crl_files = ["${fixture('crl')}", "${at('none.pem')}"]}
[[listen.s2s]]
port = 2
tls.cacertfile = "${at('ca.pem')}"
[[listen.http]]
port = 3
tls.certfile = "${at('none.pem')}"
[s2s]
certfile = "${at('certificate.pem')}"
domain_certfile = [{domain = "localhost", certfile = "${at('good.pem')}"}]
`)
    const findings = await fileFindings(config!, false)
    expect(findings.map(({ path }) => path.join('.'))).toEqual([
      'listen.http.0.tls.certfile',
      's2s.certfile',
      'listen.c2s.0.tls.cacertfile',
      'listen.c2s.0.tls.dhfile',
      'listen.c2s.0.tls.crl_files.1',
    ])
  })

  it.each([
    ['cacertfile', '', 'certificate.pem', 'empty.pem', 'holds no PEM certificate'],
    ['dhfile', '', fixture('dh'), 'certificate.pem', 'holds no PEM Diffie-Hellman parameters'],
    ['crl_files[0]', 'module = "just_tls"\ntls.', fixture('crl'), 'certificate.pem', 'holds no PEM revocation list'],
  ])('a bad %s is incorrect_value at its key, a good one is nothing', async (key, module, good, bad, problem) => {
    const option = (file: string) => (key.endsWith(']') ? `crl_files = ["${file}"]` : `${key} = "${file}"`)
    const lines = (file: string) => `tls.certfile = "good.pem"\ntls.${module}${option(file)}`
    expect(await checked(lines(good))).toEqual([])
    expect(await checked(lines(bad))).toEqual([
      expect.objectContaining({
        path: `listen.c2s[0].tls.${key}`,
        code: 'incorrect_value',
        value: at(bad),
        message: `${at(bad)}: ${problem}`,
      }),
    ])
  })
})
