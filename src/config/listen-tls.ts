import { z } from 'zod'
import { nestring, path, secret } from './primitives.js'
import { HISTORIC_PROTOCOL_OPTIONS, PROTOCOL_OPTIONS, TLS_VERSIONS } from './tls-names.js'

/*
 * The `tls` subtables of listeners. spec/listeners.md §1.5, §1.12, §1.14. Which keys belong to which `tls.module` is a
 * rule across keys: tls-rules.ts.
 */

const certfile = path().optional().meta({
  unset: 'none',
  description: 'PEM file with the certificate, its chain (leaf first) and, unless `keyfile` names it, the private key.',
  example: 'server.pem',
})
const cacertfile = path().optional().meta({
  unset: 'the authorities that Node brings',
  description:
    'PEM file with the authorities that may sign certificates of peers. Means nothing without `verify_peer`.',
  example: 'ca.pem',
})
const dhfile = path().optional().meta({
  unset: 'a group of the size that goes with the certificate',
  description: 'PEM file with Diffie-Hellman parameters, for DHE suites.',
  example: 'dh.pem',
})
const keyfile = path()
  .optional()
  .meta({ unset: 'the key in `certfile`', description: 'PEM file with the private key.', example: 'key.pem' })
const password = secret()
  .optional()
  .meta({ unset: 'none', description: 'Passphrase of the private key.', example: 'secret' })
const verifyPeer = z.boolean().default(false).meta({
  description:
    'Asks clients for a certificate and verifies it. One that is good opens SASL EXTERNAL; none at all is no failure.',
  example: true,
})
const verifyMode = z.enum(['peer', 'selfsigned_peer', 'none']).optional().meta({
  unset: 'peer',
  description:
    'How certificates are verified (with `verify_peer`): fully, self-signed ones allowed too, or not at all.',
  example: 'selfsigned_peer',
})
const versions = z
  .array(z.enum(TLS_VERSIONS).meta({ refused: { sslv3: 'SSLv3 is broken (RFC 7568) and not compiled into Node' } }))
  .min(1)
  .optional()
  .meta({
    unset: 'TLS 1.2 and 1.3',
    description: 'Exactly the versions that are negotiated.',
    example: ['tlsv1.2', 'tlsv1.3'],
  })
const protocolOptions = z
  .array(z.enum([...PROTOCOL_OPTIONS, ...HISTORIC_PROTOCOL_OPTIONS]))
  .optional()
  .meta({
    unset: '["no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1"]',
    description:
      'OpenSSL options; replaces the default list as a whole, so that versions it does not exclude are on. Clients may resume sessions by ticket unless it has "no_ticket". The historic names, from "single_dh_use" on, have no effect.',
    example: ['no_tlsv1', 'no_tlsv1_1'],
  })
const cipherString = nestring().meta({ syntax: 'an OpenSSL cipher list (non-empty string)' })

const field = (description: string, example: string) => nestring().meta({ description, example })
const cipherTable = z.strictObject({
  key_exchange: field('Key exchange; "any" means a TLS 1.3 suite.', 'any'),
  cipher: field('Cipher.', 'aes_256_gcm'),
  mac: field('Message authentication; "aead" where the cipher does it.', 'aead'),
  prf: field('Pseudo-random function.', 'sha384'),
})
const cipherTables = z
  .array(
    z.union([cipherTable, nestring()]).meta({
      syntax: 'a table with key_exchange, cipher, mac and prf, or the name of a suite',
    }),
  )
  .min(1)
const CIPHER_TABLE_EXAMPLE = [{ key_exchange: 'any', cipher: 'aes_256_gcm', mac: 'aead', prf: 'sha384' }]

export const c2sTls = z
  .strictObject({
    module: z.enum(['fast_tls', 'just_tls']).default('fast_tls').meta({
      description: 'Decides which of these keys are legal and what a bad client certificate causes.',
      example: 'just_tls',
    }),
    mode: z.enum(['tls', 'starttls', 'starttls_required']).optional().meta({
      unset: 'no TLS',
      description:
        'TLS before the first byte of the stream, offered in the stream, or demanded in the stream. Needs `certfile`.',
      example: 'starttls',
    }),
    certfile,
    keyfile,
    password,
    cacertfile,
    dhfile,
    verify_peer: verifyPeer,
    protocol_options: protocolOptions,
    ciphers: z.union([cipherString, cipherTables]).optional().meta({
      syntax: 'an OpenSSL cipher list (string, for fast_tls) or an array of tables and suite names (for just_tls)',
      unset: '"TLSv1.2:TLSv1.3" and, for older versions, what those have (fast_tls), all (just_tls)',
      description:
        'Suites that are negotiated. For fast_tls a list, which does not limit the suites of TLS 1.3 unless it names some ("TLS_..."); "TLSv1.3" alone means no older version. For just_tls an array; each member is the name of a suite or a table with `key_exchange`, `cipher`, `mac` and `prf`; without a suite of TLS 1.3 there is no TLS 1.3. Never served are suites without a certificate or encryption.',
      example: 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384',
    }),
    versions,
    verify_mode: verifyMode,
    disconnect_on_failure: z.boolean().optional().meta({
      unset: 'true',
      description:
        'Ends the connection when verification fails; false serves it as if it had no certificate. Needs `verify_mode`.',
      example: false,
    }),
    crl_files: z
      .array(path())
      .optional()
      .meta({
        unset: 'none',
        description:
          'PEM files with revocation lists. Every authority in a chain needs a list, or verification fails; a self-signed certificate, which has none, fails as well.',
        example: ['certs.crl'],
      }),
  })
  .meta({
    description:
      'Encryption of client connections. `protocol_options` and the string form of `ciphers` are legal with module fast_tls; `versions`, `verify_mode`, `disconnect_on_failure`, `crl_files` and the array form of `ciphers` with just_tls.',
    example: { mode: 'starttls', certfile: 'server.pem' },
  })
export type C2sTlsConfig = z.infer<typeof c2sTls>
export type CipherMember = z.infer<typeof cipherTables>[number]

export const s2sTls = z
  .strictObject({
    cacertfile: cacertfile.meta({
      unset: 'the authorities that Node brings',
      description:
        'PEM file with the authorities that may sign certificates of other servers, which are always asked for one. Those of the first listener that names them count for outgoing connections too.',
      example: 'ca.pem',
    }),
    dhfile,
    ciphers: cipherString
      .default('TLSv1.2:TLSv1.3')
      .meta({ description: 'Suites that are negotiated.', example: 'ECDHE-RSA-AES256-GCM-SHA384' }),
    protocol_options: protocolOptions,
  })
  .meta({
    description:
      'Encryption of incoming server connections; whether there is any, and the certificate, stand in `[s2s]`.',
    example: { dhfile: 'dh.pem' },
  })

export const httpTls = z
  .strictObject({
    certfile: path().meta({
      description:
        'PEM file with the certificate, its chain (leaf first) and, unless `keyfile` names it, the private key.',
      example: 'server.pem',
    }),
    keyfile,
    password,
    cacertfile,
    dhfile,
    verify_peer: verifyPeer,
    verify_mode: verifyMode,
    ciphers: cipherTables.optional().meta({
      syntax: 'a non-empty array of tables and suite names',
      unset: 'all',
      description: 'Suites that are negotiated, each given by name or as a table.',
      example: CIPHER_TABLE_EXAMPLE,
    }),
    versions,
  })
  .meta({ description: 'Makes it HTTPS.', example: { certfile: 'cert.pem', keyfile: 'key.pem' } })
export type HttpTlsConfig = z.infer<typeof httpTls>
