import { z } from 'zod'
import { domain, nestring, path, posint, posintOrInfinity, rule, sameDomain, uniqueArray } from './primitives.js'

/** `loglevel`, from silent to everything. */
export const LOG_LEVELS = [
  'none',
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'info',
  'debug',
  'all',
] as const

/** The `[general]` table. spec/listeners.md §2.1 */
export const general = z
  .strictObject({
    hosts: uniqueArray(domain(), sameDomain)
      .min(1)
      .meta({
        syntax: 'a non-empty array of different domain names',
        description:
          'Domains this server serves. The first is its own name, used where a client asks for an unknown one.',
        example: ['localhost'],
      }),
    loglevel: z
      .enum(LOG_LEVELS)
      .default('warning')
      .meta({ description: 'Events below this level are not logged.', example: 'info' }),
    log_format: z.enum(['auto', 'json', 'logfmt', 'pretty']).default('auto').meta({
      description: 'Form of the log lines; `auto` is `pretty` on a terminal and `json` elsewhere.',
      example: 'logfmt',
    }),
    language: nestring().default('en').meta({
      description: 'Language of stream headers and of error texts, where the client names none.',
      example: 'en',
    }),
    data_dir: path().default('data').meta({
      description: 'Folder of the embedded store and of the control socket, relative to the folder of this file.',
      example: '../data',
    }),
    shutdown_timeout: posint().default(10_000).meta({
      description: 'Milliseconds that connections get to end when the server stops.',
      example: 5000,
    }),
    registration_timeout: posintOrInfinity().default(600).meta({
      description: 'Seconds between two registrations from one address; "infinity" means no limit.',
      example: 'infinity',
    }),
    max_fsm_queue: posint().optional().meta({
      unset: 'no limit',
      description: 'Stanzas that may wait for one connection; one more ends it. A listener may set its own.',
      example: 1000,
    }),
    hide_service_name: z.boolean().default(false).meta({
      description: 'Closes silently, without header and error, when the first bytes on a c2s port start no stream.',
      example: true,
    }),
    replaced_wait_timeout: posint().default(2000).meta({
      description: 'Milliseconds after which a replaced session that still lives is worth a warning.',
      example: 2000,
    }),
    http_server_name: z
      .string()
      .default('Cowboy')
      .meta({ description: 'The `server` header in answers of all http listeners.', example: 'Classified' }),
    route_subdomains: z.enum(['s2s']).optional().meta({
      unset: 'not routed',
      description: 'Lets stanzas for subdomains of a served domain go to other servers.',
      example: 's2s',
    }),
    all_metrics_are_global: z
      .boolean()
      .default(false)
      .meta({ description: 'Counts what belongs to a host for the whole server instead.', example: true }),
    sm_backend: z
      .enum(['mnesia', 'redis'])
      .default('mnesia')
      .meta({ description: 'Store of the session table; only "mnesia" (no effect) is served.', example: 'mnesia' }),
    routing_modules: z
      .array(nestring())
      .optional()
      .meta({
        unset: 'the order of this server',
        description: 'Accepted with its default value only, without effect.',
        example: [
          'mongoose_router_global',
          'mongoose_router_localdomain',
          'mongoose_router_external_localnode',
          'mongoose_router_external',
          'ejabberd_s2s',
        ],
      }),
    mongooseimctl_access_commands: z
      .record(
        rule(),
        z.strictObject({
          commands: z
            .union([z.literal('all'), z.array(nestring())])
            .optional()
            .meta({ unset: 'all', description: 'Commands that the rule opens.', example: ['join_cluster'] }),
          argument_restrictions: z
            .record(z.string(), z.string())
            .optional()
            .meta({ unset: 'none', description: 'Arguments that are fixed.', example: { host: 'localhost' } }),
        }),
      )
      .optional()
      .meta({ unset: 'all commands', description: 'Accepted without effect.', example: { all: { commands: 'all' } } }),
    rdbms_server_type: z.enum(['pgsql', 'mssql']).optional().meta({
      unset: 'pgsql',
      description: 'Accepted as "pgsql" only, without effect.',
      example: 'pgsql',
    }),
    pgsql_users_number_estimate: z
      .boolean()
      .default(false)
      .meta({ description: 'Accepted without effect.', example: true }),
    override: uniqueArray(z.enum(['global', 'local', 'acls']))
      .optional()
      .meta({
        unset: 'nothing',
        description: 'Accepted without effect.',
        example: ['global'],
      }),
  })
  .meta({ description: 'What holds for the whole server.', example: { hosts: ['localhost'] } })

export type GeneralConfig = z.infer<typeof general>

/** The keys of `[general]` that `[host_config.general]` may set. */
export const HOST_GENERAL_KEYS = {
  hide_service_name: true,
  replaced_wait_timeout: true,
  route_subdomains: true,
  pgsql_users_number_estimate: true,
} as const
