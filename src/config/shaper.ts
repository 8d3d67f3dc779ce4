import { z } from 'zod'
import { nestring, posint } from './primitives.js'

/** The `[shaper]` table: speed limits by name. spec/listeners.md §2.4 */
export const shaper = z
  .record(
    nestring(),
    z
      .strictObject({
        max_rate: posint().meta({ description: 'Units (bytes, for connections) per second.', example: 50_000 }),
      })
      .meta({ description: 'One shaper.', example: { max_rate: 50_000 } }),
  )
  .meta({ description: 'Shapers by name. `none` always exists.', example: { normal: { max_rate: 50_000 } } })
export type ShaperConfig = z.infer<typeof shaper>
