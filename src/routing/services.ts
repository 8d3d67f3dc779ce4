import type { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { AccountLookup } from '../sessions/accounts.js'
import type { Presence } from '../sessions/presence.js'
import type { SessionRegistry } from '../sessions/registry.js'
import type { Rosters } from '../sessions/rosters.js'
import type { Session } from '../sessions/session.js'
import type { Subscriptions } from '../sessions/subscriptions.js'
import type { Hooks } from './hooks.js'
import type { IqHandlers } from './iq.js'
import type { Onlookers } from './onlookers.js'
import type { RoomArchives } from './room-archive.js'
import type { Routes } from './routes.js'

/** What routing is made of; `server.ts` hands it in. */
export interface RoutingOptions {
  /** Served domains in prepared form, the first one first. */
  readonly hosts: readonly string[]
  readonly sessions: SessionRegistry
  readonly rosters: Rosters
  readonly accounts: AccountLookup
  /** Told of every error that is nobody's expected answer, with the kind of the stanza it happened to. */
  onBug(error: unknown): void
  /** Takes a stanza for a domain that is not ours; false when there is no way there. Absent: no federation. */
  remote?(stanza: Stanza): boolean
  /** Sessions that the account may have at one time (`max_user_sessions`); absent: any number. */
  maxSessions?(account: Jid): number
  /** Told of each session that was asked to make room for another. */
  onReplaced?(session: Session): void
}

/** What became of a stanza: the session has it, a module threw it away or has the sender find another way, or the session is gone. */
export type Offer = 'taken' | 'dropped' | 'refused' | 'gone'

/** Everything that a stanza may meet on its way; made once, by `createRouting`. */
export interface Routing extends RoutingOptions {
  readonly routes: Routes
  /** Who watches what components and other servers send and get. */
  readonly onlookers: Onlookers
  readonly iq: IqHandlers
  readonly presence: Presence
  readonly subscriptions: Subscriptions
  /** Who keeps what is said in rooms. */
  readonly rooms: RoomArchives
  /** Hosts whose roster pushes bear a version; the roster module adds them. */
  readonly rosterVersioning: Set<string>
  /** The hooks of a virtual host. */
  hooksOf(host: string): Hooks
  /**
   * Sends a stanza to where its `to` says, and an error back to its `from` when it cannot be. Never throws and never rejects.
   * A promise only when something had to be awaited: the store, or a module. A message goes on when `begun` is done too.
   */
  route(stanza: Stanza, begun?: Promise<unknown>): void | Promise<void>
  /** The same for a sender who waits to hear whether it was stored where it must be: rejects with `StoreUnavailable`. */
  attempt(stanza: Stanza, begun?: Promise<unknown>): Promise<void>
  /** The same for what was routed before, to somebody who could not take it after all. */
  routeAgain(stanza: Stanza): void | Promise<void>
  /** Whether a module of any host wants to see messages that arrive. */
  awaitsArrivals(): boolean
  /** Hands a stanza to a session of ours, past the modules. */
  offer(session: Session, stanza: Stanza): Offer
  /** The same; false when the session did not take it. */
  deliver(session: Session, stanza: Stanza): boolean
  /** Hands a stanza to a session of ours though a module may want to keep it away; false when the session is gone. */
  deliverAnyway(session: Session, stanza: Stanza): boolean
  /** Routes a stanza of the server's own making without waiting for it. */
  send(stanza: Stanza): void
  /** Does what nobody waits for; a failure, at once or later, is reported and goes no further. */
  inBackground(work: () => void | Promise<void>): void
  /** The error that the other side is told; what is no expected outcome is reported as a bug. */
  explain(error: unknown): StanzaError
}
