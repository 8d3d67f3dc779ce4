import { z } from 'zod'
import { nestring, nonneg, posint, posintOrInfinity, serviceDomain } from './primitives.js'

/*
 * Modules that are not built. A name that is here is known: `not_supported_yet` or `not_supported`; any other name is a mistake.
 * A module that is built leaves this file and declares its options beside itself. spec/listeners.md §2.8
 */

const storeBackend = z
  .enum(['mnesia', 'rdbms'])
  .default('mnesia')
  .meta({ description: 'Both mean the one store.', example: 'rdbms' })

const configField = z
  .strictObject({
    field: nestring().meta({ description: 'Name of the field.', example: 'roomname' }),
    value: z.union([z.string(), z.number()]).meta({ description: 'Default of the field.', example: 'Untitled' }),
    internal_key: nestring()
      .optional()
      .meta({ unset: '`field`', description: 'Name in the store; needs `type`.', example: 'name' }),
    type: z
      .enum(['binary', 'integer', 'float'])
      .optional()
      .meta({ unset: 'binary', description: 'Type of the value; needs `internal_key`.', example: 'binary' }),
  })
  .refine(field => (field.internal_key === undefined) === (field.type === undefined), {
    error: 'internal_key and type together',
  })
  .refine(isOfItsType, { error: 'a value of the type that the field has' })

/** `[modules.mod_muc_light]`. spec/muc-light.md §2 */
const mucLight = z
  .strictObject({
    host: serviceDomain()
      .default('muclight.@HOST@')
      .meta({ description: 'Domain of the rooms; `@HOST@` stands for each served host.', example: 'rooms.@HOST@' }),
    backend: storeBackend,
    equal_occupants: z.boolean().default(false).meta({ description: 'Rooms have no owners.', example: true }),
    legacy_mode: z
      .boolean()
      .default(false)
      .meta({ description: 'Speaks a subset of XEP-0045 instead; not supported.', example: false }),
    rooms_per_user: posintOrInfinity()
      .default('infinity')
      .meta({ description: 'Rooms that one user may be in.', example: 10 }),
    blocking: z.boolean().default(true).meta({ description: 'Users can block rooms and users.', example: false }),
    all_can_configure: z
      .boolean()
      .default(false)
      .meta({ description: 'Members can change the configuration.', example: true }),
    all_can_invite: z.boolean().default(false).meta({ description: 'Members can add members.', example: true }),
    max_occupants: posintOrInfinity().default('infinity').meta({ description: 'Occupants of one room.', example: 50 }),
    rooms_per_page: posintOrInfinity().default(10).meta({ description: 'Rooms per page of discovery.', example: 100 }),
    rooms_in_rosters: z.boolean().default(false).meta({ description: 'Rooms are shown in rosters.', example: true }),
    config_schema: z
      .array(configField)
      .default([
        { field: 'roomname', value: 'Untitled' },
        { field: 'subject', value: '' },
      ])
      .meta({
        description: 'Fields of the configuration of a room.',
        example: [{ field: 'display-lines', value: 30, internal_key: 'display_lines', type: 'integer' }],
      }),
  })
  .meta({ description: 'Light group chat.', example: { all_can_invite: true } })

/** `[modules.mod_bosh]`. spec/bosh.md §1 */
const bosh = z
  .strictObject({
    inactivity: posintOrInfinity()
      .default(30)
      .meta({ description: 'Seconds without a held request that end a session.', example: 60 }),
    max_wait: posintOrInfinity()
      .default('infinity')
      .meta({ description: 'Seconds that a request may be held.', example: 60 }),
    server_acks: z.boolean().default(false).meta({ description: 'Acknowledges requests.', example: true }),
    maxpause: posint().optional().meta({ unset: '120', description: 'Seconds of the longest pause.', example: 60 }),
    max_pause: posint().optional().meta({ unset: '120', description: 'Another spelling of `maxpause`.', example: 60 }),
    backend: z.enum(['mnesia']).default('mnesia').meta({ description: 'Accepted without effect.', example: 'mnesia' }),
  })
  .refine(options => options.maxpause === undefined || options.max_pause === undefined, {
    error: 'maxpause or its other spelling max_pause, not both',
  })
  .meta({ description: 'Sessions of BOSH.', example: { inactivity: 30 } })

const mam = z
  .looseObject({
    retention_days: posint()
      .optional()
      .meta({ unset: 'for ever', description: 'Days that messages are kept.', example: 365 }),
  })
  .meta({ description: 'Message archives (XEP-0313).', example: { retention_days: 365 } })

const csi = z
  .strictObject({
    buffer_max: nonneg()
      .default(20)
      .meta({ description: 'Stanzas that are held back for an inactive client.', example: 20 }),
  })
  .meta({ description: 'Client state indication (XEP-0352).', example: { buffer_max: 20 } })

const streamManagement = z
  .strictObject({
    buffer: z.boolean().default(true).meta({ description: 'Keeps what is not acknowledged.', example: true }),
    buffer_max: z
      .union([posint(), z.enum(['infinity', 'no_buffer'])])
      .default(100)
      .meta({ description: 'Stanzas that may wait for an acknowledgement.', example: 500 }),
    ack: z.boolean().default(true).meta({ description: 'Asks for acknowledgements.', example: true }),
    ack_freq: z
      .union([posint(), z.literal('never')])
      .default(1)
      .meta({ description: 'Stanzas between two requests for an acknowledgement.', example: 3 }),
    resume_timeout: posint()
      .default(600)
      .meta({ description: 'Seconds in which a session can be resumed.', example: 600 }),
    stale_h: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .meta({ description: 'Remembers counters of ended sessions.', example: true }),
        repeat_after: posint().default(1800).meta({ description: 'Seconds between clean-ups.', example: 1800 }),
        geriatric: posint().default(3600).meta({ description: 'Seconds that they are kept.', example: 3600 }),
      })
      .prefault({})
      .meta({ description: 'Counters of ended sessions.', example: { enabled: true } }),
  })
  .meta({ description: 'Stream management (XEP-0198).', example: { resume_timeout: 600 } })

const unread = z.looseObject({}).meta({ description: 'Not built; its options are not looked at.', example: {} })

/** Modules that are built later. */
export const laterModules: Readonly<Record<string, z.ZodType>> = {
  mod_auth_token: unread,
  mod_bosh: bosh,
  mod_commands: unread,
  mod_csi: csi,
  mod_event_pusher: unread,
  mod_http_upload: unread,
  mod_inbox: unread,
  mod_keystore: unread,
  mod_mam_meta: mam,
  mod_muc: unread,
  mod_muc_commands: unread,
  mod_muc_light: mucLight,
  mod_muc_light_commands: unread,
  mod_muc_log: unread,
  mod_offline_stub: unread,
  mod_pubsub: unread,
  mod_push_service_mongoosepush: unread,
  mod_stream_management: streamManagement,
}

/** Modules that only the reference server has. */
export const foreignModules: Readonly<Record<string, z.ZodType>> = {
  mod_aws_sns: unread,
  mod_global_distrib: unread,
  mod_jingle_sip: unread,
  mod_mam: unread,
  mod_revproxy: unread,
  mod_shared_roster_ldap: unread,
}

function isOfItsType(field: { value: string | number; type?: string | undefined }): boolean {
  if (field.type === 'integer') return Number.isSafeInteger(field.value)
  return typeof field.value === (field.type === 'float' ? 'number' : 'string')
}
