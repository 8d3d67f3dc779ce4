import { z } from 'zod'
import { nonneg, posint, serviceDomain } from '../config/primitives.js'
import type { Unsupported } from './module.js'

/*
 * `[modules.mod_mam_meta]`. What holds for both kinds of archive may be said otherwise for each. spec/listeners.md §2.8
 */

/** The options of both kinds, without their defaults. */
const shared = {
  backend: z
    .enum(['rdbms', 'riak', 'cassandra', 'elasticsearch'])
    .meta({ description: 'Where archives are kept; `rdbms` means the one store of the server.', example: 'rdbms' }),
  no_stanzaid_element: z
    .boolean()
    .meta({ description: 'Messages do not bear the id that they have in the archive.', example: true }),
  archive_chat_markers: z.boolean().meta({ description: 'Chat markers (XEP-0333) are archived too.', example: true }),
  user_prefs_store: z.enum(['rdbms', 'cassandra', 'mnesia']).meta({
    description:
      'Where users’ preferences (XEP-0441) are kept; both `rdbms` and `mnesia` mean the one store. Unset, users have none.',
    example: 'rdbms',
  }),
  default_result_limit: nonneg().meta({
    description: 'Messages on a page when the client does not say.',
    example: 100,
  }),
  max_result_limit: nonneg().meta({ description: 'Messages on a page at most.', example: 100 }),
  is_archivable_message: z.string().min(1).meta({
    description: 'Which messages are archived; the rules of `mod_mam_utils` are built in.',
    example: 'mod_mam_utils',
  }),
  send_message: z
    .string()
    .min(1)
    .meta({ description: 'How results are sent; the way of `mod_mam_utils` is built in.', example: 'mod_mam_utils' }),
  message_retraction: z
    .boolean()
    .meta({ description: 'Retracted messages are replaced (XEP-0424); not built.', example: false }),
  full_text_search: z.boolean().meta({ description: 'Queries for words; not built.', example: false }),
  cache_users: z.boolean().meta({ description: 'The server does not need such a cache.', example: true }),
  rdbms_message_format: z
    .enum(['internal', 'simple'])
    .meta({ description: 'Messages are always kept as XML, which is `simple`.', example: 'simple' }),
  async_writer: z
    .boolean()
    .meta({ description: 'Messages are always written in batches, and go on once they are written.', example: true }),
  flush_interval: nonneg().meta({
    description: 'Milliseconds that messages wait for being written: none here.',
    example: 0,
  }),
  max_batch_size: nonneg().meta({ description: 'A batch is what comes at one time.', example: 30 }),
  db_jid_format: z
    .string()
    .min(1)
    .meta({ description: 'JIDs are kept as they are, `mam_jid_rfc`.', example: 'mam_jid_rfc' }),
  db_message_format: z
    .string()
    .min(1)
    .meta({ description: 'Messages are kept as XML, `mam_message_xml`.', example: 'mam_message_xml' }),
  simple: z.boolean().meta({ description: 'Of a store that there is not.', example: false }),
  extra_fin_element: z
    .string()
    .min(1)
    .meta({ description: 'An Erlang module; there are none.', example: 'example_mod' }),
  extra_lookup_params: z
    .string()
    .min(1)
    .meta({ description: 'An Erlang module; there are none.', example: 'example_mod' }),
  riak: z
    .strictObject({ bucket_type: z.string().min(1).optional(), search_index: z.string().min(1).optional() })
    .meta({ description: 'Names of Riak buckets; there is no Riak store.' }),
} as const

const optional = z.strictObject(shared).partial().shape

const pm = z
  .strictObject({
    ...optional,
    archive_groupchats: z.boolean().default(false).meta({
      description: 'Messages of group chats go to the archives of those who receive them.',
      example: true,
    }),
    same_mam_id_for_peers: z
      .boolean()
      .optional()
      .meta({ unset: 'false', description: 'One id in the archives of both sides; not built.', example: false }),
  })
  .meta({
    description: 'The archives of users. They are also on when neither this table nor `muc` is there.',
    example: { archive_groupchats: false },
  })

