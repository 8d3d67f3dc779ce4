import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import { checkOwned } from './admin.js'
import { Affiliations } from './affiliations.js'
import { applyChanges, type Change, removeNonMembers } from './changes.js'
import type { RoomConfig } from './config.js'
import { type Administration, configForm, configFormType, readConfig } from './config-form.js'
import { readSubmission } from './data-form.js'
import type { Outcome } from './effects.js'
import { closeIfEmpty, destroy } from './leave.js'
import { type Announcement, announce, statusMessage } from './presence.js'
import type { Affiliation } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * Owners: how a room is set up, and its end. XEP-0045 §10.1, §10.2, §10.9
 */

/** An IQ set with a `<query/>` of muc#owner. */
export function own(state: RoomState, iq: Stanza, outcome: Outcome): void {
  checkOwner(state, iq.from!)
  const query = iq.element.getChild('query', NS.mucOwner)!
  const end = query.getChild('destroy')
  const form = query.getChild('x', NS.data)
  if (end !== undefined) finish(state, iq, end, outcome)
  else if (form?.attrs.type === 'cancel') cancel(state, iq, outcome)
  else submit(state, iq, form, outcome)
}

/** Throws unless this is an owner. */
export function checkOwner(state: RoomState, user: Jid): void {
  if (state.affiliationOf(user) !== 'owner') throw new StanzaError('forbidden', 'only owners may do this')
}

/** An IQ get with a `<query/>` of muc#owner. */
export function sendForm(state: RoomState, iq: Stanza, outcome: Outcome): void {
  checkOwner(state, iq.from!)
  const query = new Element('query', { xmlns: NS.mucOwner })
  query.cnode(configForm(state.config, administration(state), state.limits))
  outcome.send(iqResult(iq, query), iq.from!)
}

const administration = ({ affiliations }: RoomState): Administration => ({
  admins: affiliations.with('admin').map(({ jid }) => jid),
  owners: affiliations.with('owner').map(({ jid }) => jid),
})

function finish(state: RoomState, iq: Stanza, element: Element, outcome: Outcome): void {
  const venue: string | undefined = element.attrs.jid
  const alternate = venue === undefined ? undefined : Jid.parse(venue)
  if (venue !== undefined && alternate === undefined) throw new StanzaError('jid-malformed', 'the venue is no address')
  const reason = element.getChildText('reason') ?? ''
  const password = element.getChildText('password') ?? ''
  destroy(state, outcome, { alternate, reason, password })
  outcome.send(iqResult(iq), iq.from!)
}

/** A room that was not set up yet is not wanted; any other stays as it is. XEP-0045 §10.1.3, §10.2 */
function cancel(state: RoomState, iq: Stanza, outcome: Outcome): void {
  if (state.isLocked) destroy(state, outcome, {})
  outcome.send(iqResult(iq), iq.from!)
}

function submit(state: RoomState, iq: Stanza, form: Element | undefined, outcome: Outcome): void {
  const wanted = readConfig(readSubmission(form, configFormType))
  checkConfig(state, iq.from!, wanted.config)
  const changes = changesOf(state, wanted)
  const told = configure(state, outcome, wanted.config)
  told.push(...applyChanges(state, outcome, changes, state.occupants.withSession(iq.from!)?.nick))
  outcome.send(iqResult(iq), iq.from!)
  for (const { own } of told) own(outcome)
  for (const { others } of told) others(outcome)
}

