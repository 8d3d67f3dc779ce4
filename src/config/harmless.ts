import { matches, type Row } from './match.js'
import { isOtherRoute } from './not-yet.js'
import { formatPath, type Notice } from './problem.js'
import { HISTORIC_PROTOCOL_OPTIONS } from './tls-names.js'

/*
 * Options that are accepted without effect: the closed list of spec/listeners.md §2.8.
 */

const HISTORIC = new Set<unknown>(HISTORIC_PROTOCOL_OPTIONS)
const isHistoric = (value: unknown) => HISTORIC.has(value)
const isMnesia = (value: unknown) => value === 'mnesia'

const HARMLESS: readonly Row[] = [
  { at: 'general.sm_backend', when: isMnesia },
  { at: 'general.rdbms_server_type', when: value => value === 'pgsql' },
  { at: 'general.pgsql_users_number_estimate' },
  { at: 'host_config.*.general.pgsql_users_number_estimate' },
  { at: 'general.routing_modules', when: value => !isOtherRoute(value) },
  { at: 'general.mongooseimctl_access_commands' },
  { at: 'general.override' },
  { at: 'services.*' },
  { at: 'modules.*.backend', when: isMnesia },
  { at: 'host_config.*.modules.*.backend', when: isMnesia },
  { at: 'outgoing_pools.*.*.workers' },
  { at: 'outgoing_pools.*.*.strategy' },
  { at: 'listen.c2s.*.tls.protocol_options.*', when: isHistoric },
  { at: 'listen.s2s.*.tls.protocol_options.*', when: isHistoric },
]

/** One notice per harmless option in the data of a file. */
export function harmlessNotices(data: unknown): Notice[] {
  return [...matches(HARMLESS, data)].map(({ path }) => ({
    path: formatPath(path),
    message: 'accepted, and without effect in this server',
  }))
}
