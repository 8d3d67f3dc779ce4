import { Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

export const serverIpCheck = defineModule({
  name: 'mod_sic',
  implements: ['XEP-0279'],
  features: [NS.serverIpCheck],
  shipped: {},
  config: z
    .strictObject({ iqdisc: iqdisc() })
    .meta({ description: 'Tells clients which address they come from.', example: {} }),
  unsupported: unsupportedIqdisc,

  start(server) {
    for (const target of ['host', 'account'] as const) {
      server.onIq(target, 'get', NS.serverIpCheck, 'address', iq => address(server, iq))
    }
  },
})

/** Nobody learns the address of somebody else. XEP-0279 §2, §4 */
function address(server: ModuleServer, iq: Stanza): Element {
  const asker = iq.from!
  if (iq.to!.local !== '' && iq.to!.bareText !== asker.bareText) throw new StanzaError('forbidden')
  const session = server.routing.sessions.byFull(asker.text)
  if (session === undefined || asker.domain !== server.host) throw new StanzaError('forbidden')
  if (session.peer === undefined) throw new StanzaError('service-unavailable', 'your address is not known')
  const answer = new Element('address', { xmlns: NS.serverIpCheck })
  answer.c('ip').t(session.peer.address)
  answer.c('port').t(String(session.peer.port))
  return answer
}
