import { type Identity, infoElement, itemsElement } from '../protocols/disco.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { IqHandler } from '../routing/iq.js'
import { Discovery } from './discovery.js'
import type { ModuleServer } from './module.js'

/** A domain of a module's own, such as `vjud.example.org`, that answers IQs and takes nothing else. */
export interface Subdomain {
  readonly domain: string
  readonly discovery: Discovery
  onIq(type: 'get' | 'set', ns: string, name: string, handler: IqHandler): void
}

/**
 * Serves the domain that an option names (`@HOST@` stands for the host) until the module stops. Throws when something else serves it:
 * two modules were given one name.
 */
export function serveSubdomain(server: ModuleServer, option: string, identity: Identity): Subdomain {
  const domain = option.replaceAll('@HOST@', server.host)
  const { routes, iq } = server.routing
  const name = identity.name
  const release = routes.add(domain, {
    kind: 'service',
    node: 'local',
    ...(name !== undefined && { name }),
    deliver: stanza => take(server, domain, stanza),
  })
  if (release === undefined) throw new Error(`the domain ${domain} is served already`)
  server.onStop(release)
  const discovery = new Discovery()
  discovery.addIdentity(identity)
  const offered = new Set<string>()
  const onIq: Subdomain['onIq'] = (type, ns, name, handler) => {
    server.onStop(iq.register({ domain, target: 'host', type, ns, name, handler }))
    if (!offered.has(ns)) discovery.addFeature(ns)
    offered.add(ns)
  }
  onIq('get', NS.discoInfo, 'query', iq => infoElement(discovery.info, noNode(iq)))
  onIq('get', NS.discoItems, 'query', iq => itemsElement([], noNode(iq)))
  return { domain, discovery, onIq }
}

function take({ routing }: ModuleServer, domain: string, stanza: Stanza): void | Promise<void> {
  if (stanza.kind === 'presence') return
  // Nobody is behind the domain but the service itself. RFC 6120 §10.5.1
  if (stanza.kind !== 'iq' || stanza.to!.text !== domain) throw new StanzaError('service-unavailable')
  const reply = routing.iq.answer(domain, 'host', stanza)
  if (reply instanceof Promise) return reply.then(later => (later ? routing.route(later) : undefined))
  if (reply) return routing.route(reply)
}

function noNode(iq: Stanza): undefined {
  if (iq.element.getChildElements()[0]?.attrs.node !== undefined) throw new StanzaError('item-not-found')
}

/** The address of an account on a host, for localparts that the store gives back. */
export const accountJid = (user: string, host: string): string => Jid.of(user, host)?.text ?? `${user}@${host}`
