import { z } from 'zod'
import { nestring } from './primitives.js'

/** The `[cluster]` table: this node among others. */
export const cluster = z
  .strictObject({
    node_name: nestring()
      .optional()
      .meta({ unset: 'the name of the machine', description: 'Name of this node.', example: 'node-1' }),
  })
  .meta({ description: 'This node among others.', example: { node_name: 'node-1' } })
