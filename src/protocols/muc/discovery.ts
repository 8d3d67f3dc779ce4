import { type DiscoInfo, type DiscoItem, infoElement, itemsElement } from '../disco.js'
import { StanzaError } from '../errors.js'
import { NS } from '../namespaces.js'
import { iqResult, type Stanza } from '../stanza/stanza.js'
import type { Outcome } from './effects.js'
import type { RoomState } from './state.js'
import { subjectText } from './subject.js'
import { avatarHash } from './vcard.js'

/*
 * What a room says of itself. XEP-0045 §6.4, §6.5, §7.12, §15.3
 */

/** The feature of an option, for each of its two values. XEP-0045 §15.3.3 */
const optionFeatures = (state: RoomState): string[] => {
  const { config } = state
  return [
    config.isPublic ? 'muc_public' : 'muc_hidden',
    config.isPersistent ? 'muc_persistent' : 'muc_temporary',
    config.isMembersOnly ? 'muc_membersonly' : 'muc_open',
    config.isModerated ? 'muc_moderated' : 'muc_unmoderated',
    config.whois === 'anyone' ? 'muc_nonanonymous' : 'muc_semianonymous',
    config.isPasswordProtected ? 'muc_passwordprotected' : 'muc_unsecured',
  ]
}

/** What every room can, beside what its service can anyway. */
export const roomFeatures: readonly string[] = [
  NS.muc,
  `${NS.muc}#stable_id`,
  `${NS.muc}#self-ping-optimization`,
  `${NS.muc}#request`,
  NS.occupantId,
  NS.stanzaIds,
  NS.discoInfo,
  NS.discoItems,
  NS.register,
  NS.vcard,
  NS.moderate,
  NS.moderateOld,
  NS.retract,
]

/** XEP-0045 §6.4 */
export function roomInfo(state: RoomState): DiscoInfo {
  const { config } = state
  const archive = state.isArchived ? [NS.mam, NS.mamExtended, `${NS.retract}#tombstone`] : []
  return {
    identities: [{ category: 'conference', type: 'text', ...(config.name !== '' && { name: config.name }) }],
    features: [...roomFeatures, ...optionFeatures(state), ...archive],
    forms: [{ formType: `${NS.muc}#roominfo`, fields: roomInfoFields(state) }],
  }
}

function roomInfoFields(state: RoomState): DiscoInfo['forms'][number]['fields'] {
  const { config, occupants } = state
  const flag = (value: boolean) => [value ? '1' : '0']
  const fields = [
    { name: 'muc#roomconfig_roomname', values: [config.name] },
    { name: 'muc#roominfo_description', values: [config.description] },
    { name: 'muc#roominfo_occupants', values: [String(occupants.size)] },
    { name: 'muc#roominfo_subjectmod', values: flag(config.mayChangeSubject) },
    { name: 'muc#roomconfig_changesubject', values: flag(config.mayChangeSubject) },
    { name: 'muc#roomconfig_allowinvites', values: flag(config.mayInvite) },
    { name: 'muc#roomconfig_allowpm', values: [config.privateMessages] },
    { name: 'muc#maxhistoryfetch', values: [String(config.maxHistory)] },
  ]
  if (config.lang !== '') fields.push({ name: 'muc#roominfo_lang', values: [config.lang] })
  // What is talked about in a hidden or closed room is nobody else's business. XEP-0045 §13.5
  if (config.isPublic && !config.isMembersOnly && !config.isPasswordProtected) {
    fields.push({ name: 'muc#roominfo_subject', values: [subjectText(state)] })
  }
  const hash = avatarHash(state.vcard)
  if (hash !== undefined) fields.push({ name: 'muc#roominfo_avatarhash', values: [hash] })
  return fields
}

/** Who is inside, as far as that is for everybody; occupants know it anyway. XEP-0045 §6.5 */
export function roomItems({ config, occupants }: RoomState, isInside: boolean): DiscoItem[] {
  if (!isInside && !(config.isListPublic && config.isPublic)) return []
  return occupants.all().map(({ jid, nick }) => ({ jid: jid.text, name: nick }))
}

/** An IQ get of disco#info or disco#items to the room. */
export function discover(state: RoomState, iq: Stanza, outcome: Outcome): void {
  const { attrs } = iq.element.getChildElements()[0]!
  const node: string | undefined = attrs.node
  const isInside = state.occupants.withSession(iq.from!) !== undefined
  if (iq.payload!.ns === NS.discoItems) {
    if (node !== undefined) throw new StanzaError('item-not-found')
    outcome.send(iqResult(iq, itemsElement(roomItems(state, isInside), node)), iq.from!)
  } else {
    outcome.send(iqResult(iq, infoElement(infoAt(state, iq, node), node)), iq.from!)
  }
}

function infoAt(state: RoomState, iq: Stanza, node: string | undefined): DiscoInfo {
  if (node === undefined || node === '') return roomInfo(state)
  if (node === 'x-roomuser-item') return reservedNick(state, iq)
  // XEP-0045 §15.3 knows this node, for rooms that allow some payloads only.
  if (node === `${NS.muc}#traffic`) throw new StanzaError('service-unavailable', 'all traffic is allowed')
  throw new StanzaError('item-not-found')
}

/** XEP-0045 §7.12 */
function reservedNick({ affiliations }: RoomState, iq: Stanza): DiscoInfo {
  const nick = affiliations.at(iq.from!.bareText)?.nick
  const identities = nick === undefined ? [] : [{ category: 'conference', type: 'text', name: nick }]
  return { identities, features: [], forms: [] }
}
