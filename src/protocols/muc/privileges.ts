import { StanzaError } from '../errors.js'
import type { RoomConfig } from './config.js'

/*
 * Who may do what: roles and affiliations. XEP-0045 §5
 */

export type Role = 'none' | 'visitor' | 'participant' | 'moderator'
export type Affiliation = 'outcast' | 'none' | 'member' | 'admin' | 'owner'

/** From the lowest to the highest. */
const roles: readonly Role[] = ['none', 'visitor', 'participant', 'moderator']
const affiliations: readonly Affiliation[] = ['outcast', 'none', 'member', 'admin', 'owner']

export const isRole = (text: string | undefined): text is Role => roles.includes(text as Role)
export const isAffiliation = (text: string | undefined): text is Affiliation =>
  affiliations.includes(text as Affiliation)

/** Higher is more. */
const rank = (affiliation: Affiliation): number => affiliations.indexOf(affiliation)

export const isAtLeast = (affiliation: Affiliation, least: Affiliation): boolean => rank(affiliation) >= rank(least)
export const hasVoice = (role: Role): boolean => role === 'participant' || role === 'moderator'

/** The role that somebody enters with. XEP-0045 §5.1.2 */
export function initialRole(affiliation: Affiliation, config: RoomConfig): Role {
  if (isAtLeast(affiliation, 'admin')) return 'moderator'
  return isAtLeast(affiliation, 'member') || hasInitialVoice(config) ? 'participant' : 'visitor'
}

const hasInitialVoice = (config: RoomConfig) => !config.isModerated || config.hasVoiceByDefault

/** The role after a change of affiliation: what comes with the new one is gained, what came with the old one is lost. XEP-0045 §5.1.3 */
export function roleAfter(role: Role, was: Affiliation, is: Affiliation, config: RoomConfig): Role {
  const initial = initialRole(is, config)
  if (initial === 'moderator' || isAtLeast(was, 'admin')) return initial
  // A moderator without affiliation stays one; a visitor gets the voice of a member.
  if (role === 'moderator') return role
  return is === was ? role : initial
}

/** Somebody who asks for a change, or whom it is about. */
export interface Standing {
  readonly affiliation: Affiliation
  /** `none`: is not inside. */
  readonly role: Role
}

/** Throws unless the actor may give the target this role. XEP-0045 §5.1.3, §8.2 to §8.4, §9.6, §9.7 */
export function checkRole(actor: Standing, target: Standing, wanted: Role): void {
  const isAdmin = isAtLeast(actor.affiliation, 'admin')
  if (!isAdmin && actor.role !== 'moderator') throw new StanzaError('forbidden', 'only moderators change roles')
  if (wanted === 'moderator' && !isAdmin) throw new StanzaError('forbidden', 'only admins make moderators')
  if (wanted === 'none') {
    if (!mayKick(actor, target)) throw new StanzaError('not-allowed', 'this occupant stands too high to be kicked')
  } else if (takesPrivileges(target, wanted) && !mayLower(actor, target)) {
    throw new StanzaError('not-allowed', 'this occupant stands too high to lose privileges')
  }
}

const takesPrivileges = (target: Standing, wanted: Role) => roles.indexOf(wanted) < roles.indexOf(target.role)

/** Nobody of a higher affiliation, and moderators only by admins. XEP-0045 §8.2 */
function mayKick(actor: Standing, target: Standing): boolean {
  if (actor.affiliation === 'owner') return true
  if (isAtLeast(target.affiliation, 'admin')) return false
  if (target.role === 'moderator') return isAtLeast(actor.affiliation, 'admin')
  return rank(target.affiliation) <= rank(actor.affiliation)
}

/** Never an admin's or an owner's privileges; at one's own level only where that is no affiliation at all. XEP-0045 §8.4, §9.7 */
function mayLower(actor: Standing, target: Standing): boolean {
  if (isAtLeast(target.affiliation, 'admin')) return false
  if (target.role === 'moderator') return isAtLeast(actor.affiliation, 'admin')
  return target.affiliation === 'none' || rank(target.affiliation) < rank(actor.affiliation)
}

/** Throws unless the actor may give this affiliation to a user who has another one. XEP-0045 §5.2.2, §9, §10 */
export function checkAffiliation(actor: Affiliation, current: Affiliation, wanted: Affiliation): void {
  if (actor === 'owner') return
  if (actor !== 'admin') throw new StanzaError('forbidden', 'only admins change affiliations')
  if (!isAtLeast(current, 'admin') && !isAtLeast(wanted, 'admin')) return
  if (wanted === 'outcast') throw new StanzaError('not-allowed', 'this user stands too high to be banned')
  throw new StanzaError('forbidden', 'only owners change who is admin or owner')
}

/** Throws unless somebody may get the list of an affiliation. XEP-0045 §5.2.1, §9.5, §10.5, §10.8 */
export function checkAffiliationList(asker: Standing, list: Affiliation, config: RoomConfig): void {
  if (isAtLeast(asker.affiliation, 'admin')) return
  const isTold = list !== 'outcast' && asker.role !== 'none' && config.memberListFor.includes(asker.role)
  const isMember = list !== 'outcast' && asker.affiliation === 'member' && config.whois === 'anyone'
  if (!isTold && !isMember) throw new StanzaError('forbidden', 'this list is not for you')
}
