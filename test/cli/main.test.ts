import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { configFile } from '../../src/cli/args.js'

/* What the built command does, as a shell sees it. */

const main = new URL('../../dist/main.js', import.meta.url).pathname
const certfile = new URL('../support/certificates/rsa.pem', import.meta.url).pathname

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
  children = []
})
afterEach(async () => {
  for (const child of children.filter(each => each.exitCode === null && each.signalCode === null)) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  rmSync(folder, { recursive: true })
})

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => {
  const { MEERKAT_CONFIG: _, ...env } = process.env
  return { ...env, ...more }
}

function meerkat(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: environment(env),
  })
  return { status, stdout, stderr }
}

/** Writes a configuration that listens on loopback, any port. */
function configuration({ name = 'meerkat.toml', port = 0, general = '', c2s = '' } = {}): string {
  const file = join(folder, name)
  const text = `[general]
hosts = ["localhost"]
${general}
[[listen.c2s]]
ip_address = "127.0.0.1"
port = ${port}
num_acceptors = 1
${c2s}
[[listen.http]]
ip_address = "127.0.0.1"
port = 0
  [[listen.http.handlers.meerkat_health]]
  host = "_"
`
  writeFileSync(file, text)
  return file
}

/** A process whose lines can be waited for. */
function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, { cwd: folder, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const exit = once(child, 'exit').then(([code, signal]) => code ?? signal)
  const lines: string[] = []
  const errors: string[] = []
  createInterface({ input: child.stderr }).on('line', line => errors.push(line))
  const reader = createInterface({ input: child.stdout })
  const waiting: { prefix: string; resolve: (line: string) => void }[] = []
  reader.on('line', line => {
    lines.push(line)
    for (const each of waiting) if (line.startsWith(each.prefix)) each.resolve(line)
  })
  const line = (prefix: string) =>
    new Promise<string>((resolve, reject) => {
      const found = lines.find(each => each.startsWith(prefix))
      if (found !== undefined) return resolve(found)
      waiting.push({ prefix, resolve })
      void exit.then(() => reject(new Error(`no line ${prefix}: ${[...lines, ...errors].join('\n')}`)))
    })
  return { child, exit, lines, errors, line }
}

