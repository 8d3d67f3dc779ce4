import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { Stanza } from '../stanza/stanza.js'
import { delayed } from './history.js'
import type { Occupant } from './occupants.js'
import { hasVoice } from './privileges.js'
import type { RoomState } from './state.js'

/*
 * What a room is about at the moment. XEP-0045 §7.2.15, §8.1
 */

/** A message with a subject is no change of it when it has a text or a thread too. XEP-0045 §8.1 */
export function isSubjectChange(message: Stanza): boolean {
  // Most messages begin with their text, and need no tree.
  if (message.payload?.name === 'body') return false
  const names = message.element.getChildElements().map(child => child.getName())
  return names.includes('subject') && !names.includes('body') && !names.includes('thread')
}

/** Throws unless the occupant may change the subject. */
export function checkSubjectChange({ config }: RoomState, { role }: Occupant): void {
  if (role === 'moderator' || (config.mayChangeSubject && hasVoice(role))) return
  throw new StanzaError('forbidden', 'the subject is not for you to change')
}

/** What who enters is told. */
export function subjectStanza({ jid, subject }: RoomState): Stanza {
  if (subject !== undefined) return delayed(subject.stanza, jid, subject.at)
  const message = new Element('message', { from: jid.text, type: 'groupchat' })
  message.c('subject')
  return Stanza.fromElement(message)
}

/** '' for none. */
export const subjectText = ({ subject }: RoomState): string => subject?.stanza.element.getChildText('subject') ?? ''
