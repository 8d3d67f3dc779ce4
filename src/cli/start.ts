import type { Writable } from 'node:stream'
import type { Notice } from '../config/problem.js'
import type { Config } from '../config/root.js'
import { createEvents, type Events } from '../observability/events.js'
import { createLogger } from '../observability/logger.js'
import { exitCode, type Output } from './args.js'
import { endpoint } from './status.js'

/** What `start` needs of a server that runs. */
export interface StartedServer {
  readonly addresses: readonly { name: string; protocol: string; address: string; port: number }[]
  reloadCertificates(): Promise<void>
  /** Drains within `general.shutdown_timeout`. */
  stop(reason?: string): Promise<void>
}

export type StartServer = (
  config: Config,
  options: { dev: boolean; events: Events; onFailed(error: Error): void },
) => Promise<StartedServer>

export interface StartOptions {
  /** Make development certificates where files are missing. */
  dev: boolean
  json: boolean
  notices: readonly Notice[]
}

/**
 * `meerkat start`: runs a server until SIGTERM or SIGINT, which drain it; a second one ends the process at once with exit code 1.
 * SIGHUP makes it read its certificates again. Resolves with the exit code. Rejects with what kept the server from starting.
 */
export async function runStart(
  config: Config,
  options: StartOptions,
  startServer: StartServer,
  output: Output,
  log: Writable = process.stderr,
): Promise<number> {
  const logger = createLogger({ format: config.general.log_format, stream: log })
  const events = createEvents({ level: config.general.loglevel, sinks: [logger.sink] })
  for (const { path, message } of options.notices) events.emit('config.notice', { path, text: message })
  const stopAsked = stopSignal(output)
  const reloadOf = reloadSignal()
  // Waiting for a signal keeps no process alive, and a server may have no listener.
  const alive = setInterval(() => undefined, 1_000_000)
  try {
    let fail: (error: Error) => void = () => undefined
    const failed = new Promise<never>((_, reject) => {
      fail = reject
    })
    failed.catch(() => undefined) // It may fail when nobody waits for it any more.
    const server = await startServer(config, { dev: options.dev, events, onFailed: fail })
    reloadOf(server)
    announce(server, options.json, output)
    await server.stop(await Promise.race([stopAsked, failed]))
    return exitCode.good
  } finally {
    clearInterval(alive)
    await logger.close()
  }
}

/** Resolves with the name of the first signal that asks to stop, also one that comes while the server starts. */
function stopSignal(output: Output): Promise<string> {
  return new Promise(resolve => {
    let isAsked = false
    const stop = (signal: NodeJS.Signals) => {
      if (isAsked) {
        output.error(`meerkat: ${signal} again, stopping at once`)
        process.exit(exitCode.user)
      }
      isAsked = true
      resolve(signal)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

/** Makes SIGHUP reload the certificates of the server that is handed in, also one that came while it started. */
function reloadSignal(): (server: StartedServer) => void {
  let server: StartedServer | undefined
  let isAsked = false
  process.on('SIGHUP', () => {
    isAsked = true
    void server?.reloadCertificates()
  })
  return started => {
    server = started
    if (isAsked) void server.reloadCertificates()
  }
}

/** Scripts wait for the line that starts with `ready`; the time counts from the start of the process. */
function announce(server: StartedServer, isJson: boolean, output: Output): void {
  const ms = Math.round(performance.now())
  for (const address of server.addresses) {
    const text = `listening ${address.protocol} ${endpoint(address.address, address.port)}`
    output.out(isJson ? JSON.stringify({ listening: address }) : text)
  }
  output.out(isJson ? JSON.stringify({ ready: { ms } }) : `ready in ${ms} ms`)
}
