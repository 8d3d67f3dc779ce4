import type { CountedKind, ImportCounts, ImportedPart } from '../control/account-import.js'
import { microsecondOf } from '../protocols/archive-id.js'
import type { Jid } from '../protocols/jid.js'
import { importedId, PieError, type PiePart, type PiePlace, readPart } from '../protocols/pie.js'
import { serialize } from '../protocols/xml/serialize.js'
import { exitCode, type Output, readConfig, UserError } from './args.js'
import { PieDocument } from './pie-document.js'
import { Progress, type ProgressOutput } from './progress.js'
import { type Ask, withUsers } from './store-access.js'

export interface ImportOptions {
  /** The document. */
  document: string
  /** The configuration file. */
  file: string
  env: NodeJS.ProcessEnv
  json: boolean
}

/** What one request carries: so many elements, so many characters; one element may be longer. */
const batch = { elements: 200, length: 512 * 1024 }

interface Imported {
  account: string
  isNew: boolean
  /** What became of the password: set, kept because there was one, or none in the document. */
  credentials: 'set' | 'kept' | 'none'
  counts: ImportCounts
}

/**
 * `meerkat user import FILE`: the accounts of a document in the form of XEP-0227. Reads it twice: nothing is written before all of it was
 * found to be good. Resolves with the exit code. Rejects with UserError, ControlError or StartupError, whose message says what was done.
 */
export async function runImport(
  options: ImportOptions,
  output: Output,
  stderr: ProgressOutput = process.stderr,
): Promise<number> {
  const { config } = await readConfig(options.file, options.env)
  const { hosts, ignored } = await check(options.document, stderr)
  const accounts = await withUsers(config, async ask => {
    // The cast: what our own handler answers.
    const served = (await ask({ verb: 'user.import.hosts' })) as string[]
    const strange = [...hosts].filter(host => !served.includes(host))
    if (strange.length > 0) {
      throw new UserError('not-found', `not served here: ${strange.join(', ')}; served are ${served.join(', ')}`)
    }
    return importAll(ask, options.document, stderr)
  })
  if (options.json) {
    output.out(JSON.stringify({ ok: true, accounts, ignored: Object.fromEntries(ignored) }))
    return exitCode.good
  }
  for (const one of accounts) output.out(`imported ${one.account}: ${described(one)}`)
  for (const [name, count] of ignored)
    output.out(`ignored ${name}, ${count} times: this server keeps nothing of the kind`)
  if (accounts.length === 0) output.out('there are no accounts in the document')
  return exitCode.good
}

/** Reads all of the document without a change to anything. */
async function check(
  file: string,
  stderr: ProgressOutput,
): Promise<{ hosts: Set<string>; ignored: Map<string, number> }> {
  const document = new PieDocument(file)
  const progress = new Progress(stderr, 'checking')
  const hosts = new Set<string>()
  let user: UserCheck | undefined
  try {
    for await (const item of document.items()) {
      progress.update(document.read, document.total)
      try {
        switch (item.kind) {
          case 'user':
            user = new UserCheck(item.account)
            hosts.add(item.account.domain)
            break
          case 'element':
            if (!user!.isKnown(item.place, item.element)) {
              document.ignore(item.element.getNS() ?? '', item.element.getName())
            }
            break
          case 'userEnd':
            user!.end()
            break
        }
      } catch (error) {
        throw document.located(
          error instanceof PieError ? new PieError(`${user?.account.text}: ${error.message}`) : error,
        )
      }
    }
    return { hosts, ignored: document.ignored }
  } finally {
    progress.end()
  }
}

/** What has to be true of all parts of an account together. */
class UserCheck {
  readonly #mechanisms = new Set<string>()
  readonly #lists = new Set<string>()
  #default: string | undefined
  #after = -1

  constructor(readonly account: Jid) {}

