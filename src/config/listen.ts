import { z } from 'zod'
import { httpListener } from './listen-http.js'
import { c2sListener, s2sListener, serviceListener } from './listen-xmpp.js'

/** The `[[listen.*]]` arrays. spec/listeners.md §1.2 to §1.14 */
export const listen = z
  .strictObject({
    c2s: z.array(c2sListener).default([]),
    s2s: z.array(s2sListener).default([]),
    service: z.array(serviceListener).default([]),
    http: z.array(httpListener).default([]),
  })
  .meta({ description: 'The ports. Each kind of listener is an array of tables.', example: { c2s: [{ port: 5222 }] } })
export type ListenConfig = z.infer<typeof listen>
