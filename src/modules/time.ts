import { Element } from 'ltx'
import { z } from 'zod'
import { NS } from '../protocols/namespaces.js'
import { iqdisc, unsupportedIqdisc } from './iqdisc.js'
import { defineModule } from './module.js'

export const time = defineModule({
  name: 'mod_time',
  implements: ['XEP-0202'],
  features: [NS.time],
  shipped: false,
  config: z.strictObject({ iqdisc: iqdisc() }).meta({ description: 'Tells what time it is where the server runs.' }),
  unsupported: unsupportedIqdisc,

  start(server) {
    server.onIq('host', 'get', NS.time, 'time', () => {
      const now = new Date(server.clock.wall())
      const answer = new Element('time', { xmlns: NS.time })
      answer.c('tzo').t(zone(-now.getTimezoneOffset()))
      answer.c('utc').t(now.toISOString())
      return answer
    })
  },
})

/** An offset from UTC in minutes as XEP-0082 writes it. */
export function zone(minutes: number): string {
  const two = (n: number) => String(Math.trunc(n)).padStart(2, '0')
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`
}
