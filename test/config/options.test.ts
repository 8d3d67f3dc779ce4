import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { DEFAULT_MECHANISMS } from '../../src/config/auth.js'
import { optionPaths } from '../../src/config/document.js'
import type { Problem } from '../../src/config/problem.js'
import { isTable, valueAt } from '../../src/config/schema.js'
import { fileWith, reportedPath, schema } from './files.js'
import { grammar } from './support.js'

/*
 * Every option of spec/listeners.md §1.2 to §1.14 and §2.1 to §2.8 (and of the http, websockets files): values that are accepted, values
 * that are not, each with its code, and the default. The tables below are written from the specification, not from the schemas.
 */

type Code = 'malformed_option' | 'incorrect_value' | 'undefined_reference' | 'missing_option' | 'unexpected_option'
/** A TOML value, its code, and where below the option it is reported. */
type Bad = [toml: string, code: Code, below?: string]
interface Kind {
  good: string[]
  bad: Bad[]
  isSecret?: boolean
  /** What stands where a table belongs is not shown. */
  isTable?: boolean
}

const MANDATORY = Symbol('mandatory')
const NOT_SET = undefined

const number = (good: string[], bad: string[]): Kind => ({
  good,
  bad: [
    ...bad.map((toml): Bad => [toml, 'incorrect_value']),
    ...['"1"', 'true', '1.5', '[1]', 'inf'].map((toml): Bad => [toml, 'malformed_option']),
  ],
})
const port = number(['0', '1', '65535'], ['-1', '65536'])
const posint = number(['1', '1_000_000'], ['0', '-1', '9007199254740993'])
const nonneg = number(['0', '1'], ['-1'])
const plus = (kind: Kind, good: string[], bad: Bad[] = []): Kind => ({
  good: [...kind.good, ...good],
  bad: [...kind.bad.filter(([toml]) => toml !== '"1"'), ...bad],
})
const posintOrInfinity = plus(posint, ['"infinity"'], [['"forever"', 'incorrect_value']])
const bool: Kind = {
  good: ['true', 'false'],
  bad: [
    ['"true"', 'malformed_option'],
    ['1', 'malformed_option'],
  ],
}
const text: Kind = {
  good: ['"x"', '""'],
  bad: [
    ['1', 'malformed_option'],
    ['["x"]', 'malformed_option'],
  ],
}
const nestring: Kind = {
  good: ['"x"'],
  bad: [
    ['""', 'incorrect_value'],
    ['1', 'malformed_option'],
    ['["x"]', 'malformed_option'],
  ],
}
const secret: Kind = { ...nestring, isSecret: true }
const path = nestring
const oneOf = (...names: string[]): Kind => ({
  good: names.map(name => JSON.stringify(name)),
  bad: [
    ['"nonsense"', 'incorrect_value'],
    ['""', 'incorrect_value'],
    ['1', 'malformed_option'],
    ['true', 'malformed_option'],
  ],
})
const listOf = (member: Kind, { isEmptyAllowed = true } = {}): Kind => ({
  good: [...(isEmptyAllowed ? ['[]'] : []), `[${member.good[0]}]`],
  bad: [
    ...member.bad.map(([toml, code]): Bad => [`[${member.good[0]}, ${toml}]`, code, '[1]']),
    [member.good[0]!, 'malformed_option'],
    ...(isEmptyAllowed ? [] : [['[]', 'incorrect_value'] as Bad]),
  ],
})
const unique = (kind: Kind): Kind => ({
  ...kind,
  bad: [...kind.bad, [`[${kind.good.at(-1)!.slice(1, -1)}, ${kind.good.at(-1)!.slice(1, -1)}]`, 'incorrect_value']],
})
const rule: Kind = {
  good: ['"all"', '"none"'],
  bad: [
    ['"nowhere"', 'undefined_reference'],
    ['""', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const shaperName: Kind = { ...rule, good: ['"none"'] }
const aclClass = rule
const domain: Kind = {
  good: ['"localhost"', '"LOCALHOST"'],
  bad: [
    ['""', 'incorrect_value'],
    ['"a b"', 'incorrect_value'],
    ['"u@localhost"', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const address: Kind = {
  good: ['"127.0.0.1"', '"::1"', '"0.0.0.0"'],
  bad: [
    ['"localhost"', 'incorrect_value'],
    ['""', 'incorrect_value'],
    ['"127.0.0.1/8"', 'incorrect_value'],
    ['"1.2.3"', 'incorrect_value'],
    ['4', 'malformed_option'],
  ],
}
const version: Kind = {
  good: ['4', '6'],
  bad: [
    ['5', 'incorrect_value'],
    ['"6"', 'malformed_option'],
  ],
}
const regexp: Kind = {
  good: ['""', '"^a.*"'],
  bad: [
    ['"("', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const pattern: Kind = {
  good: ['"/"', '"/api/rooms/[:id]/config"', '"/api-docs/[...]"', '"/a/[b/[c]]"', '"/api/rooms/:id/users/[:user]"'],
  bad: [
    ['"api"', 'incorrect_value'],
    ['""', 'incorrect_value'],
    ['"/a/[b"', 'incorrect_value'],
    ['"/a/b]"', 'incorrect_value'],
    ['"/a[b]"', 'incorrect_value'],
    ['"/a/:/b"', 'incorrect_value'],
    ['"/[...]/b"', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const cidr: Kind = {
  good: ['"10.0.0.0/8"', '"fd00::/8"'],
  bad: [
    ['"10.0.0.0"', 'incorrect_value'],
    ['"10.0.0.0/33"', 'incorrect_value'],
    ['"x/8"', 'incorrect_value'],
    ['8', 'malformed_option'],
  ],
}
const cipherList: Kind = {
  good: ['"TLSv1.2:TLSv1.3"', '"TLSv1.3"', '"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384"'],
  bad: [
    ['"NO-SUCH-SUITE"', 'incorrect_value'],
    ['""', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const TLS13 = '{cipher = "aes_256_gcm", key_exchange = "any", mac = "aead", prf = "sha384"}'
const cipherTables: Kind = {
  good: [
    `[${TLS13}]`,
    '["ECDHE-RSA-AES256-GCM-SHA384"]',
    `["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ${TLS13}]`,
    // OpenSSL has it no more, so that it cannot stand alone.
    '["AES128-SHA", {cipher = "3des_ede_cbc", key_exchange = "rsa", mac = "sha", prf = "default_prf"}]',
  ],
  bad: [
    ['[{cipher = "aes_256_gcm", key_exchange = "any", mac = "aead"}]', 'missing_option', '[0].prf'],
    ['[{cipher = "aes_25_gcm", key_exchange = "any", mac = "aead", prf = "sha384"}]', 'incorrect_value', '[0]'],
    [
      '[{cipher = "aes_256_gcm", key_exchange = "any", mac = "aead", prf = "sha384", x = 1}]',
      'unexpected_option',
      '[0].x',
    ],
    ['["ECDHE-RSA-AES256-GCM"]', 'incorrect_value', '[0]'],
    ['[{cipher = "3des_ede_cbc", key_exchange = "rsa", mac = "sha", prf = "default_prf"}]', 'incorrect_value'],
    ['[5]', 'malformed_option', '[0]'],
    ['[]', 'incorrect_value'],
    ['1', 'malformed_option'],
  ],
}
const tlsVersions = listOf(oneOf('tlsv1.3', 'tlsv1.2', 'tlsv1.1', 'tlsv1'), { isEmptyAllowed: false })
const protocolOptions = listOf(oneOf('no_tlsv1_3', 'no_ticket', 'single_dh_use'))
const VERIFY_MODES = oneOf('peer', 'selfsigned_peer', 'none')

type Row = [key: string, kind: Kind, initial: unknown, extra?: string[]]

const socket = (table: string): Row[] => [
  [`${table}.port`, port, MANDATORY],
  [`${table}.ip_address`, address, NOT_SET],
  [`${table}.ip_version`, version, NOT_SET],
  [
    `${table}.proto`,
    table === 'listen.http'
      ? {
          good: ['"tcp"'],
          bad: [
            ['"udp"', 'incorrect_value'],
            ['"ws"', 'incorrect_value'],
          ],
        }
      : oneOf('tcp', 'udp'),
    'tcp',
  ],
]
const xmpp = (table: string): Row[] => [
  ...socket(table),
  [`${table}.backlog`, posint, 100],
  [`${table}.num_acceptors`, posint, 100],
  [`${table}.proxy_protocol`, bool, false],
  [`${table}.hibernate_after`, plus(nonneg, [], [['"infinity"', 'malformed_option']]), 0],
  [`${table}.max_stanza_size`, plus(posint, [], [['"infinity"', 'malformed_option']]), NOT_SET],
  [`${table}.state_timeout`, posint, 60_000],
]
const service = (table: string): Row[] => [
  [`${table}.password`, secret, MANDATORY],
  [`${table}.access`, rule, 'all'],
  [`${table}.shaper_rule`, shaperName, 'none'],
  [`${table}.check_from`, bool, true],
  [`${table}.hidden_components`, bool, false],
  [`${table}.conflict_behaviour`, oneOf('disconnect', 'kick_old'), 'disconnect'],
  [`${table}.max_fsm_queue`, posint, NOT_SET],
]
const JUST_TLS = ['module = "just_tls"']
const HANDLERS = [
  'mod_bosh',
  'mod_websockets',
  'mongoose_api_admin',
  'mongoose_client_api_messages',
  'mongoose_client_api_contacts',
  'mongoose_client_api_rooms',
  'mongoose_client_api_rooms_config',
  'mongoose_client_api_rooms_users',
  'mongoose_client_api_rooms_messages',
  'mongoose_api_client',
  'lasse_handler',
  'mongoose_api',
  'mongoose_prometheus_handler',
  'cowboy_swagger_redirect_handler',
  'cowboy_swagger_json_handler',
  'cowboy_static',
  'meerkat_debug',
  'meerkat_health',
]
const guarded = new Set(['mongoose_api_admin', 'meerkat_debug'])
const PATH_DEFAULTS: Record<string, string> = { meerkat_debug: '/debug', meerkat_health: '/' }
const handler = (type: string): Row[] => {
  const table = `listen.http.handlers.${type}`
  const extra = guarded.has(type) ? ['username = "u"', 'password = "p"'] : []
  const paths =
    type === 'cowboy_static'
      ? { good: ['"/d/[...]"'], bad: [...pattern.bad, ['"/d"', 'incorrect_value'] as Bad] }
      : pattern
  return [
    [`${table}.host`, nestring, MANDATORY, extra],
    [`${table}.path`, paths, PATH_DEFAULTS[type] ?? MANDATORY, extra],
  ]
}
const POOLS = ['rdbms', 'http', 'redis', 'ldap', 'rabbit', 'elastic', 'cassandra', 'riak', 'generic']
const WORKERS = ['best_worker', 'random_worker', 'next_worker', 'available_worker', 'next_available_worker']
const pool = (type: string): Row[] => {
  const table = `outgoing_pools.${type}.NAME`
  return [
    [`${table}.scope`, oneOf('global', 'host'), 'global'],
    [
      `${table}.host`,
      plus(domain, [], [['"other.example"', 'undefined_reference']]),
      NOT_SET,
      ['scope = "single_host"'],
    ],
    [`${table}.workers`, posint, 100],
    [`${table}.strategy`, oneOf(...WORKERS), 'best_worker'],
    [`${table}.call_timeout`, posint, 5000],
  ]
}
const poolTls = (type: string): Row[] => {
  const table = `outgoing_pools.${type}.NAME.connection.tls`
  return [
    [`${table}.verify_peer`, bool, false],
    [`${table}.cacertfile`, path, NOT_SET],
    [`${table}.certfile`, path, NOT_SET],
    [`${table}.keyfile`, path, NOT_SET],
    [`${table}.password`, secret, NOT_SET],
    [`${table}.ciphers`, nestring, NOT_SET],
    [`${table}.versions`, listOf(oneOf('tlsv1.3')), NOT_SET],
  ]
}
const connection = (type: string, rows: Row[]): Row[] =>
  rows.map(
    ([key, kind, initial, extra]) =>
      [`outgoing_pools.${type}.NAME.connection.${key}`, kind, initial, ...(extra ? [extra] : [])] as Row,
  )

const ROWS: Row[] = [
  // §2.1
  ['general.hosts', unique(listOf(domain, { isEmptyAllowed: false })), MANDATORY],
  [
    'general.loglevel',
    oneOf('none', 'emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug', 'all'),
    'warning',
  ],
  ['general.log_format', oneOf('auto', 'json', 'logfmt', 'pretty'), 'auto'],
  ['general.language', nestring, 'en'],
  ['general.data_dir', path, '/etc/meerkat/data'],
  ['general.shutdown_timeout', posint, 10_000],
  ['general.registration_timeout', posintOrInfinity, 600],
  ['general.max_fsm_queue', posint, NOT_SET],
  ['general.hide_service_name', bool, false],
  ['general.replaced_wait_timeout', posint, 2000],
  ['general.http_server_name', text, 'Cowboy'],
  ['general.route_subdomains', oneOf('s2s'), NOT_SET],
  ['general.all_metrics_are_global', bool, false],
  ['general.sm_backend', oneOf('mnesia', 'redis'), 'mnesia'],
  ['general.routing_modules', listOf(nestring), NOT_SET],
  ['general.rdbms_server_type', oneOf('pgsql', 'mssql'), NOT_SET],
  ['general.pgsql_users_number_estimate', bool, false],
  ['general.override', unique(listOf(oneOf('global', 'local', 'acls'))), NOT_SET],
  [
    'general.mongooseimctl_access_commands.all.commands',
    {
      good: ['"all"', '["join_cluster"]'],
      bad: [
        ['"some"', 'incorrect_value'],
        ['1', 'malformed_option'],
        ['[""]', 'incorrect_value', '[0]'],
      ],
    },
    NOT_SET,
  ],
  [
    'general.mongooseimctl_access_commands.all.argument_restrictions',
    {
      isTable: true,
      good: ['{host = "localhost"}'],
      bad: [
        ['{host = 1}', 'malformed_option', '.host'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  // §1.2 to §1.4
  ...xmpp('listen.c2s'),
  ['listen.c2s.max_fsm_queue', posint, NOT_SET],
  ['listen.c2s.access', rule, 'all'],
  ['listen.c2s.shaper', rule, 'none'],
  ['listen.c2s.zlib', posint, NOT_SET],
  // §1.5
  ['listen.c2s.tls.module', oneOf('fast_tls', 'just_tls'), 'fast_tls'],
  ['listen.c2s.tls.mode', oneOf('tls', 'starttls', 'starttls_required'), NOT_SET, ['certfile = "c.pem"']],
  ['listen.c2s.tls.certfile', path, NOT_SET],
  ['listen.c2s.tls.keyfile', path, NOT_SET],
  ['listen.c2s.tls.password', secret, NOT_SET],
  ['listen.c2s.tls.cacertfile', path, NOT_SET],
  ['listen.c2s.tls.dhfile', path, NOT_SET],
  ['listen.c2s.tls.verify_peer', bool, false],
  ['listen.c2s.tls.protocol_options', protocolOptions, NOT_SET],
  [
    'listen.c2s.tls.ciphers',
    { ...cipherList, bad: [...cipherList.bad, ['["ECDHE-RSA-AES256-GCM-SHA384"]', 'malformed_option']] },
    NOT_SET,
  ],
  [
    'listen.c2s.tls.ciphers',
    { ...cipherTables, bad: [...cipherTables.bad, ['"TLSv1.2"', 'malformed_option']] },
    NOT_SET,
    JUST_TLS,
  ],
  [
    'listen.c2s.tls.versions',
    plus(tlsVersions, ['["tlsv1.1", "tlsv1.3"]'], [['["sslv3"]', 'incorrect_value', '[0]']]),
    NOT_SET,
    JUST_TLS,
  ],
  ['listen.c2s.tls.verify_mode', VERIFY_MODES, NOT_SET, JUST_TLS],
  ['listen.c2s.tls.disconnect_on_failure', bool, NOT_SET, [...JUST_TLS, 'verify_mode = "peer"']],
  ['listen.c2s.tls.crl_files', listOf(path), NOT_SET, JUST_TLS],
  // §1.12
  ...xmpp('listen.s2s'),
  ['listen.s2s.shaper', rule, 'none'],
  ['listen.s2s.tls.cacertfile', path, NOT_SET],
  ['listen.s2s.tls.dhfile', path, NOT_SET],
  [
    'listen.s2s.tls.ciphers',
    { ...cipherList, bad: [...cipherList.bad, ['["TLSv1.2"]', 'malformed_option']] },
    'TLSv1.2:TLSv1.3',
  ],
  ['listen.s2s.tls.protocol_options', protocolOptions, NOT_SET],
  // §1.13
  ...xmpp('listen.service'),
  ...service('listen.service'),
  // §1.14, spec/http-listener.md §1, §2, §6, spec/websockets.md §1
  ...socket('listen.http'),
  ['listen.http.trusted_proxies', listOf(cidr), []],
  ['listen.http.transport.num_acceptors', posint, 100],
  ['listen.http.transport.max_connections', plus(nonneg, ['"infinity"'], [['"none"', 'incorrect_value']]), 1024],
  ['listen.http.protocol.compress', bool, false],
  ['listen.http.tls.certfile', path, MANDATORY],
  ['listen.http.tls.keyfile', path, NOT_SET],
  ['listen.http.tls.password', secret, NOT_SET],
  ['listen.http.tls.cacertfile', path, NOT_SET],
  ['listen.http.tls.dhfile', path, NOT_SET],
  ['listen.http.tls.verify_peer', bool, false, ['cacertfile = "ca.pem"']],
  ['listen.http.tls.verify_mode', VERIFY_MODES, NOT_SET],
  [
    'listen.http.tls.ciphers',
    { ...cipherTables, bad: [...cipherTables.bad, ['"TLSv1.2"', 'malformed_option']] },
    NOT_SET,
  ],
  ['listen.http.tls.versions', tlsVersions, NOT_SET],
  ...HANDLERS.flatMap(handler),
  ['listen.http.handlers.mod_websockets.timeout', posintOrInfinity, 'infinity'],
  [
    'listen.http.handlers.mod_websockets.ping_rate',
    plus(posint, ['"none"'], [['"infinity"', 'incorrect_value']]),
    'none',
  ],
  ['listen.http.handlers.mod_websockets.max_stanza_size', posintOrInfinity, 'infinity'],
  ...service('listen.http.handlers.mod_websockets.service'),
  ['listen.http.handlers.mongoose_api_admin.username', nestring, NOT_SET, ['password = "p"']],
  ['listen.http.handlers.mongoose_api_admin.password', secret, NOT_SET, ['username = "u"']],
  ['listen.http.handlers.meerkat_debug.username', nestring, NOT_SET, ['password = "p"']],
  ['listen.http.handlers.meerkat_debug.password', secret, NOT_SET, ['username = "u"']],
  ['listen.http.handlers.lasse_handler.module', oneOf('mongoose_client_api_sse'), MANDATORY],
  [
    'listen.http.handlers.mongoose_api.handlers',
    listOf(oneOf('mongoose_api_metrics', 'mongoose_api_users')),
    MANDATORY,
  ],
  ['listen.http.handlers.cowboy_static.type', oneOf('priv_dir'), MANDATORY],
  ['listen.http.handlers.cowboy_static.app', oneOf('cowboy_swagger'), MANDATORY],
  ['listen.http.handlers.cowboy_static.content_path', oneOf('swagger'), MANDATORY],
  // §2.2
  ['acl.NAME.match', oneOf('all', 'none'), NOT_SET],
  ['acl.NAME.user', nestring, NOT_SET],
  ['acl.NAME.server', domain, NOT_SET],
  ['acl.NAME.resource', nestring, NOT_SET],
  ['acl.NAME.user_regexp', regexp, NOT_SET],
  ['acl.NAME.server_regexp', regexp, NOT_SET],
  ['acl.NAME.resource_regexp', regexp, NOT_SET],
  ['acl.NAME.user_glob', nestring, NOT_SET],
  ['acl.NAME.server_glob', nestring, NOT_SET],
  ['acl.NAME.resource_glob', nestring, NOT_SET],
  // §2.3, §2.4
  ['access.NAME.acl', aclClass, MANDATORY],
  [
    'access.NAME.value',
    {
      good: ['"allow"', '"fast"', '10', '0'],
      bad: [
        ['1.5', 'malformed_option'],
        ['true', 'malformed_option'],
      ],
    },
    MANDATORY,
  ],
  ['shaper.NAME.max_rate', posint, MANDATORY],
  // §2.5
  [
    's2s.use_starttls',
    plus(oneOf('false', 'optional', 'required', 'required_trusted'), [], [['false', 'malformed_option']]),
    'false',
    ['certfile = "c.pem"'],
  ],
  ['s2s.certfile', path, NOT_SET],
  ['s2s.domain_certfile.domain', plus(domain, [], [['"other.example"', 'undefined_reference']]), MANDATORY],
  ['s2s.domain_certfile.certfile', path, MANDATORY],
  ['s2s.default_policy', oneOf('allow', 'deny'), 'allow'],
  ['s2s.host_policy.host', domain, MANDATORY],
  ['s2s.host_policy.policy', oneOf('allow', 'deny'), MANDATORY],
  ['s2s.shared', secret, NOT_SET],
  ['s2s.address.host', domain, MANDATORY],
  ['s2s.address.ip_address', address, MANDATORY],
  ['s2s.address.port', port, NOT_SET],
  ['s2s.ciphers', cipherList, 'TLSv1.2:TLSv1.3'],
  ['s2s.max_retry_delay', posint, 300],
  ['s2s.outgoing.port', port, 5269],
  ['s2s.outgoing.ip_versions', listOf(version, { isEmptyAllowed: false }), [4, 6]],
  ['s2s.outgoing.connection_timeout', posintOrInfinity, 10_000],
  ['s2s.dns.timeout', posint, 10],
  ['s2s.dns.retries', posint, 2],
  [
    's2s.dns.servers',
    listOf({
      good: ['"127.0.0.1:5353"', '"::1"', '"[::1]:53"'],
      bad: [
        ['"localhost"', 'incorrect_value'],
        ['"127.0.0.1:0"', 'incorrect_value'],
        ['"127.0.0.1:x"', 'incorrect_value'],
        ['1', 'malformed_option'],
      ],
    }),
    NOT_SET,
  ],
  // §2.6
  ['auth.methods', unique(listOf(oneOf('internal', 'anonymous', 'pki', 'dummy'))), []],
  ['auth.sasl_mechanisms', unique(listOf(oneOf(...DEFAULT_MECHANISMS, 'external', 'digest'))), [...DEFAULT_MECHANISMS]],
  ['auth.sasl_external', unique(listOf(oneOf('standard', 'common_name', 'auth_id'))), ['standard']],
  ['auth.password.format', oneOf('plain', 'scram'), 'scram'],
  [
    'auth.password.hash',
    unique(listOf(oneOf('sha', 'sha224', 'sha256', 'sha384', 'sha512'), { isEmptyAllowed: false })),
    NOT_SET,
  ],
  ['auth.scram_iterations', posint, 10_000],
  ['auth.max_failed_logins', posint, 10],
  ['auth.failed_login_window', posint, 300],
  ['auth.anonymous.protocol', oneOf('sasl_anon', 'login_anon', 'both'), 'sasl_anon'],
  ['auth.anonymous.allow_multiple_connections', bool, false],
  ['auth.external.program', nestring, NOT_SET],
  ['auth.external.instances', posint, 1],
  ['auth.http.basic_auth', secret, NOT_SET],
  [
    'auth.jwt.algorithm',
    oneOf('HS256', 'RS256', 'ES256', 'HS384', 'HS386', 'RS386', 'ES386', 'HS512', 'RS512', 'ES512'),
    MANDATORY,
  ],
  ['auth.jwt.username_key', nestring, MANDATORY],
  ['auth.jwt.secret.file', secret, NOT_SET],
  ['auth.jwt.secret.env', secret, NOT_SET],
  ['auth.jwt.secret.value', secret, NOT_SET],
  ['auth.ldap.pool_tag', nestring, 'default'],
  ['auth.ldap.bind_pool_tag', nestring, 'bind'],
  ['auth.ldap.base', nestring, NOT_SET],
  ['auth.ldap.filter', nestring, NOT_SET],
  ['auth.ldap.deref', oneOf('never', 'always', 'finding', 'searching'), 'never'],
  ['auth.ldap.uids.attr', nestring, MANDATORY],
  ['auth.ldap.uids.format', nestring, '%u'],
  ['auth.ldap.dn_filter.filter', nestring, MANDATORY],
  ['auth.ldap.dn_filter.attributes', listOf(nestring), NOT_SET],
  ['auth.ldap.local_filter.operation', oneOf('equal', 'notequal'), MANDATORY],
  ['auth.ldap.local_filter.attribute', nestring, MANDATORY],
  ['auth.ldap.local_filter.values', listOf(nestring, { isEmptyAllowed: false }), MANDATORY],
  // §2.7
  ['host_config.host', plus(domain, [], [['"other.example"', 'undefined_reference']]), MANDATORY],
  [
    'host_config.general',
    {
      isTable: true,
      good: ['{hide_service_name = true}'],
      bad: [
        ['{hosts = ["x"]}', 'unexpected_option', '.hosts'],
        ['{hide_service_name = 1}', 'malformed_option', '.hide_service_name'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.auth',
    {
      isTable: true,
      good: ['{methods = ["anonymous"]}', '{scram_iterations = 1}'],
      bad: [
        ['{methods = ["x"]}', 'incorrect_value', '.methods[0]'],
        ['{methods = ["rdbms"]}', 'undefined_reference', '.methods[0]'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.modules',
    {
      isTable: true,
      good: ['{mod_ping = {}}'],
      bad: [
        ['{mod_pong = {}}', 'unexpected_option', '.mod_pong'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.acl',
    {
      isTable: true,
      good: ['{a = [{match = "all"}]}'],
      bad: [
        ['{a = [{}]}', 'incorrect_value', '.a[0]'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.access',
    {
      isTable: true,
      good: ['{a = [{acl = "all", value = "allow"}]}'],
      bad: [
        ['{a = [{acl = "all"}]}', 'missing_option', '.a[0].value'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.shaper',
    {
      isTable: true,
      good: ['{a = {max_rate = 1}}'],
      bad: [
        ['{a = {max_rate = 0}}', 'incorrect_value', '.a.max_rate'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  [
    'host_config.s2s',
    {
      isTable: true,
      good: ['{default_policy = "deny"}', '{max_retry_delay = 1}'],
      bad: [
        ['{certfile = "x"}', 'unexpected_option', '.certfile'],
        ['{default_policy = "x"}', 'incorrect_value', '.default_policy'],
        ['1', 'malformed_option'],
      ],
    },
    NOT_SET,
  ],
  // §2.8
  ...POOLS.flatMap(pool),
  ...['rdbms', 'http', 'ldap', 'cassandra', 'riak'].flatMap(poolTls),
  ...connection('rdbms', [
    ['driver', oneOf('pgsql', 'mysql', 'odbc'), MANDATORY],
    ['host', nestring, 'localhost'],
    ['port', port, 5432],
    ['database', nestring, NOT_SET],
    ['username', nestring, NOT_SET],
    ['password', secret, NOT_SET],
    ['settings', secret, NOT_SET],
    ['keepalive_interval', posint, NOT_SET],
    ['tls.required', bool, false],
  ]),
  ...connection('http', [
    ['host', nestring, MANDATORY],
    ['path_prefix', nestring, '/'],
    ['request_timeout', posint, 2000],
  ]),
  ...connection('redis', [
    ['host', nestring, '127.0.0.1'],
    ['port', port, 6379],
    ['database', nonneg, 0],
    ['password', secret, NOT_SET],
  ]),
  ...connection('ldap', [
    ['servers', listOf(nestring, { isEmptyAllowed: false }), ['localhost']],
    ['port', port, 389],
    ['rootdn', text, ''],
    ['password', secret, NOT_SET],
    ['encrypt', oneOf('none', 'tls'), 'none'],
  ]),
  ...connection('rabbit', [
    ['amqp_host', nestring, 'localhost'],
    ['amqp_port', port, 5672],
    ['amqp_username', nestring, 'guest'],
    ['amqp_password', secret, 'guest'],
    ['confirms_enabled', bool, false],
    ['max_worker_queue_len', posintOrInfinity, 1000],
  ]),
  ...connection('elastic', [
    ['host', nestring, 'localhost'],
    ['port', port, 9200],
  ]),
  ...connection('cassandra', [
    ['keyspace', nestring, 'mongooseim'],
    ['servers.ip_address', nestring, MANDATORY],
    ['servers.port', port, 9042],
    ['auth.plain.username', nestring, MANDATORY],
    ['auth.plain.password', secret, MANDATORY],
  ]),
  ...connection('riak', [
    ['address', nestring, MANDATORY],
    ['port', port, MANDATORY],
    ['credentials.user', nestring, MANDATORY],
    ['credentials.password', secret, MANDATORY],
  ]),
  ...connection('generic', [['ip_address', address, NOT_SET]]),
  ['services.service_admin_extra.submods', listOf(oneOf('stats')), NOT_SET],
  ['services.service_mongoose_system_metrics.report', bool, NOT_SET],
  ['services.service_mongoose_system_metrics.initial_report', posint, NOT_SET],
  ['services.service_mongoose_system_metrics.periodic_report', posint, NOT_SET],
  ['services.service_mongoose_system_metrics.tracking_id', nestring, NOT_SET],
  ['cluster.node_name', nestring, NOT_SET],
]

/** Handlers of BOSH need their module. */
const AFTER: Record<string, string> = { 'listen.http.handlers.mod_bosh': '[modules.mod_bosh]\n' }
const load = (key: string, toml: string | undefined, extra?: string[]) =>
  // The variable that `auth.jwt.secret.env` names.
  grammar(fileWith(key, toml, extra) + (AFTER[key.split('.').slice(0, -1).join('.')] ?? ''), { env: { x: 'secret' } })

/** The value that a report may show: scalars and arrays of them. */
function reported(toml: string, below: string | undefined): { value?: unknown } {
  const { x } = parse(`x = ${toml}`, { integersAsBigInt: 'asNeeded' })
  const index = /^\[(\d+)\]$/.exec(below ?? '')?.[1]
  const value =
    index === undefined ? (below === undefined ? x : undefined) : Array.isArray(x) ? x[Number(index)] : undefined
  if (typeof value === 'bigint' || value === Number.POSITIVE_INFINITY) return { value: String(value) }
  const isShown = Array.isArray(value)
    ? value.every(item => typeof item !== 'object')
    : value !== undefined && !isTable(value)
  return isShown
    ? { value: Array.isArray(value) ? value.map(item => (item === Infinity ? 'Infinity' : item)) : value }
    : {}
}

/** Options of which a table needs one or another: leaving one out is tested with the rules across options. */
const SOME_OF = /^acl\.|^auth\.jwt\.secret\.|\.NAME\.host$|(api_admin|debug)\.(username|password)$/

describe.each(ROWS)('%s', (key, kind, initial, extra = []) => {
  it(`accepts ${kind.good.join(' and ')}`, () => {
    for (const toml of kind.good) expect(load(key, toml, extra).problems, toml).toEqual([])
  })

  it(`refuses ${kind.bad.map(([toml, code]) => `${toml} as ${code}`).join(', ')}`, () => {
    for (const bad of kind.bad) expectRefusal(key, kind, bad, extra)
  })

  if (initial === MANDATORY) {
    it('is mandatory', () => {
      const { problems } = load(key, undefined, extra)
      expect(problems.map(({ path, code }) => ({ path, code }))).toEqual([
        { path: reportedPath(key), code: 'missing_option' },
      ])
    })
  } else if (!SOME_OF.test(key)) {
    it(`is ${JSON.stringify(initial)} when it is left out`, () => {
      const { config, problems } = load(key, undefined, extra)
      expect(problems).toEqual([])
      const path = reportedPath(key)
        .split(/[.[\]]+/)
        .map(part => (/^\d+$/.test(part) ? Number(part) : part))
      expect(valueAt(config, path)).toEqual(initial)
    })
  }
})

/** One problem, of this code, at this path, which shows the value unless it is a secret or may hold one. */
function expectRefusal(key: string, kind: Kind, [toml, code, below]: Bad, extra: string[]) {
  const { config, problems } = load(key, toml, extra)
  expect(config, toml).toBeUndefined()
  expect(problems, toml).toHaveLength(1)
  const [{ path, value, message, ...problem }] = problems as [Problem]
  expect({ path, code: problem.code }, toml).toEqual({ path: `${reportedPath(key)}${below ?? ''}`, code })
  if (kind.isSecret) {
    expect(value, toml).toBeUndefined()
    expect(message).not.toContain(toml)
  } else if (!kind.isTable && !toml.includes('{') && code !== 'missing_option' && code !== 'unexpected_option') {
    expect({ value }, toml).toEqual({ value: undefined, ...reported(toml, below) })
  }
}

describe('the table of options above', () => {
  it('has a row for every option of the schema, and none for another', () => {
    const known = new Set(ROWS.map(([key]) => key.replace('.all.', '.NAME.')))
    const options = optionPaths(schema).filter(path => !path.startsWith('modules'))
    expect(options.filter(path => !known.has(path))).toEqual([])
    expect([...known].filter(path => !options.includes(path))).toEqual([])
  })
})
