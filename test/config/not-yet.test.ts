import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { ModuleOptions } from '../../src/config/root.js'
import { fixtureModules, load } from './support.js'

const GENERAL = '[general]\nhosts = ["localhost"]\n'
const C2S = '[[listen.c2s]]\nport = 5222\n'
const HTTP = '[[listen.http]]\nip_address = "127.0.0.1"\nport = 5280\n'

const faults = (text: string) => load(GENERAL + text).problems.map(({ code, path }) => `${code} ${path}`)

describe('what is configured and not built', () => {
  it.each([
    ['[general.x]'.replace('.x', '2'), undefined],
    ['[auth]\nsasl_mechanisms = ["plain", "oauth"]', 'auth.sasl_mechanisms[1]'],
    ['[auth]\nldap.base = "x"', 'auth.ldap'],
    ['[outgoing_pools.redis.default]', 'outgoing_pools.redis.default'],
    ['[outgoing_pools.http.other.connection]\nhost = "http://x"', 'outgoing_pools.http'],
    ['[outgoing_pools.rdbms.other.connection]\ndriver = "pgsql"', 'outgoing_pools.rdbms'],
    ['[cluster]\nnode_name = "x"', 'cluster'],
    ['[modules.mod_inbox]', 'modules.mod_inbox'],
    ['[modules.mod_muc_light]\nlegacy_mode = true', 'modules.mod_muc_light.legacy_mode'],
    ['[[host_config]]\nhost = "localhost"\nauth.sasl_mechanisms = ["oauth"]', 'host_config[0].auth.sasl_mechanisms[0]'],
    ['[[host_config]]\nhost = "localhost"\nmodules.mod_inbox = {}', 'host_config[0].modules.mod_inbox'],
  ] as const)('%j is one not_supported_yet line', (text, path) => {
    if (path !== undefined) expect(faults(text)).toEqual([`not_supported_yet ${path}`])
    else expect(faults(text)).toEqual(['unexpected_option general2'])
  })

  it.each([
    ['sm_backend = "redis"', 'general.sm_backend'],
    ['rdbms_server_type = "mssql"', 'general.rdbms_server_type'],
    ['routing_modules = ["mongoose_router_localdomain"]', 'general.routing_modules'],
    [
      '[outgoing_pools.rdbms.default]\nscope = "host"\nconnection.driver = "pgsql"',
      'outgoing_pools.rdbms.default.scope',
    ],
    ['[modules.mod_global_distrib]', 'modules.mod_global_distrib'],
    [
      `${HTTP}handlers.mongoose_api_client = [{host = "_", path = "/"}]`,
      'listen.http[0].handlers.mongoose_api_client[0]',
    ],
  ])('%j is not_supported for good', (text, path) => {
    expect(faults(text)).toEqual([`not_supported ${path}`])
  })

  it.each(['mysql', 'odbc'])('driver %s is not_supported', driver => {
    expect(faults(`[outgoing_pools.rdbms.default.connection]\ndriver = "${driver}"`)).toEqual([
      'not_supported outgoing_pools.rdbms.default.connection.driver',
    ])
  })

  it('is told together with what is wrong in it', () => {
    expect(faults('[cluster]\nnode_name = 1')).toEqual([
      'not_supported_yet cluster',
      'malformed_option cluster.node_name',
    ])
  })

  it('is told by modules of their own options, each by its path, globally and per host', () => {
    const modules: ModuleOptions[] = [
      {
        name: 'mod_echo',
        config: z.strictObject({ loud: z.boolean().default(false) }),
        unsupported: options =>
          z.looseObject({ loud: z.literal(true) }).safeParse(options).success
            ? [{ path: ['loud'], code: 'not_supported_yet', message: 'it cannot shout yet' }]
            : [],
      },
    ]
    expect(load(`${GENERAL}[modules.mod_echo]`, { modules }).problems).toEqual([])
    expect(
      load(
        `${GENERAL}[modules.mod_echo]\nloud = true\n[[host_config]]\nhost = "localhost"\nmodules.mod_echo.loud = true`,
        { modules },
      ).problems,
    ).toMatchObject([
      { path: 'modules.mod_echo.loud', code: 'not_supported_yet', line: 4, message: 'it cannot shout yet' },
      { path: 'host_config[0].modules.mod_echo.loud', code: 'not_supported_yet', line: 7 },
    ])
  })
})

