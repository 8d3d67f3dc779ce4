// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is the syntax under test
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadConfig, loadConfigOrThrow } from '../../src/config/load.js'
import { ConfigError, formatProblem } from '../../src/config/problem.js'
import { fixtureModules, grammar, load } from './support.js'

const GENERAL = '[general]\nhosts = ["localhost"]\n'

describe('loadConfig', () => {
  it('reports every error of a file in one run, in the order of the file, each with its line and column (§1.1)', () => {
    const { config, problems, notices } = load(`[general]
  hosts = ["localhost"]
  lodlevel = "info"

[[listen.c2s]]
  port = "5222"
  access = "c2ss"

[[listen.c2s]]
  port = 5223
  tls.ciphers = "NO-SUCH"
  tls.mode = "starttls"
[access]
  c2s = [{acl = "all", value = "allow"}]
[s2s]
  shared = 5
`)
    expect(config).toBeUndefined()
    expect(notices).toEqual([])
    expect(problems.map(formatProblem)).toEqual([
      '/etc/meerkat/meerkat.toml:3:3  general.lodlevel  unexpected_option  unknown key; did you mean "loglevel"?',
      '/etc/meerkat/meerkat.toml:6:3  listen.c2s[0].port  malformed_option  found "5222"; allowed: an integer from 0 to 65535',
      '/etc/meerkat/meerkat.toml:7:3  listen.c2s[0].access  undefined_reference  no access rule "c2ss" in [access]; did you mean "c2s"?',
      '/etc/meerkat/meerkat.toml:11:3  listen.c2s[1].tls.certfile  missing_option  missing; tls.mode = "starttls" needs the file with the certificate',
      '/etc/meerkat/meerkat.toml:11:7  listen.c2s[1].tls.ciphers  incorrect_value  found "NO-SUCH"; allowed: an OpenSSL cipher list that names a suite',
      '/etc/meerkat/meerkat.toml:16:3  s2s.shared  malformed_option  found a secret number; allowed: a non-empty string',
    ])
  })

  it('gives each problem as the object of `check --json` (DESIGN §8)', () => {
    expect(load(`${GENERAL}loglevel = "infos"`).problems).toEqual([
      {
        file: '/etc/meerkat/meerkat.toml',
        line: 3,
        column: 1,
        path: 'general.loglevel',
        code: 'incorrect_value',
        value: 'infos',
        allowed: ['none', 'emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug', 'all'],
        suggestion: 'info',
        message:
          'found "infos"; allowed: one of "none", "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug", "all"; did you mean "info"?',
      },
    ])
  })

  it('stops at a text that is no TOML, with its line and column', () => {
    expect(load('[general]\nhosts = ["localhost"\n').problems).toMatchObject([
      { code: 'syntax_error', path: '', line: 3 },
    ])
    expect(load('a = 1\na = 2').problems).toMatchObject([
      { code: 'syntax_error', line: 2, message: expect.stringMatching(/redefine/) },
    ])
    expect(load('x = 07:32').problems).toMatchObject([{ code: 'syntax_error', line: 1 }])
  })

  it('strips a byte order mark, and counts lines and columns without it', () => {
    expect(load(`\uFEFF${GENERAL}`).problems).toEqual([])
    expect(load('\uFEFFx = 1\n').problems).toContainEqual(expect.objectContaining({ path: 'x', line: 1, column: 1 }))
  })

  it('does not derive anything from a value that is wrong already', () => {
    // Neither a duplicate, nor a missing certificate, nor an unserved host may be made of these.
    const text = `[general]\nhosts = ["localhost", 5]\n[[listen.c2s]]\nport = "1"\ntls.mode = "strattls"\n[[listen.c2s]]\nport = 5222\n[[host_config]]\nhost = "example.org"\n`
    expect(load(text).problems.map(({ path, code }) => `${code} ${path}`)).toEqual([
      'malformed_option general.hosts[1]',
      'malformed_option listen.c2s[0].port',
      'incorrect_value listen.c2s[0].tls.mode',
    ])
  })

  it('goes on with everything else when a whole section is of the wrong type', () => {
    const text = `access = 1\nlisten = 2\n${GENERAL}[acl]\na = 3\n[shaper]\nx = {max_rate = 0}\n[modules.mod_register]\naccess = "nowhere"`
    expect(load(text).problems.map(({ path, code }) => `${code} ${path}`)).toEqual([
      'malformed_option access',
      'malformed_option listen',
      'malformed_option acl.a',
      'incorrect_value shaper.x.max_rate',
    ])
  })

  it('quotes keys in paths where TOML does', () => {
    expect(load(`${GENERAL}[acl]\n"my class" = [{user = 5}]`).problems).toMatchObject([
      { path: 'acl."my class"[0].user' },
    ])
  })

  it('takes numbers as the parser gives them: 5222.0 is 5222, inf and dates are none (§1.1)', () => {
    const port = (toml: string) => grammar(`${GENERAL}[[listen.c2s]]\nport = ${toml}`)
    expect(port('5222.0').config?.listen.c2s[0]?.port).toBe(5222)
    expect(port('0x1466').config?.listen.c2s[0]?.port).toBe(5222)
    expect(port('inf').problems).toMatchObject([{ code: 'malformed_option', value: 'Infinity' }])
    expect(port('nan').problems).toMatchObject([{ code: 'malformed_option', value: 'NaN' }])
    expect(port('1979-05-27').problems).toMatchObject([{ code: 'malformed_option' }])
    expect(port('9223372036854775807').problems).toMatchObject([
      { code: 'incorrect_value', value: '9223372036854775807' },
    ])
    expect(port('[5222]').problems).toMatchObject([{ code: 'malformed_option', value: [5222] }])
  })

  it('names each member of a mixed array that is wrong (§1.1)', () => {
    expect(
      load('[general]\nhosts = ["a", 1, true, "b c"]').problems.map(({ path, code }) => `${code} ${path}`),
    ).toEqual([
      'malformed_option general.hosts[1]',
      'malformed_option general.hosts[2]',
      'incorrect_value general.hosts[3]',
    ])
  })

  it('gives out a frozen value with absolute paths and prepared domains', () => {
    const { config } = grammar(`[general]
hosts = ["LocalHost", "bücher.example."]
data_dir = "../data"
[[listen.c2s]]
port = 5222
tls = {mode = "tls", certfile = "certs/a.pem", keyfile = "/abs/b.pem", module = "just_tls", crl_files = ["c.pem"]}
[[host_config]]
host = "LOCALHOST"
[modules.mod_muc_light]
host = "Muc.@HOST@"
`)
    expect(config?.general).toMatchObject({ hosts: ['localhost', 'bücher.example'], data_dir: '/etc/data' })
    expect(config?.listen.c2s[0]?.tls).toMatchObject({
      certfile: '/etc/meerkat/certs/a.pem',
      keyfile: '/abs/b.pem',
      crl_files: ['/etc/meerkat/c.pem'],
    })
    expect(config?.host_config[0]?.host).toBe('localhost')
    expect(config?.modules.mod_muc_light).toMatchObject({ host: 'muc.@HOST@' })
    expect(() => Object.assign(config!.listen.c2s[0]!, { port: 1 })).toThrow(TypeError)
    expect(Object.isFrozen(config?.general.hosts)).toBe(true)
  })

  it('takes an object as well; paths in it are relative to the folder that is named', () => {
    const object = { general: { hosts: ['localhost'], language: '${LANG}' }, listen: { c2s: [{ port: 0 }] } }
    const { config, problems } = loadConfig({ object, folder: '/srv' }, { modules: fixtureModules, env: {} })
    expect(problems).toEqual([])
    expect(config?.general).toMatchObject({ data_dir: '/srv/data', language: '${LANG}' })
    expect(Object.isFrozen(object.general)).toBe(false)
    const bad = loadConfig({ object: { general: { hosts: [] } }, folder: '/srv' }, { modules: fixtureModules })
    expect(bad.problems.map(formatProblem)).toEqual([
      'configuration  general.hosts  incorrect_value  found []; allowed: a non-empty array of different domain names',
    ])
  })

  it('throws a ConfigError that lists the problems where somebody cannot go on without', () => {
    const text = { file: 'x.toml', text: '[general]' }
    expect(() => loadConfigOrThrow(text, { modules: [] })).toThrow(ConfigError)
    expect(() => loadConfigOrThrow(text, { modules: [] })).toThrow('x.toml:1:1  general.hosts  missing_option')
    expect(loadConfigOrThrow({ file: 'x.toml', text: GENERAL }, { modules: [] }).config.general.hosts).toEqual([
      'localhost',
    ])
  })
})

