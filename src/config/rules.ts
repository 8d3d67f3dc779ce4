import { BlockList, isIP, SocketAddress } from 'node:net'
import { authFor } from './for-host.js'
import { sameDomain } from './primitives.js'
import { formatPath, type RuleFinding } from './problem.js'
import type { FileConfig } from './root.js'
import type { Path } from './schema.js'
import { c2sTlsFindings, cipherListFindings, httpTlsFindings } from './tls-rules.js'

/*
 * Rules across keys and tables. Each is a function from the (mended) configuration to what it finds.
 */

type Rule = (config: FileConfig) => RuleFinding[]

/** Everything that the rules across keys have to say. */
export function ruleFindings(config: FileConfig): RuleFinding[] {
  return RULES.flatMap(rule => rule(config))
}

const RULES: Rule[] = [
  addressFamilies,
  duplicateListeners,
  listenerTls,
  httpListeners,
  s2sRules,
  authRules,
  hostTables,
  pools,
  stores,
]

type ListenerType = keyof FileConfig['listen']
const LISTENER_TYPES: readonly ListenerType[] = ['c2s', 'http', 's2s', 'service']

/** Every listener with its path. */
function listeners(config: FileConfig) {
  return LISTENER_TYPES.flatMap(type =>
    config.listen[type].map((listener, index) => ({ type, listener, path: ['listen', type, index] as Path })),
  )
}

/** §1.2: an address that contradicts `ip_version` is refused; so is HTTP over UDP. */
function addressFamilies(config: FileConfig): RuleFinding[] {
  return listeners(config).flatMap(({ type, listener, path }): RuleFinding[] => {
    const findings: RuleFinding[] = []
    const { ip_address, ip_version, proto } = listener
    if (ip_address !== undefined && ip_version !== undefined && isIP(ip_address) !== ip_version) {
      findings.push({
        path: [...path, 'ip_version'],
        code: 'incorrect_value',
        message: `found ${ip_version}, but ip_address = "${ip_address}" is of version ${isIP(ip_address)}; leave ip_version out`,
        value: ip_version,
        because: [
          [...path, 'ip_version'],
          [...path, 'ip_address'],
        ],
      })
    }
    if (type === 'http' && proto === 'udp') {
      findings.push({
        path: [...path, 'proto'],
        code: 'incorrect_value',
        message: 'found "udp"; allowed for http: "tcp"',
        value: proto,
        allowed: ['tcp'],
      })
    }
    return findings
  })
}

/** §1.2: two listeners of one port, address and protocol. Port 0 never counts. */
function duplicateListeners(config: FileConfig): RuleFinding[] {
  const first = new Map<string, Path>()
  return listeners(config).flatMap(({ listener, path }): RuleFinding[] => {
    const { port, proto } = listener
    const address = listener.ip_address ?? (listener.ip_version === 6 ? '::' : '0.0.0.0')
    const key = JSON.stringify([port, canonical(address), proto])
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, path)
    if (earlier === undefined || port === 0) return []
    return [
      {
        path: [...path, 'port'],
        code: 'duplicate_listener',
        message: `port ${port} (${proto}) of ${address} belongs to ${formatPath(earlier)} already`,
        value: port,
        because: [earlier, path].flatMap(of => ['port', 'ip_address', 'ip_version', 'proto'].map(key => [...of, key])),
      },
    ]
  })
}

function canonical(address: string): string {
  return new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' }).address
}

function listenerTls(config: FileConfig): RuleFinding[] {
  const { c2s, s2s, http } = config.listen
  const pathOf = (type: ListenerType, index: number) => ['listen', type, index, 'tls']
  return [
    ...c2s.flatMap(({ tls }, index) => (tls === undefined ? [] : c2sTlsFindings(tls, pathOf('c2s', index)))),
    ...s2s.flatMap(({ tls }, index) =>
      tls === undefined ? [] : cipherListFindings(tls.ciphers, [...pathOf('s2s', index), 'ciphers']),
    ),
    ...http.flatMap(({ tls }, index) => (tls === undefined ? [] : httpTlsFindings(tls, pathOf('http', index)))),
  ]
}

