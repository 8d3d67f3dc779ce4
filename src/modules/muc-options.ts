import { z } from 'zod'
import { domain, nestring, nonneg, posint, rule, secret, serviceDomain, shaperName } from '../config/primitives.js'
import { Jid } from '../protocols/jid.js'
import { type ConfigRole, defaultConfig, type RoomConfig } from '../protocols/muc/config.js'
import type { Unsupported } from './module.js'

/*
 * `[modules.mod_muc]`. The options are MongooseIM's. spec/listeners.md §2.8
 */

const nonnegOrInfinity = () => z.union([nonneg(), z.literal('infinity')])

const affiliation = z
  .strictObject({
    user: nestring().meta({ description: 'Localpart of the user.', example: 'alice' }),
    server: domain().meta({ description: 'Domain of the user.', example: 'localhost' }),
    resource: z.string().default('').meta({
      description: 'Means nothing: affiliations are those of bare JIDs.',
      example: 'phone',
    }),
    affiliation: z
      .enum(['owner', 'admin', 'member', 'outcast', 'none'])
      .meta({ description: 'How the user stands to every new room.', example: 'member' }),
  })
  .refine(({ user, server }) => Jid.of(user, server) !== undefined, { error: 'a user and a server that make a JID' })

const flag = (value: boolean, description: string) => z.boolean().default(value).meta({ description, example: !value })

const defaultRoom = z
  .strictObject({
    title: z.string().default('').meta({ description: 'Name of the room.', example: 'Tea' }),
    description: z.string().default('').meta({ description: 'Description of the room.', example: 'Of all sorts' }),
    allow_change_subj: flag(defaultConfig.mayChangeSubject, 'Participants may change the subject.'),
    allow_query_users: flag(defaultConfig.mayQueryUsers, 'Occupants may send IQ requests to one another.'),
    allow_private_messages: flag(true, 'Occupants may send messages to one another.'),
    allow_visitor_status: flag(defaultConfig.mayVisitorsShowStatus, 'The presence of visitors keeps its text.'),
    allow_visitor_nickchange: flag(defaultConfig.mayVisitorsChangeNick, 'Visitors may change their nick.'),
    public: flag(defaultConfig.isPublic, 'Service discovery lists the room.'),
    public_list: flag(defaultConfig.isListPublic, 'Who is in the room is shown to anybody.'),
    persistent: flag(defaultConfig.isPersistent, 'The room stays when the last occupant leaves.'),
    moderated: flag(defaultConfig.isModerated, 'Only occupants with voice may talk.'),
    members_by_default: flag(defaultConfig.hasVoiceByDefault, 'In a moderated room too, who enters has voice.'),
    members_only: flag(defaultConfig.isMembersOnly, 'Only members may enter.'),
    allow_user_invites: flag(defaultConfig.mayInvite, 'Occupants who are no admins may invite others.'),
    allow_multiple_sessions: flag(defaultConfig.mayShareNick, 'Sessions of one user may share a nick.'),
    password_protected: flag(defaultConfig.isPasswordProtected, 'Who enters has to know the password.'),
    password: z
      .union([secret(), z.literal('')])
      .default('')
      .meta({ description: 'That password.', example: 'secret' }),
    anonymous: flag(defaultConfig.whois === 'moderators', 'Only moderators see real JIDs.'),
    max_users: posint().default(defaultConfig.maxUsers).meta({ description: 'Occupants of the room.', example: 100 }),
    maygetmemberlist: z
      .array(z.enum(['moderator', 'participant', 'visitor']))
      .default([...defaultConfig.memberListFor])
      .meta({ description: 'Roles that may see the list of members, beside admins.', example: ['moderator'] }),
    affiliations: z
      .array(affiliation)
      .default([])
      .meta({
        description: 'Who is what in every new room.',
        example: [{ user: 'alice', server: 'localhost', affiliation: 'member' }],
      }),
    logging: z
      .boolean()
      .default(false)
      .meta({ description: 'What happens in the room is written to files; not built.', example: false }),
    subject: z.string().default('').meta({ description: 'Subject of the room.', example: 'Earl Grey' }),
    subject_author: z
      .string()
      .default('')
      .meta({ description: 'Nick of who is said to have set it.', example: 'Alice' }),
  })
  .meta({
    description: 'How a room is set up when somebody makes it.',
    example: { persistent: true, members_only: true },
  })