const muc = z
  .strictObject({
    ...optional,
    host: serviceDomain().default('conference.@HOST@').meta({
      description: 'Domain of the rooms, of whatever kind; `@HOST@` stands for each served host.',
      example: 'muclight.@HOST@',
    }),
  })
  .meta({ description: 'The archives of rooms.', example: { host: 'muclight.@HOST@' } })

export const mamOptions = z
  .strictObject({
    ...optional,
    no_stanzaid_element: shared.no_stanzaid_element.default(false),
    archive_chat_markers: shared.archive_chat_markers.default(false),
    default_result_limit: shared.default_result_limit.default(50),
    max_result_limit: shared.max_result_limit.default(50),
    retention_days: posint()
      .optional()
      .meta({ unset: 'for ever', description: 'Days that messages are kept.', example: 365 }),
    pm: pm.optional(),
    muc: muc.optional(),
  })
  .meta({ description: 'Message archives (XEP-0313).', example: { retention_days: 365 } })

export type MamOptions = z.infer<typeof mamOptions>

/** What the personal archives go by: the options of `pm`, and those of the whole where it has none. Undefined: there are none. */
export function personalOptions(options: MamOptions) {
  if (options.pm === undefined && options.muc !== undefined) return undefined
  const { archive_groupchats, ...own } = options.pm ?? { archive_groupchats: false }
  return { ...overridden(options, own), archive_groupchats }
}

/** What the archives of rooms go by: the options of `muc`, and those of the whole where it has none. Undefined: there are none. */
export function roomOptions(options: MamOptions) {
  if (options.muc === undefined) return undefined
  const { host, ...own } = options.muc
  return { ...overridden(options, own), host }
}

function overridden({ pm: _, muc: __, retention_days: ___, ...whole }: MamOptions, own: object) {
  const given = Object.entries(own).filter(([, value]) => value !== undefined)
  return { ...whole, ...(Object.fromEntries(given) as Partial<typeof whole>) }
}

export type PersonalOptions = NonNullable<ReturnType<typeof personalOptions>>
export type RoomOptions = NonNullable<ReturnType<typeof roomOptions>>

/** Values that mean what the server does anyway. All others of these options are refused. */
const onlyValues: Readonly<Record<string, readonly unknown[]>> = {
  backend: ['rdbms'],
  user_prefs_store: ['rdbms', 'mnesia'],
  is_archivable_message: ['mod_mam_utils'],
  send_message: ['mod_mam_utils'],
  cache_users: [true],
  rdbms_message_format: ['simple'],
  async_writer: [true],
  flush_interval: [0],
  db_jid_format: ['mam_jid_rfc'],
  db_message_format: ['mam_message_xml'],
  simple: [false],
  max_batch_size: [],
  extra_fin_element: [],
  extra_lookup_params: [],
  riak: [],
}

/** Of these it will be done one day. */
const laterValues: Readonly<Record<string, readonly unknown[]>> = {
  message_retraction: [false],
  full_text_search: [false],
  same_mam_id_for_peers: [false],
}

export function unsupportedMam(options: MamOptions): Unsupported[] {
  const { pm: own = {}, muc: ofRooms = {} } = options
  const found = [...unsupportedIn(options, []), ...unsupportedIn(own, ['pm']), ...unsupportedIn(ofRooms, ['muc'])]
  if (options.muc?.user_prefs_store !== undefined) {
    found.push({ path: ['muc', 'user_prefs_store'], code: 'not_supported', message: 'rooms have no preferences' })
  }
  return found
}

function unsupportedIn(options: object, path: string[]): Unsupported[] {
  return Object.entries(options).flatMap(([name, value]): Unsupported[] => {
    if (value === undefined) return []
    if (onlyValues[name]?.includes(value) === false) {
      return [{ path: [...path, name], code: 'not_supported', message: 'the archive does not work like that' }]
    }
    if (laterValues[name]?.includes(value) === false) {
      return [{ path: [...path, name], code: 'not_supported_yet', message: 'the archive cannot do that yet' }]
    }
    return []
  })
}
