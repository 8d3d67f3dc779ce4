import { type AuthConfig, auth } from './auth.js'
import type { GeneralConfig, HOST_GENERAL_KEYS } from './general.js'
import type { Config } from './root.js'
import type { HOST_S2S_KEYS, S2sConfig } from './s2s.js'

/*
 * What holds on one served domain: the tables of the file with its [[host_config]] laid over them. spec/listeners.md §2.7
 */

type HostTable = Config['host_config'][number]

/** The parts of a configuration that `[[host_config]]` changes, but for acl and access, which auth/access-rules.ts joins itself. */
export interface HostView {
  general: Pick<GeneralConfig, keyof typeof HOST_GENERAL_KEYS>
  auth: AuthConfig
  s2s: Pick<S2sConfig, keyof typeof HOST_S2S_KEYS>
  /** Options of each module that is on, `@HOST@` replaced. */
  modules: Record<string, unknown>
}

/** The configuration of `host` (a served domain). */
export function configFor(config: Config, host: string): HostView {
  const own = config.host_config.find(table => table.host === host)
  return {
    general: overlaid(config.general, own?.general),
    auth: authFor(config.auth, own?.auth),
    s2s: s2sFor(config.s2s, own?.s2s),
    modules: withHost(own?.modules ?? config.modules, host),
  }
}

/** `methods`, `sasl_mechanisms`, `external.instances` and `anonymous.*` override one by one; any other key replaces all others. */
export function authFor(whole: AuthConfig, own: HostTable['auth']): AuthConfig {
  if (own === undefined) return whole
  const { methods, sasl_mechanisms, external, anonymous, ...others } = own
  const isReplaced = Object.values(others).some(value => value !== undefined) || external?.program !== undefined
  const rest = isReplaced ? auth.parse({ ...others, external }) : whole
  return {
    ...rest,
    methods: methods ?? whole.methods,
    sasl_mechanisms: sasl_mechanisms ?? whole.sasl_mechanisms,
    anonymous: overlaid(whole.anonymous, anonymous),
    external: { ...rest.external, instances: external?.instances ?? whole.external.instances },
  }
}

/** Policies are merged domain by domain; those of the host win. §2.5 */
function s2sFor(whole: S2sConfig, own: HostTable['s2s']): HostView['s2s'] {
  const merged = overlaid(whole, own)
  if (whole.host_policy === undefined || own?.host_policy === undefined) return merged
  const named = new Set(own.host_policy.map(entry => entry.host))
  return { ...merged, host_policy: [...whole.host_policy.filter(entry => !named.has(entry.host)), ...own.host_policy] }
}

/** `whole` with what `own` sets. */
function overlaid<T extends object>(whole: T, own: object | undefined): T {
  const set = Object.entries(own ?? {}).filter(([, value]) => value !== undefined)
  return { ...whole, ...Object.fromEntries(set) }
}

/** `value` with `@HOST@` replaced in every string. */
function withHost<T>(value: T, host: string): T {
  const replaced = (part: unknown): unknown => {
    if (typeof part === 'string') return part.replaceAll('@HOST@', host)
    if (Array.isArray(part)) return part.map(replaced)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, replaced(item)]))
  }
  return replaced(value) as T // Nothing but strings changed, and those into strings.
}