export const mucOptions = z
  .strictObject({
    host: serviceDomain()
      .default('conference.@HOST@')
      .meta({ description: 'Domain of the rooms; `@HOST@` stands for each served host.', example: 'rooms.@HOST@' }),
    backend: z
      .enum(['mnesia', 'rdbms'])
      .default('mnesia')
      .meta({ description: 'Both mean the one store.', example: 'rdbms' }),
    access: rule().default('all').meta({ description: 'Who may use the service.', example: 'muc' }),
    access_create: rule().default('all').meta({ description: 'Who may make rooms.', example: 'muc_create' }),
    access_admin: rule().default('none').meta({ description: 'Who is an owner of every room.', example: 'muc_admin' }),
    access_persistent: rule()
      .default('all')
      .meta({ description: 'Who may make a room persistent that they own.', example: 'muc_create' }),
    history_size: nonneg()
      .default(20)
      .meta({ description: 'Messages of each room that are kept for who enters.', example: 30 }),
    room_shaper: shaperName()
      .default('none')
      .meta({ description: 'Shaper of what is said in a room, in bytes a second.', example: 'none' }),
    max_room_id: nonnegOrInfinity()
      .default('infinity')
      .meta({ description: 'Characters of the localpart of a new room.', example: 30 }),
    max_room_name: nonnegOrInfinity()
      .default('infinity')
      .meta({ description: 'Characters of the name of a room.', example: 30 }),
    max_room_desc: nonnegOrInfinity()
      .default('infinity')
      .meta({ description: 'Characters of the description of a room.', example: 140 }),
    min_message_interval: nonneg().default(0).meta({
      description:
        'Seconds between two messages of an occupant; a sooner one waits, and the one behind that is refused.',
      example: 1,
    }),
    min_presence_interval: nonneg().default(0).meta({ description: 'The same for presences.', example: 1 }),
    max_users: posint()
      .default(200)
      .meta({ description: 'Occupants of a room, whatever its owner says.', example: 100 }),
    max_users_admin_threshold: posint()
      .default(5)
      .meta({ description: 'Admins and owners who get into a full room.', example: 10 }),
    user_message_shaper: shaperName()
      .default('none')
      .meta({ description: 'Shaper of the messages of an occupant, in bytes a second.', example: 'none' }),
    user_presence_shaper: shaperName()
      .default('none')
      .meta({ description: 'Shaper of the presences of an occupant, in bytes a second.', example: 'none' }),
    max_user_conferences: nonneg()
      .default(10)
      .meta({ description: 'Rooms that a user may be in at one time; 0: any number.', example: 5 }),
    http_auth_pool: nestring()
      .default('none')
      .meta({ description: 'Passwords of rooms are asked for by HTTP; not supported.', example: 'none' }),
    load_permanent_rooms_at_startup: z
      .boolean()
      .default(false)
      .meta({ description: 'Rooms are loaded when they are needed; true is not supported.', example: false }),
    hibernate_timeout: nonnegOrInfinity().default(90_000).meta({
      description: 'Milliseconds without a stanza after which a room hibernates.',
      example: 60_000,
    }),
    hibernated_room_check_interval: nonnegOrInfinity().default('infinity').meta({
      description: 'Milliseconds between two looks for such rooms; `infinity`: each has a time of its own.',
      example: 120_000,
    }),
    hibernated_room_timeout: nonnegOrInfinity().default(0).meta({
      description: 'Milliseconds more after which a persistent room without occupants is only in the store.',
      example: 120_000,
    }),
    default_room: defaultRoom.default(defaultRoom.parse({})),
  })
  .meta({ description: 'Multi-user chat (XEP-0045).', example: { access_create: 'muc_create' } })

export type MucOptions = z.infer<typeof mucOptions>

/** What is refused at the start. */
export function unsupportedMuc(options: MucOptions): Unsupported[] {
  const found: Unsupported[] = []
  if (options.http_auth_pool !== 'none') {
    found.push({ path: ['http_auth_pool'], code: 'not_supported', message: 'passwords of rooms are the rooms’ own' })
  }
  if (options.load_permanent_rooms_at_startup) {
    found.push({
      path: ['load_permanent_rooms_at_startup'],
      code: 'not_supported',
      message: 'rooms are loaded when they are needed',
    })
  }
  if (options.default_room.logging) {
    const path = ['default_room', 'logging']
    found.push({ path, code: 'not_supported_yet', message: 'there are no logs of rooms: not built yet' })
  }
  return found
}

/** How a new room is set up. */
export function roomConfigOf({ default_room: room, max_users }: MucOptions): RoomConfig {
  return {
    ...defaultConfig,
    name: room.title,
    description: room.description,
    isPublic: room.public,
    isListPublic: room.public_list,
    isPersistent: room.persistent,
    isModerated: room.moderated,
    hasVoiceByDefault: room.members_by_default,
    isMembersOnly: room.members_only,
    isPasswordProtected: room.password_protected,
    password: room.password,
    whois: room.anonymous ? 'moderators' : 'anyone',
    maxUsers: Math.min(room.max_users, max_users),
    mayChangeSubject: room.allow_change_subj,
    mayInvite: room.allow_user_invites,
    privateMessages: room.allow_private_messages ? 'anyone' : 'none',
    mayQueryUsers: room.allow_query_users,
    mayVisitorsShowStatus: room.allow_visitor_status,
    mayVisitorsChangeNick: room.allow_visitor_nickchange,
    mayShareNick: room.allow_multiple_sessions,
    memberListFor: room.maygetmemberlist satisfies readonly ConfigRole[],
  }
}
