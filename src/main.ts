#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { configFile, exitCode, readConfig, UserError, wholeNumber } from './cli/args.js'
import type { StartServer } from './cli/start.js'
import { ConfigError, formatProblem } from './config/problem.js'
import { ControlError } from './control/socket.js'
import { StartupError } from './observability/startup-error.js'

/*
 * The command. Each verb loads what it needs when it runs, so that `--help` is quick; this file alone reads the environment.
 */

const output = {
  out: (line: string) => void process.stdout.write(`${line}\n`),
  error: (line: string) => void process.stderr.write(`${line}\n`),
}

interface Common {
  config?: string
  json?: true
}

interface TreeFlags {
  depth: number
  limit: number
  listener?: string
  jid?: string
  state?: string[]
  kind?: string
  mailbox?: number
  faults?: number
}

interface TraceFlags {
  jid?: string
  kind?: string
  namespace?: string
  direction?: string
  via?: string
  count: number
  seconds: number
  bodies?: true
}

/** Runs a verb and ends the process with its exit code. */
async function run(options: Common, verb: (file: string, isJson: boolean) => Promise<number>): Promise<never> {
  const isJson = options.json === true
  const code = await verb(configFile(options.config, process.env), isJson).catch((error: unknown) =>
    fail(error, isJson),
  )
  process.exit(code)
}

/** Tells what went wrong and gives the exit code. */
function fail(error: unknown, isJson: boolean): number {
  if (error instanceof ConfigError) {
    if (isJson) output.out(JSON.stringify({ ok: false, problems: error.problems }))
    else for (const problem of error.problems) output.error(formatProblem(problem))
    return exitCode.user
  }
  const code = userCode(error)
  const message = error instanceof Error ? error.message : String(error)
  if (isJson) output.out(JSON.stringify({ ok: false, error: { code: code ?? 'internal', message } }))
  else output.error(`meerkat: ${message}`)
  if (code !== undefined) return exitCode.user
  if (error instanceof Error && error.stack !== undefined) output.error(error.stack) // for the report of the bug
  return exitCode.ours
}

/** What kind of error of the user's side it is; undefined when it is ours. */
function userCode(error: unknown): string | undefined {
  if (error instanceof StartupError) return error.problem
  if (error instanceof UserError || error instanceof ControlError) return error.code
  return undefined
}

/** What goes on without end ends when nobody reads it any more, as in `meerkat trace | head`. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCode.good)
  })
}

const dataDirOf = async (file: string) => (await readConfig(file, process.env)).config.general.data_dir

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
const program = new Command('meerkat')
  .description('An XMPP server: a supervised tree of actors.')
  .version(version)
  .showHelpAfterError('(meerkat --help tells more)')

/** A verb with the options that every verb has. */
const verb = (parent: Command, name: string, description: string) =>
  parent
    .command(name)
    .description(description)
    .option('--config <file>', 'configuration file (default: $MEERKAT_CONFIG, else config/meerkat.toml)')
    .option('--json', 'write JSON instead of text')

verb(program, 'start', 'run the server in the foreground; SIGTERM ends it in good order')
  .option('--dev', 'make development certificates where files are missing')
  .action((options: Common & { dev?: true }) =>
    run(options, async (file, isJson) => {
      const [{ config, notices, modules }, { runStart }, { createServer }] = await Promise.all([
        readConfig(file, process.env),
        import('./cli/start.js'),
        import('./server.js'),
      ])
      const start: StartServer = (parsed, given) => createServer(parsed, { ...given, modules })
      return runStart(config, { dev: options.dev === true, json: isJson, notices }, start, output)
    }),
  )

verb(program, 'check', 'say everything that is wrong with the configuration')
  .option('--dev', 'missing certificate files are fine')
  .action((options: Common & { dev?: true }) =>
    run(options, async (file, isJson) => {
      const [{ runCheck }, { availableModules }] = await Promise.all([
        import('./cli/check.js'),
        import('./modules/packages.js'),
      ])
      const available = await availableModules({ file }, process.env)
      return runCheck({ file, env: process.env, dev: options.dev === true, json: isJson, ...available }, output)
    }),
  )

