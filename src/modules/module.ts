import { z } from 'zod'
import type { Clock } from '../observability/clock.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Hooks } from '../routing/hooks.js'
import type { IqAnswer, IqHandler, IqTarget } from '../routing/iq.js'
import type { Residence, ResidenceOptions } from '../routing/residence.js'
import type { Routing } from '../routing/services.js'
import type { Store } from '../storage/store.js'
import type { Discovery } from './discovery.js'

/** What modules may do with accounts, whatever `[auth]` keeps them in. Promises resolve after commit. */
export interface AccountAdministration {
  exists(user: string, host: string): Promise<boolean>
  /** `user` is a prepared localpart. `not-allowed`: the authentication methods of the host make no accounts. */
  create(user: string, host: string, password: string): Promise<'created' | 'exists' | 'not-allowed'>
  setPassword(user: string, host: string, password: string): Promise<'changed' | 'not-found' | 'not-allowed'>
  remove(user: string, host: string): Promise<boolean>
}

/** What all modules share; `server.ts` hands it in. */
export interface ModuleServices {
  readonly routing: Routing
  readonly store: Store
  readonly clock: Clock
  readonly accounts: AccountAdministration
  /** `general.language` */
  readonly language: string
  /** `general.registration_timeout` */
  readonly registrationTimeout: number | 'infinity'
  readonly software: { readonly name: string; readonly version: string; readonly url: string }
  /** The value that an access rule of the host gives to a JID; undefined when no clause matches. spec/listeners.md §2.3 */
  access(host: string, rule: string, jid: Jid): string | number | undefined
  /** Stanzas that may wait for one actor (`general.max_fsm_queue`); undefined: any number. */
  readonly queueLimit: number | undefined
  /** Units a second that the shaper of this name allows; undefined: no limit. spec/listeners.md §2.4 */
  shaperRate(name: string): number | undefined
  /** Makes room in the tree for what a module keeps alive. It is closed with the server, after the modules were stopped. */
  openResidence(name: string, options: ResidenceOptions): Residence
}

/** Something between `<stream:features>` that a module offers: XML, or undefined where it does not belong. */
export type StreamFeature = (stream: { isAuthenticated: boolean }) => string | undefined

/** Names what a module offers to `operations/`, with its type. */
export class OfferKey<Offered> {
  /** Only a type: nothing is there. */
  declare readonly type: Offered
  constructor(readonly name: string) {}
}

/** Answers an IQ of a stream that has not logged in; `address` is the client's IP address. */
export type UnauthenticatedIqHandler = (iq: Stanza, address: string) => IqAnswer | Promise<IqAnswer>

/** The server as a module of one virtual host sees it. What is registered through it is undone when the module stops. */
export interface ModuleServer extends ModuleServices {
  readonly host: string
  /** The host's own address. */
  readonly hostJid: Jid
  readonly hooks: Hooks
  /** What the host says of itself, and what it says of each of its accounts. */
  readonly discovery: Record<IqTarget, Discovery>
  onIq(target: IqTarget, type: 'get' | 'set', ns: string, name: string, handler: IqHandler): void
  onUnauthenticatedIq(ns: string, name: string, handler: UnauthenticatedIqHandler): void
  offerStreamFeature(feature: StreamFeature): void
  /** Hands something to `operations/`; one of each key and host. */
  offer<Offered>(key: OfferKey<Offered>, offered: Offered): void
  /** Keeps an undo for when the module stops. */
  onStop(undo: () => void): void
}

/** An option that has a valid value which this server does not act on; configuration problems of spec/listeners.md §1.1. */
export interface Unsupported {
  readonly path: readonly (string | number)[]
  readonly code: 'not_supported' | 'not_supported_yet'
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
 * `start` runs once for each host, before anybody can connect; what it throws ends the start. It may throw a `StanzaError` from
 * a handler to refuse a request.
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
