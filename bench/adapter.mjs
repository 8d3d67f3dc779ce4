// Runs Meerkat for the side-by-side benchmark (bench/README.md). What a server has to do there is in the harness's own README; the
// helpers come with `ctx`, so this file imports nothing from it. BENCH_NODE_FLAGS adds flags for Node, such as --cpu-prof; BENCH_LISTENER adds lines to the listener.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('..', import.meta.url))

export const version = () =>
  `Meerkat ${JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')).version} on Node ${process.version}`

// As package.json's `start` and README.md have it.
const asShipped = ['--max-semi-space-size=4']

export const provision = 'own'
export const caps = { component: true, muc: true, ws: '/ws-xmpp', bosh: '/http-bind', storage: ['plain', 'scram'] }

export async function start(ctx) {
  const { dir, ports, cert, helpers } = ctx
  writeFileSync(join(dir, 'cert-and-key.pem'), readFileSync(cert.cert, 'utf8') + readFileSync(cert.key, 'utf8'))
  const file = join(dir, 'meerkat.toml')
  writeFileSync(file, configuration(ctx))
  const flags = process.env.BENCH_NODE_FLAGS?.split(' ') ?? []
  ctx.child = helpers.launch(
    process.execPath,
    [...asShipped, ...flags, join(project, 'dist/main.js'), 'start', '--config', file],
    {
      dir,
    },
  )
  await helpers.waitPort(ports.c2s, ctx.child)
  await helpers.waitPort(ports.component, ctx.child)
  await helpers.waitPort(ports.http, ctx.child)
  return ctx
}

const ACCOUNTS_AT_ONCE = 64

/** Writes the accounts into the store, many at a time, while the server is down: registering 10 000 in band takes minutes. */
export async function createUsers(ctx, users) {
  await stop(ctx)
  const [{ createAuthenticator, serverSecret }, { openSqliteStore }, { readConfig }] = await Promise.all(
    ['auth/authenticate.js', 'storage/sqlite/index.js', 'cli/args.js'].map(part => import(`../dist/${part}`)),
  )
  const { config } = await readConfig(join(ctx.dir, 'meerkat.toml'), {})
  const store = await openSqliteStore({ file: join(config.general.data_dir, 'meerkat.db') })
  const { auth } = config
  const hosts = new Map([[ctx.domain, auth]])
  const accounts = createAuthenticator({ store, hosts, secret: await serverSecret(store) })
  for (let first = 0; first < users.length; first += ACCOUNTS_AT_ONCE) {
    const some = users.slice(first, first + ACCOUNTS_AT_ONCE)
    const made = await Promise.all(some.map(({ user, pass }) => accounts.create(user, ctx.domain, pass)))
    if (made.some(result => result !== 'created')) throw new Error(`accounts: ${made}`)
  }
  await store.close()
  await start(ctx)
}
export const pids = ctx => [ctx.child.pid]
export const stop = ctx => ctx.helpers.stopChild(ctx.child)

// What the harness asks of every server: errors only in the log, roster, offline messages, disco, ping and registration on, stream
// management, carbons and archive off, no rate limits, rooms of 1 000, 4096 iterations of SCRAM-SHA-1. The rest is as shipped. Beside a stored password
// the keys of SCRAM are not asked for, and making 10 000 well takes a minute and a half.
const configuration = ({ domain, ports, storage, component }) => `
[general]
  loglevel = "error"
  hosts = ["${domain}"]
  registration_timeout = "infinity"
  max_fsm_queue = 10000
  data_dir = "data"

[auth]
  methods = ["internal"]
  scram_iterations = ${storage === 'plain' ? 1 : 4096}
  password.format = "${storage}"
${storage === 'scram' ? '  password.hash = ["sha"]' : ''}

[modules.mod_roster]
[modules.mod_offline]
[modules.mod_disco]
[modules.mod_ping]
[modules.mod_muc]
  max_users = 2000
  default_room = { max_users = 2000 }
[modules.mod_register]
[modules.mod_bosh]

[[listen.c2s]]
  port = ${ports.c2s}
  ip_address = "127.0.0.1"
  backlog = 1024
  tls.mode = "starttls"
  tls.certfile = "cert-and-key.pem"
${process.env.BENCH_LISTENER ?? ''}

[[listen.http]]
  port = ${ports.http}
  ip_address = "127.0.0.1"
  transport.max_connections = "infinity"

  [[listen.http.handlers.mod_bosh]]
    host = "_"
    path = "/http-bind"

  [[listen.http.handlers.mod_websockets]]
    host = "_"
    path = "/ws-xmpp"

[[listen.service]]
  port = ${ports.component}
  ip_address = "127.0.0.1"
  password = "${component.secret}"
`