describe('the command line', () => {
  it('says what there is with --help, on stdout', () => {
    const { status, stdout, stderr } = meerkat(['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const verb of ['start', 'check', 'user', 'cert', 'tree', 'top', 'trace', 'session', 'status'])
      expect(stdout).toContain(`  ${verb}`)
  })

  it.each([
    ['start', '--dev'],
    ['tree', '--depth'],
    ['top', '--once'],
    ['trace', '--bodies'],
    ['session list', '--host'],
    ['user passwd', '--password-stdin'],
  ])('%s has --help with %s and --json', (verb, option) => {
    const { status, stdout } = meerkat([...verb.split(' '), '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain(option)
    expect(stdout).toContain('--json')
  })

  it('says its version', () => {
    expect(meerkat(['--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  it.each([
    ['nothing', [], 'Usage: meerkat'],
    ['an unknown verb', ['bogus'], "unknown command 'bogus'"],
    ['an unknown verb of user', ['user', 'bogus'], "unknown command 'bogus'"],
    ['an unknown option', ['status', '--bogus'], "unknown option '--bogus'"],
    ['too many arguments', ['status', 'x'], 'too many arguments'],
    ['a missing argument', ['user', 'add'], "missing required argument 'jid'"],
    ['a number that is none', ['tree', '--depth', 'x'], 'whole number from 0 to 10'],
    ['a number out of range', ['tree', '--limit', '0'], 'whole number from 1 to 1000'],
    ['two passwords', ['user', 'add', 'a@b', '--password', 'x', '--password-stdin'], 'cannot be used with'],
  ])('exits with 1 and says why on stderr for %s', (_what, args, message) => {
    const { status, stdout, stderr } = meerkat(args)
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
  })
})

describe('the configuration file', () => {
  it('is --config, else $MEERKAT_CONFIG, else config/meerkat.toml', () => {
    expect(configFile(undefined, {})).toBe('config/meerkat.toml')
    expect(configFile(undefined, { MEERKAT_CONFIG: '' })).toBe('config/meerkat.toml')
    expect(configFile(undefined, { MEERKAT_CONFIG: 'env.toml' })).toBe('env.toml')
    expect(configFile('option.toml', { MEERKAT_CONFIG: 'env.toml' })).toBe('option.toml')
    expect(meerkat(['status'], { MEERKAT_CONFIG: 'env.toml' })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^env\.toml:1:1 .*cannot be read/),
    })
  })

  it('is refused with every problem, by start as by the questions, and exit code 1', () => {
    const file = configuration({ general: 'loglevel = "loud"\nbogus = 1' })
    const text = meerkat(['start', '--config', file])
    expect(text).toMatchObject({ status: 1, stdout: '' })
    expect(text.stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/meerkat\.toml:3:\d+ {2}general\.loglevel {2}incorrect_value/),
      expect.stringMatching(/meerkat\.toml:4:\d+ {2}general\.bogus {2}unexpected_option/),
    ])
    const json = meerkat(['status', '--json', '--config', file])
    expect(json).toMatchObject({ status: 1, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      problems: [{ path: 'general.loglevel' }, { path: 'general.bogus' }],
    })
  })

  it('names the data_dir in which no server runs, with exit code 1', () => {
    const file = configuration()
    expect(meerkat(['status', '--config', file])).toEqual({
      status: 1,
      stdout: '',
      stderr: `meerkat: no server runs in ${join(folder, 'data')}\n`,
    })
    const json = meerkat(['tree', '--json', '--config', file])
    expect(json).toMatchObject({ status: 1, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, error: { code: 'not-running' } })
  })
})

describe('start', () => {
  it('§8: says on stdout where it listens, then `ready` with the time, whatever the log level', async () => {
    const server = run([main, 'start', '--config', configuration({ general: 'loglevel = "none"' })])
    await server.line('ready')
    expect(server.lines).toEqual([
      expect.stringMatching(/^listening c2s 127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^listening http 127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^ready in \d+ ms$/),
    ])
    server.child.kill('SIGTERM')
    expect(await server.exit).toBe(0)
    expect(server.errors).toEqual([])
  })

  it('says the same as JSON', async () => {
    const server = run([main, 'start', '--json', '--config', configuration()])
    await server.line('{"ready"')
    expect(server.lines.map(line => JSON.parse(line))).toEqual([
      { listening: { name: expect.any(String), protocol: 'c2s', address: '127.0.0.1', port: expect.any(Number) } },
      { listening: { name: expect.any(String), protocol: 'http', address: '127.0.0.1', port: expect.any(Number) } },
      { ready: { ms: expect.any(Number) } },
    ])
    server.child.kill('SIGINT')
    expect(await server.exit).toBe(0)
  })

  it('logs to stderr in the form of the configuration, and reads its certificates again after SIGHUP', async () => {
    const server = run([
      main,
      'start',
      '--config',
      configuration({
        general: 'loglevel = "all"\nlog_format = "logfmt"',
        c2s: `tls.mode = "tls"\ntls.certfile = "${certfile}"`,
      }),
    ])
    await server.line('ready')
    server.child.kill('SIGHUP')
    const isTold = (event: string) => server.errors.some(line => line.includes(` event=${event} `))
    while (!isTold('certificate.reloaded')) await once(server.child.stderr, 'data')
    server.child.kill('SIGTERM')
    expect(await server.exit).toBe(0)
    for (const line of server.errors) expect(line).toMatch(/^time=\S+ level=\w+ event=[\w.]+ message=/)
    for (const event of ['server.starting', 'server.ready', 'server.stopping', 'server.stopped']) {
      expect(isTold(event)).toBe(true)
    }
  })

  it('exits with 1 and one line when the port is taken', async () => {
    const taken = createServer()
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const server = run([main, 'start', '--config', configuration({ port, general: 'loglevel = "none"' })])
    expect(await server.exit).toBe(1)
    expect(server.lines).toEqual([])
    expect(server.errors).toEqual([expect.stringContaining(`meerkat: 127.0.0.1:${port} is in use`)])
    await new Promise(resolve => taken.close(resolve))
  })
})

describe('a running server', () => {
  let home: string
  let server: ChildProcess
  let file: string
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'meerkat-'))
    folder = home
    file = configuration()
    server = spawn(process.execPath, [main, 'start', '--config', file], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of createInterface({ input: server.stdout! })) if (line.startsWith('ready')) break
  }, 30_000)
  afterAll(async () => {
    server.kill('SIGTERM')
    expect(await once(server, 'exit')).toEqual([0, null])
    expect(existsSync(join(home, 'data', 'meerkat.sock'))).toBe(false)
    rmSync(home, { recursive: true })
  })

  it('keeps a second one out of its data_dir: exit code 1, one line', () => {
    const { status, stdout, stderr } = meerkat(['start', '--config', file])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^meerkat: data_dir .* is in use by .*\n$/)
  })

  it('answers status', () => {
    const { status, stdout } = meerkat(['status', '--config', file])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^state {8}running, for \d+ s$/m)
    expect(stdout).toMatch(/^hosts {8}localhost$/m)
    expect(stdout).toMatch(/^listener {5}c2s 127\.0\.0\.1:\d+$/m)
    const json = JSON.parse(meerkat(['status', '--json', '--config', file]).stdout)
    expect(json).toMatchObject({ ok: true, state: 'running', pid: server.pid, sessions: 0, hosts: ['localhost'] })
  })

  it('answers tree, whole or a part', () => {
    const { status, stdout } = meerkat(['tree', '--config', file])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^root {2}\w+/)
    expect(stdout).toMatch(/^[└├]─ listeners {2}/m)
    expect(stdout).toMatch(/─ acceptor-0 {2}/)
    const part = JSON.parse(meerkat(['tree', '/root/listeners', '--depth', '0', '--json', '--config', file]).stdout)
    expect(part).toMatchObject({ ok: true, tree: { path: '/root/listeners', childCount: 2 } })
    expect(part.tree.children).toBeUndefined()
    expect(meerkat(['tree', '/root/nobody', '--config', file])).toMatchObject({
      status: 1,
      stderr: 'meerkat: no actor at /root/nobody\n',
    })
  })
})

