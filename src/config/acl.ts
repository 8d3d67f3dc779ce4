import { z } from 'zod'
import { domain, nestring } from './primitives.js'

/*
 * `[acl]`: named classes of JIDs. spec/listeners.md §2.2
 */

/** The sets of keys that a pattern may have, each sorted. */
const KEY_SETS = new Set(
  [
    ['match'],
    ['user'],
    ['server', 'user'],
    ['server'],
    ['resource'],
    ['user_regexp'],
    ['server', 'user_regexp'],
    ['server_regexp'],
    ['server_regexp', 'user_regexp'],
    ['resource_regexp'],
    ['user_glob'],
    ['server', 'user_glob'],
    ['server_glob'],
    ['server_glob', 'user_glob'],
    ['resource_glob'],
  ].map(keys => keys.join()),
)

const regexp = (part: string, example: string) =>
  z
    .string()
    .refine(isRegexp, { error: 'a regular expression' })
    .optional()
    .meta({
      syntax: 'a regular expression',
      unset: 'not looked at',
      description: `Matches when the ${part} matches this expression, which is not anchored.`,
      example,
    })
const glob = (part: string, example: string) =>
  nestring()
    .optional()
    .meta({
      unset: 'not looked at',
      description: `Matches when the whole ${part} matches this pattern of \`*\`, \`?\`, \`[..]\`.`,
      example,
    })

export const aclPattern = z
  .strictObject({
    match: z
      .enum(['all', 'none'])
      .optional()
      .meta({ unset: 'not looked at', description: 'Matches always, or never.', example: 'all' }),
    user: nestring().optional().meta({
      unset: 'not looked at',
      description: 'Matches this localpart, on the host that the rule is checked for unless `server` is given.',
      example: 'admin',
    }),
    server: domain()
      .optional()
      .meta({ unset: 'not looked at', description: 'Matches this domain.', example: 'localhost' }),
    resource: nestring()
      .optional()
      .meta({ unset: 'not looked at', description: 'Matches this resource.', example: 'res' }),
    user_regexp: regexp('localpart', '^test.*'),
    server_regexp: regexp('domain', '^localhost$'),
    resource_regexp: regexp('resource', '^web'),
    user_glob: glob('localpart', 'test*'),
    server_glob: glob('domain', '*.localhost'),
    resource_glob: glob('resource', 'web?'),
  })
  .refine(pattern => KEY_SETS.has(definedKeys(pattern)), {
    error:
      'a pattern with match alone, with one user key, one server key or both (user_glob and user_regexp go with `server` or with their own kind), or with one resource key alone',
  })
  .meta({ description: 'One pattern; a JID is of the class when a pattern matches.', example: { user: 'admin' } })

/** The `[acl]` table. */
export const acl = z.record(nestring(), z.array(aclPattern)).meta({
  description: 'Classes of JIDs by name: each an array of patterns. `all` and `none` always exist.',
  example: { admin: [{ user: 'admin', server: 'localhost' }] },
})
export type AclConfig = z.infer<typeof acl>

function definedKeys(pattern: object): string {
  const defined = Object.entries(pattern).filter(([, value]) => value !== undefined)
  return defined
    .map(([key]) => key)
    .sort()
    .join()
}

function isRegexp(text: string): boolean {
  try {
    return new RegExp(text) !== undefined
  } catch {
    return false // SyntaxError is how RegExp says no.
  }
}
