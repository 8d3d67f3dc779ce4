import { z } from 'zod'
import type { Clock } from '../observability/clock.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Hooks } from '../routing/hooks.js'
import type { IqAnswer, IqHandler, IqTarget } from '../routing/iq.js'
import type { ModuleActor, Residence, ResidenceOptions, Startable } from '../routing/residence.js'
import type { Routing } from '../routing/services.js'
import type { Store } from '../storage/store.js'
import type { Discovery } from './discovery.js'

/** What modules may do with accounts, whatever `[auth]` keeps them in. Promises resolve after commit. */
export interface AccountAdministration {
  /** Whether the account exists. */
  exists(user: string, host: string): Promise<boolean>
  /** `user` is a prepared localpart. `not-allowed`: the authentication methods of the host make no accounts. */
  create(user: string, host: string, password: string): Promise<'created' | 'exists' | 'not-allowed'>
  /** Gives an account another password; sessions go on. */
  setPassword(user: string, host: string, password: string): Promise<'changed' | 'not-found' | 'not-allowed'>
  /** Removes an account; false when there is none. */
  remove(user: string, host: string): Promise<boolean>
}

/** What all modules share; `server.ts` hands it in. */
export interface ModuleServices {
  /** @internal */
  readonly routing: Routing
  /** @internal */
  readonly store: Store
  /** What every time limit runs on; a test moves its own. */
  readonly clock: Clock
  /** The accounts of all hosts. */
  readonly accounts: AccountAdministration
  /** `general.language` */
  readonly language: string
  /** @internal `general.registration_timeout` */
  readonly registrationTimeout: number | 'infinity'
  /** What the server says that it is. */
  readonly software: {
    /** The product. */
    readonly name: string
    /** As package.json has it. */
    readonly version: string
    /** Where it is described. */
    readonly url: string
  }
  /** The value that an access rule of the host gives to a JID; undefined when no clause matches. spec/listeners.md §2.3 */
  access(host: string, rule: string, jid: Jid): string | number | undefined
  /** @internal Stanzas that may wait for one actor (`general.max_fsm_queue`); undefined: any number. */
  readonly queueLimit: number | undefined
  /** @internal Units a second that the shaper of this name allows; undefined: no limit. spec/listeners.md §2.4 */
  shaperRate(name: string): number | undefined
  /** @internal Gives a module its actor, which starts it. Throws what its first start throws. */
  supervise(module: Startable): ModuleActor
}

/** Something between `<stream:features>` that a module offers: XML, or undefined where it does not belong. */
export type StreamFeature = (stream: {
  /** The client has logged in. */
  isAuthenticated: boolean
}) => string | undefined

/** Names what a module offers to `operations/`, with its type. */
export class OfferKey<Offered> {
  /** Only a type: nothing is there. */
  declare readonly type: Offered
  constructor(readonly name: string) {}
}

/** Answers an IQ of a stream that has not logged in; `address` is the client's IP address. */
export type UnauthenticatedIqHandler = (iq: Stanza, address: string) => IqAnswer | Promise<IqAnswer>

/** The server as a module of one virtual host sees it. What is registered through it is undone when the module stops. */
export interface ModuleServer extends Omit<ModuleServices, 'supervise'> {
  /** The virtual host, in prepared form. */
  readonly host: string
  /** The host's own address. */
  readonly hostJid: Jid
  /** The places on a stanza's way where it may join. */
  readonly hooks: Hooks
  /** @internal What the host says of itself, and what it says of each of its accounts. */
  readonly discovery: Record<IqTarget, Discovery>
  /**
   * Answers IQ requests whose payload is the element `name` of the namespace `ns`, sent to the host itself or to a bare JID of it.
   * Throws when something answers them already.
   */
  onIq(target: IqTarget, type: 'get' | 'set', ns: string, name: string, handler: IqHandler): void
  /** @internal Answers IQ requests of streams that have not logged in. */
  onUnauthenticatedIq(ns: string, name: string, handler: UnauthenticatedIqHandler): void
  /** Adds something to the stream features of the host's clients. RFC 6120 §4.3.2 */
  offerStreamFeature(feature: StreamFeature): void
  /** @internal Hands something to `operations/`; one of each key and host. */
  offer<Offered>(key: OfferKey<Offered>, offered: Offered): void
  /**
   * Sends a stanza of the module's own making to where its `to` says, without waiting; it needs a `from`. What cannot be delivered comes
   * back to its `from` as an error. Never throws.
   */
  send(stanza: Stanza): void
  /** Makes room below the module's actor for what it keeps alive. It is closed when the module has been undone. */
  openResidence(name: string, options: ResidenceOptions): Residence
  /**
   * What outlives a restart of the module, such as what its clients have been promised: made by the first incarnation of the module that
   * asks for this name, and the same for all that follow while the server runs.
   */
  kept<Kept>(name: string, make: () => Kept): Kept
  /**
   * Keeps an undo for when the module stops, with the server or to be started again. They run in the reverse order; the next start waits
   * for their promises, for at most 5 seconds. One that fails is counted as a fault of the module.
   */
  onStop(undo: () => unknown): void
}

