import { Element } from 'ltx'
import { z } from 'zod'
import { StanzaError } from '../protocols/errors.js'
import { parseFragment, standalone } from '../protocols/fragment.js'
import { NS } from '../protocols/namespaces.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { IqAnswer } from '../routing/iq.js'
import { backend, riak, unsupportedBackend } from './backend.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type ModuleServer } from './module.js'

/** Fragments that one account may keep. */
export const fragmentLimit = 1000

export const privateXml = defineModule({
  name: 'mod_private',
  implements: ['XEP-0049'],
  features: [NS.privateXml],
  shipped: {},
  config: z
    .strictObject({ iqdisc: iqdisc(), backend: backend(), riak: riak('bucket_type') })
    .meta({ description: 'Keeps what clients want to find again wherever they log in.', example: {} }),
  unsupported: options => [...unsupportedBackend(options), ...unsupportedIqdisc(options)],

  start(server) {
    server.onIq('account', 'get', NS.privateXml, 'query', iq => get(server, iq))
    server.onIq('account', 'set', NS.privateXml, 'query', iq => set(server, iq))
  },
})

async function get(server: ModuleServer, iq: Stanza): Promise<IqAnswer> {
  const [wanted, ...others] = fragmentsOf(iq)
  if (wanted === undefined) throw new StanzaError('bad-request', 'which fragment?')
  if (others.length > 0) throw new StanzaError('bad-request', 'one fragment at a time')
  const ns = namespaceOf(wanted)
  const { local } = iq.to!
  const xml = await server.store.privateXml.get(local, server.host, ns, wanted.getName())
  const query = new Element('query', { xmlns: NS.privateXml })
  query.cnode(xml === undefined ? new Element(wanted.getName(), { xmlns: ns }) : parseFragment(xml))
  return query
}

async function set(server: ModuleServer, iq: Stanza): Promise<IqAnswer> {
  const fragments = fragmentsOf(iq)
  if (fragments.length === 0) throw new StanzaError('not-acceptable', 'there is nothing to keep')
  const stored = fragments.map(fragment => ({
    ns: namespaceOf(fragment),
    name: fragment.getName(),
    xml: standalone(fragment).toString(),
  }))
  if (!(await server.store.privateXml.put(iq.to!.local, server.host, stored, fragmentLimit))) {
    throw new StanzaError('resource-constraint', 'there are too many fragments')
  }
  return undefined
}

/** What the owner of the account asks about; nobody else may. XEP-0049 §2.3 */
function fragmentsOf(iq: Stanza): Element[] {
  if (iq.from!.bareText !== iq.to!.bareText) throw new StanzaError('forbidden', 'this is not your data')
  return iq.element.getChild('query', NS.privateXml)!.getChildElements()
}

/** A fragment has a namespace of its own: the query's would not tell one from another. XEP-0049 §2.3 */
function namespaceOf(fragment: Element): string {
  const ns = fragment.getNS()
  if (ns === undefined || ns === '' || ns === NS.privateXml) {
    throw new StanzaError('not-acceptable', 'a fragment has a namespace of its own')
  }
  return ns
}
