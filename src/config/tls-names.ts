/*
 * The names that TLS options may hold, as data. spec/listeners.md §1.6
 */

/** A suite as `just_tls` names it, with its OpenSSL and its IANA name. */
export interface CipherSuite {
  key_exchange: string
  cipher: string
  mac: string
  prf: string
  openssl: string
  iana: string
}

/** `tls.ciphers` of `fast_tls` where it is not set. */
export const DEFAULT_CIPHERS = 'TLSv1.2:TLSv1.3'

/** `tls.protocol_options` where it is not set. */
export const DEFAULT_PROTOCOL_OPTIONS: readonly string[] = ['no_sslv2', 'no_sslv3', 'no_tlsv1', 'no_tlsv1_1']

/** `tls.protocol_options` that change something. §1.6.1 */
export const PROTOCOL_OPTIONS = [
  'no_sslv2',
  'no_sslv3',
  'no_tlsv1',
  'no_tlsv1_1',
  'no_tlsv1_2',
  'no_tlsv1_3',
  'cipher_server_preference',
  'no_compression',
  'no_ticket',
  'no_session_resumption_on_renegotiation',
  'legacy_server_connect',
  'allow_unsafe_legacy_renegotiation',
  'cookie_exchange',
  'cisco_anyconnect',
  'no_query_mtu',
  'cryptopro_tlsext_bug',
  'dont_insert_empty_fragments',
  'tls_rollback_bug',
  'all',
] as const

/** `tls.protocol_options` whose OpenSSL flag is 0 today: accepted without effect. §1.6.1 */
export const HISTORIC_PROTOCOL_OPTIONS = [
  'single_dh_use',
  'single_ecdh_use',
  'ephemeral_rsa',
  'microsoft_big_sslv3_buffer',
  'microsoft_sess_id_bug',
  'msie_sslv2_rsa_padding',
  'netscape_ca_dn_bug',
  'netscape_challenge_bug',
  'netscape_demo_cipher_change_bug',
  'netscape_reuse_cipher_change_bug',
  'pkcs1_check_1',
  'pkcs1_check_2',
  'ssleay_080_client_dh_bug',
  'sslref2_reuse_cert_type_bug',
  'tls_block_padding_bug',
  'tls_d5_bug',
] as const

/** `tls.versions` of `just_tls`, lowest first. */
export const TLS_VERSIONS = ['tlsv1', 'tlsv1.1', 'tlsv1.2', 'tlsv1.3'] as const

const EPHEMERAL = ['ecdhe_ecdsa', 'ecdhe_rsa', 'dhe_rsa']

/** Every suite that a `ciphers` table can name. §1.6.3 */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  ...tls13('aes_256_gcm', 'sha384'),
  ...tls13('aes_128_gcm', 'sha256'),
  ...tls13('chacha20_poly1305', 'sha256'),
  ...tls13('aes_128_ccm', 'sha256'),
  ...tls13('aes_128_ccm_8', 'sha256'),
  ...suites(EPHEMERAL, 'aes_256_gcm', 'aead', 'sha384', 'AES256-GCM-SHA384', 'AES_256_GCM_SHA384'),
  ...suites(EPHEMERAL, 'aes_128_gcm', 'aead', 'sha256', 'AES128-GCM-SHA256', 'AES_128_GCM_SHA256'),
  ...suites(EPHEMERAL, 'chacha20_poly1305', 'aead', 'sha256', 'CHACHA20-POLY1305', 'CHACHA20_POLY1305_SHA256'),
  ...suites(['ecdhe_ecdsa', 'dhe_rsa'], 'aes_256_ccm', 'aead', 'sha256', 'AES256-CCM', 'AES_256_CCM'),
  ...suites(['ecdhe_ecdsa', 'dhe_rsa'], 'aes_128_ccm', 'aead', 'sha256', 'AES128-CCM', 'AES_128_CCM'),
  ...suites(['ecdhe_ecdsa', 'dhe_rsa'], 'aes_256_ccm_8', 'aead', 'sha256', 'AES256-CCM8', 'AES_256_CCM_8'),
  ...suites(['ecdhe_ecdsa', 'dhe_rsa'], 'aes_128_ccm_8', 'aead', 'sha256', 'AES128-CCM8', 'AES_128_CCM_8'),
  ...suites(['ecdhe_ecdsa', 'ecdhe_rsa'], 'aes_256_cbc', 'sha384', 'sha384', 'AES256-SHA384', 'AES_256_CBC_SHA384'),
  ...suites(['ecdhe_ecdsa', 'ecdhe_rsa'], 'aes_128_cbc', 'sha256', 'sha256', 'AES128-SHA256', 'AES_128_CBC_SHA256'),
  ...suites([...EPHEMERAL, 'rsa'], 'aes_256_cbc', 'sha', 'default_prf', 'AES256-SHA', 'AES_256_CBC_SHA'),
  ...suites([...EPHEMERAL, 'rsa'], 'aes_128_cbc', 'sha', 'default_prf', 'AES128-SHA', 'AES_128_CBC_SHA'),
  ...suites(['dhe_rsa', 'rsa'], 'aes_256_cbc', 'sha256', 'default_prf', 'AES256-SHA256', 'AES_256_CBC_SHA256'),
  ...suites(['dhe_rsa', 'rsa'], 'aes_128_cbc', 'sha256', 'default_prf', 'AES128-SHA256', 'AES_128_CBC_SHA256'),
  ...suites(['rsa'], 'aes_256_gcm', 'aead', 'sha384', 'AES256-GCM-SHA384', 'AES_256_GCM_SHA384'),
  ...suites(['rsa'], 'aes_128_gcm', 'aead', 'sha256', 'AES128-GCM-SHA256', 'AES_128_GCM_SHA256'),
  ...suites(['rsa', 'ecdhe_rsa'], '3des_ede_cbc', 'sha', 'default_prf', 'DES-CBC3-SHA', '3DES_EDE_CBC_SHA'),
]

/** The suite that the four fields name, or undefined when no such suite exists. */
export function suiteOf(fields: { key_exchange: string; cipher: string; mac: string; prf: string }) {
  return CIPHER_SUITES.find(
    suite =>
      suite.key_exchange === fields.key_exchange &&
      suite.cipher === fields.cipher &&
      suite.mac === fields.mac &&
      suite.prf === fields.prf,
  )
}

/** The OpenSSL name of a suite given by its OpenSSL or IANA name; undefined when the table does not hold it. */
export function opensslName(name: string): string | undefined {
  return CIPHER_SUITES.find(suite => suite.openssl === name || suite.iana === name)?.openssl
}

function tls13(cipher: string, prf: string): CipherSuite[] {
  const name = `TLS_${cipher.toUpperCase()}_${prf.toUpperCase()}`
  return [{ key_exchange: 'any', cipher, mac: 'aead', prf, openssl: name, iana: name }]
}

function suites(exchanges: string[], cipher: string, mac: string, prf: string, openssl: string, iana: string) {
  return exchanges.map(exchange => ({
    key_exchange: exchange,
    cipher,
    mac,
    prf,
    // OpenSSL leaves the plain RSA key exchange unnamed.
    openssl: exchange === 'rsa' ? openssl : `${exchange.replace('_', '-').toUpperCase()}-${openssl}`,
    iana: `TLS_${exchange.toUpperCase()}_WITH_${iana}`,
  }))
}
