import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

/** The options of a listener's `tls` table that say what the server shows of itself. spec/listeners.md §1.5 */
export interface ServerTlsOptions {
  /** PEM: the certificate, then its chain; and the private key, unless `keyfile` names it. */
  certfile: string
  /** PEM: the private key. */
  keyfile?: string | undefined
  /** Of an encrypted private key. */
  password?: string | undefined
}

/** Says which option of a `tls` table is wrong, and how. */
export class TlsOptionError extends Error {
  override name = 'TlsOptionError'
  constructor(
    readonly option: keyof ServerTlsOptions,
    /** The file that the option names. */
    readonly file: string,
    readonly problem: string,
    options?: ErrorOptions,
  ) {
    super(`${option}: ${file}: ${problem}`, options)
  }
}

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
 * Reads the certificate and its key and makes Node's TLS context of them: TLS 1.2 and newer, DHE served, the client's
 * order of ciphers. `overrides` are laid over these defaults.
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
    dhparam: 'auto', // without it Node cannot serve DHE
    honorCipherOrder: false,
    ...overrides,
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

/**
 * The certificate, chain and key that the options name.
 * @throws TlsOptionError
 */
export async function readServerIdentity(options: ServerTlsOptions): Promise<ServerIdentity> {
  const pem = await read('certfile', options.certfile)
  const [certificate, ...chain] = readCertificates(pem, options.certfile)
  if (certificate === undefined) throw new TlsOptionError('certfile', options.certfile, 'holds no PEM certificate')
  const key =
    options.keyfile === undefined
      ? readKey('certfile', options.certfile, pem, options.password)
      : readKey('keyfile', options.keyfile, await read('keyfile', options.keyfile), options.password)
  if (!certificate.checkPrivateKey(key)) {
    const [option, file] =
      options.keyfile === undefined
        ? (['certfile', options.certfile] as const)
        : (['keyfile', options.keyfile] as const)
    throw new TlsOptionError(option, file, 'the private key does not belong to the first certificate')
  }
  return { certificates: [certificate, ...chain], key }
}

async function read(option: 'certfile' | 'keyfile', file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new TlsOptionError(option, file, unreadable(cause), { cause })
  }
}

function unreadable(cause: unknown): string {
  switch (cause instanceof Error && 'code' in cause ? cause.code : undefined) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EACCES':
      return 'may not be read'
    case 'EISDIR':
      return 'is a folder'
    default:
      return `cannot be read: ${reason(cause)}`
  }
}

const reason = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g
const keyBlock = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z]+ )*PRIVATE KEY-----/

function readCertificates(pem: string, file: string): X509Certificate[] {
  return (pem.match(certificateBlock) ?? []).map((block, i) => {
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
