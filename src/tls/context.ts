import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { blocksOf, readPem, reason, type ServerTlsOptions, TlsOptionError } from './files.js'
import { readAuthorities, readDhParameters, readRevocationLists } from './material.js'

export { type ServerTlsOptions, TlsOptionError } from './files.js'

export interface ServerIdentity {
  /** What the server sends: its own certificate first, then the chain. */
  certificates: [X509Certificate, ...X509Certificate[]]
  key: KeyObject
}

export interface ServerSecureContext extends ServerIdentity {
  /** For a `TLSSocket`. */
  context: SecureContext
  /** What the context was made of, for `tls.createServer` and `server.setSecureContext`. */
  settings: SecureContextOptions
}

/**
 * Reads the files and makes Node's TLS context of them: TLS 1.2 and newer, DHE served, the client's order of ciphers, no
 * renegotiation. `overrides` are laid over these defaults. Connections that share the context share the key of its
 * session tickets.
 * @throws TlsOptionError for a file that is missing, unreadable or not what its option asks for
 */
export async function serverSecureContext(
  options: ServerTlsOptions,
  overrides: SecureContextOptions = {},
): Promise<ServerSecureContext> {
  const identity = await readServerIdentity(options)
  const { certificates, key } = identity
  const settings: SecureContextOptions = {
    minVersion: 'TLSv1.2',
    honorCipherOrder: false,
    ...(await readMaterial(options)),
    ...overrides,
    // Who a client is would have to be looked at again after each one.
    secureOptions: (overrides.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION,
    cert: certificates.map(String).join('\n'),
    key: key.export({ type: 'pkcs8', format: 'pem' }),
  }
  try {
    return { ...identity, context: createSecureContext(settings), settings }
  } catch (cause) {
    // OpenSSL's own view, for instance of a key that is too short for its security level
    throw new TlsOptionError('certfile', options.certfile, `is refused by OpenSSL: ${reason(cause)}`, { cause })
  }
}

async function readMaterial({ cacertfile, dhfile, crl_files }: ServerTlsOptions): Promise<SecureContextOptions> {
  const crl: string[] = []
  for (const file of crl_files ?? []) crl.push(...(await readRevocationLists(file)))
  return {
    // 'auto': without it Node cannot serve DHE
    dhparam: dhfile === undefined ? 'auto' : await readDhParameters(dhfile),
    ...(cacertfile === undefined ? {} : { ca: await readAuthorities(cacertfile) }),
    ...(crl.length === 0 ? {} : { crl }),
  }
}

/**
 * The certificate, chain and key that the options name.
 * @throws TlsOptionError
 */
export async function readServerIdentity(options: ServerTlsOptions): Promise<ServerIdentity> {
  const pem = await readPem('certfile', options.certfile)
  const [certificate, ...chain] = readCertificates(pem, options.certfile)
  if (certificate === undefined) throw new TlsOptionError('certfile', options.certfile, 'holds no PEM certificate')
  const key =
    options.keyfile === undefined
      ? readKey('certfile', options.certfile, pem, options.password)
      : readKey('keyfile', options.keyfile, await readPem('keyfile', options.keyfile), options.password)
  if (!certificate.checkPrivateKey(key)) {
    const [option, file] =
      options.keyfile === undefined
        ? (['certfile', options.certfile] as const)
        : (['keyfile', options.keyfile] as const)
    throw new TlsOptionError(option, file, 'the private key does not belong to the first certificate')
  }
  return { certificates: [certificate, ...chain], key }
}

const keyBlock = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z]+ )*PRIVATE KEY-----/

function readCertificates(pem: string, file: string): X509Certificate[] {
  return blocksOf(pem, 'CERTIFICATE').map((block, i) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new TlsOptionError('certfile', file, `its certificate number ${i + 1} is broken: ${reason(cause)}`, {
        cause,
      })
    }
  })
}

function readKey(option: 'certfile' | 'keyfile', file: string, pem: string, password: string | undefined): KeyObject {
  const block = pem.match(keyBlock)?.[0]
  if (block === undefined) throw new TlsOptionError(option, file, 'holds no PEM private key')
  const isEncrypted = /BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(block)
  if (isEncrypted && password === undefined) {
    throw new TlsOptionError('password', file, 'the private key is encrypted, so it needs a password')
  }
  try {
    return createPrivateKey(password === undefined ? block : { key: block, passphrase: password })
  } catch (cause) {
    if (isEncrypted) throw new TlsOptionError('password', file, 'does not open the private key', { cause })
    throw new TlsOptionError(option, file, `its private key is broken: ${reason(cause)}`, { cause })
  }
}
