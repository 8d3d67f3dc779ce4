import { checkPrime, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { children, readElement } from './der.js'
import { blocksOf, derOf, type FileOption, readPem, reason, TlsOptionError } from './files.js'

/*
 * What TLS takes from files beside the certificate. OpenSSL takes a file with nothing in it, and Node drops parameters
 * that it cannot read, without a word: so all of it is looked at first. spec/listeners.md §1.5
 */

/**
 * The certificates in `cacertfile`, each in PEM.
 * @throws TlsOptionError
 */
export async function readAuthorities(file: string): Promise<string[]> {
  const blocks = await blocksIn('cacertfile', file, 'CERTIFICATE', 'certificate')
  for (const [i, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch (cause) {
      throw new TlsOptionError('cacertfile', file, `its certificate number ${i + 1} is broken: ${reason(cause)}`, {
        cause,
      })
    }
  }
  return blocks
}

/**
 * The revocation lists in one of `crl_files`, each in PEM.
 * @throws TlsOptionError
 */
export async function readRevocationLists(file: string): Promise<string[]> {
  const blocks = await blocksIn('crl_files', file, 'X509 CRL', 'revocation list')
  refusedByOpenSsl('crl_files', file, { crl: blocks })
  return blocks
}

const isPrime = promisify<Buffer, boolean>(checkPrime)

/**
 * The parameters in `dhfile`, in PEM.
 * @throws TlsOptionError
 */
export async function readDhParameters(file: string): Promise<string> {
  const blocks = await blocksIn('dhfile', file, '(?:X9\\.42 )?DH PARAMETERS', 'Diffie-Hellman parameters')
  const block = blocks[0]! // there is one, or `blocksIn` throws
  if (!(await isPrime(primeOf(derOf(block))))) {
    throw new TlsOptionError('dhfile', file, 'its Diffie-Hellman parameters are broken: there is no prime in them')
  }
  refusedByOpenSsl('dhfile', file, { dhparam: block })
  return block
}

/** DHParameter ::= SEQUENCE { prime INTEGER, base INTEGER, .. }, PKCS #3; empty where it is something else. */
function primeOf(der: Buffer): Buffer {
  const isSequence = der[0] === 0x30
  try {
    const [prime, base] = isSequence ? children(readElement(der).content) : []
    return prime?.tag === 2 && base?.tag === 2 ? prime.content : Buffer.of(0)
  } catch {
    return Buffer.of(0) // lengths that lead nowhere
  }
}

async function blocksIn(option: FileOption, file: string, label: string, what: string): Promise<string[]> {
  const blocks = blocksOf(await readPem(option, file), label)
  if (blocks.length === 0) throw new TlsOptionError(option, file, `holds no PEM ${what}`)
  return blocks
}

function refusedByOpenSsl(option: FileOption, file: string, settings: Parameters<typeof createSecureContext>[0]): void {
  try {
    // `ca: []` keeps Node from reading its list of authorities.
    createSecureContext({ ca: [], ...settings })
  } catch (cause) {
    throw new TlsOptionError(option, file, `is refused by OpenSSL: ${reason(cause)}`, { cause })
  }
}
