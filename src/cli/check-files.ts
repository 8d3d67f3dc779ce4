import { access, constants } from 'node:fs/promises'
import type { Finding } from '../config/problem.js'
import type { Config } from '../config/root.js'
import type { Path } from '../config/schema.js'
import { type ServerTlsOptions, serverSecureContext, TlsOptionError } from '../tls/context.js'
import { readAuthorities, readDhParameters, readRevocationLists } from '../tls/material.js'

/*
 * What a configuration says about files: are they there, and do they hold what their option asks for? DESIGN §8
 */

/** A certificate with its key, as some table of the file names them. */
interface Identity {
  path: Path
  options: ServerTlsOptions
}

/** Problems of the files that `config` names. With `isDev`, certificates that are missing are none: they will be made. */
export async function fileFindings(config: Config, isDev: boolean): Promise<Finding[]> {
  const checks = [
    ...identities(config).map(identity => identityFindings(identity, isDev)),
    ...materials(config).map(materialFindings),
  ]
  return (await Promise.all(checks)).flat()
}

type TlsTable = { [Key in keyof ServerTlsOptions]?: ServerTlsOptions[Key] | undefined }

function identities(config: Config): Identity[] {
  const { listen, s2s } = config
  const tables: { tls: TlsTable | undefined; path: Path }[] = [
    ...listen.c2s.map(({ tls }, index) => ({ tls, path: ['listen', 'c2s', index, 'tls'] })),
    ...listen.http.map(({ tls }, index) => ({ tls, path: ['listen', 'http', index, 'tls'] })),
    { tls: s2s, path: ['s2s'] },
    ...(s2s.domain_certfile ?? []).map((tls, index) => ({ tls, path: ['s2s', 'domain_certfile', index] })),
  ]
  return tables.flatMap(({ tls, path }) => {
    if (tls?.certfile === undefined) return []
    const { certfile, keyfile, password } = tls
    return [{ path, options: { certfile, keyfile, password } }]
  })
}

async function identityFindings({ path, options }: Identity, isDev: boolean): Promise<Finding[]> {
  const files = [options.certfile, ...(options.keyfile === undefined ? [] : [options.keyfile])]
  if (isDev && !(await Promise.all(files.map(exists))).every(Boolean)) return []
  try {
    await serverSecureContext(options)
    return []
  } catch (error) {
    if (!(error instanceof TlsOptionError)) throw error
    return [incorrect([...path, error.option], error.file, error.problem)]
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file, constants.F_OK).then(
    () => true,
    () => false,
  )
}

/** Files that TLS takes beside the certificate. */
interface Material {
  path: Path
  file: string
  read(file: string): Promise<unknown>
}

const READERS = { cacertfile: readAuthorities, dhfile: readDhParameters } as const

function materials(config: Config): Material[] {
  const { c2s, s2s, http } = config.listen
  const tables: { tls: { cacertfile?: string | undefined; dhfile?: string | undefined } | undefined; path: Path }[] = [
    ...c2s.map(({ tls }, index) => ({ tls, path: ['listen', 'c2s', index, 'tls'] })),
    ...s2s.map(({ tls }, index) => ({ tls, path: ['listen', 's2s', index, 'tls'] })),
    ...http.map(({ tls }, index) => ({ tls, path: ['listen', 'http', index, 'tls'] })),
  ]
  const single = tables.flatMap(({ tls, path }) =>
    (['cacertfile', 'dhfile'] as const).flatMap(key => {
      const file = tls?.[key]
      return file === undefined ? [] : [{ path: [...path, key], file, read: READERS[key] }]
    }),
  )
  const lists = c2s.flatMap(({ tls }, index) =>
    (tls?.crl_files ?? []).map((file, at) => ({
      path: ['listen', 'c2s', index, 'tls', 'crl_files', at],
      file,
      read: readRevocationLists,
    })),
  )
  return [...single, ...lists]
}

async function materialFindings({ path, file, read }: Material): Promise<Finding[]> {
  try {
    await read(file)
    return []
  } catch (error) {
    if (!(error instanceof TlsOptionError)) throw error
    return [incorrect(path, file, error.problem)]
  }
}

/** A path is no secret, and the message names the file, not what is in it. */
function incorrect(path: Path, file: string, problem: string): Finding {
  const isFile = path.at(-1) !== 'password'
  return { path, code: 'incorrect_value', message: `${file}: ${problem}`, ...(isFile ? { value: file } : {}) }
}
