import type { Credentials, ScramHash, ScramKeys } from '../protocols/sasl/credentials.js'
import { scramHashes } from '../protocols/sasl/scram-keys.js'

/*
 * A password as a back end keeps it for MongooseIM: `==SCRAM==,StoredKey,ServerKey,Salt,Iterations` (SHA-1), or
 * `==MULTI_SCRAM==,Iterations,===SHA1===Salt|StoredKey|ServerKey,==SHA256==...`, where older versions write the salt once, before the count.
 */

const hashOfLabel: Readonly<Record<string, ScramHash>> = {
  SHA1: 'sha',
  SHA224: 'sha224',
  SHA256: 'sha256',
  SHA384: 'sha384',
  SHA512: 'sha512',
}

/** More iterations would keep a thread busy for seconds. */
const MOST_ITERATIONS = 1_000_000

/** Credentials from a text of a back end; a text that is no serialised key is the password itself. Undefined when it is broken. */
export function credentialsFromText(text: string): Credentials | undefined {
  const [label, ...fields] = text.split(',')
  if (label === '==SCRAM==') return single(fields)
  if (label === '==MULTI_SCRAM==') return multiple(fields)
  return text === '' ? undefined : { scram: {}, password: text }
}

function single([stored = '', server = '', salt = '', count = '']: string[]): Credentials | undefined {
  const keys = keysOf('sha', salt, stored, server, iterationsOf(count))
  return keys && { scram: { sha: keys } }
}

function multiple(fields: string[]): Credentials | undefined {
  const commonSalt = fields[1]?.startsWith('==') === false ? fields.shift() : undefined
  const iterations = iterationsOf(fields.shift() ?? '')
  const scram: Credentials['scram'] = {}
  for (const field of fields) {
    const [, label = '', body = ''] = /^={2,3}(SHA\d{1,3})={1,3}(.*)$/.exec(field) ?? []
    const hash = hashOfLabel[label]
    if (hash === undefined) return undefined
    const parts = body.split('|')
    const [salt = '', stored = '', server = ''] = commonSalt === undefined ? parts : [commonSalt, ...parts]
    const keys = keysOf(hash, salt, stored, server, iterations)
    if (keys === undefined) return undefined
    scram[hash] = keys
  }
  return Object.keys(scram).length === 0 ? undefined : { scram }
}

function iterationsOf(text: string): number | undefined {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0
  return count >= 1 && count <= MOST_ITERATIONS ? count : undefined
}

function keysOf(
  hash: ScramHash,
  salt: string,
  stored: string,
  server: string,
  iterations: number | undefined,
): ScramKeys | undefined {
  const [saltBytes, storedKey, serverKey] = [salt, stored, server].map(part => Buffer.from(part, 'base64'))
  if (saltBytes === undefined || storedKey === undefined || serverKey === undefined) return undefined
  const { bytes } = scramHashes[hash]
  if (iterations === undefined || saltBytes.length === 0) return undefined
  if (storedKey.length !== bytes || serverKey.length !== bytes) return undefined
  return { salt: saltBytes, iterations, storedKey, serverKey }
}
