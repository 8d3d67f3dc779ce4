import { z } from 'zod'
import { nestring, posint } from './primitives.js'

/** The `[services]` table: accepted without effect. spec/listeners.md §2.8 */
export const services = z
  .strictObject({
    service_admin_extra: z
      .strictObject({
        submods: z
          .array(
            z.enum([
              'node',
              'accounts',
              'sessions',
              'vcard',
              'gdpr',
              'upload',
              'roster',
              'last',
              'private',
              'stanza',
              'stats',
            ]),
          )
          .optional()
          .meta({ unset: 'all', description: 'Groups of commands.', example: ['stats'] }),
      })
      .optional()
      .meta({ description: 'Accepted without effect.', example: { submods: ['stats'] } }),
    service_mongoose_system_metrics: z
      .strictObject({
        report: z
          .boolean()
          .optional()
          .meta({ unset: 'nothing', description: 'Nothing is ever reported.', example: false }),
        initial_report: posint()
          .optional()
          .meta({ unset: 'nothing', description: 'Milliseconds; nothing is ever reported.', example: 300_000 }),
        periodic_report: posint()
          .optional()
          .meta({ unset: 'nothing', description: 'Milliseconds; nothing is ever reported.', example: 10_800_000 }),
        tracking_id: nestring()
          .optional()
          .meta({ unset: 'nothing', description: 'Nothing is ever reported.', example: 'UA-1-1' }),
      })
      .optional()
      .meta({ description: 'Accepted without effect.', example: { report: false } }),
  })
  .meta({ description: 'Accepted without effect.', example: { service_admin_extra: {} } })
