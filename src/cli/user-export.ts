import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import type { ExportPiece } from '../control/account-export.js'
import { exitCode, type Output, readConfig, UserError } from './args.js'
import { Progress, type ProgressOutput } from './progress.js'
import { type Ask, withUsers } from './store-access.js'
import { accountJid } from './user.js'

export interface ExportOptions {
  jid: string | undefined
  /** The file to write; undefined is standard output. */
  out: string | undefined
  /** The configuration file. */
  file: string
  env: NodeJS.ProcessEnv
  json: boolean
}

/** Where the document goes. */
interface Target {
  write(text: string): Promise<void>
  /** The document is whole. */
  finish(): Promise<void>
  /** It will not be. */
  giveUp(): Promise<void>
}

/**
 * `meerkat user export JID`: everything that is stored of an account, in the form of XEP-0227, piece by piece. Resolves with the exit
 * code. Rejects with UserError, ControlError or StartupError; then there is no file.
 */
export async function runExport(
  options: ExportOptions,
  output: Output,
  stdout: Writable = process.stdout,
  stderr: ProgressOutput = process.stderr,
): Promise<number> {
  const { out, json } = options
  if (json && out === undefined) throw new UserError('bad-option', '--json needs --out: the document goes to stdout')
  const { config } = await readConfig(options.file, options.env)
  const jid = accountJid(options.jid)
  if (out !== undefined && (await exists(out))) throw new UserError('file-exists', `${out} exists already`)
  const messages = await withUsers(config, ask => exportTo(ask, jid.text, () => targetOf(out, stdout), stderr))
  if (json) output.out(JSON.stringify({ ok: true, account: jid.text, file: out, messages }))
  else if (out !== undefined) output.out(`exported ${jid.text} with ${messages} messages to ${out}`)
  return exitCode.good
}

async function exportTo(ask: Ask, jid: string, begin: () => Promise<Target>, stderr: ProgressOutput): Promise<number> {
  // The casts: what our own handler answers.
  let piece = (await ask({ verb: 'user.export', jid })) as ExportPiece
  const total = piece.total ?? 0
  const target = await begin()
  const progress = new Progress(stderr, jid)
  let messages = 0
  try {
    for (;;) {
      await target.write(piece.xml)
      messages += piece.messages
      progress.update(messages, total)
      if (piece.cursor === undefined) break
      piece = (await ask({ verb: 'user.export', jid, cursor: piece.cursor })) as ExportPiece
    }
    await target.finish()
    return messages
  } catch (error) {
    await target.giveUp()
    throw error
  } finally {
    progress.end()
  }
}

async function targetOf(out: string | undefined, stdout: Writable): Promise<Target> {
  if (out === undefined) {
    const done = async () => {}
    return { write: text => written(stdout, text), finish: done, giveUp: done }
  }
  const unfinished = `${out}.part`
  const file = await openPrivately(unfinished)
  return {
    async write(text) {
      await file.write(text)
    },
    async finish() {
      await file.sync()
      await file.close()
      await rename(unfinished, out)
    },
    async giveUp() {
      await file.close()
      await rm(unfinished, { force: true })
    },
  }
}

/** It holds what opens the account: for its owner only. XEP-0227 §6 */
async function openPrivately(path: string): Promise<FileHandle> {
  await rm(path, { force: true })
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw new UserError('file', `${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/** Waits until the stream has taken the text, so that what is exported does not pile up. */
function written(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, error => (error ? reject(error) : resolve()))
  })
}
