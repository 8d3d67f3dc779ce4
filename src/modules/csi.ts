import { z } from 'zod'
import { nonneg } from '../config/primitives.js'
import { clientStateFeature } from '../protocols/stream/client-state.js'
import { defineModule } from './module.js'

export const clientState = defineModule({
  name: 'mod_csi',
  implements: ['XEP-0352'],
  features: [],
  shipped: false,
  config: z
    .strictObject({
      buffer_max: nonneg()
        .default(20)
        .meta({ description: 'Stanzas that are held back for an inactive client.', example: 20 }),
    })
    .meta({
      description: 'Holds presence and chat states back while nobody looks at the client.',
      example: { buffer_max: 20 },
    }),

  start(server, { buffer_max }) {
    const { heldStanzas } = server.routing.sessions
    heldStanzas.set(server.host, buffer_max)
    server.onStop(() => heldStanzas.delete(server.host))
    server.offerStreamFeature(({ isAuthenticated }) => (isAuthenticated ? clientStateFeature : undefined))
  },
})