describe('variables of the environment', () => {
  const hosts = (value: string, env: Record<string, string> = {}) => load(`[general]\nhosts = ['${value}']`, { env })

  it('are put in strings: ${NAME}, and ${NAME:-default} when it is not set or empty', () => {
    expect(hosts('${A}', { A: 'a.example' }).config?.general.hosts).toEqual(['a.example'])
    expect(hosts('x.${A}.${B:-b}', { A: 'a' }).config?.general.hosts).toEqual(['x.a.b'])
    expect(hosts('${A:-b}', { A: '' }).config?.general.hosts).toEqual(['b'])
    expect(hosts('${A:-b}', { A: 'a' }).config?.general.hosts).toEqual(['a'])
  })

  it('are not looked for in what they gave', () => {
    expect(load(`${GENERAL}language = "\${A}"`, { env: { A: '${B}', B: 'b' } }).config?.general.language).toBe('${B}')
  })

  it('are an incorrect_value when they are not set and have no default', () => {
    expect(hosts('${A}.example').problems).toMatchObject([
      {
        path: 'general.hosts[0]',
        code: 'incorrect_value',
        line: 2,
        column: 10,
        message: 'the variable A is not set and has no default',
      },
    ])
  })

  it('leave $${ as a literal ${, and refuse a ${ that starts nothing', () => {
    expect(load(`${GENERAL}language = "$\${A}"`).config?.general.language).toBe('${A}')
    expect(load(`${GENERAL}language = "\${1}"`).problems).toMatchObject([
      { code: 'incorrect_value', path: 'general.language' },
    ])
    expect(load(`${GENERAL}language = "\${A"`).problems).toMatchObject([
      { code: 'incorrect_value', path: 'general.language' },
    ])
  })

  it('are not replaced in keys', () => {
    expect(load(`${GENERAL}[acl]\n"\${A}" = [{match = "all"}]`, { env: { A: 'x' } }).config?.acl).toHaveProperty([
      '${A}',
    ])
  })
})

