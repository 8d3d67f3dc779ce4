import { Components, LocalComponent } from '../actors/local-component.js'
import { actorName, dispatch, isThere, type NactReference, spawnActor, stopTree } from '../actors/runtime/index.js'
import { longLived } from '../actors/supervision.js'
import { StanzaError } from '../protocols/errors.js'
import { prepareDomain } from '../protocols/jid.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { bounceStanza } from '../routing/bounce.js'
import type { Routing } from '../routing/services.js'
import type { Base, HostActor } from './base.js'

/** A component that lives in the server's own process. */
export interface Component {
  /** In prepared form. */
  readonly domain: string
  /** Sends a stanza, given as XML with a `from` on this domain and a `to`, on its way. Throws when it is none. */
  send(xml: string): void
  /** For nact's `dispatch`: the message is XML, and it is sent as by `send`. What is none is counted as a fault of the component's actor. */
  readonly ref: HostActor
  /** Gives the domain back. Who sent what waited is told. Idempotent. */
  stop(): Promise<void>
}

/**
 * Gets every stanza for a component's domain, as XML, one by one: the next one waits for the promise. Where it throws or rejects, the
 * sender gets `internal-server-error` and an event tells.
 */
export type ComponentHandler = (xml: string, component: Component) => void | Promise<void>

/**
 * What a component's stanzas are for: a function, or an actor of nact's, of whatever system of this process. The actor gets XML as its
 * message and the component as the sender; its mailbox has no limit. Once it is gone, senders get `service-unavailable`.
 */
export type ComponentReceiver = ComponentHandler | HostActor

/** Makes components in this process, in a branch of the tree that stops with the server. */
export function localComponents({ config, runtime, later }: Base, routing: Routing) {
  const branch = spawnActor(runtime.root, init => new Components(init), { name: 'components', policy: 'escalate' })
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const mailboxLimit = config.general.max_fsm_queue
  const { onlookers } = routing

  return (name: string, receiver: ComponentReceiver): Component => {
    const handler = typeof receiver === 'function' ? receiver : dispatching(receiver)
    const domain = prepareDomain(name)
    if (domain === undefined) throw new Error(`${name} is no domain`)
    // The newest incarnation.
    let actor: LocalComponent
    const unregister = routing.routes.add(domain, {
      kind: 'component',
      node: 'local',
      deliver(stanza) {
        if (!actor.deliver(stanza)) throw new StanzaError('resource-constraint')
        onlookers.tell?.('received', 'component', stanza)
      },
    })
    if (unregister === undefined) throw new Error(`the domain ${domain} is served already`)
    const component: Component = {
      domain,
      send(xml) {
        const stanza = own(xml, domain)
        onlookers.tell?.('sent', 'component', stanza)
        void routing.route(stanza)
      },
      get ref() {
        return actor.reference
      },
      stop: () => stopTree(actor),
    }
    const services = {
      handle: (stanza: Stanza) => handle(routing, stanza, () => handler(stanza.toString(), component)),
      send: component.send,
      unregister,
      bounce: (stanza: Stanza) => bounceStanza(routing, stanza, new StanzaError('service-unavailable')),
    }
    const start = () =>
      spawnActor(
        branch,
        init => {
          actor = new LocalComponent(init, services)
          return actor
        },
        { name: actorName(domain), policy: longLived, ...(mailboxLimit !== undefined && { mailboxLimit }) },
      )
    try {
      start()
    } catch (error) {
      unregister()
      throw error
    }
    return component
  }
}

/** Gives what comes to an actor of nact's. Throws when it is none. */
function dispatching(receiver: HostActor): ComponentHandler {
  if (typeof receiver.system?.name !== 'string') throw new Error('a component is a function or an actor of nact')
  const actor = receiver as NactReference // what has a system is one
  return (xml, { ref }) => {
    if (!isThere(actor)) throw new StanzaError('service-unavailable')
    dispatch(actor, xml, ref as NactReference) // ours
  }
}

function own(xml: string, domain: string): Stanza {
  const stanza = Stanza.parse(xml)
  if (stanza.from?.domain !== domain) throw new Error(`a stanza of this component is from ${domain}`)
  if (stanza.to === undefined) throw new Error('a stanza of a component needs a to')
  return stanza
}

function handle(routing: Routing, stanza: Stanza, work: () => void | Promise<void>): void | Promise<void> {
  const failed = (error: unknown) => bounceStanza(routing, stanza, routing.explain(error))
  try {
    const waiting = work()
    if (waiting instanceof Promise) return waiting.catch(failed)
  } catch (error) {
    return failed(error)
  }
}
