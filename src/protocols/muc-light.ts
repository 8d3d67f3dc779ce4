import { StanzaError } from './errors.js'

/*
 * The rules of light group chat: what becomes of a room. spec/muc-light.md
 * A room goes in and what it is afterwards comes out; who is told is `muc-light-xml.ts`, where it is kept is the module's.
 */

export type Affiliation = 'owner' | 'member'
/** What an occupant is to become; `none` leaves the room. */
export type AffiliationChange = Affiliation | 'none'

export interface Occupant {
  /** Bare JID in canonical form. */
  readonly jid: string
  readonly affiliation: Affiliation
}

/** A change of one user, as it is asked for or as it came to be. */
export interface OccupantChange {
  readonly jid: string
  readonly affiliation: AffiliationChange
}

/** Values by the names of their fields. */
export type Configuration = ReadonlyMap<string, string | number>

export interface Room {
  /** New with every change of what follows. */
  readonly version: string
  readonly configuration: Configuration
  /** By user, then by server; at most one is the owner. */
  readonly occupants: readonly Occupant[]
}

/** A field of every room's configuration. */
export interface ConfigurationField {
  readonly field: string
  /** What it is in a room whose maker did not say. */
  readonly value: string | number
  /** Its name in the store. */
  readonly key: string
  readonly type: 'binary' | 'integer' | 'float'
}

/** What the operator chose for the rooms of a service. */
export interface RoomRules {
  /** Rooms have no owners. */
  readonly equalOccupants: boolean
  /** Members change every field, not the subject alone. */
  readonly allCanConfigure: boolean
  /** Members add members. */
  readonly allCanInvite: boolean
  /** Infinity for any number. */
  readonly maxOccupants: number
  readonly fields: readonly ConfigurationField[]
}

/** Characters of the value of a field: what MongooseIM has room for in its database (`VARCHAR(250)`). */
const longestValue = 250
/** Not fields: they are said beside the fields. */
const reservedFields = ['version', 'prev-version']

const bad = (text: string) => new StanzaError('bad-request', text)

