import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { keysOf, metaOf, unwrap } from '../../src/config/schema.js'
import { fileWith, schema } from './files.js'
import { fixtureModules, grammar } from './support.js'

/*
 * Rules across keys and tables, and what the loader says of keys, tables and names that are not there.
 */

const GENERAL = '[general]\nhosts = ["localhost", "example.org"]\n'
const C2S = '[[listen.c2s]]\nport = 5222\n'
const HTTP = '[[listen.http]]\nport = 5280\n'

/** What is wrong with a text, as `code path`. */
function faults(text: string, options: Parameters<typeof grammar>[1] = {}): string[] {
  return grammar(GENERAL + text, options).problems.map(({ code, path }) => `${code} ${path}`)
}

/** [what, accepted, [refused, its fault]...] */
type RuleCase = [what: string, good: string[], bad: [text: string, ...faults: string[]][]]

const handler = (type: string, lines = '') => `[[listen.http.handlers.${type}]]\nhost = "_"\npath = "/x"\n${lines}`
const LOOPBACK = '[[listen.http]]\nport = 1\nip_address = "127.0.0.1"\n'

const CASES: RuleCase[] = [
  [
    '§1.2: ip_version may not contradict ip_address',
    [
      `${C2S}ip_version = 6`,
      `${C2S}ip_version = 6\nip_address = "::1"`,
      `${C2S}ip_version = 4\nip_address = "127.0.0.1"`,
    ],
    [
      [`${C2S}ip_version = 6\nip_address = "127.0.0.1"`, 'incorrect_value listen.c2s[0].ip_version'],
      [`${HTTP}ip_version = 4\nip_address = "::1"`, 'incorrect_value listen.http[0].ip_version'],
    ],
  ],
  [
    '§1.2: two listeners of one port, address and protocol are refused; port 0 never counts',
    [
      `${C2S}ip_address = "127.0.0.1"\n${C2S}`,
      `${C2S}proto = "udp"\n${C2S}`,
      '[[listen.c2s]]\nport = 0\n[[listen.c2s]]\nport = 0',
      `${C2S}ip_version = 6\n${C2S}`,
      '[[listen.c2s]]\nport = 1\n[[listen.http]]\nport = 2',
    ],
    [
      [C2S + C2S, 'duplicate_listener listen.c2s[1].port'],
      [`${C2S}${C2S}ip_address = "0.0.0.0"`, 'duplicate_listener listen.c2s[1].port'],
      [`${C2S}ip_version = 6\n${C2S}ip_address = "0:0::0"`, 'duplicate_listener listen.c2s[1].port'],
      [`${C2S}[[listen.http]]\nport = 5222`, 'duplicate_listener listen.http[0].port'],
      [`${C2S}[[listen.component]]\nport = 5222\npassword = "x"`, 'duplicate_listener listen.component[0].port'],
    ],
  ],
  [
    '§1.2: http has no UDP',
    [`${HTTP}proto = "tcp"`],
    [[`${HTTP}proto = "udp"`, 'incorrect_value listen.http[0].proto']],
  ],
  [
    '§1.5: tls.mode needs certfile (trap 2)',
    [`${C2S}tls.mode = "tls"\ntls.certfile = "x"`, `${C2S}tls.certfile = "x"`, `${C2S}tls.verify_peer = true`],
    [
      [`${C2S}tls.mode = "tls"`, 'missing_option listen.c2s[0].tls.certfile'],
      [`${C2S}tls.mode = "starttls"`, 'missing_option listen.c2s[0].tls.certfile'],
      [`${C2S}tls.mode = "starttls_required"`, 'missing_option listen.c2s[0].tls.certfile'],
    ],
  ],
  [
    '§1.5: each tls.module has keys of its own',
    [
      `${C2S}tls.protocol_options = ["no_tlsv1"]`,
      `${C2S}tls.module = "just_tls"\ntls.versions = ["tlsv1.2"]\ntls.verify_mode = "none"\ntls.disconnect_on_failure = true\ntls.crl_files = ["x"]`,
    ],
    [
      [`${C2S}tls.versions = ["tlsv1.2"]`, 'unexpected_option listen.c2s[0].tls.versions'],
      [`${C2S}tls.verify_mode = "none"`, 'unexpected_option listen.c2s[0].tls.verify_mode'],
      [`${C2S}tls.disconnect_on_failure = true`, 'unexpected_option listen.c2s[0].tls.disconnect_on_failure'],
      [`${C2S}tls.crl_files = ["x"]`, 'unexpected_option listen.c2s[0].tls.crl_files'],
      [
        `${C2S}tls.module = "just_tls"\ntls.protocol_options = []`,
        'unexpected_option listen.c2s[0].tls.protocol_options',
      ],
      [`${C2S}tls.server_name_indication = false`, 'unexpected_option listen.c2s[0].tls.server_name_indication'],
    ],
  ],
  [
    '§1.5: disconnect_on_failure needs verify_mode',
    [`${C2S}tls.module = "just_tls"\ntls.verify_mode = "peer"\ntls.disconnect_on_failure = false`],
    [
      [
        `${C2S}tls.module = "just_tls"\ntls.disconnect_on_failure = false`,
        'missing_option listen.c2s[0].tls.verify_mode',
      ],
    ],
  ],
  [
    '§1.12: s2s listeners refuse what belongs to [s2s] or to c2s',
    ['[[listen.s2s]]\nport = 1\ntls.dhfile = "x"'],
    [
      'access = "all"',
      'zlib = 1',
      'max_fsm_queue = 1',
      'tls.mode = "tls"',
      'tls.module = "fast_tls"',
      'tls.certfile = "x"',
      'tls.verify_peer = true',
      'tls.versions = []',
    ].map(line => [`[[listen.s2s]]\nport = 1\n${line}`, `unexpected_option listen.s2s[0].${line.split(' ')[0]}`]),
  ],
  [
    '§1.13, §1.14: no tls on service listeners, no XMPP keys on http listeners',
    [],
    [
      ['[[listen.service]]\nport = 1\npassword = "x"\ntls.certfile = "x"', 'unexpected_option listen.service[0].tls'],
      ['[[listen.service]]\nport = 1\npassword = "x"\nshaper = "none"', 'unexpected_option listen.service[0].shaper'],
      ...[
        'backlog',
        'proxy_protocol',
        'hibernate_after',
        'max_stanza_size',
        'num_acceptors',
        'max_fsm_queue',
        'access',
        'shaper',
        'state_timeout',
      ].map((key): [string, string] => [`${HTTP}${key} = 1`, `unexpected_option listen.http[0].${key}`]),
      [`${C2S}xml_socket = true`, 'unexpected_option listen.c2s[0].xml_socket'],
    ],
  ],
  [
    'HT-3: verify_peer of https needs cacertfile, unless anything goes',
    [
      `${HTTP}tls = {certfile = "x", verify_peer = true, cacertfile = "x"}`,
      `${HTTP}tls = {certfile = "x", verify_peer = true, verify_mode = "none"}`,
      `${HTTP}tls = {certfile = "x", verify_peer = true, verify_mode = "selfsigned_peer"}`,
    ],
    [
      [`${HTTP}tls = {certfile = "x", verify_peer = true}`, 'missing_option listen.http[0].tls.cacertfile'],
      [
        `${HTTP}tls = {certfile = "x", verify_peer = true, verify_mode = "peer"}`,
        'missing_option listen.http[0].tls.cacertfile',
      ],
    ],
  ],
  [
    'HC-3: credentials come both or none, and none on loopback only',
    [
      LOOPBACK + handler('mongoose_api_admin'),
      LOOPBACK + handler('meerkat_debug'),
      `[[listen.http]]\nport = 1\nip_address = "::1"\n${handler('meerkat_debug')}`,
      `[[listen.http]]\nport = 1\nip_address = "127.8.9.1"\n${handler('meerkat_debug')}`,
      HTTP + handler('mongoose_api_admin', 'username = "u"\npassword = "p"'),
      HTTP + handler('meerkat_debug', 'username = "u"\npassword = "p"'),
      HTTP + handler('meerkat_health'),
    ],
    [
      [
        LOOPBACK + handler('mongoose_api_admin', 'username = "u"'),
        'missing_option listen.http[0].handlers.mongoose_api_admin[0].password',
      ],
      [
        LOOPBACK + handler('meerkat_debug', 'password = "p"'),
        'missing_option listen.http[0].handlers.meerkat_debug[0].username',
      ],
      [HTTP + handler('mongoose_api_admin'), 'missing_option listen.http[0].handlers.mongoose_api_admin[0].username'],
      [HTTP + handler('meerkat_debug'), 'missing_option listen.http[0].handlers.meerkat_debug[0].username'],
      [
        `[[listen.http]]\nport = 1\nip_address = "192.0.2.1"\n${handler('meerkat_debug')}`,
        'missing_option listen.http[0].handlers.meerkat_debug[0].username',
      ],
    ],
  ],
  [
    'HC-3: handler mod_bosh needs the module',
    [`${HTTP}${handler('mod_bosh')}[modules.mod_bosh]`, HTTP + handler('mod_bosh')],
    [[`${HTTP}${handler('mod_bosh')}[modules.mod_ping]`, 'undefined_reference listen.http[0].handlers.mod_bosh[0]']],
  ],
  [
    'HC-1, D-2: unknown handler types and keys of handlers',
    [HTTP + handler('mongoose_api_client')],
    [
      [HTTP + handler('mod_bush'), 'unexpected_option listen.http[0].handlers.mod_bush'],
      [
        HTTP + handler('mod_websockets', 'timout = 1'),
        'unexpected_option listen.http[0].handlers.mod_websockets[0].timout',
      ],
      [
        HTTP + handler('cowboy_swagger_json_handler', 'module = "x"'),
        'unexpected_option listen.http[0].handlers.cowboy_swagger_json_handler[0].module',
      ],
      [
        HTTP + handler('cowboy_swagger_redirect_handler', 'module = "x"'),
        'unexpected_option listen.http[0].handlers.cowboy_swagger_redirect_handler[0].module',
      ],
      [
        `${HTTP}${handler('mod_websockets')}[listen.http.handlers.mod_websockets.service]\npassword = "x"\nmax_stanza_size = 1`,
        'unexpected_option listen.http[0].handlers.mod_websockets[0].service.max_stanza_size',
      ],
      [
        `${HTTP}${handler('mod_websockets')}service = {}`,
        'missing_option listen.http[0].handlers.mod_websockets[0].service.password',
      ],
    ],
  ],
  [
    '§2.2: an acl pattern has one of the sets of keys',
    [
      'match = "all"',
      'user = "u"',
      'user = "u", server = "s"',
      'server = "s"',
      'resource = "r"',
      'user_regexp = "u"',
      'user_regexp = "u", server = "s"',
      'server_regexp = "s"',
      'user_regexp = "u", server_regexp = "s"',
      'resource_regexp = "r"',
      'user_glob = "u"',
      'user_glob = "u", server = "s"',
      'server_glob = "s"',
      'user_glob = "u", server_glob = "s"',
      'resource_glob = "r"',
    ].map(keys => `[acl]\na = [{${keys}}]`),
    [
      '',
      'match = "all", user = "u"',
      'user = "u", resource = "r"',
      'user = "u", server_regexp = "s"',
      'user_glob = "u", server_regexp = "s"',
      'user = "u", user_glob = "u"',
      'server = "s", resource = "r"',
    ].map(keys => [`[acl]\na = [{match = "none"}, {${keys}}]`, 'incorrect_value acl.a[1]']),
  ],
  [
    '§2.5: use_starttls needs certfile',
    ['[s2s]\nuse_starttls = "false"', '[s2s]\nuse_starttls = "optional"\ncertfile = "x"'],
    ['optional', 'required', 'required_trusted'].map(mode => [
      `[s2s]\nuse_starttls = "${mode}"`,
      'missing_option s2s.certfile',
    ]),
  ],
  [
    '§2.5, §2.7: domains that must be served',
    ['[[s2s.domain_certfile]]\ndomain = "EXAMPLE.org"\ncertfile = "x"', '[[host_config]]\nhost = "Example.Org"'],
    [
      [
        '[[s2s.domain_certfile]]\ndomain = "example.com"\ncertfile = "x"',
        'undefined_reference s2s.domain_certfile[0].domain',
      ],
      ['[[host_config]]\nhost = "example.com"', 'undefined_reference host_config[0].host'],
      [
        '[[host_config]]\nhost = "localhost"\n[[host_config]]\nhost = "LOCALHOST"',
        'incorrect_value host_config[1].host',
      ],
    ],
  ],
  [
    '§2.7: tables and keys that are not for one host',
    [
      '[[host_config]]\nhost = "localhost"\n[host_config.auth]\nmethods = ["anonymous"]\n[host_config.modules.mod_ping]',
    ],
    [
      ...['listen', 'outgoing_pools', 'services'].map((table): [string, string] => [
        `[[host_config]]\nhost = "localhost"\n${table} = {}`,
        `unexpected_option host_config[0].${table}`,
      ]),
      [
        '[[host_config]]\nhost = "localhost"\ngeneral.loglevel = "info"',
        'unexpected_option host_config[0].general.loglevel',
      ],
      ['[[host_config]]\nhost = "localhost"\ns2s.outgoing = {}', 'unexpected_option host_config[0].s2s.outgoing'],
      [
        '[[host_config]]\nhost = "localhost"\nauth.anonymous.protocol = "x"',
        'incorrect_value host_config[0].auth.anonymous.protocol',
      ],
    ],
  ],
  [
    '§2.6: what methods need',
    [
      '[auth]\nmethods = ["rdbms"]\n[outgoing_pools.rdbms.default.connection]\ndriver = "pgsql"',
      '[auth]\nmethods = ["external"]\nexternal.program = "x"',
      '[auth]\nmethods = ["http"]\n[outgoing_pools.http.auth.connection]\nhost = "http://x"',
      '[auth]\nmethods = ["jwt"]\njwt = {secret.value = "x", algorithm = "HS256", username_key = "u"}',
      '[auth]\nmethods = ["ldap"]\nldap.base = "x"\n[outgoing_pools.ldap.default]\n[outgoing_pools.ldap.bind]',
      '[auth]\nmethods = ["riak"]\n[outgoing_pools.riak.default]\nconnection = {address = "x", port = 1}',
    ],
    [
      ['[auth]\nmethods = ["internal", "rdbms"]', 'undefined_reference auth.methods[1]'],
      ['[auth]\nmethods = ["external"]', 'missing_option auth.external.program'],
      ['[auth]\nmethods = ["http"]', 'undefined_reference auth.methods[0]'],
      ['[auth]\nmethods = ["jwt"]', 'missing_option auth.jwt'],
      [
        '[auth]\nmethods = ["ldap"]\n[outgoing_pools.ldap.default]\n[outgoing_pools.ldap.bind]',
        'missing_option auth.ldap.base',
      ],
      [
        '[auth]\nmethods = ["ldap"]\nldap.base = "x"\nldap.bind_pool_tag = "y"\n[outgoing_pools.ldap.default]',
        'undefined_reference auth.methods[0]',
      ],
      ['[auth]\nmethods = ["riak"]', 'undefined_reference auth.methods[0]'],
      [
        '[[host_config]]\nhost = "localhost"\nauth.methods = ["external"]',
        'missing_option host_config[0].auth.external.program',
      ],
      ['[auth]\njwt = {secret = {}, algorithm = "HS256", username_key = "u"}', 'incorrect_value auth.jwt.secret'],
      [
        '[auth]\njwt = {secret = {value = "x", env = "y"}, algorithm = "HS256", username_key = "u"}',
        'incorrect_value auth.jwt.secret',
      ],
    ],
  ],
  [
    '§2.8: scope of pools, and the pool that backend rdbms needs',
    [
      '[outgoing_pools.redis.a]\nscope = "single_host"\nhost = "localhost"',
      '[outgoing_pools.rdbms.default.connection]\ndriver = "pgsql"\n[modules.mod_muc_light]\nbackend = "rdbms"',
    ],
    [
      ['[outgoing_pools.redis.a]\nscope = "single_host"', 'missing_option outgoing_pools.redis.a.host'],
      ['[outgoing_pools.redis.a]\nhost = "localhost"', 'unexpected_option outgoing_pools.redis.a.host'],
      ['[modules.mod_muc_light]\nbackend = "rdbms"', 'undefined_reference modules.mod_muc_light.backend'],
      [
        '[[host_config]]\nhost = "localhost"\nmodules.mod_muc_light.backend = "rdbms"',
        'undefined_reference host_config[0].modules.mod_muc_light.backend',
      ],
    ],
  ],
  [
    'B-1, bosh.md §1: options of mod_bosh',
    [
      '[modules.mod_bosh]\ninactivity = "infinity"\nmax_wait = 1\nserver_acks = true\nmaxpause = 1\nbackend = "mnesia"',
      '[modules.mod_bosh]\nmax_pause = 1',
    ],
    [
      ['[modules.mod_bosh]\ninactivity = 0', 'incorrect_value modules.mod_bosh.inactivity'],
      ['[modules.mod_bosh]\nmax_wait = "never"', 'incorrect_value modules.mod_bosh.max_wait'],
      ['[modules.mod_bosh]\nmaxpause = "infinity"', 'malformed_option modules.mod_bosh.maxpause'],
      ['[modules.mod_bosh]\nserver_acks = 1', 'malformed_option modules.mod_bosh.server_acks'],
      ['[modules.mod_bosh]\nbackend = "rdbms"', 'incorrect_value modules.mod_bosh.backend'],
      ['[modules.mod_bosh]\nmaxpause = 1\nmax_pause = 1', 'incorrect_value modules.mod_bosh'],
    ],
  ],
  [
    'muc-light.md §2: options of mod_muc_light',
    [
      '[modules.mod_muc_light]\nhost = "muc.@HOST@"\nrooms_per_user = "infinity"\nmax_occupants = 1\nrooms_per_page = 1\nblocking = false',
      '[[modules.mod_muc_light.config_schema]]\nfield = "a"\nvalue = "b"\n[[modules.mod_muc_light.config_schema]]\nfield = "c"\nvalue = 1\ninternal_key = "d"\ntype = "integer"',
      '[[modules.mod_muc_light.config_schema]]\nfield = "c"\nvalue = 1.5\ninternal_key = "d"\ntype = "float"',
    ],
    [
      ['[modules.mod_muc_light]\nhost = "a b"', 'incorrect_value modules.mod_muc_light.host'],
      ['[modules.mod_muc_light]\nrooms_per_user = 0', 'incorrect_value modules.mod_muc_light.rooms_per_user'],
      ['[modules.mod_muc_light]\nbackend = "redis"', 'incorrect_value modules.mod_muc_light.backend'],
      ['[modules.mod_muc_light]\nequal_occupants = 1', 'malformed_option modules.mod_muc_light.equal_occupants'],
      [
        '[modules.mod_muc_light]\nconfig_schema = [{field = "c", value = "x", internal_key = "d", type = "integer"}]',
        'incorrect_value modules.mod_muc_light.config_schema[0]',
      ],
      [
        '[modules.mod_muc_light]\nconfig_schema = [{field = "c", value = 1, internal_key = "d"}]',
        'incorrect_value modules.mod_muc_light.config_schema[0]',
      ],
      [
        '[modules.mod_muc_light]\nconfig_schema = [{value = "x"}]',
        'missing_option modules.mod_muc_light.config_schema[0].field',
      ],
    ],
  ],
  [
    'names of rules, shapers and classes must exist; all and none always do (traps 7, 22)',
    [
      `${C2S}access = "a"\nshaper = "s"\n[access]\na = [{acl = "me", value = "allow"}]\ns = [{acl = "all", value = "fast"}]\n[acl]\nme = [{user = "me"}]\n[shaper.fast]\nmax_rate = 1`,
      `${C2S}access = "none"\nshaper = "none"`,
      `${C2S}shaper = "s"\n[access]\ns = [{acl = "none", value = "none"}, {acl = "all", value = "deny"}]`,
      `${C2S}access = "own"\n[[host_config]]\nhost = "localhost"\naccess.own = [{acl = "all", value = "allow"}]`,
      '[modules.mod_register]\naccess = "all"',
    ],
    [
      [`${C2S}access = "a"`, 'undefined_reference listen.c2s[0].access'],
      [`${C2S}shaper = "a"`, 'undefined_reference listen.c2s[0].shaper'],
      [
        '[[listen.service]]\nport = 1\npassword = "x"\nshaper_rule = "a"',
        'undefined_reference listen.service[0].shaper_rule',
      ],
      ['[access]\na = [{acl = "me", value = "allow"}]', 'undefined_reference access.a[0].acl'],
      ['[modules.mod_register]\naccess = "register"', 'undefined_reference modules.mod_register.access'],
      [
        '[[host_config]]\nhost = "localhost"\nmodules.mod_register.access = "register"',
        'undefined_reference host_config[0].modules.mod_register.access',
      ],
      [
        '[general.mongooseimctl_access_commands.local]\ncommands = "all"',
        'undefined_reference general.mongooseimctl_access_commands.local',
      ],
      [
        `${C2S}shaper = "s"\n[access]\ns = [{acl = "all", value = "slow"}]\n[shaper.fast]\nmax_rate = 1`,
        'undefined_reference access.s[0].value',
      ],
      [`${C2S}shaper = "s"\n[access]\ns = [{acl = "all", value = "allow"}]`, 'undefined_reference access.s[0].value'],
    ].map(([text, fault]) => [text!.replace(/^\[general\./, '[general.'), fault!]),
  ],
]

describe.each(CASES)('%s', (_, good, bad) => {
  if (good.length > 0) {
    it.each(good)('accepts %j', text => {
      expect(faults(text)).toEqual([])
    })
  }
  it.each(bad)('refuses %j', (text, ...expected) => {
    expect(faults(text)).toEqual(expected)
  })
})

describe('modules', () => {
  it('are the shipped ones with their shipped options where there is no [modules] table (§2.8)', () => {
    expect(grammar(GENERAL).config?.modules).toEqual({
      mod_ping: { send_pings: false, ping_interval: 60 },
      mod_register: { access: 'all' },
    })
  })

  it('are those of the [modules] table alone where there is one (§2.8)', () => {
    expect(grammar(`${GENERAL}[modules.mod_version]`).config?.modules).toEqual({ mod_version: {} })
    expect(grammar(`${GENERAL}[modules]`).config?.modules).toEqual({})
  })

  it('that nobody knows are unexpected, with a suggestion (§2.8)', () => {
    expect(grammar(`${GENERAL}[modules.mod_pingg]`).problems).toMatchObject([
      {
        code: 'unexpected_option',
        path: 'modules.mod_pingg',
        suggestion: 'mod_ping',
        message: 'unknown key; did you mean "mod_ping"?',
      },
    ])
  })

  it('have their options checked as everything else', () => {
    expect(faults('[modules.mod_ping]\nping_interval = 0\nsend_pigns = true')).toEqual([
      'incorrect_value modules.mod_ping.ping_interval',
      'unexpected_option modules.mod_ping.send_pigns',
    ])
  })
})

describe('hints', () => {
  const messageOf = (text: string) => grammar(GENERAL + text).problems[0]?.message

  it('tell a shaper from a rule and a rule from a shaper (trap 6)', () => {
    const around = '[shaper.fast]\nmax_rate = 1\n[access]\nc2s_shaper = [{acl = "all", value = "fast"}]\n'
    expect(messageOf(`${around}${C2S}shaper = "fast"`)).toBe(
      'no access rule "fast" in [access]; [shaper.fast] exists, but this option names an access rule whose value is a shaper',
    )
    expect(messageOf(`${around}[[listen.service]]\nport = 1\npassword = "x"\nshaper_rule = "c2s_shaper"`)).toBe(
      'no shaper "c2s_shaper" in [shaper]; access rule "c2s_shaper" exists, but this option names a shaper directly',
    )
    expect(messageOf(`${around}${C2S}shaper = "c2s_shapr"`)).toBe(
      'no access rule "c2s_shapr" in [access]; did you mean "c2s_shaper"?',
    )
  })

  it('say how to mend a handler that is open to the world (HC-3)', () => {
    expect(messageOf(HTTP + handler('meerkat_debug'))).toContain('ip_address = "127.0.0.1"')
  })

  it('say why SSLv3 is refused', () => {
    expect(messageOf(`${C2S}tls.module = "just_tls"\ntls.versions = ["sslv3"]`)).toContain('SSLv3 is broken')
  })

  it('name the listener that has the port already', () => {
    expect(messageOf(C2S + C2S)).toBe('port 5222 (tcp) of 0.0.0.0 belongs to listen.c2s[0] already')
  })
})

describe('unknown keys, wrong tables', () => {
  const tables = [...tablePaths(schema, [])]

  it.each(tables.map(path => path.join('.')))('an unknown key in [%s] is unexpected_option', table => {
    const text = fileWith(`${table}.no_such_key`.replace(/^\./, ''), '1')
    const found = grammar(text).problems.filter(({ path }) => path.endsWith('no_such_key'))
    expect(found).toMatchObject([{ code: 'unexpected_option' }])
  })

  it('an unknown section and an unknown type of listener are unexpected_option', () => {
    expect(faults('[auht]\nx = 1\n[[listen.c2ss]]\nport = 1\n[hosts]')).toEqual([
      'unexpected_option auht',
      'unexpected_option listen.c2ss',
      'unexpected_option hosts',
    ])
  })

  it('[listen.c2s] with single brackets is malformed_option', () => {
    expect(faults('[listen.c2s]\nport = 1')).toEqual(['malformed_option listen.c2s'])
    expect(faults('listen = 1')).toEqual(['unexpected_option general.listen'])
    expect(grammar('listen = 1\n[general]\nhosts = ["x"]').problems).toMatchObject([
      { code: 'malformed_option', path: 'listen' },
    ])
    expect(faults('[[auth]]')).toEqual(['malformed_option auth'])
  })

  it('`tls = "starttls"` is malformed_option', () => {
    expect(faults(`${C2S}tls = "starttls"`)).toEqual(['malformed_option listen.c2s[0].tls'])
  })

  it('no [general], and no hosts in it, are missing_option', () => {
    for (const text of ['', '[general]', '[listen]']) {
      expect(grammar(text).problems).toMatchObject([{ code: 'missing_option', path: 'general.hosts' }])
    }
  })

  it('a name that JavaScript knows is as good as any other', () => {
    expect(
      faults('[acl]\nconstructor = [{match = "all"}]\n[access]\ntoString = [{acl = "constructor", value = "allow"}]'),
    ).toEqual([])
    expect(faults('[acl]\n[access]\na = [{acl = "constructor", value = "allow"}]')).toEqual([
      'undefined_reference access.a[0].acl',
    ])
    expect(faults('constructor = 1\n[acl]\n__proto__ = [{match = "all"}]')).toEqual([
      'unexpected_option general.constructor',
      'unexpected_option acl.__proto__',
    ])
  })

  it('__proto__ is an unknown key wherever it stands, and changes nothing (§1.1)', () => {
    const { problems } = grammar(`__proto__ = {x = 1}\n${GENERAL}__proto__ = 1\n[[listen.c2s]]\n__proto__.port = 1\n`)
    expect(problems.map(({ code, path }) => `${code} ${path}`)).toEqual([
      'unexpected_option __proto__',
      'unexpected_option general.__proto__',
      'missing_option listen.c2s[0].port',
      'unexpected_option listen.c2s[0].__proto__',
    ])
  })
})

describe('every option of the schemas', () => {
  it('has a description and an example, and says what holds without it', () => {
    const bare = [...tablePaths(schema, []), []].flatMap(path =>
      optionsAt(path)
        .filter(([, option]) => {
          const { description = describedWithin(option), example, unset } = metaOf(option)
          const isTable = keysOf(option) !== undefined || !isValue(option)
          return (
            !description ||
            (!isTable && (example === undefined || (option instanceof z.ZodOptional && unset === undefined)))
          )
        })
        .map(([key]) => [...path, key].join('.')),
    )
    expect(bare).toEqual([])
  })

  it('has an example that it accepts itself', () => {
    const wrong = [...tablePaths(schema, [])].flatMap(path =>
      optionsAt(path)
        .filter(
          ([, option]) => metaOf(option).example !== undefined && !option.safeParse(metaOf(option).example).success,
        )
        .map(([key]) => [...path, key].join('.')),
    )
    expect(wrong).toEqual([])
  })
})

/** Arrays of tables are described by what their tables are. */
function describedWithin(option: z.ZodType): string | undefined {
  const bare = unwrap(option)
  return bare instanceof z.ZodArray ? metaOf(bare.element as z.ZodType).description : undefined
}

/** The paths of all tables with fixed keys, of the core and of the fixture modules. */
function* tablePaths(at: z.ZodType, path: string[]): Generator<string[]> {
  const keys = keysOf(at)
  if (path.at(-2) === 'modules' && !fixtureModules.some(({ name }) => name === path.at(-1))) return
  if (keys !== undefined) {
    if (path.length > 0) yield path
    for (const [key, child] of Object.entries(keys)) yield* tablePaths(child, [...path, key])
    return
  }
  const bare = unwrap(at)
  if (bare instanceof z.ZodArray) yield* tablePaths(bare.element as z.ZodType, path)
  if (bare instanceof z.ZodRecord) yield* tablePaths(bare.valueType as z.ZodType, [...path, 'NAME'])
}

function optionsAt(path: string[]): [string, z.ZodType][] {
  let at: z.ZodType = schema
  for (const key of path) {
    const bare = unwrap(at)
    const child = bare instanceof z.ZodRecord ? (bare.valueType as z.ZodType) : keysOf(bare)?.[key]
    at = child!
    while (unwrap(at) instanceof z.ZodArray) at = (unwrap(at) as z.ZodArray).element as z.ZodType
  }
  return Object.entries(keysOf(at) ?? {})
}

function isValue(option: z.ZodType): boolean {
  const bare = unwrap(option)
  if (bare instanceof z.ZodArray) return isValue(bare.element as z.ZodType)
  return !(bare instanceof z.ZodObject || bare instanceof z.ZodRecord)
}
