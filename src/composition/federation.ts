import type { AccessRules } from '../auth/access-rules.js'
import { s2s as s2sSchema } from '../config/s2s.js'
import type { Routing } from '../routing/services.js'
import type { Base } from './base.js'
import type { Federation } from './s2s.js'

/**
 * Traffic with other servers; undefined without a `[[listen.s2s]]`: nobody could ask us whether our keys are ours. What it takes
 * is not even loaded then.
 * @throws StartupError
 */
export async function federate(base: Base, rules: AccessRules, routing: Routing): Promise<Federation | undefined> {
  const { config, emit } = base
  if (config.listen.s2s.length > 0) return (await import('./s2s.js')).startFederation(base, rules, routing)
  if (JSON.stringify(config.s2s) !== JSON.stringify(s2sSchema.parse({}))) {
    const text = 'without [[listen.s2s]] there are no connections with other servers'
    emit('config.warning', { path: 's2s', text })
  }
  return undefined
}
