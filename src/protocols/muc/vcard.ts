import { createHash } from 'node:crypto'
import { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import { parseFragment, standalone } from '../fragment.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import { checkOwner } from './owner.js'
import { avatarPresence, statusMessage } from './presence.js'
import type { RoomState } from './state.js'

/*
 * The face of a room. XEP-0486
 */

/** The SHA-1 of the photo in a vCard; undefined without one. XEP-0153 §4.1 */
export function avatarHash(vcard: string | undefined): string | undefined {
  if (vcard === undefined) return undefined
  const photo = parseFragment(vcard).getChild('PHOTO')?.getChildText('BINVAL') ?? ''
  const bytes = Buffer.from(photo, 'base64')
  return bytes.length === 0 ? undefined : createHash('sha1').update(bytes).digest('hex')
}

/** The room's vCard, to whoever asks. XEP-0054 §3.1 */
export function sendVcard({ vcard }: RoomState, iq: Stanza, outcome: Outcome): void {
  const element = vcard === undefined ? new Element('vCard', { xmlns: NS.vcard }) : parseFragment(vcard)
  outcome.send(iqResult(iq, element), iq.from!)
}

/** Another vCard, by an owner. XEP-0486 §3 */
export function takeVcard(state: RoomState, iq: Stanza, outcome: Outcome): void {
  checkOwner(state, iq.from!)
  const vcard = iq.element.getChild('vCard', NS.vcard)
  if (vcard === undefined) throw new StanzaError('bad-request', 'there is no vCard')
  const before = avatarHash(state.vcard)
  state.vcard = vcard.getChildElements().length === 0 ? undefined : standalone(vcard).toString()
  outcome.changed.add('vcard')
  outcome.send(iqResult(iq), iq.from!)
  const hash = avatarHash(state.vcard)
  if (hash === before) return
  outcome.broadcast(avatarPresence(state.jid, hash ?? ''), state.occupants.sessions)
  outcome.broadcast(statusMessage(state.jid, [104]), state.occupants.sessions)
}
