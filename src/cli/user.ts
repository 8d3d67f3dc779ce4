import { createInterface } from 'node:readline'
import { type Readable, Writable } from 'node:stream'
import { type Authenticator, createAuthenticator, serverSecret } from '../auth/authenticate.js'
import { configFor } from '../config/for-host.js'
import type { Config } from '../config/root.js'
import { Jid } from '../protocols/jid.js'
import { UnusablePassword } from '../protocols/sasl/scram-keys.js'
import { lockDataDir } from '../storage/data-dir.js'
import { openSqliteStore } from '../storage/sqlite/index.js'
import { StoreUnavailable } from '../storage/store.js'
import { askServer, exitCode, type Output, readConfig, UserError } from './args.js'
import { ControlError, type ControlHandlers, type ControlRequest } from './control.js'

/*
 * `meerkat user`: asks the running server, so that its caches and sessions follow; without one, works on its store directly.
 * Both ways end in the same handlers.
 */

export interface UserOptions {
  action: 'add' | 'passwd' | 'remove' | 'list'
  /** The account, or for `list` the domain; undefined is the first domain. */
  jid: string | undefined
  password: string | undefined
  passwordStdin: boolean
  /** The configuration file. */
  file: string
  env: NodeJS.ProcessEnv
  json: boolean
}

/** Where passwords come from; a terminal is asked. */
export type PasswordInput = Readable & { isTTY?: boolean }

/** What the handlers need of the server: the authenticator, with a `remove` that ends the account's sessions as well. */
export type UserAdministration = Pick<Authenticator, 'hosts' | 'create' | 'setPassword' | 'remove' | 'list'>

/** Accounts in one answer of `user.list`. */
const PAGE = 1_000

/** Carries one of the actions out and resolves with the exit code. Rejects with UserError, ControlError or StartupError. */
export async function runUser(
  options: UserOptions,
  output: Output,
  input: PasswordInput = process.stdin,
): Promise<number> {
  const { config } = await readConfig(options.file, options.env)
  const say = (text: string, facts: object) => {
    output.out(options.json ? JSON.stringify({ ok: true, ...facts }) : text)
    return exitCode.good
  }
  if (options.action === 'list') {
    const accounts = await withUsers(config, ask => listAll(ask, options.jid))
    if (options.json) return say('', { accounts })
    for (const account of accounts) output.out(account)
    return exitCode.good
  }
  const jid = accountJid(options.jid)
  const needsPassword = options.action !== 'remove'
  const password = needsPassword ? await passwordFrom(options, jid, input, output) : undefined
  await withUsers(config, ask => ask({ verb: `user.${options.action}`, jid: jid.text, password }))
  const done = { add: 'added', passwd: 'changed the password of', remove: 'removed' }[options.action]
  return say(`${done} ${jid.text}`, { account: jid.text })
}

function accountJid(text: string | undefined): Jid {
  const jid = text === undefined ? undefined : Jid.parse(text)
  if (jid === undefined || jid.local === '' || !jid.isBare) {
    throw new UserError('bad-jid', `an account is written like romeo@example.org; ${JSON.stringify(text)} is none`)
  }
  return jid
}

async function listAll(ask: Ask, domain: string | undefined): Promise<string[]> {
  const accounts: string[] = []
  for (let after: string | undefined; ; ) {
    const page = (await ask({ verb: 'user.list', domain, after })) as UserPage // What our handler returns.
    accounts.push(...page.users.map(user => `${user}@${page.domain}`))
    if (page.users.length < PAGE) return accounts
    after = page.users.at(-1)
  }
}

type Ask = (request: ControlRequest) => Promise<unknown>

/** Lets `work` ask the running server or, when there is none, the store. */
async function withUsers<T>(config: Config, work: (ask: Ask) => Promise<T>): Promise<T> {
  const dataDir = config.general.data_dir
  try {
    return await work(request => askServer(dataDir, request))
  } catch (error) {
    if (!(error instanceof UserError && error.code === 'not-running')) throw error
  }
  const folder = lockDataDir(dataDir)
  try {
    const store = await openSqliteStore({ file: folder.database })
    try {
      const hosts = new Map(config.general.hosts.map(host => [host, configFor(config, host).auth]))
      const secret = await serverSecret(store)
      const handlers = userRequests(createAuthenticator({ store, hosts, secret }))
      return await work(async request => handlers[request.verb]?.(request))
    } finally {
      await store.close()
    }
  } finally {
    folder.release()
  }
}

