import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import { applyChanges } from './changes.js'
import { formElement, readSubmission } from './data-form.js'
import type { Outcome } from './effects.js'
import { isAtLeast } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * Nicks that are reserved in a room; who has one is a member. XEP-0045 §7.10
 */

const formType = `${NS.muc}#register`
const nickField = 'muc#register_roomnick'

/** An IQ get with a `<query/>` of jabber:iq:register. */
export function sendRequirements(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const nick = state.affiliations.at(iq.from!.bareText)?.nick
  if (nick === undefined) checkMayRegister(state, iq.from!.bare)
  outcome.send(iqResult(iq, requirements(state, nick)), iq.from!)
}

/** An IQ set with a `<query/>` of jabber:iq:register. */
export function register(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const user = iq.from!.bare
  const query = iq.element.getChild('query', NS.register)!
  const told =
    query.getChild('remove') === undefined ? reserve(state, query, user, outcome) : giveUp(state, user, outcome)
  outcome.send(iqResult(iq), iq.from!)
  for (const { own, others } of told) {
    own(outcome)
    others(outcome)
  }
}

/** Registering would open a closed room, or give voice where it is given by moderators only. */
function checkMayRegister(state: RoomState, user: Jid): void {
  const { isMembersOnly, isModerated, hasVoiceByDefault } = state.config
  const affiliation = state.affiliationOf(user)
  if (affiliation === 'outcast') throw new StanzaError('forbidden', 'you are banned from this room')
  if (isAtLeast(affiliation, 'member')) return
  if (isMembersOnly || (isModerated && !hasVoiceByDefault)) {
    throw new StanzaError('not-allowed', 'an admin makes members of this room')
  }
}

function requirements({ jid }: RoomState, nick: string | undefined): Element {
  const query = new Element('query', { xmlns: NS.register })
  if (nick !== undefined) {
    query.c('registered')
    query.c('username').t(nick)
    return query
  }
  query.c('instructions').t(`To register a nickname in ${jid.text}, submit the form.`)
  query.cnode(
    formElement(formType, { title: 'Registration', instructions: 'Please provide the nickname to register.' }, [
      { name: nickField, type: 'text-single', label: 'Desired Nickname', isRequired: true },
    ]),
  )
  return query
}

function reserve(state: RoomState, query: Element, user: Jid, outcome: Outcome) {
  checkMayRegister(state, user)
  const nick = nickIn(state, query)
  const holder = state.affiliations.holderOf(nick)
  const inside = state.occupants.withNick(nick)
  if ((holder !== undefined && holder !== user.text) || (inside !== undefined && !inside.user.equals(user))) {
    throw new StanzaError('conflict', 'this nick is somebody else’s')
  }
  state.affiliations.register(user.text, nick)
  outcome.changed.add('affiliations')
  return isAtLeast(state.affiliations.of(user), 'member') ? [] : affiliate(state, user, 'member', outcome)
}

/** In prepared form, as the nick of who enters. */
function nickIn({ jid }: RoomState, query: Element): string {
  const [text = ''] = readSubmission(query.getChild('x', NS.data), formType).get(nickField) ?? []
  const nick = text.trim() === '' ? undefined : jid.withResource(text)?.resource
  if (nick === undefined) throw new StanzaError('not-acceptable', 'this is no nick')
  return nick
}

/** XEP-0077 §3.2 */
function giveUp(state: RoomState, user: Jid, outcome: Outcome) {
  const entry = state.affiliations.at(user.text)
  if (entry?.nick === undefined) throw new StanzaError('registration-required', 'you have no nick here')
  state.affiliations.register(user.text, undefined)
  outcome.changed.add('affiliations')
  return entry.affiliation === 'member' ? affiliate(state, user, 'none', outcome) : []
}

const affiliate = (state: RoomState, user: Jid, affiliation: 'member' | 'none', outcome: Outcome) =>
  applyChanges(state, outcome, [{ kind: 'affiliation', jid: user.text, affiliation }], undefined)