/** A JID's localpart and what follows it. */
function parts(jid: string): [local: string, domain: string] {
  const at = jid.indexOf('@')
  return at < 0 ? ['', jid] : [jid.slice(0, at), jid.slice(at + 1)]
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** By user, then by server. spec/muc-light.md §3 */
export function byUser(a: { readonly jid: string }, b: { readonly jid: string }): number {
  const [user, server] = parts(a.jid)
  const [otherUser, otherServer] = parts(b.jid)
  return order(user, otherUser) || order(server, otherServer)
}

export function affiliationOf(room: Room, jid: string): Affiliation | undefined {
  return room.occupants.find(occupant => occupant.jid === jid)?.affiliation
}

/**
 * A stamp for versions and rooms that the server names: `mega-seconds-micros` of a clock. Strictly greater than the last one, also
 * where the clock has not moved. ML-3, ML-4
 */
export function stampAfter(wall: number, last: number): { micros: number; text: string } {
  const micros = Math.max(wall * 1000, last + 1)
  const seconds = Math.floor(micros / 1_000_000)
  return { micros, text: `${Math.floor(seconds / 1_000_000)}-${seconds % 1_000_000}-${micros % 1_000_000}` }
}

/** What a new room is to be. */
export interface Creation {
  readonly creator: string
  /** Fields as they were written. */
  readonly fields: ReadonlyMap<string, string>
  /** The users whom the creator names. */
  readonly occupants: readonly OccupantChange[]
}

/** Throws the refusals of ML-16 that need nothing but the request. */
export function checkCreation({ creator, occupants }: Creation, rules: RoomRules): void {
  const seen = new Set<string>()
  let owners = 0
  for (const { jid, affiliation } of occupants) {
    if (jid === creator) throw bad('the creator is an occupant anyway')
    if (affiliation === 'none') throw bad('nobody begins with affiliation none')
    if (seen.has(jid)) throw bad('a user is listed twice')
    seen.add(jid)
    if (affiliation === 'owner') owners += 1
  }
  if (owners > 1) throw bad('a room has one owner')
  if (owners > 0 && rules.equalOccupants) throw bad('rooms have no owners')
}

/** The new room, without those users who are to be left out. ML-13, ML-16, ML-17 */
export function createRoom(creation: Creation, leftOut: ReadonlySet<string>, rules: RoomRules, version: string): Room {
  checkCreation(creation, rules)
  const invited = creation.occupants.filter(({ jid }) => !leftOut.has(jid)) as Occupant[] // checked: nobody is `none`
  const isOwned = rules.equalOccupants || invited.some(({ affiliation }) => affiliation === 'owner')
  const occupants = [...invited, { jid: creation.creator, affiliation: isOwned ? 'member' : 'owner' } as const]
  if (occupants.length > rules.maxOccupants) throw bad('too many occupants')
  const configuration = new Map([...defaults(rules), ...typedFields(creation.fields, rules)])
  return { version, configuration, occupants: occupants.sort(byUser) }
}

const defaults = (rules: RoomRules) => new Map(rules.fields.map(({ field, value }) => [field, value]))

/** The values of fields that a user wrote. Throws for a field that there is not, and for a value that is none of its type. ML-16, ML-19 */
function typedFields(fields: ReadonlyMap<string, string>, rules: RoomRules): Map<string, string | number> {
  const typed = new Map<string, string | number>()
  for (const [name, text] of fields) {
    const field = rules.fields.find(known => known.field === name)
    if (field === undefined || reservedFields.includes(name)) throw bad(`${name}:unknown`)
    typed.set(name, typedValue(text, field))
  }
  return typed
}

function typedValue(text: string, { field, type }: ConfigurationField): string | number {
  // Code points are no more than code units.
  if (text.length > longestValue && [...text].length > longestValue) throw bad(`${field}:too long`)
  if (type === 'binary') return text
  const value = Number(text)
  const isNumber = type === 'integer' ? /^[+-]?\d+$/ : /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/
  const isValid = isNumber.test(text) && (type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value))
  if (!isValid) throw bad(`${field}:not a number`)
  return value
}

/** What a request did to a room, and who is to hear of it. */
export interface RoomChange<Change> {
  readonly before: Room
  /** Undefined: nobody is left, and the room is gone. */
  readonly after: Room | undefined
  /** What came to be different. */
  readonly changes: readonly Change[]
}

/**
 * Changes fields; those that are not named stay. Undefined: none is named, and nothing changes. Throws `not-allowed` for a member who may
 * not. ML-19
 */
export function configureRoom(
  room: Room,
  requester: string,
  fields: ReadonlyMap<string, string>,
  rules: RoomRules,
  version: string,
): RoomChange<readonly [field: string, value: string | number]> | undefined {
  const isSubject = fields.size === 1 && fields.has('subject')
  const mayAll = affiliationOf(room, requester) === 'owner' || rules.allCanConfigure
  // A field that there is not is a mistake of the request, whoever makes it.
  const typed = typedFields(fields, rules)
  if (!mayAll && !isSubject) throw new StanzaError('not-allowed', 'members change the subject only')
  if (typed.size === 0) return undefined
  const configuration = new Map([...room.configuration, ...typed])
  return { before: room, after: { ...room, version, configuration }, changes: [...typed] }
}

