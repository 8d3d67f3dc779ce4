import { InvalidArgumentError } from 'commander'
import { ConfigError, type Notice } from '../config/problem.js'
import type { Config } from '../config/root.js'
import { type ControlReply, type ControlRequest, callControl, streamControl } from '../control/socket.js'
import type { Module } from '../modules/module.js'
import type { FeedEvent } from '../observability/feed.js'

/*
 * What the verbs share: where they write, how they fail, how they find the configuration and the running server.
 */

/** Where a verb writes its lines. */
export interface Output {
  out(line: string): void
  error(line: string): void
}

/** Exit codes of every verb. */
export const exitCode = { good: 0, user: 1, ours: 2 } as const

/** A verb cannot do what it was asked, and the user can mend it; exit code 1. */
export class UserError extends Error {
  override name = 'UserError'
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** The configuration file: the option, else `$MEERKAT_CONFIG`, else the one in the working directory. */
export const configFile = (option: string | undefined, env: NodeJS.ProcessEnv): string =>
  option ?? (env.MEERKAT_CONFIG || 'config/meerkat.toml')

/**
 * Reads the configuration that the server, or a question to it, works with.
 * @throws ConfigError when it cannot be used
 */
export async function readConfig(
  file: string,
  env: NodeJS.ProcessEnv,
): Promise<{ config: Config; notices: readonly Notice[]; modules: readonly Module[] }> {
  const [{ loadConfigFile }, { availableModules }] = await Promise.all([
    import('../config/load-file.js'),
    import('../modules/packages.js'),
  ])
  const available = await availableModules({ file }, env)
  const { config, problems, notices } = loadConfigFile(file, { ...available, env })
  if (config === undefined) throw new ConfigError(problems)
  return { config, notices, modules: available.modules }
}

/** Reads the value of an option that is a whole number in a range. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const isInRange = /^\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max
    if (!isInRange) throw new InvalidArgumentError(`A whole number from ${min} to ${max} is allowed.`)
    return Number(text)
  }

const answerMs = 10_000

/**
 * What the server that works in `dataDir` answers.
 * @throws UserError when none runs, when it may not be asked, or when it refuses
 */
export async function askServer(dataDir: string, request: ControlRequest): Promise<unknown> {
  const reply = await callControl(dataDir, request, answerMs).catch(notAllowed(dataDir))
  if (reply === undefined) throw new UserError('not-running', `no server runs in ${dataDir}`)
  return resultOf(reply)
}

/**
 * What the server that works in `dataDir` tells, as it happens, until it ends that. Leaving the loop hangs up.
 * @throws UserError as `askServer`
 */
export async function* followServer(dataDir: string, request: ControlRequest): AsyncGenerator<FeedEvent> {
  // Silence has a line of its own every 15 s.
  const replies = await streamControl(dataDir, request, 3 * answerMs).catch(notAllowed(dataDir))
  if (replies === undefined) throw new UserError('not-running', `no server runs in ${dataDir}`)
  for await (const reply of replies) {
    const events = resultOf(reply)
    if (Array.isArray(events)) yield* events as FeedEvent[] // our own server's
  }
}

function resultOf(reply: ControlReply): unknown {
  if (reply.ok) return reply.result
  const { code, message } = reply.error
  throw code === 'internal' ? new Error(`the server failed: ${message}`) : new UserError(code, message)
}

const notAllowed = (dataDir: string) => (error: unknown) => {
  const isForbidden = error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
  throw isForbidden ? new UserError('not-allowed', `you may not ask the server that runs in ${dataDir}`) : error
}
