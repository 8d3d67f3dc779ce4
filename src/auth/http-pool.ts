import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { OutgoingPoolsConfig } from '../config/outgoing-pools.js'
import type { Clock } from '../observability/clock.js'
import { StartupError } from '../observability/startup-error.js'
import { BackEndUnavailable } from './method.js'

/*
 * `[outgoing_pools.http.TAG]`: connections to a web service that are kept and used again. spec/listeners.md §2.8
 */

type PoolConfig = NonNullable<OutgoingPoolsConfig['http']>[string]
type TlsConfig = NonNullable<PoolConfig['connection']['tls']>

/** Connections at once; what is more waits for one, within its time limit. */
const CONNECTIONS = 100
/** Bytes of an answer; more is none. */
const LARGEST_BODY = 65_536

export interface HttpPool {
  /**
   * GET of `path` behind the pool's prefix: status and body. Rejects with BackEndUnavailable when no whole answer came in the time
   * that the pool allows.
   */
  get(path: string, headers: Readonly<Record<string, string>>): Promise<{ status: number; body: string }>
  stop(): void
}

/**
 * The pool `[outgoing_pools.http.auth]` for a host.
 * @throws StartupError when there is none for it, or it cannot work
 */
export function authHttpPool(pools: OutgoingPoolsConfig, host: string, clock: Clock): HttpPool {
  const name = 'outgoing_pools.http.auth'
  const config = pools.http?.auth
  if (config === undefined || (config.scope === 'single_host' && config.host !== host)) {
    throw new StartupError('configuration', `method http of ${host} needs ${name}, which is not there for it`)
  }
  return createHttpPool(name, config, clock)
}

/** @throws StartupError when the URL or a file of TLS is none */
export function createHttpPool(name: string, config: PoolConfig, clock: Clock): HttpPool {
  const { host, path_prefix, request_timeout, tls } = config.connection
  const base = URL.canParse(host) ? new URL(host) : undefined
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:') {
    throw new StartupError('configuration', `${name}.connection.host is no URL with http or https`)
  }
  const kept = { keepAlive: true, maxSockets: CONNECTIONS }
  const isSecure = base.protocol === 'https:'
  const agent = isSecure ? new https.Agent({ ...kept, ...tlsOptions(name, tls) }) : new http.Agent(kept)
  const limit = Math.min(request_timeout, config.call_timeout)
  const prefix = `/${path_prefix}/`.replace(/\/+/g, '/')

  return {
    get: (path, headers) =>
      new Promise((resolve, reject) => {
        const url = new URL(prefix + path, base)
        let request: http.ClientRequest
        let isOver = false
        const fail = (reason: string) => {
          isOver = true
          cancel()
          request.destroy()
          reject(new BackEndUnavailable(reason))
        }
        const cancel = clock.after(limit, () => fail(`no answer within ${limit} ms`))
        const answered = (answer: http.IncomingMessage) => {
          const chunks: Buffer[] = []
          let length = 0
          answer.on('data', (chunk: Buffer) => {
            chunks.push(chunk)
            length += chunk.length
            if (length > LARGEST_BODY) fail('the answer is too long')
          })
          answer.on('error', error => fail(error.message))
          answer.on('end', () => {
            cancel()
            resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
          })
        }
        const ask = () => {
          request = (isSecure ? https : http).get(url, { agent, headers }, answered)
          request.on('error', (error: NodeJS.ErrnoException) => {
            // The service may close a connection that rested just when it is used again: that is no failure.
            if (isOver) return
            if (request.reusedSocket && error.code === 'ECONNRESET') ask()
            else fail(error.code ?? error.message)
          })
        }
        ask()
      }),
    stop: () => agent.destroy(),
  }
}

function tlsOptions(name: string, tls: TlsConfig | undefined): https.AgentOptions {
  if (tls === undefined) return { rejectUnauthorized: false }
  const file = (key: 'cacertfile' | 'certfile' | 'keyfile') => {
    const path = tls[key]
    if (path === undefined) return undefined
    try {
      return readFileSync(path)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new StartupError('configuration', `${name}.connection.tls.${key} cannot be read: ${reason}`, { cause })
    }
  }
  const versions = { tlsv1: 'TLSv1', 'tlsv1.1': 'TLSv1.1', 'tlsv1.2': 'TLSv1.2', 'tlsv1.3': 'TLSv1.3' } as const
  const allowed = tls.versions?.map(version => versions[version]).sort()
  const cert = file('certfile')
  return {
    rejectUnauthorized: tls.verify_peer,
    ca: file('cacertfile'),
    cert,
    key: file('keyfile') ?? cert,
    passphrase: tls.password,
    ciphers: tls.ciphers,
    ...(allowed?.length ? { minVersion: allowed[0]!, maxVersion: allowed.at(-1)! } : {}),
  }
}
