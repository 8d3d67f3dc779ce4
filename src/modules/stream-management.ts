import { z } from 'zod'
import { posint } from '../config/primitives.js'
import { managementFeature } from '../protocols/stream/management.js'
import { EndedSessions } from '../sessions/stream-management.js'
import { defineModule, type ModuleServer } from './module.js'

const staleH = z
  .strictObject({
    enabled: z.boolean().default(false).meta({ description: 'Remembers counters of ended sessions.', example: true }),
    repeat_after: posint().default(1800).meta({ description: 'Seconds between clean-ups.', example: 1800 }),
    geriatric: posint().default(3600).meta({ description: 'Seconds that they are kept.', example: 3600 }),
  })
  .prefault({})
  .meta({ description: 'Counters of ended sessions.', example: { enabled: true } })

export const streamManagement = defineModule({
  name: 'mod_stream_management',
  implements: ['XEP-0198'],
  features: [],
  shipped: {},
  config: z
    .strictObject({
      buffer: z.boolean().default(true).meta({
        description: 'Keeps what is not acknowledged; without it no session can be resumed.',
        example: true,
      }),
      buffer_max: z
        .union([posint(), z.enum(['infinity', 'no_buffer'])])
        .default(100)
        .meta({
          description:
            'Stanzas that may wait for an acknowledgement; `no_buffer` is another way to say `buffer = false`.',
          example: 500,
        }),
      ack: z.boolean().default(true).meta({ description: 'Asks for acknowledgements.', example: true }),
      ack_freq: z
        .union([posint(), z.literal('never')])
        .default(1)
        .meta({ description: 'Stanzas between two requests for an acknowledgement.', example: 3 }),
      resume_timeout: posint()
        .default(600)
        .meta({ description: 'Seconds in which a session can be resumed.', example: 600 }),
      stale_h: staleH,
    })
    .meta({ description: 'Acknowledged stanzas and resumed sessions.', example: { resume_timeout: 600 } }),

  start(server, { buffer, buffer_max, ack, ack_freq, resume_timeout, stale_h }) {
    const { streamManagement } = server.routing.sessions
    streamManagement.set(server.host, {
      keeps: buffer && buffer_max !== 'no_buffer',
      buffer: typeof buffer_max === 'number' ? buffer_max : Number.POSITIVE_INFINITY,
      askEvery: ack && ack_freq !== 'never' ? ack_freq : Number.POSITIVE_INFINITY,
      resumeSeconds: resume_timeout,
      ended: stale_h.enabled ? endedSessions(server, stale_h) : undefined,
    })
    server.onStop(() => streamManagement.delete(server.host))
    server.offerStreamFeature(({ isAuthenticated }) => (isAuthenticated ? managementFeature : undefined))
  },
})

function endedSessions(server: ModuleServer, { repeat_after, geriatric }: z.infer<typeof staleH>): EndedSessions {
  const { clock } = server
  const ended = server.kept('ended', () => new EndedSessions(() => clock.now()))
  let cancel: () => void
  const cleanUpLater = () => {
    cancel = clock.after(repeat_after * 1000, () => {
      ended.forget(geriatric * 1000)
      cleanUpLater()
    })
  }
  cleanUpLater()
  server.onStop(() => cancel())
  return ended
}