const list = (text: string) => text.split(',')
const most = 2_147_483_647

verb(program, 'tree', 'show the actors of the running server; with a filter those that pass it, as a list')
  .argument('[path]', 'actor to start from, such as /root/listeners')
  .option('--depth <n>', 'levels below it', wholeNumber(0, 10), 3)
  .option('--limit <n>', 'children per actor, or actors of a list', wholeNumber(1, 1_000), 10)
  .option('--listener <name>', 'what is below this listener')
  .option('--jid <text>', 'connections whose JID contains this')
  .option('--state <states>', 'idle, runnable, busy, hibernated or stopped, with commas between them', list)
  .option('--kind <kind>', 'such as Connection')
  .option('--mailbox <n>', 'at least so many waiting messages', wholeNumber(1, most))
  .option('--faults <n>', 'at least so many faults', wholeNumber(1, most))
  .action((path: string | undefined, options: Common & TreeFlags) =>
    run(options, async (file, isJson) => {
      const [{ runTree }, dataDir] = await Promise.all([import('./cli/tree.js'), dataDirOf(file)])
      const { depth, limit, listener, jid, state: states, kind, mailbox, faults } = options
      const filters = { listener, jid, states, kind, mailbox, faults }
      return runTree({ dataDir, path, depth, limit, json: isJson, filters }, output)
    }),
  )

verb(program, 'top', 'show figures and the busiest actors of the running server, until q')
  .option('--once', 'show them once')
  .option('--limit <n>', 'actors', wholeNumber(1, 200), 20)
  .action((options: Common & { once?: true; limit: number }) =>
    run(options, async (file, isJson) => {
      const [{ runTop }, dataDir] = await Promise.all([import('./cli/top.js'), dataDirOf(file)])
      const terminal = { input: process.stdin, output: process.stdout }
      // Such a terminal cannot be drawn anew.
      const once = options.once === true || (process.env.TERM === 'dumb' && !isJson)
      endWithReader()
      return runTop({ dataDir, most: options.limit, once, json: isJson }, output, terminal)
    }),
  )

verb(program, 'trace', 'show stanzas of clients, components and other servers as they pass, without their texts')
  .option('--jid <jid>', 'from or to whom, or of whose session: a full or bare JID, or a domain')
  .addOption(new Option('--kind <kind>', 'stanzas of this kind').choices(['message', 'presence', 'iq']))
  .option('--namespace <namespace>', 'stanzas whose first child is in it')
  .addOption(new Option('--direction <direction>', 'as who is at the other end sees it').choices(['sent', 'received']))
  .addOption(new Option('--via <end>', 'who is at the other end').choices(['client', 'component', 'server']))
  .option('--count <n>', 'stanzas', wholeNumber(1, 1_000), 100)
  .option('--seconds <n>', 'time', wholeNumber(1, 600), 60)
  .option('--bodies', 'show their texts too, but for passwords and the like')
  .action((options: Common & TraceFlags) =>
    run(options, async (file, isJson) => {
      const [{ runTrace }, dataDir] = await Promise.all([import('./cli/trace.js'), dataDirOf(file)])
      const { jid, kind, namespace, direction, via, count, seconds } = options
      const asked = { jid, kind, namespace, direction, via, count, seconds, bodies: options.bodies === true }
      endWithReader()
      return runTrace({ dataDir, ...asked, json: isJson }, output)
    }),
  )

const sessions = program.command('session').description('look after the sessions of the running server')

