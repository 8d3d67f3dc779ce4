import { readFile } from 'node:fs/promises'

/*
 * The files that a `tls` table names, and what can be wrong with them.
 */

/** The options of a listener's `tls` table that name files. spec/listeners.md §1.5 */
export interface ServerTlsOptions {
  /** PEM: the certificate, then its chain; and the private key, unless `keyfile` names it. */
  certfile: string
  /** PEM: the private key. */
  keyfile?: string | undefined
  /** Of an encrypted private key. */
  password?: string | undefined
  /** PEM: authorities that may sign certificates of clients; the built-in ones when it is left out. */
  cacertfile?: string | undefined
  /** PEM: parameters for Diffie-Hellman; OpenSSL chooses when it is left out. */
  dhfile?: string | undefined
  /** PEM: one or more revocation lists each. */
  crl_files?: readonly string[] | undefined
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

export type FileOption = Exclude<keyof ServerTlsOptions, 'password'>

/**
 * The text of a file.
 * @throws TlsOptionError
 */
export async function readPem(option: FileOption, file: string): Promise<string> {
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

export const reason = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

/** Every block of the kind, such as `CERTIFICATE`, with its two lines around it. RFC 7468 */
export const blocksOf = (pem: string, label: string): string[] =>
  pem.match(new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, 'g')) ?? []

/** What a block holds, decoded. */
export const derOf = (block: string): Buffer => Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64')