/** spec/http-listener.md HC-3 */
function httpListeners(config: FileConfig): RuleFinding[] {
  return config.listen.http.flatMap((listener, index) => {
    const path: Path = ['listen', 'http', index, 'handlers']
    const { mod_bosh = [], mongoose_api_admin = [], meerkat_debug = [] } = listener.handlers
    const guarded = [
      ...mongoose_api_admin.map((handler, at) => ({ handler, at: [...path, 'mongoose_api_admin', at] })),
      ...meerkat_debug.map((handler, at) => ({ handler, at: [...path, 'meerkat_debug', at] })),
    ]
    return [
      ...guarded.flatMap(({ handler, at }) => credentials(handler, at, listener.ip_address, ['listen', 'http', index])),
      ...mod_bosh.flatMap((_, at) => boshModule(config, [...path, 'mod_bosh', at])),
    ]
  })
}

function credentials(
  handler: { username?: string | undefined; password?: string | undefined },
  path: Path,
  address: string | undefined,
  listener: Path,
): RuleFinding[] {
  const { username, password } = handler
  const because = [
    [...path, 'username'],
    [...path, 'password'],
    [...listener, 'ip_address'],
  ]
  const missing = username === undefined ? 'username' : 'password'
  if ((username === undefined) !== (password === undefined)) {
    const given = missing === 'username' ? 'password' : 'username'
    return [{ path: [...path, missing], code: 'missing_option', message: `missing; ${given} needs it`, because }]
  }
  if (username !== undefined || isLoopback(address)) return []
  return [
    {
      path: [...path, 'username'],
      code: 'missing_option',
      message:
        'missing; without username and password the listener must be bound to a loopback address: set both, or ip_address = "127.0.0.1"',
      because,
    },
  ]
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  return loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function boshModule(config: FileConfig, path: Path): RuleFinding[] {
  if (config.modules === undefined || config.modules.mod_bosh !== undefined) return []
  return [
    {
      path,
      code: 'undefined_reference',
      message: 'the handler needs the module: add [modules.mod_bosh]',
      because: [['modules', 'mod_bosh'], path],
    },
  ]
}

/** §2.5 */
function s2sRules(config: FileConfig): RuleFinding[] {
  const { use_starttls, certfile, domain_certfile = [], ciphers } = config.s2s
  const findings: RuleFinding[] = cipherListFindings(ciphers, ['s2s', 'ciphers'])
  if (use_starttls !== 'false' && certfile === undefined) {
    findings.push({
      path: ['s2s', 'certfile'],
      code: 'missing_option',
      message: `missing; use_starttls = "${use_starttls}" needs the file with the certificate`,
      because: [
        ['s2s', 'certfile'],
        ['s2s', 'use_starttls'],
      ],
    })
  }
  const unserved = domain_certfile.flatMap(({ domain }, index) =>
    servedHost(config, domain, ['s2s', 'domain_certfile', index, 'domain']),
  )
  return [...findings, ...unserved]
}

function servedHost(config: FileConfig, host: string, path: Path): RuleFinding[] {
  const served = config.general.hosts.map(sameDomain)
  if (served.includes(sameDomain(host))) return []
  return [
    {
      path,
      code: 'undefined_reference',
      message: `"${host}" is not one of general.hosts: ${served.map(name => `"${name}"`).join(', ')}`,
      value: host,
      because: [['general', 'hosts'], path],
    },
  ]
}

/** §2.6: what a method needs beside its name, globally and on each host that has its own `auth`. */
function authRules(config: FileConfig): RuleFinding[] {
  const own = config.host_config.flatMap((table, index) =>
    table.auth === undefined
      ? []
      : methodNeeds(
          config,
          authFor(config.auth, table.auth),
          ['host_config', index, 'auth'],
          table.auth.methods !== undefined,
        ),
  )
  return [...methodNeeds(config, config.auth, ['auth'], true), ...own]
}

function methodNeeds(config: FileConfig, auth: FileConfig['auth'], path: Path, hasMethods: boolean): RuleFinding[] {
  return auth.methods.flatMap((method, index): RuleFinding[] => {
    const at = hasMethods ? [...path, 'methods', index] : [...path, 'methods']
    const missing = (key: Path): RuleFinding => ({
      path: [...path, ...key],
      code: 'missing_option',
      message: `missing; method "${method}" needs it`,
      because: [[...path, ...key], at],
    })
    const unpooled = (type: PoolType, tag: string): RuleFinding[] =>
      hasPool(config, type, tag) ? [] : [poolNeeded(`method "${method}"`, type, tag, at)]
    switch (method) {
      case 'rdbms':
        return unpooled('rdbms', 'default')
      case 'riak':
        return unpooled('riak', 'default')
      case 'http':
        return unpooled('http', 'auth')
      case 'external':
        return auth.external.program === undefined ? [missing(['external', 'program'])] : []
      case 'jwt':
        return auth.jwt === undefined ? [missing(['jwt'])] : []
      case 'ldap':
        return [
          ...(auth.ldap.base === undefined ? [missing(['ldap', 'base'])] : []),
          ...unpooled('ldap', auth.ldap.pool_tag),
          ...unpooled('ldap', auth.ldap.bind_pool_tag),
        ]
      default:
        return []
    }
  })
}

type PoolType = keyof FileConfig['outgoing_pools']

function hasPool(config: FileConfig, type: PoolType, tag: string): boolean {
  return Object.hasOwn(config.outgoing_pools[type] ?? {}, tag)
}

function poolNeeded(who: string, type: PoolType, tag: string, path: Path): RuleFinding {
  return {
    path,
    code: 'undefined_reference',
    message: `${who} needs the pool [outgoing_pools.${type}.${tag}]`,
    because: [['outgoing_pools', type, tag], path],
  }
}

/** §2.7: each table is for a served domain, and each domain has one table. */
function hostTables(config: FileConfig): RuleFinding[] {
  const seen = new Set<unknown>()
  return config.host_config.flatMap(({ host }, index): RuleFinding[] => {
    const path: Path = ['host_config', index, 'host']
    const name = sameDomain(host)
    if (seen.has(name)) {
      return [
        { path, code: 'incorrect_value', message: `a second table for "${host}"; put all of it in one`, value: host },
      ]
    }
    seen.add(name)
    return servedHost(config, host, path)
  })
}

/** §2.8: a pool for one host says for which. */
function pools(config: FileConfig): RuleFinding[] {
  return Object.entries(config.outgoing_pools).flatMap(([type, tags]) =>
    Object.entries(tags ?? {}).flatMap(([tag, pool]): RuleFinding[] => {
      const path: Path = ['outgoing_pools', type, tag]
      if (pool.scope === 'single_host') {
        if (pool.host !== undefined) return servedHost(config, pool.host, [...path, 'host'])
        const because = [
          [...path, 'host'],
          [...path, 'scope'],
        ]
        return [
          {
            path: [...path, 'host'],
            code: 'missing_option',
            message: 'missing; scope = "single_host" needs it',
            because,
          },
        ]
      }
      if (pool.host === undefined) return []
      const because = [
        [...path, 'host'],
        [...path, 'scope'],
      ]
      const message = `only with scope = "single_host"; scope is "${pool.scope}"`
      return [{ path: [...path, 'host'], code: 'unexpected_option', message, because }]
    }),
  )
}

/** §2.8: `backend = "rdbms"` of a module needs the pool of the store. */
function stores(config: FileConfig): RuleFinding[] {
  if (hasPool(config, 'rdbms', 'default')) return []
  const tables: { modules: object | undefined; path: Path }[] = [
    { modules: config.modules, path: ['modules'] },
    ...config.host_config.map(({ modules }, index) => ({ modules, path: ['host_config', index, 'modules'] })),
  ]
  return tables.flatMap(({ modules, path }) =>
    Object.entries(modules ?? {}).flatMap(([name, options]: [string, unknown]) => {
      const isRdbms = typeof options === 'object' && options !== null && Reflect.get(options, 'backend') === 'rdbms'
      return isRdbms ? [poolNeeded('backend "rdbms"', 'rdbms', 'default', [...path, name, 'backend'])] : []
    }),
  )
}