describe('what is built', () => {
  it('is accepted', () => {
    const { problems, notices } = load(`[general]
hosts = ["localhost"]
loglevel = "info"
language = "en"
max_fsm_queue = 1
registration_timeout = 1
log_format = "json"
shutdown_timeout = 1
data_dir = "x"
hide_service_name = true
replaced_wait_timeout = 1
http_server_name = "x"
[[listen.c2s]]
port = 5222
ip_address = "::1"
ip_version = 6
proto = "tcp"
backlog = 1
num_acceptors = 1
hibernate_after = 1
max_stanza_size = 1
max_fsm_queue = 1
state_timeout = 1
access = "all"
shaper = "none"
proxy_protocol = true
tls = {mode = "tls", certfile = "x", keyfile = "y", password = "z", verify_peer = true, cacertfile = "a", dhfile = "d", ciphers = "HIGH", protocol_options = ["no_tlsv1"]}
[[listen.c2s]]
port = 5223
proto = "udp"
tls = {module = "just_tls", mode = "starttls_required", certfile = "x", verify_peer = true, verify_mode = "peer", disconnect_on_failure = false, crl_files = ["c"], versions = ["tlsv1.3"], ciphers = ["TLS_AES_128_GCM_SHA256"]}
[[listen.http]]
port = 5280
ip_address = "127.0.0.1"
handlers.meerkat_debug = [{host = "_"}]
handlers.meerkat_health = [{host = "_"}]
[auth]
methods = ["internal", "anonymous"]
sasl_mechanisms = ["scram_sha256_plus", "plain", "anonymous"]
password = {format = "plain", hash = ["sha256"]}
scram_iterations = 1
anonymous = {protocol = "both", allow_multiple_connections = true}
[acl]
a = [{match = "all"}]
[access]
b = [{acl = "a", value = "allow"}]
[shaper.c]
max_rate = 1
[[host_config]]
host = "localhost"
general = {hide_service_name = true, replaced_wait_timeout = 1}
auth = {methods = ["anonymous"], anonymous.protocol = "both"}
modules.mod_ping = {}
`)
    expect({ problems, notices }).toEqual({ problems: [], notices: [] })
  })
})

describe('harmless options (§2.8)', () => {
  it.each([
    ['sm_backend = "mnesia"', 'general.sm_backend'],
    ['rdbms_server_type = "pgsql"', 'general.rdbms_server_type'],
    ['pgsql_users_number_estimate = true', 'general.pgsql_users_number_estimate'],
    [
      'routing_modules = ["mongoose_router_global", "mongoose_router_localdomain", "mongoose_router_external_localnode", "mongoose_router_external", "ejabberd_s2s"]',
      'general.routing_modules',
    ],
    ['mongooseimctl_access_commands = {all = {commands = "all"}}', 'general.mongooseimctl_access_commands'],
    ['override = ["global", "acls"]', 'general.override'],
    ['[services.service_admin_extra]\nsubmods = ["stats"]', 'services.service_admin_extra'],
    [
      '[services.service_mongoose_system_metrics]\ninitial_report = 300_000\nperiodic_report = 10_800_000',
      'services.service_mongoose_system_metrics',
    ],
    [
      '[[host_config]]\nhost = "localhost"\ngeneral.pgsql_users_number_estimate = true',
      'host_config[0].general.pgsql_users_number_estimate',
    ],
  ])('%j gives one notice and no problem', (text, path) => {
    const { problems, notices } = load(GENERAL + text)
    expect(problems).toEqual([])
    expect(notices).toEqual([{ path, message: 'accepted, and without effect in this server' }])
  })

  it.each([
    ['[modules.mod_muc_light]\nbackend = "mnesia"', 'modules.mod_muc_light.backend'],
    ['[outgoing_pools.redis.default]\nworkers = 1', 'outgoing_pools.redis.default.workers'],
    ['[outgoing_pools.redis.default]\nstrategy = "best_worker"', 'outgoing_pools.redis.default.strategy'],
    [`${C2S}tls.protocol_options = ["no_tlsv1", "single_dh_use"]`, 'listen.c2s[0].tls.protocol_options[1]'],
  ])('%j gives one notice too, once what it belongs to is built', (text, path) => {
    const { problems, notices } = load(GENERAL + text, { refusesUnbuilt: false })
    expect(problems).toEqual([])
    expect(notices.map(notice => notice.path)).toEqual([path])
  })

  it('are no others', () => {
    expect(load(`${GENERAL}${C2S}backlog = 100`).notices).toEqual([])
    expect(faults('[services.service_other]')).toEqual(['unexpected_option services.service_other'])
  })

  it('the fixture modules are what they are meant to be', () => {
    const names = ['mod_ping', 'mod_register', 'mod_version', 'mod_bosh', 'mod_muc_light']
    expect(fixtureModules.map(({ name }) => name)).toEqual(names)
  })
})
