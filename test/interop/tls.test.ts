import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { certfile, domain, Meerkat } from '../support/meerkat.js'
import { patience } from '../support/programs.js'

/*
 * What is negotiated, as sslscan and `openssl s_client` see it who know nothing of Node.
 */

const run = promisify(execFile)
const openssl = '/usr/bin/openssl'
const sslscan = '/usr/bin/sslscan'

type Listener = 'plainDefaults' | 'oneSuite' | 'withHole'
const starttls = `
  tls.mode = "starttls"
  tls.certfile = "${certfile}"`

let server: Meerkat<Listener>

beforeAll(async () => {
  server = await Meerkat.start<Listener>({
    plainDefaults: starttls,
    oneSuite: `${starttls}
  tls.ciphers = "ECDHE-RSA-AES128-GCM-SHA256"
  tls.protocol_options = ["no_tlsv1", "no_tlsv1_1", "no_tlsv1_3"]`,
    withHole: `${starttls}
  tls.module = "just_tls"
  tls.versions = ["tlsv1.1", "tlsv1.3"]
  tls.ciphers = ["TLS_CHACHA20_POLY1305_SHA256", { key_exchange = "ecdhe_rsa", cipher = "aes_128_cbc", mac = "sha", prf = "default_prf" }]`,
  })
})
afterAll(async () => {
  expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
})

const rows: { listener: Listener; versions: string[]; suites?: string[] }[] = [
  { listener: 'plainDefaults', versions: ['1.2', '1.3'] },
  { listener: 'oneSuite', versions: ['1.2'], suites: ['ECDHE-RSA-AES128-GCM-SHA256'] },
  { listener: 'withHole', versions: ['1.1', '1.3'], suites: ['ECDHE-RSA-AES128-SHA', 'TLS_CHACHA20_POLY1305_SHA256'] },
]

function need(program: string, skip: (why: string) => void): void {
  if (existsSync(program)) return
  const missing = `${program} is missing: run scripts/install-peers.sh`
  if (process.env.CI === 'true') throw new Error(missing)
  skip(missing)
}

describe('sslscan', () => {
  it.for(rows)('finds in $listener the versions $versions', async (row, { skip }) => {
    need(sslscan, skip)
    // It asks for the domain that it connects to.
    const place = `${domain}:${server.ports[row.listener]}`
    const options = ['--starttls-xmpp', '--ipv4', '--no-colour', '--no-heartbleed', '--xml=-', place]
    const { stdout } = await run(sslscan, options, { timeout: patience })
    const found = (pattern: RegExp) => [...stdout.matchAll(pattern)].map(match => match[1]!)
    expect(found(/<protocol type="tls" version="([\d.]+)" enabled="1"/g)).toEqual(row.versions)
    expect(found(/<protocol type="ssl" version="([\d.]+)" enabled="1"/g)).toEqual([])
    const suites = found(/<cipher status="\w+" .*?cipher="([\w-]+)"/g)
    if (row.suites !== undefined) expect([...new Set(suites)].sort()).toEqual(row.suites)
    // The class of suites that lists name has ones without a certificate or encryption, too.
    else expect(suites.filter(name => /^(ADH|AECDH)|NULL/.test(name))).toEqual([])
    expect(suites.length).toBeGreaterThan(0)
    expect(stdout).toContain('<renegotiation supported="0"')
  })
})

describe('openssl s_client', () => {
  const flags = { '1.0': '-tls1', '1.1': '-tls1_1', '1.2': '-tls1_2', '1.3': '-tls1_3' }
  const cases = rows.flatMap(row =>
    Object.entries(flags).map(([version, flag]) => ({ ...row, version, flag, isOn: row.versions.includes(version) })),
  )

  it.for(cases)(
    'with $listener and TLS $version: $isOn',
    async ({ listener, suites, version, flag, isOn }, { skip }) => {
      need(openssl, skip)
      const place = `127.0.0.1:${server.ports[listener]}`
      const options = ['s_client', '-starttls', 'xmpp', '-xmpphost', domain, '-connect', place, '-brief', flag]
      options.push('-cipher', 'DEFAULT:@SECLEVEL=0', '-verify_return_error', '-CAfile', server.caFile)
      // The promise carries the process, whose end of input ends it.
      const running = run(openssl, options, { timeout: patience })
      running.child.stdin?.end()
      const { stderr, code } = await running.then(
        output => ({ ...output, code: 0 }),
        (error: { stderr: string; code: number }) => error,
      )
      expect(code === 0, stderr).toBe(isOn)
      if (!isOn) return
      const protocol = version === '1.0' ? 'TLSv1' : `TLSv${version}`
      expect(stderr).toMatch(new RegExp(`^Protocol version: ${protocol}$`, 'm'))
      const suite = /^Ciphersuite: (\S+)$/m.exec(stderr)?.[1]
      if (suites !== undefined) expect(suites).toContain(suite)
    },
  )
})
