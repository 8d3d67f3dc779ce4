import { join } from 'node:path'
import { prepareDomain } from '../protocols/jid.js'
import { authorityKeyFile, CertificateError, ensureDevelopmentCertificate } from '../tls/certificates.js'
import { exitCode, type Output, UserError } from './args.js'

export interface CertOptions {
  /** Where the development authority is kept: `dev-ca.pem` and `dev-ca.key`. */
  dataDir: string
  /** The folder for the hosts' certificates; `dataDir` when absent. */
  out?: string | undefined
  /** One JSON object instead of lines. */
  json: boolean
}

interface HostFile {
  host: string
  file: string
  /** False when the file was there. */
  made: boolean
}

/**
 * `meerkat cert HOST...`: makes `HOST.pem` for each host, signed by the development authority. Resolves with the exit code.
 * @throws UserError
 */
export async function runCert(hosts: string[], options: CertOptions, output: Output): Promise<number> {
  const domains = new Set(hosts.map(domainOf))
  const authority = join(options.dataDir, 'dev-ca.pem')
  const made: string[] = []
  const certificates: HostFile[] = []
  try {
    for (const host of domains) {
      const file = join(options.out ?? options.dataDir, `${host.replace(/^\[|\]$/g, '')}.pem`)
      made.push(...(await ensureDevelopmentCertificate(file, [host], authority)))
      certificates.push({ host, file, made: made.includes(file) })
    }
  } catch (error) {
    if (error instanceof CertificateError) throw new UserError('certificate', error.message)
    throw error
  }
  if (options.json) output.out(JSON.stringify({ ok: true, authority, made, certificates }))
  else for (const line of report(made, authority, certificates)) output.out(line)
  return exitCode.good
}

function domainOf(host: string): string {
  const domain = prepareDomain(host)
  if (domain === undefined) throw new UserError('bad-host', `"${host}" is no domain name or address`)
  return domain
}

function report(made: string[], authority: string, certificates: HostFile[]): string[] {
  const key = authorityKeyFile(authority)
  return [
    ...(made.includes(key) ? [`${key}  key of the development authority`] : []),
    ...(made.includes(authority) ? [`${authority}  development authority; let your clients trust this file`] : []),
    ...certificates.map(({ host, file, made }) =>
      made ? `${file}  certificate and key for ${host}` : `${file}  exists, left as it is`,
    ),
  ]
}