describe('stopping', () => {
  /** Runs `runStart` with a server of the test's own. */
  const startWith = (server: string) => {
    const start = new URL('../../dist/cli/start.js', import.meta.url).href
    const code = `
      import { runStart } from ${JSON.stringify(start)}
      const say = line => process.stdout.write(line + '\\n')
      const config = { general: { log_format: 'json', loglevel: 'none' } }
      const options = { dev: false, json: false, notices: [] }
      process.exit(await runStart(config, options, async () => (${server}), { out: say, error: line => process.stderr.write(line + '\\n') }))`
    return run(['--input-type=module', '-e', code])
  }

  it('tells the server which signal it was, and exits with 0 when the drain is over', async () => {
    const process = startWith(`{ addresses: [], stop: async reason => say('stopped by ' + reason) }`)
    await process.line('ready')
    process.child.kill('SIGTERM')
    expect(await process.exit).toBe(0)
    expect(process.lines.at(-1)).toBe('stopped by SIGTERM')
  })

  it('reads certificates again for SIGHUP, also for one that came while it started, and goes on', async () => {
    const process = startWith(`(say('starting'), await new Promise(resolve => setTimeout(resolve, 300)), {
      addresses: [],
      reloadCertificates: async () => say('reloaded'),
      stop: async () => say('stopped'),
    })`)
    await process.line('starting')
    process.child.kill('SIGHUP')
    await process.line('reloaded')
    await process.line('ready')
    process.child.kill('SIGHUP')
    process.child.kill('SIGTERM')
    expect(await process.exit).toBe(0)
    expect(process.lines.filter(line => line === 'reloaded').length).toBeGreaterThan(0)
    expect(process.lines.at(-1)).toBe('stopped')
  })

  it('exits with 1 at once when a second signal comes during the drain', async () => {
    const process = startWith(`{
      addresses: [],
      stop: () => new Promise(() => { setInterval(() => {}, 1000); say('draining') }),
    }`)
    await process.line('ready')
    process.child.kill('SIGTERM')
    await process.line('draining')
    process.child.kill('SIGINT')
    expect(await process.exit).toBe(1)
    expect(process.errors).toEqual(['meerkat: SIGINT again, stopping at once'])
  })

  it('drains a server that was told to stop while it started', async () => {
    const process = startWith(`(say('starting'), await new Promise(resolve => setTimeout(resolve, 300)), {
      addresses: [],
      stop: async () => say('stopped'),
    })`)
    await process.line('starting')
    process.child.kill('SIGTERM')
    expect(await process.exit).toBe(0)
    expect(process.lines.at(-1)).toBe('stopped')
  })
})

describe('a bug', () => {
  it('is exit code 2, with its message and stack on stderr', async () => {
    const thrower = join(folder, 'throw.mjs')
    writeFileSync(
      thrower,
      `process.on('newListener', name => { if (name === 'uncaughtException') setImmediate(() => { throw new Error('a bug') }) })`,
    )
    const process = run(['--import', thrower, main, 'start', '--config', configuration()])
    expect(await process.exit).toBe(2)
    expect(process.errors[0]).toBe('meerkat: a bug')
    expect(process.errors.join('\n')).toContain('throw.mjs')
  })
})
