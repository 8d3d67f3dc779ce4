import { Components, LocalComponent } from '../actors/local-component.js'
import { actorName, spawnActor, stopTree } from '../actors/runtime/index.js'
import { longLived } from '../actors/supervision.js'
import { StanzaError } from '../protocols/errors.js'
import { prepareDomain } from '../protocols/jid.js'
import { Stanza } from '../protocols/stanza/stanza.js'
import { bounceStanza } from '../routing/bounce.js'
import type { Routing } from '../routing/services.js'
import type { Base } from './base.js'

/** A component that lives in the server's own process. */
export interface Component {
  /** In prepared form. */
  readonly domain: string
  /** Sends a stanza, given as XML with a `from` on this domain and a `to`, on its way. Throws when it is none. */
  send(xml: string): void
  /** Gives the domain back. Who sent what waited is told. Idempotent. */
  stop(): Promise<void>
}

/**
 * Gets every stanza for a component's domain, as XML, one by one: the next one waits for the promise. Where it throws or rejects, the
 * sender gets `internal-server-error` and an event tells.
 */
export type ComponentHandler = (xml: string, component: Component) => void | Promise<void>

/** Makes components in this process, in a branch of the tree that stops with the server. */
export function localComponents({ config, runtime, later }: Base, routing: Routing) {
  const branch = spawnActor(runtime.root, init => new Components(init), { name: 'components', policy: 'escalate' })
  later(() => stopTree(branch, 'shutdown', config.general.shutdown_timeout))
  const mailboxLimit = config.general.max_fsm_queue

  return (name: string, handler: ComponentHandler): Component => {
    const domain = prepareDomain(name)
    if (domain === undefined) throw new Error(`${name} is no domain`)
    // The newest incarnation.
    let actor: LocalComponent | undefined
    const unregister = routing.routes.add(domain, {
      kind: 'component',
      node: 'local',
      deliver(stanza) {
        if (actor?.deliver(stanza) !== true) throw new StanzaError('resource-constraint')
      },
    })
    if (unregister === undefined) throw new Error(`the domain ${domain} is served already`)
    const component: Component = {
      domain,
      send: xml => void routing.route(own(xml, domain)),
      stop: () => (actor === undefined ? Promise.resolve() : stopTree(actor)),
    }
    const services = {
      handle: (stanza: Stanza) => handle(routing, stanza, () => handler(stanza.toString(), component)),
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
