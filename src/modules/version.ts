import { release, type } from 'node:os'
import { Element } from 'ltx'
import { z } from 'zod'
import { NS } from '../protocols/namespaces.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule } from './module.js'

export const version = defineModule({
  name: 'mod_version',
  implements: ['XEP-0092'],
  features: [NS.version],
  shipped: false,
  config: z
    .strictObject({
      os_info: z.boolean().default(false).meta({ description: 'Name the operating system too.', example: true }),
      iqdisc: iqdisc(),
    })
    .meta({ description: 'Tells which software the server is.' }),
  unsupported: unsupportedIqdisc,

  start(server, { os_info }) {
    server.onIq('host', 'get', NS.version, 'query', () => {
      const query = new Element('query', { xmlns: NS.version })
      query.c('name').t(server.software.name)
      query.c('version').t(server.software.version)
      if (os_info) query.c('os').t(`${type()} ${release()}`)
      return query
    })
  },
})
