import type { Stanza } from '../protocols/stanza/stanza.js'
import { adhoc } from './adhoc.js'
import { amp } from './amp.js'
import { blocking } from './blocking.js'
import { bosh } from './bosh.js'
import { caps } from './caps.js'
import { carboncopy } from './carboncopy.js'
import { commands, mucCommands, mucLightCommands } from './commands.js'
import { clientState } from './csi.js'
import { disco } from './disco.js'
import { externalServices } from './extdisco.js'
import { last } from './last.js'
import { mam } from './mam.js'
import type { Module, ModuleServices, OfferKey } from './module.js'
import { muc } from './muc.js'
import { mucLight } from './muc-light.js'
import { offline } from './offline.js'
import { ping } from './ping.js'
import { privacy } from './privacy.js'
import { privateXml } from './private.js'
import { register } from './register.js'
import { roster } from './roster.js'
import { RunningModule } from './running.js'
import { RunningHost } from './running-host.js'
import { serverIpCheck } from './sic.js'
import { streamManagement } from './stream-management.js'
import { time } from './time.js'
import { vcard } from './vcard.js'
import { version } from './version.js'

/** Every module that there is. What an account blocks stands before all that handles stanzas. Hooks run and stream features stand in this order. spec/listeners.md §3.1.2 */
export const modules: readonly Module[] = [
  roster,
  privacy,
  blocking,
  streamManagement,
  amp,
  mam,
  carboncopy,
  register,
  clientState,
  caps,
  disco,
  ping,
  version,
  time,
  privateXml,
  vcard,
  last,
  serverIpCheck,
  adhoc,
  externalServices,
  muc,
  mucLight,
  offline,
  bosh,
  commands,
  mucLightCommands,
  mucCommands,
]

/** Which modules run on a host: their parsed options, by the module's name. */
export type HostModules = Readonly<Record<string, unknown>>

export interface RunningModules {
  /** What modules add to `<stream:features/>`, as XML. */
  streamFeatures(host: string, stream: { isAuthenticated: boolean }): string
  /** The reply to an IQ of a stream that has not logged in; undefined when no module has one. Never rejects. spec/listeners.md §3.1.3 */
  answerUnauthenticated(iq: Stanza, host: string, address: string): Promise<Stanza | undefined>
  /** What a module of the host offers under the key; undefined where none does. */
  offered<Offered>(host: string, key: OfferKey<Offered>): Offered | undefined
  /**
   * Undoes a module and starts it anew, on one host or on all; resolves when it runs again. Rejects when there is no such module or it does
   * not run, and when it failed more often than its supervisor allows.
   */
  restart(name: string, host?: string): Promise<void>
  stop(): void
}

/** Starts the modules of every virtual host. A module that throws stops those that run already. */
export function startModules(
  services: ModuleServices,
  hosts: ReadonlyMap<string, HostModules>,
  available: readonly Module[] = modules,
): RunningModules {
  const running = new Map<string, RunningHost>()
  const started: RunningModule[] = []
  const stop = () => {
    const all = started.splice(0).reverse()
    // What one keeps alive may have to do with others until they are all undone.
    for (const one of all) one.close()
    for (const one of all) one.stopActor()
  }
  try {
    for (const [name, options] of hosts) {
      const host = new RunningHost(name, services.routing)
      running.set(name, host)
      for (const module of available) {
        const own = options[module.name]
        if (own === undefined) continue
        const one = new RunningModule(services, host, module, own, started.length)
        services.supervise(one)
        started.push(one)
      }
    }
  } catch (error) {
    stop()
    throw error
  }
  return {
    streamFeatures: (host, stream) => running.get(host)?.streamFeatures(stream) ?? '',
    answerUnauthenticated: async (iq, host, address) => running.get(host)?.answerUnauthenticated(iq, address),
    offered: (host, key) => running.get(host)?.offered(key),
    restart: (name, host) => restart(started, name, host),
    stop,
  }
}

/** One after the other, in their order. */
async function restart(all: readonly RunningModule[], name: string, host: string | undefined): Promise<void> {
  const meant = all.filter(one => one.name === name && (host === undefined || one.host === host))
  // Those of other hosts may run where one has given up.
  const chosen =
    host === undefined && meant.some(({ isRunning }) => isRunning) ? meant.filter(one => one.isRunning) : meant
  if (chosen.length === 0) throw new Error(`no module ${name} runs${host === undefined ? '' : ` for ${host}`}`)
  for (const one of chosen) await one.restart()
}
