import { createHash } from 'node:crypto'
import { Element } from 'ltx'
import { z } from 'zod'
import { nonneg } from '../config/primitives.js'
import { capsText, type DiscoInfo } from '../protocols/disco.js'
import { NS } from '../protocols/namespaces.js'
import { defineModule, type Unsupported } from './module.js'

const defaults = { cache_size: 1000, cache_life_time: 86 } as const

export const caps = defineModule({
  name: 'mod_caps',
  implements: ['XEP-0115'],
  features: [NS.caps],
  shipped: false,
  config: z
    .strictObject({
      cache_size: nonneg()
        .default(defaults.cache_size)
        .meta({ description: 'Clients whose capabilities are remembered.' }),
      cache_life_time: z
        .union([nonneg(), z.literal('infinity')])
        .default(defaults.cache_life_time)
        .meta({ description: 'Seconds that they are remembered.' }),
    })
    .meta({ description: 'Tells clients what the server can do before they ask.' }),

  // The cache serves personal eventing (XEP-0163), which comes later; presence carries the clients' own capabilities anyway.
  unsupported(options) {
    const found: Unsupported[] = []
    for (const key of ['cache_size', 'cache_life_time'] as const) {
      if (options[key] === defaults[key]) continue
      found.push({ path: [key], code: 'not_supported_yet', message: 'capabilities of clients are not remembered yet' })
    }
    return found
  },

  start(server) {
    let offer: { info: DiscoInfo; xml: string } | undefined
    // XEP-0115 §6.3
    server.offerStreamFeature(() => {
      const { info } = server.discovery.host
      if (offer?.info !== info) offer = { info, xml: capsElement(server.software.url, info).toString() }
      return offer.xml
    })
  },
})

function capsElement(node: string, info: DiscoInfo): Element {
  return new Element('c', { xmlns: NS.caps, hash: 'sha-1', node, ver: capsVersion(info) })
}

/** The verification string. XEP-0115 §5.1 */
export function capsVersion(info: DiscoInfo): string {
  return createHash('sha1').update(capsText(info)).digest('base64')
}