describe('secrets', () => {
  it.each([
    '[[listen.service]]\nport = 1\npassword = ["hunter2"]',
    '[[listen.service]]\nport = 1\npasword = "hunter2"\npassword = "x"',
    '[[listen.c2s]]\nport = 1\ntls.password = {x = "hunter2"}',
    '[s2s]\nshared = ["hunter2"]',
    '[s2s]\nshaerd = "hunter2"',
    '[auth]\njwt = {secret = "hunter2", algorithm = "HS256", username_key = "u"}',
    '[auth]\njwt = {secret = {valu = "hunter2"}, algorithm = "HS256", username_key = "u"}',
    '[auth]\nhttp.basic_auth = ["hunter2"]',
    '[outgoing_pools.rdbms.default.connection]\ndriver = "pgsql"\npassword = ["hunter2"]',
    '[outgoing_pools.rdbms]\ndefault = ["hunter2"]\nsecret = "hunter2"',
    '[[listen.http]]\nport = 1\nhandlers.meerkat_debug = [{host = "_", username = "u", password = ["hunter2"]}]',
    '[[listen.http]]\nport = 1\nhandlers.meerkat_debug = {host = "_", username = "u", password = "hunter2"}',
    '[[listen.http]]\nport = 1\nhandlers.meerkat_debgu = [{host = "_", username = "u", password = "hunter2"}]',
  ])('are never printed: %j', text => {
    const { problems } = load(GENERAL + text)
    expect(problems.length).toBeGreaterThan(0)
    expect(JSON.stringify(problems)).not.toContain('hunter2')
  })
})

