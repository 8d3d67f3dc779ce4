import { DEFAULT_MECHANISMS } from './auth.js'
import { printable } from './issues.js'
import { foreignModules, laterModules } from './later-modules.js'
import { matches, type Row } from './match.js'
import { once } from './primitives.js'
import type { Finding } from './problem.js'
import type { ModuleOptions } from './root.js'
import { isTable } from './schema.js'

/*
 * What the grammar knows and the server does not do. One row per option; a later change that builds it deletes its row. DESIGN §6
 */

interface RefusalRow extends Row {
  what: string
}

const isNot = (built: unknown) => (value: unknown) => value !== built
const isNoneOf = (built: readonly unknown[]) => (value: unknown) => !built.includes(value)
const isAny = (refused: readonly unknown[]) => (value: unknown) => refused.includes(value)

/** Both a global table and its part of `[[host_config]]`. */
const alsoPerHost = (rows: readonly RefusalRow[]) =>
  rows.flatMap(row => [row, { ...row, at: `host_config.*.${row.at}` }])

/** The mechanisms that the SASL code speaks. */
const BUILT_MECHANISMS = [...DEFAULT_MECHANISMS.filter(name => name !== 'oauth'), 'external', 'digest']

const NOT_YET: readonly RefusalRow[] = [
  ...alsoPerHost([
    { at: 'auth.methods.*', when: isAny(['ldap', 'riak']), what: 'this method' },
    { at: 'auth.sasl_mechanisms.*', when: isNoneOf(BUILT_MECHANISMS), what: 'this mechanism' },
    { at: 'auth.ldap', what: 'method ldap' },
    { at: 'modules.mod_muc_light.legacy_mode', when: isNot(false), what: 'the legacy mode' },
  ]),
  ...['redis', 'ldap', 'rabbit', 'elastic', 'cassandra', 'riak', 'generic'].map(type => ({
    at: `outgoing_pools.${type}.*`,
    what: 'pools',
  })),
  { at: 'outgoing_pools.rdbms', when: hasUnusedStore, what: 'pools but for rdbms.default' },
  { at: 'outgoing_pools.http', when: hasUnusedPool, what: 'pools but for http.auth' },
  { at: 'cluster', what: 'clusters' },
]

const NEVER: readonly RefusalRow[] = [
  { at: 'general.sm_backend', when: isAny(['redis']), what: 'a session table in Redis' },
  { at: 'general.rdbms_server_type', when: isAny(['mssql']), what: 'SQL Server' },
  { at: 'general.routing_modules', when: isOtherRoute, what: 'another order of routing' },
  { at: 'listen.http.*.handlers.mongoose_api_client.*', what: 'handler mongoose_api_client' },
  { at: 'outgoing_pools.rdbms.default.scope', when: isNot('global'), what: 'a store for one host' },
  { at: 'outgoing_pools.rdbms.*.connection.driver', when: isAny(['mysql', 'odbc']), what: 'this database' },
]

/** What is configured and not built: `not_supported` for good, or `not_supported_yet`. The latter only once per branch of the file. */
export function refusals(data: unknown, modules: readonly ModuleOptions[]): Finding[] {
  const built = new Set(modules.map(module => module.name))
  const moduleRows = (names: object) =>
    alsoPerHost(
      Object.keys(names)
        .filter(name => !built.has(name))
        .map(name => ({ at: `modules.${name}`, what: `module ${name}` })),
    )
  const yet = [...matches([...NOT_YET, ...moduleRows(laterModules)], data)]
  const outermost = yet.filter(({ path }) => !yet.some(other => isAbove(other.path, path)))
  const never = [...matches([...NEVER, ...moduleRows(foreignModules)], data)]
  return [
    ...outermost.map(({ row, path, value }) => refusal('not_supported_yet', `${row.what}: not built yet`, path, value)),
    ...unsupportedOptions(data, modules),
    ...never.map(({ row, path, value }) =>
      refusal('not_supported', `${row.what}: not supported by this server`, path, value),
    ),
  ]
}

/** What the modules themselves say of their options. */
function unsupportedOptions(data: unknown, modules: readonly ModuleOptions[]): Finding[] {
  const rows = alsoPerHost(modules.map(module => ({ at: `modules.${module.name}`, what: module.name })))
  return [...matches(rows, data)].flatMap(({ row, path, value }) => {
    const module = modules.find(({ name }) => name === row.what)
    const options = module?.config.safeParse(value, once)
    // Options that do not parse are reported already.
    if (!options?.success) return []
    return (module?.unsupported?.(options.data) ?? []).map(option => ({ ...option, path: [...path, ...option.path] }))
  })
}

function refusal(
  code: 'not_supported' | 'not_supported_yet',
  message: string,
  path: Finding['path'],
  value: unknown,
): Finding {
  const scalar = typeof value === 'object' ? {} : printable(value)
  return {
    path,
    code,
    message: 'value' in scalar ? `found ${JSON.stringify(scalar.value)}; ${message}` : message,
    ...scalar,
  }
}

function isAbove(upper: Finding['path'], lower: Finding['path']): boolean {
  return upper.length < lower.length && upper.every((key, index) => key === lower[index])
}

/** The default chain, by the names of the reference's modules or by their short ones. spec/listeners.md §2.1 */
const ROUTES = ['global', 'localdomain', 'external_localnode', 'external', 's2s']

/** True for a router chain that is not the default. */
export function isOtherRoute(value: unknown): boolean {
  const names = Array.isArray(value) ? value.map(name => String(name).replace(/^(mongoose_router|ejabberd)_/, '')) : []
  return names.join() !== ROUTES.join()
}

/** Nothing but the method http, with its pool `auth`, asks anybody by HTTP. */
function hasUnusedPool(pools: unknown): boolean {
  return isTable(pools) && Object.keys(pools).some(tag => tag !== 'auth')
}

/** There is one store. */
function hasUnusedStore(pools: unknown): boolean {
  return isTable(pools) && Object.keys(pools).some(tag => tag !== 'default')
}
