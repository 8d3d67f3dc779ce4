import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { iqResult, Stanza } from '../stanza/stanza.js'
import { interest } from '../xml/frame.js'
import type { Outcome } from './effects.js'
import { withStanzaId } from './marks.js'
import type { Occupant } from './occupants.js'
import type { RoomState } from './state.js'

/*
 * Messages that are taken back, by their authors (XEP-0424) or by moderators (XEP-0425).
 */

const mayRetract = interest(NS.retract)

/** Sees to a retraction by the author. True where the message is one. XEP-0424 §3 */
export function retractOwn(state: RoomState, message: Stanza, author: Jid, outcome: Outcome): boolean {
  if ((message.mask & mayRetract) === 0) return false
  const id: string | undefined = message.element.getChild('retract', NS.retract)?.attrs.id
  if (id === undefined) return false
  const known = state.history.find(id)
  // Somebody else's message stays where it is; clients do not believe such a thing either.
  if (known === undefined || known.sender === author.text) {
    forget(state, id, outcome)
    const retracted = retractedElement(state, message.id)
    outcome.tombstones.push({ id, retracted: retracted.toString(), author: author.text })
  }
  return true
}

function forget(state: RoomState, id: string, outcome: Outcome): void {
  if (state.history.forget(id)) outcome.changed.add('history')
}

function retractedElement({ surroundings }: RoomState, id: string | undefined): Element {
  return new Element('retracted', { xmlns: NS.retract, id, stamp: new Date(surroundings.now()).toISOString() })
}

/** Which message, and why. */
interface Request {
  readonly id: string
  readonly reason: string | undefined
}

/** True for an IQ of either version of XEP-0425. */
export const isModeration = ({ name, ns }: { name: string; ns: string }): boolean =>
  (name === 'moderate' && ns === NS.moderate) || (name === 'apply-to' && ns === NS.fasten)

/** A moderator takes back somebody's message. XEP-0425 §3 */
export function moderate(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const moderator = state.occupants.withSession(iq.from!)
  if (moderator?.role !== 'moderator') throw new StanzaError('forbidden', 'only moderators moderate', 'modify')
  const request = readRequest(iq)
  // Where there is an archive it may be older than the history.
  if (!state.isArchived && state.history.find(request.id) === undefined) {
    throw new StanzaError('item-not-found', 'there is no such message')
  }
  forget(state, request.id, outcome)
  const id = state.surroundings.newId()
  const retracted = retractedElement(state, id)
  addModeration(retracted, moderator, request)
  outcome.tombstones.push({ id: request.id, retracted: retracted.toString(), author: undefined })
  tellAll(state, notice(state, moderator, request, id), id, outcome)
  outcome.send(iqResult(iq), iq.from!)
}

function readRequest(iq: Stanza): Request {
  const asked = iq.element.getChildElements()[0]!
  const id: string | undefined = asked.attrs.id
  const isOld = asked.getNS() === NS.fasten
  const action = isOld ? asked.getChild('moderate', NS.moderateOld) : asked
  const retract = action?.getChild('retract', isOld ? NS.retractOld : NS.retract)
  if (id === undefined || action === undefined || retract === undefined) {
    throw new StanzaError('bad-request', 'which message is to be retracted?')
  }
  return { id, reason: action.getChildText('reason') ?? undefined }
}

function addModeration(parent: Element, moderator: Occupant, { reason }: Request): void {
  const moderated = parent.c('moderated', { xmlns: NS.moderate, by: moderator.jid.text })
  moderated.c('occupant-id', { xmlns: NS.occupantId, id: moderator.id })
  if (reason) parent.c('reason').t(reason)
}

/** In the words of both versions: clients know one or the other. */
function notice(state: RoomState, moderator: Occupant, request: Request, id: string): Stanza {
  const message = new Element('message', { from: state.jid.text, type: 'groupchat', id })
  addModeration(message.c('retract', { xmlns: NS.retract, id: request.id }), moderator, request)
  const old = message.c('apply-to', { xmlns: NS.fasten, id: request.id })
  const moderated = old.c('moderated', { xmlns: NS.moderateOld, by: moderator.jid.text })
  moderated.c('retract', { xmlns: NS.retractOld })
  if (request.reason) moderated.c('reason').t(request.reason)
  return Stanza.fromElement(message)
}

function tellAll(state: RoomState, message: Stanza, id: string, outcome: Outcome): void {
  const stanza = state.isArchived ? withStanzaId(message, state.jid, id) : message
  outcome.broadcast(stanza, state.occupants.sessions)
  if (!state.isArchived) return
  outcome.archived.push({ id, at: state.surroundings.now(), stanza, sender: undefined })
}
