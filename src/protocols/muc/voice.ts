import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import { booleanText, formElement, readBoolean, readSubmission, type Submission } from './data-form.js'
import type { Outcome } from './effects.js'
import { sessionJids } from './occupants.js'
import { announce } from './presence.js'
import type { RoomState } from './state.js'

/*
 * Asking for voice, and giving it. XEP-0045 §7.13, §8.6
 */

const formType = `${NS.muc}#request`

/** True for a message with a form that asks for voice or answers who did. */
export function isVoiceForm(message: Stanza): boolean {
  const fields = message.element.getChild('x', NS.data)?.getChildren('field') ?? []
  return fields.some(field => field.attrs.var === 'FORM_TYPE' && field.getChildText('value') === formType)
}

/** A request goes to all moderators; an approval by one of them makes a participant. */
export function takeVoiceForm(state: RoomState, message: Stanza, outcome: Outcome): void {
  const submission = readSubmission(message.element.getChild('x', NS.data), formType)
  if (submission.has('muc#request_allow')) approve(state, message, submission, outcome)
  else request(state, message, submission, outcome)
}

function request(state: RoomState, message: Stanza, submission: Submission, outcome: Outcome): void {
  const occupant = state.occupants.withSession(message.from!)
  if (occupant === undefined) throw new StanzaError('not-acceptable', 'only occupants ask for voice')
  if (submission.get('muc#role')?.[0] !== 'participant') throw new StanzaError('bad-request', 'voice is what there is')
  if (!state.config.mayRequestVoice) throw new StanzaError('forbidden', 'voice is not asked for in this room')
  if (occupant.role !== 'visitor') throw new StanzaError('bad-request', 'you have voice')
  const form = formElement(
    formType,
    { title: 'Voice request', instructions: 'To approve this request for voice, select "Grant voice" and submit.' },
    [
      { name: 'muc#role', type: 'list-single', label: 'Requested role', values: ['participant'] },
      { name: 'muc#jid', type: 'jid-single', label: 'User ID', values: [message.from!.text] },
      { name: 'muc#roomnick', type: 'text-single', label: 'Room nickname', values: [occupant.nick] },
      { name: 'muc#request_allow', type: 'boolean', label: 'Grant voice?', values: [booleanText(false)] },
    ],
  )
  const asked = new Element('message', { from: state.jid.text })
  asked.cnode(form)
  const moderators = state.occupants.ofRole('moderator').flatMap(sessionJids)
  outcome.broadcast(Stanza.fromElement(asked), moderators)
}

function approve(state: RoomState, message: Stanza, submission: Submission, outcome: Outcome): void {
  const moderator = state.occupants.withSession(message.from!)
  if (moderator?.role !== 'moderator') throw new StanzaError('forbidden', 'moderators give voice')
  if (!readBoolean(submission.get('muc#request_allow')?.[0])) return
  const occupant = state.occupants.withNick(submission.get('muc#roomnick')?.[0] ?? '')
  if (occupant === undefined) throw new StanzaError('item-not-found', 'who asked is not in the room')
  // Another moderator was faster, or gave him even more.
  if (occupant.role !== 'visitor') return
  const heard = { ...occupant, role: 'participant' as const }
  state.occupants.put(heard)
  outcome.changed.add('occupants')
  const change = announce(state, heard, {}, state.isShown(occupant))
  change.own(outcome)
  change.others(outcome)
}
