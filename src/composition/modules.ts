import { startModuleActor } from '../actors/module-actor.js'
import { type Supervisor, startBranch } from '../actors/root.js'
import { stopTree } from '../actors/runtime/index.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { Authenticator } from '../auth/authenticate.js'
import { configFor } from '../config/for-host.js'
import { type RunningModules, startModules } from '../modules/index.js'
import type { ModuleServices } from '../modules/module.js'
import type { Emit } from '../observability/events.js'
import type { Startable } from '../routing/residence.js'
import type { Routing } from '../routing/services.js'
import type { Store } from '../storage/store.js'
import type { Base } from './base.js'
import { maxRate } from './stream.js'

/** Starts the modules of all hosts, each in an actor of its own below the branch of the modules. */
export function startAllModules(
  base: Base,
  software: ModuleServices['software'],
  rules: AccessRules,
  store: Store,
  routing: Routing,
  authenticator: Authenticator,
): RunningModules {
  const { config, options, clock, emit, runtime, later } = base
  const branch = startBranch(runtime, 'modules')
  // What modules keep alive may still have something to store.
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const running = startModules(
    {
      routing,
      store,
      clock,
      accounts: { ...authenticator, exists: async (user, host) => authenticator.exists(user, host) },
      language: config.general.language,
      registrationTimeout: config.general.registration_timeout,
      software,
      access: (host, rule, jid) => rules.value(rule, jid, host),
      queueLimit: config.general.max_fsm_queue,
      shaperRate: name => maxRate(base, name),
      supervise: module => startModuleActor(branch, telling(module, branch, emit)),
    },
    new Map(config.general.hosts.map(host => [host, configFor(config, host).modules])),
    options.modules,
  )
  later(() => running.stop())
  return running
}

/** The module, with events about what becomes of it after its first start. */
function telling(module: Startable, branch: Supervisor, emit: Emit): Startable {
  const { name, host } = module
  let isStarted = false
  return {
    name,
    host,
    start(actor) {
      module.start(actor)
      if (isStarted) emit('module.restarted', { module: name, host })
      isStarted = true
    },
    stop: () => module.stop(),
    ended(reason) {
      module.ended(reason)
      // With the server, or before that has started.
      if (!isStarted || reason === 'shutdown' || branch.isStopping) return
      if (reason === 'fault') emit('module.failed', { module: name, host })
      else emit('module.stopped', { module: name, host })
    },
    inspected: () => module.inspected(),
  }
}
