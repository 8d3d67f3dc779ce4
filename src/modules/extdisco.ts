import { Element } from 'ltx'
import { z } from 'zod'
import { nestring, port } from '../config/primitives.js'
import { StanzaError } from '../protocols/errors.js'
import { NS } from '../protocols/namespaces.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule } from './module.js'

const service = z.strictObject({
  type: nestring().meta({ description: 'Kind of the service, such as `stun` or `turn`.', example: 'stun' }),
  host: nestring().meta({ description: 'Its domain or IP address.', example: 'stun.example.com' }),
  port: port().optional().meta({ description: 'Its port.', example: 3478 }),
  transport: z.enum(['udp', 'tcp']).optional().meta({ description: 'How it is reached.', example: 'udp' }),
  username: nestring().optional().meta({ description: 'Who may use it.', example: 'username' }),
  password: nestring()
    .optional()
    .meta({ description: 'What for: every client that asks is told.', example: 'password', secret: true }),
})
type Service = z.infer<typeof service>

export const externalServices = defineModule({
  name: 'mod_extdisco',
  implements: ['XEP-0215'],
  features: [NS.externalServices],
  shipped: false,
  config: z
    .strictObject({
      iqdisc: iqdisc(),
      service: z
        .array(service)
        .default([])
        .meta({
          description: 'The services.',
          example: [{ type: 'stun', host: 'stun.example.com', port: 3478, transport: 'udp' }],
        }),
    })
    .meta({ description: 'Tells clients of services outside XMPP, such as STUN and TURN.' }),
  unsupported: unsupportedIqdisc,

  start(server, { service: services }) {
    // XEP-0215 §3.1, §3.2
    server.onIq('host', 'get', NS.externalServices, 'services', iq => {
      const type: string | undefined = iq.element.getChildElements()[0]?.attrs.type
      const answer = new Element('services', { xmlns: NS.externalServices })
      if (type !== undefined) answer.attrs.type = type
      for (const one of services) if (type === undefined || one.type === type) answer.cnode(serviceElement(one))
      return answer
    })
    // XEP-0215 §3.3
    server.onIq('host', 'get', NS.externalServices, 'credentials', iq => {
      const wanted = iq.element.getChild('credentials', NS.externalServices)?.getChild('service')
      const { type, host, port: wantedPort } = wanted?.attrs ?? {}
      if (type === undefined || host === undefined) throw new StanzaError('bad-request', 'credentials for what?')
      const found = services.filter(
        one =>
          one.type === type &&
          one.host === host &&
          (wantedPort === undefined || String(one.port) === String(wantedPort)),
      )
      if (!found.some(one => one.username !== undefined || one.password !== undefined)) {
        throw new StanzaError('item-not-found')
      }
      const answer = new Element('credentials', { xmlns: NS.externalServices })
      for (const one of found) answer.cnode(serviceElement(one))
      return answer
    })
  },
})

function serviceElement({ type, host, port, transport, username, password }: Service): Element {
  const element = new Element('service', { host, type })
  if (port !== undefined) element.attrs.port = String(port)
  if (transport !== undefined) element.attrs.transport = transport
  if (username !== undefined) element.attrs.username = username
  if (password !== undefined) element.attrs.password = password
  return element
}
