import { createInterface } from 'node:readline'
import { type Readable, Writable } from 'node:stream'
import { type UserPage, userPageSize } from '../control/user-requests.js'
import { Jid } from '../protocols/jid.js'
import { exitCode, type Output, readConfig, UserError } from './args.js'
import { type Ask, withUsers } from './store-access.js'

/*
 * `meerkat user add`, `passwd`, `remove` and `list`: ask the running server or, without one, its store.
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

export function accountJid(text: string | undefined): Jid {
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
    if (page.users.length < userPageSize) return accounts
    after = page.users.at(-1)
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