interface UserPage {
  domain: string
  users: string[]
}

/** The server's side: what its control socket answers to `user.add`, `user.passwd`, `user.remove` and `user.list`. */
export function userRequests(users: UserAdministration): ControlHandlers {
  const served = (domain: string) => {
    if (users.hosts.includes(domain)) return domain
    throw new ControlError('not-found', `${domain} is not served here; served are ${users.hosts.join(', ')}`)
  }
  const accountOf = (request: ControlRequest) => {
    const jid = Jid.parse(textIn(request, 'jid'))
    if (jid === undefined || jid.local === '' || !jid.isBare)
      throw new ControlError('bad-request', 'jid names no account')
    return { text: jid.text, user: jid.local, host: served(jid.domain) }
  }
  return {
    'user.add': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        const result = await users.create(user, host, textIn(request, 'password'))
        if (result === 'exists') throw new ControlError('conflict', `${text} exists already`)
        if (result === 'not-allowed') throw noAccounts(host)
      }),
    'user.passwd': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        const result = await users.setPassword(user, host, textIn(request, 'password'))
        if (result === 'not-found') throw new ControlError('not-found', `there is no account ${text}`)
        if (result === 'not-allowed') throw noAccounts(host)
      }),
    'user.remove': request =>
      reported(async () => {
        const { text, user, host } = accountOf(request)
        if (!(await users.remove(user, host))) throw new ControlError('not-found', `there is no account ${text}`)
      }),
    'user.list': request =>
      reported(async (): Promise<UserPage> => {
        const text = request.domain === undefined ? (users.hosts[0] ?? '') : textIn(request, 'domain')
        const domain = served(Jid.parse(text)?.text ?? text)
        const after = request.after === undefined ? '' : textIn(request, 'after')
        return { domain, users: await users.list(domain, { after, limit: PAGE }) }
      }),
  }
}

function textIn(request: ControlRequest, key: string): string {
  const value = request[key]
  if (typeof value !== 'string') throw new ControlError('bad-request', `${key} must be text`)
  return value
}

const noAccounts = (host: string) =>
  new ControlError('bad-request', `${host} keeps no accounts: its auth.methods has neither "internal" nor "rdbms"`)

/** Turns what the user can mend into an answer. */
async function reported<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UnusablePassword) throw new ControlError('bad-request', error.message)
    if (error instanceof StoreUnavailable) throw new ControlError('unavailable', error.message)
    throw error
  }
}

async function passwordFrom(
  { password, passwordStdin }: UserOptions,
  jid: Jid,
  input: PasswordInput,
  output: Output,
): Promise<string> {
  if (password !== undefined) return password
  if (passwordStdin) return firstLine(input)
  if (input.isTTY !== true) {
    throw new UserError('no-password', 'give the password with --password-stdin, or run this in a terminal to be asked')
  }
  const [first, second] = await promptTwice(input, output, jid)
  if (first !== second) throw new UserError('no-password', 'the two passwords differ')
  return first
}

async function firstLine(input: Readable): Promise<string> {
  for await (const line of createInterface({ input })) return line
  throw new UserError('no-password', 'stdin held no password')
}

/** Asks without showing what is typed. */
async function promptTwice(input: Readable, output: Output, jid: Jid): Promise<[string, string]> {
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input, output: unseen, terminal: true })
  const lines = terminal[Symbol.asyncIterator]()
  terminal.on('SIGINT', () => terminal.close())
  const ask = async (question: string): Promise<string> => {
    output.error(question)
    const line = await lines.next()
    if (line.done) throw new UserError('no-password', 'no password was given')
    return line.value
  }
  try {
    return [await ask(`Password for ${jid.text}:`), await ask('Once more:')]
  } finally {
    terminal.close()
  }
}