/** Throws for what the service does not have, or not for this owner. XEP-0045 §10.1.3 */
export function checkConfig(state: RoomState, owner: Jid | undefined, changes: Partial<RoomConfig>): void {
  const { limits, surroundings } = state
  const config = { ...state.config, ...changes }
  const refuse = (text: string) => new StanzaError('not-acceptable', text)
  if (config.isPasswordProtected && config.password === '') throw refuse('the password is empty')
  if (config.name.length > limits.maxName) throw refuse('the name is too long')
  if (config.description.length > limits.maxDescription) throw refuse('the description is too long')
  if (config.maxUsers > limits.maxUsers) throw refuse(`at most ${limits.maxUsers} users`)
  const becomesPersistent = config.isPersistent && !state.config.isPersistent
  if (becomesPersistent && owner !== undefined && !surroundings.mayPersist(owner.bare)) {
    throw new StanzaError('not-allowed', 'your rooms are not persistent here')
  }
}

/** The lists in the form are whole: who is missing in one has lost it. XEP-0045 §10.2.1 to §10.2.4 */
function changesOf(
  state: RoomState,
  wanted: { admins: readonly string[] | undefined; owners: readonly string[] | undefined },
): Change[] {
  const draft = new Affiliations(state.affiliations.all())
  for (const [affiliation, jids] of [
    ['owner', wanted.owners],
    ['admin', wanted.admins],
  ] as const) {
    if (jids === undefined) continue
    for (const { jid } of draft.with(affiliation))
      if (!jids.includes(jid)) draft.set(jid, lesser(affiliation, wanted.admins, jid))
    // Who is in both lists is an owner.
    for (const jid of jids) if (draft.at(jid)?.affiliation !== 'owner') draft.set(jid, affiliation)
  }
  checkOwned(state, draft)
  const jids = new Set([...state.affiliations.all(), ...draft.all()].map(({ jid }) => jid))
  return [...jids].flatMap(jid => {
    const affiliation = draft.at(jid)?.affiliation ?? 'none'
    const isSame = affiliation === (state.affiliations.at(jid)?.affiliation ?? 'none')
    return isSame ? [] : [{ kind: 'affiliation', jid, affiliation }]
  })
}

/** What is left of an affiliation: a member's, so that nobody is locked out unawares. */
const lesser = (affiliation: Affiliation, newAdmins: readonly string[] | undefined, jid: string): Affiliation =>
  affiliation === 'owner' && newAdmins?.includes(jid) ? 'admin' : 'member'

/** Sets the room up, past all privileges; who is to be told of other occupants is in the answer. XEP-0045 §10.2 */
export function configure(state: RoomState, outcome: Outcome, changes: Partial<RoomConfig>): Announcement[] {
  const before = state.config
  const wasShown = new Map(state.occupants.all().map(occupant => [occupant.nick, state.isShown(occupant)]))
  const wasInhabited = state.occupants.size > 0
  const wasLocked = state.isLocked
  state.config = { ...before, ...changes }
  state.isLocked = false
  outcome.changed.add('config')
  // Nobody but the owner was there to know the room otherwise.
  if (!wasLocked) tellChanges(state, before, outcome)
  const told = state.config.isMembersOnly && !before.isMembersOnly ? removeNonMembers(state, outcome, wasShown) : []
  if (wasInhabited) closeIfEmpty(state, outcome)
  for (const occupant of state.occupants.all()) {
    if (state.isShown(occupant) === wasShown.get(occupant.nick)) continue
    const { others } = announce(state, occupant, {}, wasShown.get(occupant.nick))
    told.push({ own: () => {}, others })
  }
  return told
}

/** XEP-0045 §10.2.5 */
function tellChanges({ jid, config, occupants }: RoomState, before: RoomConfig, outcome: Outcome): void {
  const codes: number[] = []
  if (config.isLogged !== before.isLogged) codes.push(config.isLogged ? 170 : 171)
  if (config.whois !== before.whois) codes.push(config.whois === 'anyone' ? 172 : 173)
  const keys = Object.keys(config) as (keyof RoomConfig)[]
  const others = keys.filter(key => key !== 'isLogged' && key !== 'whois')
  if (others.some(key => String(config[key]) !== String(before[key]))) codes.push(104)
  if (codes.length > 0) outcome.broadcast(statusMessage(jid, codes), occupants.sessions)
}