describe('whatever the text', () => {
  const env = { A: 'a' }

  it('loadConfig never throws, and every problem has a place inside the text (random text)', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.string({ maxLength: 200 })), text => {
        holds(text)
      }),
      { numRuns: 100 },
    )
  })

  it('loadConfig never throws (a good file, mutated)', () => {
    const good = GOOD.split('\n')
    const junk = fc.constantFrom(
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '=',
      '.',
      ',',
      '\\',
      '#',
      '\n',
      '0',
      '-',
      'x',
      '__proto__',
      '[[',
      '${',
      '\u0000',
      '5',
      'inf',
      'true',
    )
    const edit = fc.record({ at: fc.nat(GOOD.length), cut: fc.nat(12), put: fc.array(junk, { maxLength: 3 }) })
    const byCharacters = fc
      .array(edit, { minLength: 1, maxLength: 4 })
      .map(edits =>
        edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put.join('') + text.slice(at + cut), GOOD),
      )
    const byLines = fc.shuffledSubarray(good).map(lines => lines.join('\n'))
    const bySwap = fc
      .tuple(
        fc.nat(good.length - 1),
        fc.constantFrom('1', '"x"', 'true', '[]', '{}', '[{}]', '[[1]]', '-1', '1.5', '1979-05-27', '{a = {b = 1}}'),
      )
      .map(([at, value]) =>
        good
          .map((line, index) => (index === at && line.includes('=') ? `${line.split('=')[0]}= ${value}` : line))
          .join('\n'),
      )
    fc.assert(fc.property(fc.oneof(byCharacters, byLines, bySwap), holds), { numRuns: 200 })
  })

  it('loadConfig never throws (an object of any shape)', () => {
    const key = fc.constantFrom(
      'general',
      'listen',
      'c2s',
      'http',
      'handlers',
      'auth',
      'access',
      'acl',
      'shaper',
      'hosts',
      'tls',
      'host_config',
      'modules',
      'mod_ping',
      'service',
      'component',
      'x',
    )
    const { value } = fc.letrec(tie => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.anything({ maxDepth: 1 }),
        fc.constantFrom('localhost', 5222),
        tie('table'),
        tie('list'),
      ),
      table: fc.dictionary(key, tie('value'), { maxKeys: 5 }),
      list: fc.array(tie('value'), { maxLength: 3 }),
    }))
    fc.assert(
      fc.property(value, object => {
        const { config, problems } = loadConfig({ object, folder: '/' }, { modules: fixtureModules })
        expect(config === undefined).toBe(problems.length > 0)
      }),
      { numRuns: 100 },
    )
  })

  it('depth is no danger', () => {
    const deep = (open: string, close: string, times: number) => `x = ${open.repeat(times)}1${close.repeat(times)}`
    for (const text of [
      deep('[', ']', 50_000),
      deep('{a=', '}', 5_000),
      `${'a.'.repeat(20_000)}a = 1`,
      deep('[', ']', 40),
    ]) {
      expect(load(text).problems.length).toBeGreaterThan(0)
    }
  })

  function holds(text: string) {
    const { config, problems } = load(text, { env })
    expect(config === undefined).toBe(problems.length > 0)
    const lines = text.split('\n')
    for (const { line, column, code, message } of problems) {
      expect(line).toBeGreaterThanOrEqual(1)
      expect(line).toBeLessThanOrEqual(lines.length + 1)
      expect(column).toBeGreaterThanOrEqual(1)
      expect(code).toMatch(/^[a-z_]+$/)
      expect(message).not.toBe('')
    }
  }
})

const GOOD = `[general]
hosts = ["localhost", "example.org"]
loglevel = "info"
[auth]
methods = ["internal"]
anonymous.protocol = "both"
[[listen.c2s]]
port = 5222
access = "c2s"
shaper = "slow"
tls.mode = "starttls"
tls.module = "just_tls"
tls.certfile = "\${A}.pem"
tls.ciphers = [{cipher = "aes_256_gcm", key_exchange = "any", mac = "aead", prf = "sha384"}, "AES128-SHA"]
[[listen.component]]
port = 8888
password = "secret"
[[listen.http]]
port = 5280
transport.max_connections = "infinity"
[[listen.http.handlers.mongoose_websocket_handler]]
host = "_"
path = "/ws"
[listen.http.handlers.mongoose_websocket_handler.service]
password = "x"
[acl]
admin = [{user = "admin", server = "localhost"}]
[access]
c2s = [{acl = "admin", value = "deny"}, {acl = "all", value = "allow"}]
slow = [{acl = "all", value = "fast"}]
[shaper.fast]
max_rate = 1000
[[host_config]]
host = "example.org"
[host_config.auth]
methods = ["anonymous"]
scram_iterations = 1
jwt = {secret.value = "x", algorithm = "HS256", username_key = "u"}
[modules.mod_ping]
send_pings = true
[outgoing_pools.rdbms.default.connection]
driver = "pgsql"
`
