import { z } from 'zod'
import { posint } from '../config/primitives.js'
import type { Unsupported } from './module.js'

/** How MongooseIM queues a module's IQs. Ours are handled at once, in the order of the sender, which is its `no_queue`. */
export const iqdisc = () =>
  z
    .strictObject({
      type: z.enum(['no_queue', 'one_queue', 'queues', 'parallel']),
      workers: posint().optional().meta({ description: 'Queues of `queues`.' }),
    })
    .optional()
    .meta({
      description: 'How IQs of this module are queued; `no_queue` is what the server does.',
      example: { type: 'no_queue' },
    })

/** Every queueing but the one that the server has. */
export function unsupportedIqdisc(options: { iqdisc?: { type: string } | undefined }): Unsupported[] {
  if (options.iqdisc === undefined || options.iqdisc.type === 'no_queue') return []
  return [{ path: ['iqdisc', 'type'], code: 'not_supported', message: 'IQs are always handled as "no_queue" does' }]
}
