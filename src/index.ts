/*
 * `meerkat-xmpp`: an XMPP server to run inside another program.
 */
import { loadConfig } from './config/load.js'
import { loadConfigFile } from './config/load-file.js'
import { ConfigError } from './config/problem.js'
import { availableModules } from './modules/packages.js'
import { createServer, type Server, type ServerOptions } from './server.js'

export { Element } from 'ltx'
export { z } from 'zod'
export type { ActorInfo, InspectOptions } from './actors/runtime/index.js'
export { ConfigError, type Problem } from './config/problem.js'
export { defineModule, type Module, type ModuleServer } from './modules/module.js'
export type { Clock } from './observability/clock.js'
export { createEvents, type Events } from './observability/events.js'
export { StartupError } from './observability/startup-error.js'
export type { ServerStatus } from './observability/status.js'
export { StanzaError } from './protocols/errors.js'
export { Jid } from './protocols/jid.js'
export { Stanza } from './protocols/stanza/stanza.js'
export { drop, type Hooks } from './routing/hooks.js'
export type { Address, Component, ComponentHandler, Server, ServerOptions } from './server.js'

/** A file in the configuration's language, or what such a file says, as an object. */
export type ConfigSource = { readonly configFile: string } | Readonly<Record<string, unknown>>

/**
 * Starts a server. Relative paths, and packages of modules, count from the file's folder, or from the working directory for an
 * object; only a file may name variables of the environment.
 * @throws ConfigError with everything that is wrong with the configuration
 * @throws StartupError when a port, a certificate or the data folder cannot be had, or a module of yours throws
 */
export async function startServer(source: ConfigSource, options: ServerOptions = {}): Promise<Server> {
  const isFile = 'configFile' in source && typeof source.configFile === 'string'
  const place = isFile ? { file: String(source.configFile) } : { object: source, folder: process.cwd() }
  const available = await availableModules(place, process.env, options.modules)
  const loading = { ...available, env: process.env }
  const { config, problems } = 'file' in place ? loadConfigFile(place.file, loading) : loadConfig(place, loading)
  if (config === undefined) throw new ConfigError(problems)
  return createServer(config, { ...options, modules: available.modules })
}
