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
export type { ActorInfo, ActorState, ChildPage, ChildSums, InspectOptions } from './actors/runtime/index.js'
export { ConfigError, type Problem, type ProblemCode } from './config/problem.js'
export {
  type AccountAdministration,
  defineModule,
  type Module,
  type ModuleDefinition,
  type ModuleServer,
  type StreamFeature,
  type Unsupported,
} from './modules/module.js'
export type { Clock } from './observability/clock.js'
export type { Counters } from './observability/counters.js'
export {
  createEvents,
  type Declaration,
  type Emit,
  type EventFields,
  type EventName,
  type EventRecord,
  type Events,
  type Fields,
  type FieldsOf,
  type FieldValue,
  type Level,
  type LogLevel,
  type Sink,
} from './observability/events.js'
export { StartupError, type StartupProblem } from './observability/startup-error.js'
export type { ServerStatus } from './observability/status.js'
export { type StanzaCondition, StanzaError, type StanzaErrorType, type StreamCondition } from './protocols/errors.js'
export { Jid } from './protocols/jid.js'
export { type Payload, Stanza, type StanzaKind } from './protocols/stanza/stanza.js'
export {
  drop,
  type EventHook,
  type Filter,
  type Hooks,
  type Offered,
  type PromptHook,
  type RosterReading,
  refuse,
  type SessionEnd,
  type Showing,
  type Transformed,
  type WaitingHook,
} from './routing/hooks.js'
export { answered, type IqAnswer, type IqHandler, type IqTarget } from './routing/iq.js'
export type { End, Residence, ResidenceOptions, Resident, ResidentActor, Work } from './routing/residence.js'
export type {
  Address,
  Component,
  ComponentHandler,
  ComponentReceiver,
  HostActor,
  HostSystem,
  Server,
  ServerOptions,
} from './server.js'
export type { Sender, Session } from './sessions/session.js'

/** A file in the configuration's language, or what such a file says, as an object. */
export type ConfigSource =
  | {
      /** Its path; a relative one counts from the working directory. */
      readonly configFile: string
    }
  | Readonly<Record<string, unknown>>

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