verb(sessions, 'list', 'list who is connected')
  .argument('[search]', 'a part of the JID or of the address')
  .option('--host <domain>', 'sessions of this domain')
  .option('--limit <n>', 'sessions', wholeNumber(1, 1_000), 100)
  .option('--offset <n>', 'sessions to skip', wholeNumber(0, most), 0)
  .action((search: string | undefined, options: Common & { host?: string; limit: number; offset: number }) =>
    run(options, async (file, isJson) => {
      const [{ runSessionList }, dataDir] = await Promise.all([import('./cli/session.js'), dataDirOf(file)])
      const { host, limit, offset } = options
      return runSessionList({ dataDir, search, host, limit, offset, json: isJson }, output)
    }),
  )

verb(sessions, 'kick', 'end a session')
  .argument('<jid>', 'a full JID, such as romeo@example.org/orchard')
  .action((jid: string, options: Common) =>
    run(options, async (file, isJson) => {
      const [{ runSessionKick }, dataDir] = await Promise.all([import('./cli/session.js'), dataDirOf(file)])
      return runSessionKick(jid, { dataDir, json: isJson }, output)
    }),
  )

verb(program, 'status', 'show the state of the running server').action((options: Common) =>
  run(options, async (file, isJson) => {
    const [{ runStatus }, dataDir] = await Promise.all([import('./cli/status.js'), dataDirOf(file)])
    return runStatus({ dataDir, json: isJson }, output)
  }),
)

verb(program, 'cert', 'make certificates for development, signed by an authority of your own')
  .argument('<host...>', 'domains or addresses')
  .option('--out <folder>', 'where the certificates go (default: data_dir)')
  .action((hosts: string[], options: Common & { out?: string }) =>
    run(options, async (file, isJson) => {
      const [{ runCert }, dataDir] = await Promise.all([import('./cli/cert.js'), dataDirOf(file)])
      return runCert(hosts, { dataDir, out: options.out, json: isJson }, output)
    }),
  )

interface UserOptions extends Common {
  password?: string
  passwordStdin?: true
}

const user = program.command('user').description('manage accounts, of the running server or of its store')

/** `meerkat user ACTION JID` */
function userVerb(action: 'add' | 'passwd' | 'remove' | 'list', target: string, description: string): Command {
  return verb(user, action, description)
    .argument(target, action === 'list' ? 'domain; the first one when it is left out' : 'such as romeo@example.org')
    .action((jid: string | undefined, options: UserOptions) =>
      run(options, async (file, isJson) => {
        const { runUser } = await import('./cli/user.js')
        const { password, passwordStdin } = options
        return runUser(
          { action, jid, password, passwordStdin: passwordStdin === true, file, env: process.env, json: isJson },
          output,
        )
      }),
    )
}

for (const command of [userVerb('add', '<jid>', 'make an account'), userVerb('passwd', '<jid>', 'set a password')]) {
  command
    .addOption(
      new Option('--password <password>', 'the password; others on this machine can see it while the command runs'),
    )
    .addOption(new Option('--password-stdin', 'read the password from the first line of stdin').conflicts('password'))
}
userVerb('remove', '<jid>', 'remove an account with everything stored for it')
userVerb('list', '[domain]', 'list the accounts of a domain')

verb(user, 'export', 'write everything that is stored of an account as a document of XEP-0227')
  .argument('<jid>', 'such as romeo@example.org')
  .option('--out <file>', 'the file to write, which must not exist (default: standard output)')
  .action((jid: string, options: Common & { out?: string }) =>
    run(options, async (file, isJson) => {
      const { runExport } = await import('./cli/user-export.js')
      return runExport({ jid, out: options.out, file, env: process.env, json: isJson }, output)
    }),
  )

verb(user, 'import', 'read accounts from a document of XEP-0227; what is there already stays')
  .argument('<file>', 'the document')
  .action((document: string, options: Common) =>
    run(options, async (file, isJson) => {
      const { runImport } = await import('./cli/user-import.js')
      return runImport({ document, file, env: process.env, json: isJson }, output)
    }),
  )

process.on('uncaughtException', error => {
  process.exit(fail(error, false))
})
// Nobody reads what is written any more, as in `meerkat tree | head`. A server goes on.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

await program.parseAsync()
