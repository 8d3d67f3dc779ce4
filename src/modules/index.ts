import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { errorReply, iqResult, type Stanza } from '../protocols/stanza/stanza.js'
import { answered, checkIq, type IqAnswer } from '../routing/iq.js'
import { adhoc } from './adhoc.js'
import { amp } from './amp.js'
import { blocking } from './blocking.js'
import { bosh } from './bosh.js'
import { caps } from './caps.js'
import { carboncopy } from './carboncopy.js'
import { commands, mucCommands, mucLightCommands } from './commands.js'
import { clientState } from './csi.js'
import { disco } from './disco.js'
import { Discovery } from './discovery.js'
import { externalServices } from './extdisco.js'
import { last } from './last.js'
import { mam } from './mam.js'
import type {
  Module,
  ModuleServer,
  ModuleServices,
  OfferKey,
  StreamFeature,
  UnauthenticatedIqHandler,
} from './module.js'
import { muc } from './muc.js'
import { mucLight } from './muc-light.js'
import { offline } from './offline.js'
import { ping } from './ping.js'
import { privacy } from './privacy.js'
import { privateXml } from './private.js'
import { register } from './register.js'
import { roster } from './roster.js'
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
  stop(): void
}

interface Host {
  readonly name: string
  readonly jid: Jid
  readonly discovery: ModuleServer['discovery']
  readonly streamFeatures: StreamFeature[]
  readonly unauthenticated: Map<string, UnauthenticatedIqHandler>
  readonly offered: Map<OfferKey<unknown>, unknown>
}

/** Starts the modules of every virtual host. A module that throws stops those that run already. */
export function startModules(
  services: ModuleServices,
  hosts: ReadonlyMap<string, HostModules>,
  available: readonly Module[] = modules,
): RunningModules {
  const running = new Map<string, Host>()
  const undos: (() => void)[] = []
  const stop = () => {
    for (const undo of undos.splice(0).reverse()) undo()
  }
  try {
    for (const [name, options] of hosts) {
      const host = newHost(name)
      running.set(name, host)
      for (const module of available) {
        if (options[module.name] !== undefined) undos.push(startModule(services, host, module, options[module.name]))
      }
    }
  } catch (error) {
    stop()
    throw error
  }
  return {
    streamFeatures(host, stream) {
      const offered = running.get(host)?.streamFeatures.map(feature => feature(stream)) ?? []
      return offered.filter(xml => xml !== undefined).join('')
    },
    answerUnauthenticated: (iq, host, address) => answerUnauthenticated(services, running.get(host), iq, address),
    // The key has the type of what `offer` was given with it.
    offered: <Offered>(host: string, key: OfferKey<Offered>) =>
      running.get(host)?.offered.get(key) as Offered | undefined,
    stop,
  }
}

function newHost(name: string): Host {
  const jid = Jid.parse(name)
  if (jid?.text !== name) throw new Error(`the host ${name} is not in prepared form`)
  const discovery = { host: new Discovery(), account: new Discovery() }
  return { name, jid, discovery, streamFeatures: [], unauthenticated: new Map(), offered: new Map() }
}

/** Starts one module and returns its undo. */
function startModule(services: ModuleServices, host: Host, module: Module, options: unknown): () => void {
  const undos: (() => void)[] = []
  const server: ModuleServer = {
    ...services,
    host: host.name,
    hostJid: host.jid,
    hooks: services.routing.hooksOf(host.name),
    discovery: host.discovery,
    onIq(target, type, ns, name, handler) {
      undos.push(services.routing.iq.register({ domain: host.name, target, type, ns, name, handler }))
    },
    onUnauthenticatedIq(ns, name, handler) {
      const key = `${ns} ${name}`
      host.unauthenticated.set(key, handler)
      undos.push(() => host.unauthenticated.delete(key))
    },
    offerStreamFeature(feature) {
      host.streamFeatures.push(feature)
      undos.push(() => host.streamFeatures.splice(host.streamFeatures.indexOf(feature), 1))
    },
    offer(key, offered) {
      host.offered.set(key, offered)
      undos.push(() => host.offered.delete(key))
    },
    onStop: undo => undos.push(undo),
  }
  const undo = () => {
    for (const one of undos.splice(0).reverse()) one()
  }
  try {
    for (const feature of module.features) undos.push(host.discovery.host.addFeature(feature))
    module.start(server, options)
  } catch (error) {
    undo()
    throw error
  }
  return undo
}

async function answerUnauthenticated(
  services: ModuleServices,
  host: Host | undefined,
  iq: Stanza,
  address: string,
): Promise<Stanza | undefined> {
  const { type, payload } = iq
  if (host === undefined || payload === undefined || type === 'result' || type === 'error') return undefined
  const handler = host.unauthenticated.get(`${payload.ns} ${payload.name}`)
  if (handler === undefined) return undefined
  const result = await tryAnswer(handler, iq, address).catch((error: unknown) => services.routing.explain(error))
  const reply =
    result instanceof StanzaError ? errorReply(iq, result) : iqResult(iq, result === answered ? undefined : result)
  return reply.addressed({ from: host.jid })
}

async function tryAnswer(handler: UnauthenticatedIqHandler, iq: Stanza, address: string): Promise<IqAnswer> {
  checkIq(iq)
  return handler(iq, address)
}
