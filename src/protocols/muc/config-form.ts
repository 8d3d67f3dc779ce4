import type { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import type { ConfigRole, RoomConfig } from './config.js'
import { booleanText, type FieldType, type FormField, formElement, type Submission } from './data-form.js'

/*
 * The configuration as a form: one table, read in both directions. XEP-0045 §10.1.3, §15.5.3
 * Fields that the registry of XEP-0045 does not know are named as MongooseIM and ejabberd name them.
 */

export const configFormType = `${NS.muc}#roomconfig`
const prefix = 'muc#roomconfig_'
const admins = `${prefix}roomadmins`
const owners = `${prefix}roomowners`

interface Field<Key extends keyof RoomConfig = keyof RoomConfig> {
  readonly name: string
  readonly key: Key
  readonly type: FieldType
  readonly label: string
  readonly options?: readonly (readonly [value: string, label: string])[]
  write(value: RoomConfig[Key]): readonly string[]
  /** Undefined for what the field cannot be. */
  read(values: readonly string[]): RoomConfig[Key] | undefined
  /** What the field can be, for who said something else. */
  readonly domain: string
}

type KeysOf<Value> = { [Key in keyof RoomConfig]: RoomConfig[Key] extends Value ? Key : never }[keyof RoomConfig]

/** Keeps the type of the value together with its key, and forgets it where all fields stand in one list. */
const field = <Key extends keyof RoomConfig>(one: Field<Key>): Field => one as unknown as Field

const text = (name: string, key: KeysOf<string>, label: string, type: FieldType = 'text-single'): Field =>
  field<KeysOf<string>>({
    name,
    key,
    type,
    label,
    write: value => [value],
    read: values => (values.length > 1 ? undefined : (values[0] ?? '')) as RoomConfig[KeysOf<string>] | undefined,
    domain: 'one line',
  })

const flag = (name: string, key: KeysOf<boolean>, label: string): Field =>
  field<KeysOf<boolean>>({
    name,
    key,
    type: 'boolean',
    label,
    write: value => [booleanText(value)],
    read: ([value]) => ({ '1': true, true: true, '0': false, false: false })[value ?? ''],
    domain: '1 or 0',
  })

const roleOptions = [
  ['moderator', 'Moderator'],
  ['participant', 'Participant'],
  ['visitor', 'Visitor'],
] as const

const roles = (name: string, key: 'presenceBroadcast' | 'memberListFor', label: string): Field =>
  field<'presenceBroadcast' | 'memberListFor'>({
    name,
    key,
    type: 'list-multi',
    label,
    options: roleOptions,
    write: value => value,
    read: values => (values.every(isConfigRole) ? [...new Set(values)] : undefined),
    domain: 'moderator, participant and visitor',
  })

const isConfigRole = (value: string): value is ConfigRole => roleOptions.some(([role]) => role === value)

function choice<Key extends 'privateMessages' | 'whois'>(
  name: string,
  key: Key,
  label: string,
  options: readonly (readonly [value: RoomConfig[Key], label: string])[],
): Field {
  const known = options.map(([value]) => value)
  return field<Key>({
    name,
    key,
    type: 'list-single',
    label,
    options,
    write: value => [value],
    read: ([value]) => known.find(one => one === value),
    domain: known.join(', '),
  })
}

const count = (value: string | undefined) => (/^\d{1,9}$/.test(value ?? '') ? Number(value) : undefined)

const maxUsersField = field<'maxUsers'>({
  name: `${prefix}maxusers`,
  key: 'maxUsers',
  type: 'list-single',
  label: 'Maximum Number of Occupants',
  write: value => [value === Number.POSITIVE_INFINITY ? 'none' : String(value)],
  read: ([value]) => (value === 'none' || value === '' ? Number.POSITIVE_INFINITY : count(value) || undefined),
  domain: 'a number from 1, or none',
})

const maxHistoryField = field<'maxHistory'>({
  name: 'muc#maxhistoryfetch',
  key: 'maxHistory',
  type: 'text-single',
  label: 'Maximum Number of History Messages Returned by Room',
  write: value => [String(value)],
  read: ([value]) => count(value),
  domain: 'a number',
})

const fields: readonly Field[] = [
  text(`${prefix}roomname`, 'name', 'Natural-Language Room Name'),
  text(`${prefix}roomdesc`, 'description', 'Short Description of Room'),
  text(`${prefix}lang`, 'lang', 'Natural Language for Room Discussions'),
  flag(`${prefix}enablelogging`, 'isLogged', 'Enable Public Logging?'),
  flag(`${prefix}enablearchiving`, 'isArchived', 'Archive Messages?'),
  flag(`${prefix}changesubject`, 'mayChangeSubject', 'Allow Occupants to Change Subject?'),
  flag(`${prefix}allowinvites`, 'mayInvite', 'Allow Members to Invite Others?'),
  choice(`${prefix}allowpm`, 'privateMessages', 'Who Can Send Private Messages?', [
    ['anyone', 'Anyone'],
    ['participants', 'Anyone with Voice'],
    ['moderators', 'Moderators Only'],
    ['none', 'Nobody'],
  ]),
  flag('allow_query_users', 'mayQueryUsers', 'Allow Occupants to Query Each Other?'),
  maxUsersField,
  roles(`${prefix}presencebroadcast`, 'presenceBroadcast', 'Roles for which Presence is Broadcasted'),
  roles(`${prefix}getmemberlist`, 'memberListFor', 'Roles and Affiliations that May Retrieve Member List'),
  flag(`${prefix}publicroom`, 'isPublic', 'Make Room Publicly Searchable?'),
  flag('public_list', 'isListPublic', 'Make List of Occupants Public?'),
  flag(`${prefix}persistentroom`, 'isPersistent', 'Make Room Persistent?'),
  flag(`${prefix}moderatedroom`, 'isModerated', 'Make Room Moderated?'),
  flag('members_by_default', 'hasVoiceByDefault', 'Give Voice to Everybody Who Enters?'),
  flag(`${prefix}allowvoicerequests`, 'mayRequestVoice', 'Allow Visitors to Request Voice?'),
  flag(`${prefix}allowvisitorstatus`, 'mayVisitorsShowStatus', 'Show the Status of Visitors?'),
  flag(`${prefix}allowvisitornickchange`, 'mayVisitorsChangeNick', 'Allow Visitors to Change Nicknames?'),
  flag(`${prefix}allowmultisessions`, 'mayShareNick', 'Allow One User Several Sessions under One Nickname?'),
  flag(`${prefix}locknicks`, 'hasLockedNicks', 'Hold Users to Their Registered Nicknames?'),
  flag(`${prefix}membersonly`, 'isMembersOnly', 'Make Room Members-Only?'),
  flag(`${prefix}passwordprotectedroom`, 'isPasswordProtected', 'Password Required to Enter?'),
  text(`${prefix}roomsecret`, 'password', 'Password', 'text-private'),
  choice(`${prefix}whois`, 'whois', 'Who May Discover Real JIDs?', [
    ['moderators', 'Moderators Only'],
    ['anyone', 'Anyone'],
  ]),
  maxHistoryField,
]

/** Choices for the number of occupants; `none` where the operator set no limit. */
const sizes = [10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000]

function maxUsersOptions(current: number, limit: number): NonNullable<FormField['options']> {
  const offered = new Set([...sizes.filter(size => size <= limit), Math.min(current, limit), limit])
  return [...offered]
    .sort((a, b) => a - b)
    .map(size => ({ value: maxUsersField.write(size)[0]!, label: size === Infinity ? 'None' : String(size) }))
}

/** Bare JIDs of those who administrate a room. */
export interface Administration {
  readonly admins: readonly string[]
  readonly owners: readonly string[]
}

/** The form that an owner gets. */
export function configForm(config: RoomConfig, people: Administration, limits: { maxUsers: number }): Element {
  const all: FormField[] = fields.map(one => ({
    name: one.name,
    type: one.type,
    label: one.label,
    values: one.write(config[one.key]),
    ...(one.options && { options: one.options.map(([value, label]) => ({ value, label })) }),
    ...(one === maxUsersField && { options: maxUsersOptions(config.maxUsers, limits.maxUsers) }),
  }))
  all.push({ name: admins, type: 'jid-multi', label: 'Room Admins', values: people.admins })
  all.push({ name: owners, type: 'jid-multi', label: 'Room Owners', values: people.owners })
  return formElement(configFormType, { title: 'Room configuration' }, all)
}

/** What a submitted form changes; fields that are not in it stay. Throws `not-acceptable` for a value that a field cannot have. */
export function readConfig(submission: Submission): {
  config: Partial<RoomConfig>
  admins: readonly string[] | undefined
  owners: readonly string[] | undefined
} {
  const config: Record<string, unknown> = {}
  for (const one of fields) {
    const values = submission.get(one.name)
    if (values === undefined) continue
    const value = one.read(values)
    if (value === undefined) throw new StanzaError('not-acceptable', `${one.name} is ${one.domain}`)
    config[one.key] = value
  }
  return {
    config: config as Partial<RoomConfig>, // each value was read by the field of its key
    admins: readJids(submission.get(admins), admins),
    owners: readJids(submission.get(owners), owners),
  }
}

function readJids(values: readonly string[] | undefined, name: string): string[] | undefined {
  const jids = values?.filter(value => value.trim() !== '').map(value => Jid.parse(value.trim())?.bareText)
  if (jids?.includes(undefined)) throw new StanzaError('not-acceptable', `${name} are addresses`)
  return jids && [...new Set(jids as string[])] // just checked
}
