import { constants } from 'node:crypto'
import { DEFAULT_CIPHERS as NODE_CIPHERS, type SecureContextOptions, type SecureVersion } from 'node:tls'
import type { C2sTlsConfig, CipherMember } from './listen-tls.js'
import { DEFAULT_CIPHERS, DEFAULT_PROTOCOL_OPTIONS, opensslName, suiteOf, type TLS_VERSIONS } from './tls-names.js'

/*
 * What the names in a `tls` table mean to Node. spec/listeners.md §1.6.1 - §1.6.3
 */

/** What is negotiated. */
export interface TlsSettings
  extends Pick<SecureContextOptions, 'ciphers' | 'honorCipherOrder' | 'minVersion' | 'maxVersion'> {
  secureOptions: number
}

interface Version {
  name: (typeof TLS_VERSIONS)[number]
  node: SecureVersion
  /** Of `protocol_options`; also the flag of OpenSSL. */
  off: string
  flag: number
}

/** Lowest first. */
const VERSIONS: readonly Version[] = [
  { name: 'tlsv1', node: 'TLSv1', off: 'no_tlsv1', flag: constants.SSL_OP_NO_TLSv1 },
  { name: 'tlsv1.1', node: 'TLSv1.1', off: 'no_tlsv1_1', flag: constants.SSL_OP_NO_TLSv1_1 },
  { name: 'tlsv1.2', node: 'TLSv1.2', off: 'no_tlsv1_2', flag: constants.SSL_OP_NO_TLSv1_2 },
  { name: 'tlsv1.3', node: 'TLSv1.3', off: 'no_tlsv1_3', flag: constants.SSL_OP_NO_TLSv1_3 },
]

const IS_OLD = new Set<string>(['tlsv1', 'tlsv1.1'])

/** `protocol_options` that are flags of OpenSSL and nothing else to Node; the historic ones are 0 today. */
const FLAGS: Readonly<Record<string, number>> = {
  no_sslv2: constants.SSL_OP_NO_SSLv2,
  no_sslv3: constants.SSL_OP_NO_SSLv3,
  no_compression: constants.SSL_OP_NO_COMPRESSION,
  no_ticket: constants.SSL_OP_NO_TICKET,
  no_session_resumption_on_renegotiation: constants.SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION,
  legacy_server_connect: constants.SSL_OP_LEGACY_SERVER_CONNECT,
  allow_unsafe_legacy_renegotiation: constants.SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION,
  cookie_exchange: constants.SSL_OP_COOKIE_EXCHANGE,
  cisco_anyconnect: constants.SSL_OP_CISCO_ANYCONNECT,
  no_query_mtu: constants.SSL_OP_NO_QUERY_MTU,
  cryptopro_tlsext_bug: constants.SSL_OP_CRYPTOPRO_TLSEXT_BUG,
  dont_insert_empty_fragments: constants.SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS,
  tls_rollback_bug: constants.SSL_OP_TLS_ROLLBACK_BUG,
  all: constants.SSL_OP_ALL,
}

/** The options are at odds: no version of TLS is left to negotiate. */
export class NoVersionError extends Error {
  override name = 'NoVersionError'
}

/** A listener's, by its `module`. */
export function tlsSettings(
  tls: Pick<C2sTlsConfig, 'module' | 'protocol_options' | 'ciphers' | 'versions'>,
): TlsSettings {
  if (tls.module === 'fast_tls') {
    return fastTlsSettings(typeof tls.ciphers === 'string' ? tls.ciphers : undefined, tls.protocol_options)
  }
  return justTlsSettings(typeof tls.ciphers === 'string' ? undefined : tls.ciphers, tls.versions)
}

/**
 * An OpenSSL cipher list and OpenSSL options, as `fast_tls` takes them.
 * @throws NoVersionError
 */
export function fastTlsSettings(
  ciphers: string | undefined,
  protocolOptions: readonly string[] = DEFAULT_PROTOCOL_OPTIONS,
): TlsSettings {
  const versions = VERSIONS.filter(({ off }) => !protocolOptions.includes(off))
  const tokens = (ciphers ?? DEFAULT_CIPHERS).split(/[:, ]/).filter(token => token !== '' && token !== 'TLSv1.3')
  const isOnly13 = tokens.every(isTls13)
  // The classes of the default list name no suite that TLS 1.1 has.
  if (ciphers === undefined && versions.some(({ name }) => IS_OLD.has(name))) tokens.push('HIGH')
  const flags = protocolOptions.map(option => FLAGS[option] ?? 0)
  return {
    ...negotiated(isOnly13 ? versions.filter(({ name }) => name === 'tlsv1.3') : versions, tokens),
    honorCipherOrder: protocolOptions.includes('cipher_server_preference'),
    secureOptions: holes(versions) | flags.reduce((all, flag) => all | flag, constants.SSL_OP_ALL),
  }
}

/**
 * Suites and versions, as `just_tls` takes them: exactly those, in the server's order.
 * @throws NoVersionError
 */
export function justTlsSettings(
  ciphers: readonly CipherMember[] | undefined,
  versions: readonly string[] = ['tlsv1.2', 'tlsv1.3'],
): TlsSettings {
  const names = ciphers?.map(suiteName) ?? NODE_CIPHERS.split(':')
  const allowed = VERSIONS.filter(({ name }) => versions.includes(name)).filter(({ name }) =>
    name === 'tlsv1.3' ? names.some(isTls13) : !names.every(isTls13),
  )
  return { ...negotiated(allowed, names), honorCipherOrder: true, secureOptions: holes(allowed) }
}

const isTls13 = (suite: string) => suite.startsWith('TLS_')

/** In OpenSSL's spelling. What no table and no name stands for was refused when the configuration was read. */
function suiteName(member: CipherMember): string {
  if (typeof member === 'string') return opensslName(member) ?? member
  return suiteOf(member)?.openssl ?? ''
}

function negotiated(versions: readonly Version[], ciphers: readonly string[]) {
  const [lowest, highest] = [versions[0], versions.at(-1)]
  if (lowest === undefined || highest === undefined) throw new NoVersionError('no version of TLS is left')
  const list = [...ciphers]
  const isPlain = list.some(token => !isTls13(token))
  // Suites without authentication or encryption belong to the classes that lists name, and SECLEVEL 0 lets them in.
  if (isPlain) list.push('!aNULL', '!eNULL')
  // OpenSSL 3 has no signature that TLS 1.0 and 1.1 know above it.
  if (versions.some(({ name }) => IS_OLD.has(name)) && !list.some(token => token.includes('@SECLEVEL'))) {
    list.push('@SECLEVEL=0')
  }
  return {
    minVersion: lowest.node,
    maxVersion: highest.node,
    ...(list.length === 0 ? {} : { ciphers: list.join(':') }),
  }
}

/** Flags that take out what lies between the lowest and the highest version and is not to be negotiated. */
function holes(versions: readonly Version[]): number {
  return VERSIONS.filter(version => !versions.includes(version)).reduce((flags, { flag }) => flags | flag, 0)
}
