import { countReceived } from '../observability/metrics/host-counters.js'
import { StanzaError } from '../protocols/errors.js'
import type { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { Presence } from '../sessions/presence.js'
import type { RosterView } from '../sessions/rosters.js'
import type { Session } from '../sessions/session.js'
import { Subscriptions } from '../sessions/subscriptions.js'
import { StoreUnavailable } from '../storage/store.js'
import { bounceStanza } from './bounce.js'
import { drop, Hooks, refuse, type Transformed } from './hooks.js'
import { IqHandlers } from './iq.js'
import { delivered, toAccount, toHost } from './local.js'
import { Onlookers } from './onlookers.js'
import { accuse } from './parts.js'
import { RoomArchives } from './room-archive.js'
import { Routes } from './routes.js'
import type { Offer, Routing, RoutingOptions } from './services.js'

/** Puts the parts of routing together. */
export function createRouting(given: RoutingOptions): Routing {
  const options: RoutingOptions = { ...given, onBug: error => tellBug(given, error) }
  const routes = new Routes(options.hosts)
  const hooks = new Map(options.hosts.map(host => [host, new Hooks()]))
  const rosterVersioning = new Set<string>()

  const told = (stanza: Stanza, waiting: void | Promise<void>): void | Promise<void> => {
    if (waiting instanceof Promise) return waiting.catch(error => bounce(routing, stanza, error))
  }
  // Twice the same, so that a stanza costs no closure.
  const route = (stanza: Stanza, begun?: Promise<unknown>): void | Promise<void> => {
    try {
      return told(stanza, arrive(routing, stanza, begun))
    } catch (error) {
      return bounce(routing, stanza, error)
    }
  }
  const attempt = async (stanza: Stanza, begun?: Promise<unknown>) => {
    try {
      await arrive(routing, stanza, begun)
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error
      await bounce(routing, stanza, error)
    }
  }
  const routeAgain = (stanza: Stanza): void | Promise<void> => {
    try {
      return told(stanza, forward(routing, stanza))
    } catch (error) {
      return bounce(routing, stanza, error)
    }
  }
  const offer = (session: Session, stanza: Stanza) => handOver(routing, session, stanza)
  const deliver = (session: Session, stanza: Stanza) => {
    const result = handOver(routing, session, stanza)
    return result === 'taken' || result === 'dropped'
  }
  const common = {
    ...options,
    rosterVersioning,
    isHost: routes.isHost,
    route,
    attempt,
    routeAgain,
    offer,
    deliver,
    deliverAnyway: (session: Session, stanza: Stanza) => hand(routing.hooksOf(session.jid.domain), session, stanza),
    shows: (session: Session, stanza: Stanza, contact: Jid, roster: RosterView) => {
      const hook = hooks.get(session.jid.domain)!.shown
      return hook.isEmpty || hook.run(stanza, { session, contact, roster }) === stanza
    },
    hooksOf: (host: string) => hooks.get(host)!, // every session and every account is on a host
    send: (stanza: Stanza) => void route(stanza),
    inBackground: (work: () => void | Promise<void>) => inBackground(options, work),
    becameAvailable: (session: Session) => hooks.get(session.jid.domain)!.becameAvailable.emit(session),
    becameUnavailable: (session: Session) =>
      inBackground(options, () => hooks.get(session.jid.domain)!.becameUnavailable.emit(session)),
    explain: (error: unknown) => explain(routing, error),
  }
  const presence = new Presence(common)
  const subscriptions = new Subscriptions({ ...common, presence })
  const arriving = [...hooks.values()].map(one => one.arriving)
  const awaitsArrivals = () => {
    for (const hook of arriving) if (!hook.isEmpty) return true
    return false
  }
  const routing: Routing = {
    ...common,
    awaitsArrivals,
    routes,
    onlookers: new Onlookers(),
    iq: new IqHandlers(),
    presence,
    subscriptions,
    rooms: new RoomArchives(),
  }
  return routing
}

function tellBug({ onBug }: RoutingOptions, error: unknown): void {
  accuse(error)
  onBug(error)
}

/** A message waits for what was begun for its sender and for its addressee, at the same time. */
function arrive(routing: Routing, stanza: Stanza, begun: Promise<unknown> | undefined): void | Promise<void> {
  if (stanza.kind !== 'message') return forward(routing, stanza)
  if (begun !== undefined) return arriveAfter(routing, stanza, begun)
  const arrived = throughArriving(routing, stanza)
  if (arrived instanceof Promise) return arrived.then(later => goOn(routing, later))
  return goOn(routing, arrived)
}

async function arriveAfter(routing: Routing, stanza: Stanza, begun: Promise<unknown>): Promise<void> {
  // Not one after the other: what both sides store is to be stored together.
  let arriving: Transformed | Promise<Transformed>
  try {
    arriving = throughArriving(routing, stanza)
  } catch (error) {
    await begun
    throw error
  }
  const [arrived] = await Promise.all<[Transformed | Promise<Transformed>, unknown]>([arriving, begun])
  await goOn(routing, arrived)
}

function goOn(routing: Routing, arrived: Transformed): void | Promise<void> {
  if (arrived !== drop) return forward(routing, arrived)
}

function throughArriving(routing: Routing, stanza: Stanza): Transformed | Promise<Transformed> {
  if (!routing.awaitsArrivals() || stanza.type === 'error') return stanza
  const { to } = stanza
  if (to === undefined || to.local === '' || !routing.routes.isHost(to.domain)) return stanza
  return routing.hooksOf(to.domain).arriving.run(stanza, to)
}

/** Where a stanza goes, in the order of spec/listeners.md §3.4; throws the error of RFC 6120 §10 for the sender. */
function forward(routing: Routing, stanza: Stanza): void | Promise<void> {
  const text = stanza.toText
  // The way of nearly every stanza: somebody online, by full JID, in the spelling that the server gave out.
  const taker = text === undefined ? undefined : takerOf(routing, text, stanza)
  if (taker !== undefined) return taker.storing
  const to = stanza.to
  if (to === undefined) throw new StanzaError('jid-malformed', 'the address is not valid')
  const other = to.text === text ? undefined : takerOf(routing, to.text, stanza)
  if (other !== undefined) return other.storing
  if (routing.routes.isHost(to.domain)) {
    return to.local === '' ? toHost(routing, stanza, to) : toAccount(routing, stanza, to)
  }
  const route = routing.routes.get(to.domain)
  if (route !== undefined) return routing.routes.deliver(route, stanza)
  if (routing.remote?.(stanza) !== true) throw new StanzaError('remote-server-not-found')
}

/** The session that took it. RFC 6121 §8.5.3.1; presence for a full JID has rules of its own. */
function takerOf(routing: Routing, full: string, stanza: Stanza): Session | undefined {
  if (stanza.kind === 'presence') return undefined
  const session = routing.sessions.byFull(full)
  if (session === undefined || !routing.deliver(session, stanza)) return undefined
  if (stanza.kind === 'message') delivered(routing, session, stanza)
  return session
}

function handOver(routing: Routing, session: Session, stanza: Stanza): Offer {
  const hooks = routing.hooksOf(session.jid.domain)
  const hook = hooks.received
  if (hook.isEmpty) return hand(hooks, session, stanza) ? 'taken' : 'gone'
  try {
    const result = hook.run(stanza, session)
    if (result === drop) return 'dropped'
    if (result === refuse) return 'refused'
    return hand(hooks, session, result) ? 'taken' : 'gone'
  } catch (error) {
    // A filter that failed may have been there to keep the stanza out; and the sender of one is not at fault for a bug.
    if (error instanceof StanzaError) bounceLater(routing, stanza, error)
    else routing.onBug(error)
    return 'dropped'
  }
}

function hand({ counters }: Hooks, session: Session, stanza: Stanza): boolean {
  if (!session.deliver(stanza)) return false
  countReceived(counters, stanza.kind, stanza.type === 'error')
  return true
}

/** Tells the sender of a stanza that a module kept from its addressee. */
function bounceLater(routing: Routing, stanza: Stanza, error: StanzaError): void {
  routing.inBackground(() => bounce(routing, stanza, error))
}

function inBackground(options: RoutingOptions, work: () => void | Promise<void>): void {
  // That the store is away is told where the store is; whoever works in the background asks again later.
  const failed = (error: unknown) => {
    if (!(error instanceof StoreUnavailable)) options.onBug(error)
  }
  try {
    const waiting = work()
    if (waiting instanceof Promise) void waiting.catch(failed)
  } catch (error) {
    failed(error)
  }
}

function bounce(routing: Routing, stanza: Stanza, error: unknown): void | Promise<void> {
  return bounceStanza(routing, stanza, routing.explain(error))
}

function explain(routing: Routing, error: unknown): StanzaError {
  if (error instanceof StanzaError) return error
  if (error instanceof StoreUnavailable)
    return new StanzaError('resource-constraint', 'the store does not answer, try again later')
  routing.onBug(error)
  return new StanzaError('internal-server-error')
}
