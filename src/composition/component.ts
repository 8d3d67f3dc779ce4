import type { ComponentServices } from '../actors/component-connection.js'
import type { AccessRules } from '../auth/access-rules.js'
import type { ServiceListenerConfig } from '../config/listen-xmpp.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { bounceStanza } from '../routing/bounce.js'
import type { Routing } from '../routing/services.js'
import type { Base } from './base.js'
import { isLoopback } from './c2s.js'
import { addressOf, type Bindable } from './listen.js'
import { maxRate, streamServices } from './stream.js'

/** Of a `[[listen.service]]`, or of the `service` of a WebSocket handler. */
export type ComponentOptions = Omit<ServiceListenerConfig, keyof Bindable | ListenerKeys>
type ListenerKeys = 'proto' | 'backlog' | 'num_acceptors' | 'proxy_protocol' | 'hibernate_after'

/** What the connections of components need of the server. spec/listeners.md §1.13 */
export function componentServices(
  base: Base,
  rules: AccessRules,
  name: string,
  listener: ComponentOptions,
  routing: Routing,
): ComponentServices {
  const { hosts } = base.config.general
  const defaultHost = hosts[0]! // the schema wants one
  const { routes, onlookers } = routing
  return {
    ...streamServices(base, name, listener.max_stanza_size),
    environment: { defaultHost, hosts, password: listener.password },
    stateTimeout: listener.state_timeout,
    // A shaper, not a rule that names one. Trap 6
    rate: maxRate(base, listener.shaper_rule),
    checksFrom: listener.check_from,
    mayRegister(domain) {
      const jid = Jid.of('', domain)
      return jid !== undefined && rules.allows(listener.access, jid)
    },
    routeTo: recipient => ({
      kind: 'component',
      node: 'local',
      isHidden: listener.hidden_components,
      deliver(stanza) {
        // Of the whole server, not of a host. Trap 8
        if (stanza.from === undefined || !rules.allows(listener.access, stanza.from))
          throw new StanzaError('not-allowed')
        if (!recipient.deliver(prepared(stanza))) throw new StanzaError('service-unavailable')
        onlookers.tell?.('received', 'component', stanza)
      },
      evict: () => recipient.evict(),
    }),
    register(domains, route, isWanted) {
      if (listener.conflict_behaviour === 'kick_old') return routes.takeOver(domains, route, isWanted)
      return routes.addAll(domains, route)
    },
    unregister: (domains, route) => routes.remove(domains, route),
    route(stanza) {
      onlookers.tell?.('sent', 'component', stanza)
      return routing.route(stanza)
    },
    bounce: stanza => bounceStanza(routing, stanza, new StanzaError('service-unavailable')),
  }
}

/** There is no TLS on a `[[listen.service]]`: one that others reach says so when it starts. */
export function warnOfClearText({ emit }: Base, name: string, listener: Bindable): void {
  if (isLoopback(addressOf(listener))) return
  const text = 'what components say goes over the network in clear text'
  emit('config.warning', { path: `listener ${name}`, text })
}

/** A component compares addresses by their text. spec/listeners.md §3.3.6 */
function prepared(stanza: Stanza): Stanza {
  const { to } = stanza
  return to === undefined || to.text === stanza.toText ? stanza : stanza.addressed({ to })
}