/** An option that has a valid value which this server does not act on; configuration problems of spec/listeners.md §1.1. */
export interface Unsupported {
  /** From the module's own table on. */
  readonly path: readonly (string | number)[]
  /** Never to come, or to come. */
  readonly code: 'not_supported' | 'not_supported_yet'
  /** One line for who wrote the configuration. */
  readonly message: string
}

/** A module's whole truth; disco, `docs/xeps.md` and the configuration reference are derived from it. */
export interface Module<Config extends z.ZodType = z.ZodType> {
  /** Its name in `[modules]`. */
  readonly name: string
  /** Specifications that it implements, such as `XEP-0199`. */
  readonly implements: readonly string[]
  /** Service discovery features of the host. */
  readonly features: readonly string[]
  /** The schema of its options, a `z.strictObject`. */
  readonly config: Config
  /** Its options in a file without `[modules]`; false: it is off there. spec/listeners.md §2.8 */
  readonly shipped: z.input<Config> | false
  /** Options in use that have no effect here; a start with any of them is refused. */
  unsupported?(options: z.infer<Config>): readonly Unsupported[]
  /** Starts it for one virtual host; what it does beyond `server` it undoes with `server.onStop`. */
  start(server: ModuleServer, options: z.infer<Config>): void
}

/** What a module must say of itself, and what it may leave out: no specifications, no features, no options, off unless named. */
export type ModuleDefinition<Config extends z.ZodType> = Pick<Module<Config>, 'name' | 'start'> &
  Partial<Module<Config>>

/** The same in every copy of this package that a process may have loaded. */
const mark = Symbol.for('meerkat-xmpp.module')

/**
 * A module: the value that `[modules.NAME]` switches on for every virtual host, or for those whose `[[host_config]]` names it.
 * One of your own is handed to `startServer`, or loaded from the `package` that `[modules.NAME]` names. Its `config` is a
 * `z.strictObject`; options that it refuses are reported like any other mistake in the configuration.
 *
 * `start` runs once for each host, before anybody can connect; what it throws ends the start. A handler may throw a `StanzaError` to
 * refuse a request.
 *
 * Each module of a host is an actor below `/root/modules`, such as `mod_greeter-localhost`. Anything else that a handler throws is caught
 * where the handler was called and counted as a fault of that actor; the module goes on. It is started again (what it registered through
 * `server` is undone, what it keeps alive ends, `start` runs anew) when a vital resident of it failed too often, and by `restartModule` or the
 * debug endpoint. That `start` throws then is a failure too: after 5 restarts in 10 seconds the module stays off, and the server goes on
 * without it. The code of a `package` is not read again by a restart, only by the next start of the process.
 */
export function defineModule<Config extends z.ZodType = z.ZodObject<Record<never, never>>>(
  definition: ModuleDefinition<Config>,
): Module<Config> {
  // The cast: without `config` there is nothing that could make Config another type than its default.
  const config = definition.config ?? (z.strictObject({}) as unknown as Config)
  const module = { implements: [], features: [], shipped: false as const, ...definition, config }
  return Object.defineProperty(module, mark, { value: true })
}

/** Whether a value was made by `defineModule`, of this or of another copy of this package. */
export const isModule = (value: unknown): value is Module =>
  typeof value === 'object' && value !== null && mark in value
