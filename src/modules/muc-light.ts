import { z } from 'zod'
import { nestring, posintOrInfinity, serviceDomain } from '../config/primitives.js'
import { Jid } from '../protocols/jid.js'
import { NS } from '../protocols/namespaces.js'
import { Discovery } from './discovery.js'
import { defineModule } from './module.js'
import { lightRooms, MucLightDomain } from './muc-light-domain.js'
import { MucLightService } from './muc-light-service.js'

/** A field's name is that of an element. */
const elementName = /^[\p{L}_][\p{L}\p{N}_.-]*$/u
/** Elements that stand beside the fields. */
const reserved = ['version', 'prev-version']

const configField = z
  .strictObject({
    field: nestring()
      .refine(name => elementName.test(name) && !reserved.includes(name), { error: 'the name of an XML element' })
      .meta({ description: 'Name of the field.', example: 'roomname' }),
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

type ConfigField = z.infer<typeof configField>

/** spec/muc-light.md §2 */
const config = z
  .strictObject({
    host: serviceDomain()
      .default('muclight.@HOST@')
      .meta({ description: 'Domain of the rooms; `@HOST@` stands for each served host.', example: 'rooms.@HOST@' }),
    backend: z
      .enum(['mnesia', 'rdbms'])
      .default('mnesia')
      .meta({ description: 'Both mean the one store.', example: 'rdbms' }),
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
      .refine(fields => isUnique(fields.map(({ field }) => field)) && isUnique(fields.map(keyOf)), {
        error: 'fields that differ from one another, in the store too',
      })
      .meta({
        description: 'Fields of the configuration of a room. A value has at most 250 characters.',
        example: [{ field: 'display-lines', value: 30, internal_key: 'display_lines', type: 'integer' }],
      }),
  })
  .meta({ description: 'Light group chat.', example: { all_can_invite: true } })

/** Group chat without presence: who is in a room stays in it. spec/muc-light.md */
export const mucLight = defineModule({
  name: 'mod_muc_light',
  implements: ['MUC Light', 'XEP-0059'],
  features: [],
  shipped: false,
  config,

  start(server, options) {
    const domain = Jid.parse(options.host.replaceAll('@HOST@', server.host))
    if (domain === undefined) throw new Error(`${options.host} is no domain under ${server.host}`)
    const discovery = new Discovery()
    discovery.addIdentity({ category: 'conference', type: 'text', name: 'MUC Light' })
    for (const feature of [NS.discoInfo, NS.discoItems, NS.mucLight]) discovery.addFeature(feature)
    const rules = {
      equalOccupants: options.equal_occupants,
      allCanConfigure: options.all_can_configure,
      allCanInvite: options.all_can_invite,
      maxOccupants: numberOf(options.max_occupants),
      fields: options.config_schema.map(field => ({
        field: field.field,
        value: field.value,
        key: keyOf(field),
        type: field.type ?? 'binary',
      })),
    }
    const limits = {
      domain,
      rules,
      roomsPerUser: numberOf(options.rooms_per_user),
      roomsPerPage: numberOf(options.rooms_per_page),
      isBlocking: options.blocking,
    }
    const rooms = new MucLightDomain(server, limits)
    const service = new MucLightService(server, limits, rooms, discovery)
    const { routing } = server
    const release = routing.routes.add(domain.text, {
      kind: 'service',
      node: 'local',
      discoNode: NS.mucLight,
      deliver: stanza => service.take(stanza),
    })
    if (release === undefined) throw new Error(`the domain ${domain.text} is served already`)
    server.onStop(release)
    server.onStop(routing.rooms.serve(domain.text, service))
    server.offer(lightRooms, rooms)
    // Accounts of every host may be in rooms of this one.
    for (const host of routing.hosts) {
      server.onStop(routing.hooksOf(host).accountRemoved.observe(account => service.accountRemoved(account)))
    }
    if (options.rooms_in_rosters) {
      server.onStop(server.hooks.rosterRead.observe(({ account, items }) => service.addToRoster(account, items)))
    }
  },
})

const numberOf = (option: number | 'infinity') => (option === 'infinity' ? Number.POSITIVE_INFINITY : option)

const keyOf = (field: ConfigField) => field.internal_key ?? field.field

const isUnique = (names: readonly string[]) => new Set(names).size === names.length

function isOfItsType(field: { value: string | number; type?: string | undefined }): boolean {
  if (field.type === 'integer') return Number.isSafeInteger(field.value)
  return typeof field.value === (field.type === 'float' ? 'number' : 'string')
}
