import { z } from 'zod'
import { posint } from '../config/primitives.js'
import { NS } from '../protocols/namespaces.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule, type Unsupported } from './module.js'

const defaults = { send_pings: false, ping_interval: 60, timeout_action: 'none', ping_req_timeout: 32 } as const

export const ping = defineModule({
  name: 'mod_ping',
  implements: ['XEP-0199'],
  features: [NS.ping],
  shipped: false,
  config: z
    .strictObject({
      send_pings: z.boolean().default(defaults.send_pings).meta({ description: 'Ping clients that are silent.' }),
      ping_interval: posint()
        .default(defaults.ping_interval)
        .meta({ description: 'Seconds of silence before a ping.' }),
      timeout_action: z
        .enum(['none', 'kill'])
        .default(defaults.timeout_action)
        .meta({ description: 'What becomes of a client that does not answer.' }),
      ping_req_timeout: posint()
        .default(defaults.ping_req_timeout)
        .meta({ description: 'Seconds an answer may take.' }),
      iqdisc: iqdisc(),
    })
    .meta({ description: 'Answers pings.' }),

  unsupported(options) {
    const found: Unsupported[] = unsupportedIqdisc(options)
    for (const key of ['send_pings', 'ping_interval', 'timeout_action', 'ping_req_timeout'] as const) {
      if (options[key] === defaults[key]) continue
      found.push({ path: [key], code: 'not_supported_yet', message: 'the server does not send pings yet' })
    }
    return found
  },

  start(server) {
    for (const target of ['host', 'account'] as const) server.onIq(target, 'get', NS.ping, 'ping', () => undefined)
  },
})
