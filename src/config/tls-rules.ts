import { createSecureContext, getCiphers } from 'node:tls'
import { printable } from './issues.js'
import type { C2sTlsConfig, CipherMember, HttpTlsConfig } from './listen-tls.js'
import type { RuleFinding } from './problem.js'
import type { Path } from './schema.js'
import { closest } from './suggest.js'
import { CIPHER_SUITES, opensslName, suiteOf } from './tls-names.js'
import { fastTlsSettings, justTlsSettings, NoVersionError, type TlsSettings, tlsSettings } from './tls-settings.js'

/*
 * Rules across the keys of a listener's `tls` table. spec/listeners.md §1.5, §1.6; spec/http-listener.md §2
 */

/** Keys that only one value of `tls.module` knows. */
const KEYS_OF_MODULE = {
  fast_tls: ['protocol_options'],
  just_tls: ['versions', 'verify_mode', 'disconnect_on_failure', 'crl_files'],
} as const

/** `[listen.c2s.tls]` at `path`. */
export function c2sTlsFindings(tls: C2sTlsConfig, path: Path): RuleFinding[] {
  const findings: RuleFinding[] = []
  if (tls.mode !== undefined && tls.certfile === undefined) {
    findings.push({
      path: [...path, 'certfile'],
      code: 'missing_option',
      message: `missing; tls.mode = "${tls.mode}" needs the file with the certificate`,
      because: [
        [...path, 'certfile'],
        [...path, 'mode'],
      ],
    })
  }
  if (tls.module === 'just_tls' && tls.disconnect_on_failure !== undefined && tls.verify_mode === undefined) {
    findings.push({
      path: [...path, 'verify_mode'],
      code: 'missing_option',
      message: 'missing; disconnect_on_failure needs it',
      because: ['verify_mode', 'disconnect_on_failure', 'module'].map(key => [...path, key]),
    })
  }
  findings.push(...foreignKeys(tls, path), ...c2sCipherFindings(tls, [...path, 'ciphers']))
  // What is wrong by itself needs no second finding.
  if (findings.some(({ path: [...found] }) => NEGOTIATED.has(String(found[path.length])))) return findings
  return [...findings, ...settingsFindings(() => tlsSettings(tls), tls, path)]
}

/** `[listen.http.tls]` at `path`. HT-3, HT-7 */
export function httpTlsFindings(tls: HttpTlsConfig, path: Path): RuleFinding[] {
  const findings = (tls.ciphers ?? []).flatMap((member, index) => memberFindings(member, [...path, 'ciphers', index]))
  if (findings.length === 0) {
    findings.push(...settingsFindings(() => justTlsSettings(tls.ciphers, tls.versions), tls, path))
  }
  const isVerified = tls.verify_peer && (tls.verify_mode ?? 'peer') === 'peer'
  if (isVerified && tls.cacertfile === undefined) {
    findings.push({
      path: [...path, 'cacertfile'],
      code: 'missing_option',
      message: 'missing; verify_peer = true needs the authorities that may sign certificates of clients',
      because: ['cacertfile', 'verify_peer', 'verify_mode'].map(key => [...path, key]),
    })
  }
  return findings
}

/** An OpenSSL cipher list at `path`. §1.6.2 */
export function cipherListFindings(list: string, path: Path): RuleFinding[] {
  if (isServed(fastTlsSettings(list))) return []
  const suggestion = /[:, ]/.test(list) ? undefined : closest(list, opensslNames())
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
  return [
    {
      path,
      code: 'incorrect_value',
      message: `found ${JSON.stringify(list)}; allowed: an OpenSSL cipher list that names a suite${hint}`,
      value: list,
      ...(suggestion === undefined ? {} : { suggestion }),
    },
  ]
}

/** Options that decide together what is negotiated. */
const NEGOTIATED = new Set(['protocol_options', 'versions', 'ciphers'])

/** Options that are right by themselves, and leave nothing to negotiate together. */
function settingsFindings(
  settings: () => TlsSettings,
  tls: Pick<C2sTlsConfig, 'protocol_options' | 'versions' | 'ciphers'>,
  path: Path,
): RuleFinding[] {
  const keys = (['protocol_options', 'versions', 'ciphers'] as const).filter(key => tls[key] !== undefined)
  const because = keys.map(key => [...path, key])
  const at = because[0]
  if (at === undefined) return []
  const finding = (message: string): RuleFinding[] => [{ path: at, code: 'incorrect_value', message, because }]
  try {
    return isServed(settings()) ? [] : finding('OpenSSL serves none of these suites')
  } catch (error) {
    if (!(error instanceof NoVersionError)) throw error
    return finding(`no version of TLS is left that ${keys.join(' and ')} ${keys.length === 1 ? 'allows' : 'allow'}`)
  }
}

/** False when OpenSSL has none of the suites; its own text says no more than that. */
function isServed({ ciphers }: TlsSettings): boolean {
  try {
    // `ca: []` keeps Node from reading its list of authorities.
    createSecureContext({ ciphers, ca: [] })
    return true
  } catch {
    return false
  }
}

function foreignKeys(tls: C2sTlsConfig, path: Path): RuleFinding[] {
  const other = tls.module === 'fast_tls' ? 'just_tls' : 'fast_tls'
  return KEYS_OF_MODULE[other]
    .filter(key => tls[key] !== undefined)
    .map(key => ({
      path: [...path, key],
      code: 'unexpected_option',
      message: `unknown key with tls.module = "${tls.module}"; it belongs to "${other}"`,
      because: [
        [...path, key],
        [...path, 'module'],
      ],
    }))
}

function c2sCipherFindings(tls: C2sTlsConfig, path: Path): RuleFinding[] {
  const { ciphers, module } = tls
  if (ciphers === undefined) return []
  const isText = typeof ciphers === 'string'
  if (isText !== (module === 'fast_tls')) {
    const wanted = isText ? 'an array of tables and suite names' : 'an OpenSSL cipher list (string)'
    const found = isText ? 'a string' : 'an array'
    return [
      {
        path,
        code: 'malformed_option',
        message: `found ${found}; allowed with tls.module = "${module}": ${wanted}`,
        ...printable(ciphers),
        because: [path, [...path.slice(0, -1), 'module']],
      },
    ]
  }
  return isText
    ? cipherListFindings(ciphers, path)
    : ciphers.flatMap((member, index) => memberFindings(member, [...path, index]))
}

function memberFindings(member: CipherMember, path: Path): RuleFinding[] {
  if (typeof member !== 'string') {
    if (suiteOf(member) !== undefined) return []
    const fields = Object.entries(member).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
    const nearest = CIPHER_SUITES.find(
      suite => suite.key_exchange === member.key_exchange && suite.cipher === member.cipher,
    )
    const hint = nearest === undefined ? '' : `; did you mean mac = "${nearest.mac}", prf = "${nearest.prf}"?`
    return [{ path, code: 'incorrect_value', message: `no suite is { ${fields.join(', ')} }${hint}` }]
  }
  if (opensslName(member) !== undefined || opensslNames().includes(member)) return []
  const suggestion = closest(member, [...opensslNames(), ...CIPHER_SUITES.map(suite => suite.iana)])
  const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
  return [
    {
      path,
      code: 'incorrect_value',
      message: `found ${JSON.stringify(member)}; allowed: the OpenSSL or IANA name of a suite${hint}`,
      value: member,
      ...(suggestion === undefined ? {} : { suggestion }),
    },
  ]
}

/** What this Node's OpenSSL serves. */
function opensslNames(): string[] {
  return getCiphers().map(name => name.toUpperCase())
}