/** Whether the requester may ask for this. Throws `bad-request` and `not-allowed`. ML-23.1 to 23.4 */
export function checkAffiliations(
  room: Room,
  requester: string,
  wanted: readonly OccupantChange[],
  rules: RoomRules,
): void {
  if (new Set(wanted.map(({ jid }) => jid)).size !== wanted.length) throw bad('a user is listed twice')
  const newOwners = wanted.filter(({ affiliation }) => affiliation === 'owner').length
  const isOwned = room.occupants.some(({ affiliation }) => affiliation === 'owner')
  if (newOwners > 1) throw bad('a room has one owner')
  if (newOwners > 0 && !isOwned) throw bad('the room has no owners')
  const isOwner = affiliationOf(room, requester) === 'owner'
  for (const { jid, affiliation } of wanted) {
    const current = affiliationOf(room, jid)
    if (!isOwner && !mayMember({ isSelf: jid === requester, current, affiliation }, rules)) {
      throw new StanzaError('not-allowed', 'only the owner may do this')
    }
    if (affiliation === (current ?? 'none')) throw bad('an item changes nothing')
  }
}

/** What a member may do: leave, and add members where all may. ML-23.3 */
function mayMember(
  item: { isSelf: boolean; current: Affiliation | undefined; affiliation: AffiliationChange },
  rules: RoomRules,
): boolean {
  if (item.isSelf) return item.affiliation === 'none'
  return rules.allCanInvite && item.current === undefined && item.affiliation === 'member'
}

/**
 * Changes affiliations, once `checkAffiliations` has passed and those who may not be added are left out. There is one owner before and
 * after, or none in a room that has none. Undefined: nothing comes to be different. ML-23, ML-24
 */
export function affiliate(
  room: Room,
  wanted: readonly OccupantChange[],
  rules: RoomRules,
  version: string,
): RoomChange<OccupantChange> | undefined {
  const affiliations = new Map<string, Affiliation>(room.occupants.map(({ jid, affiliation }) => [jid, affiliation]))
  for (const { jid, affiliation } of wanted) {
    if (affiliation === 'none') affiliations.delete(jid)
    else affiliations.set(jid, affiliation)
  }
  const owner = room.occupants.find(({ affiliation }) => affiliation === 'owner')?.jid
  if (owner !== undefined) settleOwner(room, owner, wanted, affiliations)
  const occupants = [...affiliations].map(([jid, affiliation]) => ({ jid, affiliation })).sort(byUser)
  if (occupants.length > rules.maxOccupants && occupants.length > room.occupants.length) throw bad('too many occupants')
  const changes = differences(room.occupants, affiliations)
  if (changes.length === 0) return undefined
  return { before: room, after: occupants.length === 0 ? undefined : { ...room, version, occupants }, changes }
}

/** Sees to it that there is exactly one owner, unless nobody is left. ML-23.4, ML-23.5 */
function settleOwner(
  room: Room,
  owner: string,
  wanted: readonly OccupantChange[],
  affiliations: Map<string, Affiliation>,
): void {
  const named = wanted.find(({ affiliation }) => affiliation === 'owner')?.jid
  if (named !== undefined) {
    if (affiliations.has(owner)) affiliations.set(owner, 'member')
    return
  }
  if (affiliations.get(owner) === 'owner') return
  const left = [...affiliations.keys()].filter(jid => jid !== owner).sort((a, b) => byUser({ jid: a }, { jid: b }))
  const known = new Set(room.occupants.map(({ jid }) => jid))
  const heir = left.find(jid => known.has(jid)) ?? left[0] ?? (affiliations.has(owner) ? owner : undefined)
  if (heir !== undefined) affiliations.set(heir, 'owner')
}

/** What each user came to be who is not what he was, in the order of occupants. */
function differences(before: readonly Occupant[], after: ReadonlyMap<string, Affiliation>): OccupantChange[] {
  const known = new Map(before.map(({ jid, affiliation }) => [jid, affiliation]))
  const everybody = new Set([...known.keys(), ...after.keys()])
  return [...everybody]
    .filter(jid => known.get(jid) !== after.get(jid))
    .map(jid => ({ jid, affiliation: after.get(jid) ?? ('none' as const) }))
    .sort(byUser)
}

/** Throws unless the requester may end the room. ML-28 */
export function checkDestruction(room: Room, requester: string): void {
  if (affiliationOf(room, requester) !== 'owner') {
    throw new StanzaError('not-allowed', 'only the owner ends a room')
  }
}
