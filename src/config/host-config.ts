import { z } from 'zod'
import { access } from './access.js'
import { acl } from './acl.js'
import { auth } from './auth.js'
import { general, HOST_GENERAL_KEYS } from './general.js'
import { domain } from './primitives.js'
import { HOST_S2S_KEYS, s2s } from './s2s.js'
import { withoutDefaults } from './schema.js'
import { shaper } from './shaper.js'

/** One `[[host_config]]`: what is different on one served domain. `modules` is the schema of `[modules]`. spec/listeners.md §2.7 */
export function hostConfig<M extends z.ZodType>(modules: M) {
  return z
    .strictObject({
      host: domain().meta({ description: 'The served domain.', example: 'localhost' }),
      general: withoutDefaults(general.pick(HOST_GENERAL_KEYS))
        .optional()
        .meta({
          repeats: true,
          description:
            'Keys of `[general]`: `hide_service_name`, `replaced_wait_timeout`, `route_subdomains`, `pgsql_users_number_estimate`.',
          example: { hide_service_name: true },
        }),
      auth: withoutDefaults(auth)
        .optional()
        .meta({
          repeats: true,
          description:
            'Keys of `[auth]`. `methods`, `sasl_mechanisms`, `external.instances` and `anonymous.*` override one by one; any other key replaces all others.',
          example: { methods: ['anonymous'] },
        }),
      modules: modules.optional().meta({ repeats: true, description: 'Replaces `[modules]` as a whole.', example: {} }),
      acl: acl.optional().meta({ repeats: true, description: 'Patterns that are added to the classes of `[acl]`.' }),
      access: access
        .optional()
        .meta({ repeats: true, description: 'Clauses that are added to the rules of `[access]`.' }),
      shaper: shaper.optional().meta({ repeats: true, description: 'Accepted; listeners use those of `[shaper]`.' }),
      s2s: withoutDefaults(s2s.pick(HOST_S2S_KEYS))
        .optional()
        .meta({
          repeats: true,
          description: 'Keys of `[s2s]`: `default_policy`, `host_policy`, `shared`, `max_retry_delay`.',
          example: { default_policy: 'deny' },
        }),
    })
    .meta({ description: 'What is different on one domain.', example: { host: 'localhost' } })
}