  /** False for what this server does not keep. Throws PieError. */
  isKnown(place: PiePlace, element: Parameters<typeof readPart>[0]): boolean {
    const part: PiePart = readPart(element, place, this.account)
    if (part.kind === 'credentials') {
      if (this.#mechanisms.has(part.hash)) throw new PieError('there are two credentials for one mechanism')
      this.#mechanisms.add(part.hash)
    }
    if (part.kind === 'archived') this.#after = microsecondOf(importedId(part.message, this.#after))
    if (part.kind === 'privacyList') this.#lists.add(part.list.name)
    if (part.kind === 'privacyDefault') this.#default = part.name
    return part.kind !== 'unknown'
  }

  end(): void {
    if (this.#default !== undefined && !this.#lists.has(this.#default)) {
      throw new PieError(`there is no privacy list ${JSON.stringify(this.#default)}, which is to be the default`)
    }
  }
}

async function importAll(ask: Ask, file: string, stderr: ProgressOutput): Promise<Imported[]> {
  const document = new PieDocument(file)
  const progress = new Progress(stderr, 'importing')
  const done: Imported[] = []
  let user: UserImport | undefined
  try {
    for await (const item of document.items()) {
      progress.update(document.read, document.total)
      switch (item.kind) {
        case 'user':
          user = await UserImport.begin(ask, item.account, item.password)
          break
        case 'element':
          await user!.add(item.place, item.element)
          break
        case 'containerEnd':
          await user!.flush()
          break
        case 'userEnd':
          done.push(await user!.end())
          user = undefined
          break
      }
    }
    return done
  } catch (error) {
    throw withWhatWasDone(error, document.place, done, user)
  } finally {
    progress.end()
  }
}

/** The same error, with what it left behind. */
function withWhatWasDone(
  error: unknown,
  place: string,
  done: readonly Imported[],
  user: UserImport | undefined,
): unknown {
  if (!(error instanceof Error) || (error instanceof UserError && error.code === 'not-running')) return error
  const accounts = done.length === 0 ? 'no account' : done.map(({ account }) => account).join(', ')
  const part = user === undefined ? '' : `, and a part of ${user.account.text} (${describedCounts(user.counts)})`
  const message = `${place}: ${error.message}; imported so far: ${accounts}${part}. To go on, import the document again`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code === undefined ? new Error(message, { cause: error }) : new UserError(code, message)
}

class UserImport {
  readonly counts: ImportCounts = {}
  readonly #credentials: string[] = []
  #place: PiePlace = 'user'
  #texts: string[] = []
  #length = 0
  #after = -1
  /** Names a list, which has to be there first. */
  #default: string | undefined

  private constructor(
    private readonly ask: Ask,
    readonly account: Jid,
    private readonly password: string | undefined,
    private readonly isNew: boolean,
  ) {}

  static async begin(ask: Ask, account: Jid, password: string | undefined): Promise<UserImport> {
    // The casts: what our own handlers answer, here as below.
    const { isNew } = (await ask({ verb: 'user.import.begin', jid: account.text })) as { isNew: boolean }
    return new UserImport(ask, account, password, isNew)
  }

  async add(place: PiePlace, element: Parameters<typeof readPart>[0]): Promise<void> {
    const { kind } = readPart(element, place, this.account)
    const text = serialize(element)
    if (kind === 'unknown') return
    if (kind === 'credentials') return void this.#credentials.push(text)
    if (kind === 'privacyDefault') {
      this.#default = text
      return
    }
    const isFull = this.#texts.length === batch.elements || this.#length + text.length > batch.length
    if (place !== this.#place || isFull) await this.flush()
    this.#place = place
    this.#texts.push(text)
    this.#length += text.length
  }

  async flush(): Promise<void> {
    await this.#send(this.#place, this.#texts)
    this.#texts = []
    this.#length = 0
  }

  async end(): Promise<Imported> {
    await this.flush()
    if (this.#default !== undefined) await this.#send('privacy', [this.#default])
    const { text: jid } = this.account
    const secrets = { xml: this.#credentials, ...(this.password !== undefined && { password: this.password }) }
    const { credentials } = (await this.ask({ verb: 'user.import.end', jid, ...secrets })) as Pick<
      Imported,
      'credentials'
    >
    return { account: jid, isNew: this.isNew, credentials, counts: this.counts }
  }

  async #send(place: PiePlace, xml: string[]): Promise<void> {
    if (xml.length === 0) return
    const request = { verb: 'user.import.add', jid: this.account.text, place, xml, after: this.#after }
    const { counts, after } = (await this.ask(request)) as ImportedPart
    this.#after = after
    for (const [kind, { added, known }] of Object.entries(counts) as [
      CountedKind,
      { added: number; known: number },
    ][]) {
      const before = this.counts[kind] ?? { added: 0, known: 0 }
      this.counts[kind] = { added: before.added + added, known: before.known + known }
    }
  }
}

const names: Readonly<Record<CountedKind, string>> = {
  rosterItem: 'roster items',
  request: 'subscription requests',
  offline: 'offline messages',
  private: 'private fragments',
  vcard: 'vCards',
  privacyList: 'privacy lists',
  preferences: 'archiving preferences',
  lastActivity: 'last activities',
  archived: 'archived messages',
}

function described({ isNew, credentials, counts }: Imported): string {
  const account = isNew ? 'a new account' : 'the account was there'
  const password = { set: 'with its password', kept: 'and kept its password', none: 'and has no password' }[credentials]
  return `${account} ${password}; ${describedCounts(counts)}`
}

function describedCounts(counts: ImportCounts): string {
  const parts = (Object.entries(counts) as [CountedKind, { added: number; known: number }][]).map(
    ([kind, { added, known }]) => `${added} ${names[kind]}${known > 0 ? ` (and ${known} that were there)` : ''}`,
  )
  return parts.length === 0 ? 'nothing else' : parts.join(', ')
}
