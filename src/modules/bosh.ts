import { z } from 'zod'
import { posint, posintOrInfinity } from '../config/primitives.js'
import { defineModule } from './module.js'

const config = z
  .strictObject({
    inactivity: posintOrInfinity()
      .default(30)
      .meta({ description: 'Seconds without a held request that end a session.', example: 60 }),
    max_wait: posintOrInfinity()
      .default('infinity')
      .meta({ description: 'Seconds that a request may be held.', example: 60 }),
    server_acks: z.boolean().default(false).meta({ description: 'Acknowledges requests.', example: true }),
    maxpause: posint().optional().meta({ unset: '120', description: 'Seconds of the longest pause.', example: 60 }),
    max_pause: posint().optional().meta({ unset: '120', description: 'Another spelling of `maxpause`.', example: 60 }),
    backend: z.enum(['mnesia']).default('mnesia').meta({ description: 'Accepted without effect.', example: 'mnesia' }),
  })
  .refine(options => options.maxpause === undefined || options.max_pause === undefined, {
    error: 'maxpause or its other spelling max_pause, not both',
  })
  .meta({ description: 'Sessions of BOSH.', example: { inactivity: 30 } })

export type BoshOptions = z.infer<typeof config>

/** The options of the sessions that the HTTP handler of the same name makes, which is where they have their effect. */
export const bosh = defineModule({
  name: 'mod_bosh',
  implements: ['XEP-0124', 'XEP-0206'],
  features: [],
  shipped: {},
  config,
  start() {},
})
