import { z } from 'zod'
import { aclClass, nestring } from './primitives.js'

/** The `[access]` table: rules that give a value to a JID. spec/listeners.md §2.3 */
export const access = z
  .record(
    nestring(),
    z.array(
      z
        .strictObject({
          acl: aclClass().meta({ description: 'Class of JIDs that the clause is for.', example: 'all' }),
          value: z.union([z.string(), z.int()]).meta({
            description: 'What the rule gives: "allow", "deny", the name of a shaper, a number.',
            example: 'allow',
          }),
        })
        .meta({
          description: 'One clause; the first whose class matches decides.',
          example: { acl: 'all', value: 'allow' },
        }),
    ),
  )
  .meta({
    description: 'Rules by name: each an array of clauses. `all` (allow) and `none` (deny) always exist.',
    example: {
      c2s: [
        { acl: 'blocked', value: 'deny' },
        { acl: 'all', value: 'allow' },
      ],
    },
  })
export type AccessConfig = z.infer<typeof access>
