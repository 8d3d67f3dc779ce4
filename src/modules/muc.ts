import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Discovery } from './discovery.js'
import { defineModule } from './module.js'
import { mucOptions, unsupportedMuc } from './muc-options.js'
import { MucService, mucRooms } from './muc-service.js'

/** What the service itself says it can. */
const features = [NS.discoInfo, NS.discoItems, NS.muc, NS.occupantId, NS.resultSets, NS.vcard]

/** Group chat with presence: rooms that users enter and leave. XEP-0045 */
export const muc = defineModule({
  name: 'mod_muc',
  implements: ['XEP-0045', 'XEP-0059', 'XEP-0359', 'XEP-0410', 'XEP-0421', 'XEP-0424', 'XEP-0425'],
  features: [],
  shipped: false,
  config: mucOptions,
  unsupported: unsupportedMuc,

  start(server, options) {
    const { host, hibernate_timeout } = options
    const domain = Jid.parse(host.replaceAll('@HOST@', server.host))
    if (domain === undefined) throw new Error(`${host} is no domain under ${server.host}`)
    const discovery = new Discovery()
    discovery.addIdentity({ category: 'conference', type: 'text', name: 'Rooms' })
    for (const feature of features) discovery.addFeature(feature)
    const residence = server.openResidence('rooms', {
      mailboxLimit: server.queueLimit,
      hibernateAfter: hibernate_timeout === 'infinity' ? undefined : hibernate_timeout,
    })
    const service = new MucService(server, options, domain, residence, discovery)
    const { routing, store } = server
    server.onStop(() => {
      service.close()
      routing.inBackground(() => residence.close())
    })
    const release = routing.routes.add(domain.text, {
      kind: 'service',
      node: 'local',
      deliver: stanza => service.take(stanza),
    })
    if (release === undefined) throw new Error(`the domain ${domain.text} is served already`)
    server.onStop(release)
    server.onStop(routing.rooms.serve(domain.text, service))
    server.offer(mucRooms, service)
    const answers = [
      ['get', NS.discoInfo, 'query', service.info.bind(service)],
      ['get', NS.discoItems, 'query', service.listRooms.bind(service)],
      ['get', NS.vcard, 'vCard', service.vcard.bind(service)],
    ] as const
    for (const [type, ns, name, handler] of answers) {
      server.onStop(routing.iq.register({ domain: domain.text, target: 'host', type, ns, name, handler }))
    }
    // Accounts of every host may be in rooms of this one.
    for (const other of routing.hosts) {
      server.onStop(routing.hooksOf(other).accountRemoved.observe(account => service.accountRemoved(account)))
    }
    // Nobody is in a room yet: what ended with its occupants was left behind by a server that did not stop in order.
    routing.inBackground(() => store.muc.removeTemporary(domain.text))
  },
})
