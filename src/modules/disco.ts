import type { Element } from 'ltx'
import { z } from 'zod'
import { nestring } from '../config/primitives.js'
import { type DiscoItem, infoElement, itemsElement } from '../protocols/disco.js'
import { StanzaError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

const serverInfoForm = 'http://jabber.org/network/serverinfo' // XEP-0157

export const disco = defineModule({
  name: 'mod_disco',
  implements: ['XEP-0030', 'XEP-0128', 'XEP-0157'],
  features: [NS.discoInfo, NS.discoItems],
  shipped: { users_can_see_hidden_services: false },
  config: z
    .strictObject({
      extra_domains: z
        .array(z.string().refine(name => Jid.parse(name)?.domain === name, { error: 'a domain name' }))
        .default([])
        .meta({
          description: 'Domains to list beside those that the server knows itself.',
          example: ['irc.example.com'],
        }),
      server_info: z
        .array(
          z.strictObject({
            module: z.union([z.literal('all'), z.array(nestring())]),
            name: nestring(),
            urls: z.array(nestring()),
          }),
        )
        .default([])
        .meta({
          description:
            'Contact addresses of the service (XEP-0157). `module` names the modules whose information they belong to.',
          example: [{ module: 'all', name: 'abuse-addresses', urls: ['mailto:abuse@example.com'] }],
        }),
      users_can_see_hidden_services: z
        .boolean()
        .default(true)
        .meta({ description: 'Show components with `hidden_components` to users too.', example: false }),
      iqdisc: iqdisc(),
    })
    .meta({ description: 'Tells what the server and its accounts are and can do.' }),
  unsupported: unsupportedIqdisc,

  start(server, options) {
    const { discovery } = server
    server.onStop(discovery.host.addIdentity({ category: 'server', type: 'im', name: server.software.name }))
    server.onStop(discovery.account.addIdentity({ category: 'account', type: 'registered' }))
    for (const feature of [NS.discoInfo, NS.discoItems]) server.onStop(discovery.account.addFeature(feature))
    const fields = options.server_info
      .filter(({ module }) => module === 'all' || module.includes('mod_disco'))
      .map(({ name, urls }) => ({ name, values: urls }))
    if (fields.length > 0) server.onStop(discovery.host.addForm({ formType: serverInfoForm, fields }))

    server.onIq('host', 'get', NS.discoInfo, 'query', iq => {
      const node = nodeOf(iq)
      const found = node === undefined ? undefined : discovery.host.node(node)
      if (found !== undefined) return infoElement(found.info, node)
      // XEP-0115 §6.2: the node that the stream features named
      if (node !== undefined && !node.startsWith(`${server.software.url}#`)) throw new StanzaError('item-not-found')
      return infoElement(discovery.host.info, node)
    })
    server.onIq('host', 'get', NS.discoItems, 'query', iq => {
      const node = nodeOf(iq)
      if (node === undefined) return itemsElement(hostItems(server, iq.from!, options), undefined)
      const found = discovery.host.node(node)
      if (found === undefined) throw new StanzaError('item-not-found')
      return itemsElement(found.items, node)
    })
    server.onIq('account', 'get', NS.discoInfo, 'query', iq =>
      forSubscriber(server, iq, () => infoElement(discovery.account.info, undefined)),
    )
    server.onIq('account', 'get', NS.discoItems, 'query', iq =>
      forSubscriber(server, iq, () => itemsElement(resourceItems(server, iq.to!), undefined)),
    )
  },
})

const nodeOf = (iq: Stanza): string | undefined => iq.element.getChildElements()[0]?.attrs.node

function* hostItems(
  server: ModuleServer,
  asker: Jid,
  options: { extra_domains: string[]; users_can_see_hidden_services: boolean },
): IterableIterator<DiscoItem> {
  const seesHidden = options.users_can_see_hidden_services || asker.local === ''
  const extra = new Set(options.extra_domains)
  for (const [domain, { isHidden, name, discoNode: node }] of server.routing.routes.under(server.host)) {
    if (isHidden && !seesHidden) continue
    extra.delete(domain)
    yield { jid: domain, ...(name !== undefined && { name }), ...(node !== undefined && { node }) }
  }
  for (const jid of extra) yield { jid }
  yield* server.discovery.host.items
}

function* resourceItems(server: ModuleServer, account: Jid): IterableIterator<DiscoItem> {
  for (const session of server.routing.sessions.resources(account.bareText)) {
    if (session.presence !== undefined) yield { jid: session.jid.text }
  }
}

/** Only those who may see the account's presence learn of it; others cannot tell it from one that does not exist. XEP-0030 §8 */
function forSubscriber(server: ModuleServer, iq: Stanza, answer: () => Element): Element | Promise<Element> {
  const account = iq.to!
  const answerIfAllowed = (mayAsk: boolean) => {
    if (!mayAsk) throw new StanzaError('service-unavailable')
    if (nodeOf(iq) !== undefined) throw new StanzaError('item-not-found')
    return answer()
  }
  const asker = iq.from!.bareText
  if (asker === account.bareText) return answerIfAllowed(true)
  const roster = server.routing.rosters.get(account)
  const isSubscribed = (subscription: string) => subscription === 'from' || subscription === 'both'
  if (roster instanceof Promise)
    return roster.then(loaded => answerIfAllowed(isSubscribed(loaded.stateOf(asker).subscription)))
  return answerIfAllowed(isSubscribed(roster.stateOf(asker).subscription))
}
