/*
 * `meerkat-xmpp`: an XMPP server to run inside another program.
 */
import { loadConfigOrThrow } from './config/load.js'
import { loadConfigFile } from './config/load-file.js'
import { ConfigError } from './config/problem.js'
import type { Config } from './config/root.js'
import { modules } from './modules/index.js'
import { createServer, type Server, type ServerOptions } from './server.js'

export type { ActorInfo, InspectOptions } from './actors/runtime/index.js'
export { ConfigError, type Problem } from './config/problem.js'
export type { Clock } from './observability/clock.js'
export { createEvents, type Events } from './observability/events.js'
export { StartupError } from './observability/startup-error.js'
export type { ServerStatus } from './observability/status.js'
export type { Address, Component, ComponentHandler, Server, ServerOptions } from './server.js'

/** A file in the configuration's language, or what such a file says, as an object. */
export type ConfigSource = { readonly configFile: string } | Readonly<Record<string, unknown>>

/**
 * Starts a server. Relative paths count from the file's folder, or from the working directory for an object; only a file may
 * name variables of the environment.
 * @throws ConfigError with everything that is wrong with the configuration
 * @throws StartupError when a port, a certificate or the data folder cannot be had
 */
export async function startServer(source: ConfigSource, options: ServerOptions = {}): Promise<Server> {
  return createServer(configOf(source), options)
}

function configOf(source: ConfigSource): Config {
  if (!('configFile' in source) || typeof source.configFile !== 'string') {
    return loadConfigOrThrow({ object: source, folder: process.cwd() }, { modules, env: process.env }).config
  }
  const { config, problems } = loadConfigFile(source.configFile, { modules, env: process.env })
  if (config === undefined) throw new ConfigError(problems)
  return config
}
