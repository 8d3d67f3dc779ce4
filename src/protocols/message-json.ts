import type { Element } from 'ltx'
import { Jid } from './jid.js'
import { NS } from './namespaces.js'

/*
 * A message as the client REST API and its event stream show it. spec/rest-client.md §2, §7, spec/sse.md §2
 * Times are numbers in whatever unit the reader is promised.
 */

/** A chat message. RM-3, RM-4, RM-6, S-8, S-11 */
export interface ChatMessageJson {
  readonly from: string
  readonly to: string
  readonly id: string
  /** Absent where the message has none. */
  readonly body?: string
  readonly timestamp: number
  /** What the sender's application says beside the text, by name. */
  readonly properties?: Readonly<Record<string, string>>
}

/** What became of a message with `markable`. XEP-0333 */
export interface ChatMarkerJson {
  readonly type: 'received' | 'displayed' | 'acknowledged'
  readonly id: string
}

/** Something that was said in a room, or a change of who is in it. RX-3, S-9 */
export type RoomMessageJson =
  | {
      readonly type: 'message'
      /** The room's id; only in event streams. */
      readonly room?: string
      readonly id: string
      /** The sender's bare JID; the JID of the room for what it says itself. */
      readonly from: string
      readonly timestamp: number
      readonly body?: string
      readonly markable?: true
      readonly chat_marker?: ChatMarkerJson
    }
  | {
      readonly type: 'affiliation'
      readonly room?: string
      readonly id: string
      /** The JID of the room. */
      readonly from: string
      readonly timestamp: number
      /** The first whose affiliation changed, and what it is now. */
      readonly user: string
      readonly affiliation: 'owner' | 'member' | 'none'
    }

/** `from` and `to` are given where they are known better than by the stanza's attributes. */
export function chatMessageJson(
  message: Element,
  { from, to, timestamp }: { from?: Jid; to?: Jid; timestamp: number },
): ChatMessageJson {
  const { attrs }: { attrs: Record<string, string | undefined> } = message
  const body = bodyOf(message)
  const properties = propertiesOf(message)
  return {
    from: from?.text ?? attrs.from ?? '',
    to: to?.text ?? attrs.to ?? '',
    id: attrs.id ?? '',
    ...(body !== undefined && { body }),
    timestamp,
    ...(properties !== undefined && { properties }),
  }
}

/** A message of type `groupchat` as an occupant gets it, or as the room's archive keeps it. `room`: whether its id is told. */
export function roomMessageJson(message: Element, tell: { timestamp: number; room?: boolean }): RoomMessageJson {
  const { id = '', from: text = '' }: Record<string, string | undefined> = message.attrs
  const from = Jid.parse(text)
  const room = tell.room === true && { room: from?.local ?? '' }
  const common = { id, from: from === undefined ? text : speaker(from), timestamp: tell.timestamp }
  // What an occupant says is never a change, whatever is in it.
  const change = from?.resource === '' ? firstAffiliation(message) : undefined
  if (change !== undefined) return { type: 'affiliation', ...room, ...common, ...change }
  const body = bodyOf(message)
  const marker = markerOf(message)
  return {
    type: 'message',
    ...room,
    ...common,
    ...(body !== undefined && { body }),
    ...(message.getChild('markable', chatMarkers) !== undefined && { markable: true }),
    ...(marker !== undefined && { chat_marker: marker }),
  }
}

export const chatMarkers = 'urn:xmpp:chat-markers:0' // XEP-0333
const affiliations = ['owner', 'member', 'none'] as const
const propertiesNs = 'http://www.jivesoftware.com/xmlns/xmpp/properties'

const bodyOf = (message: Element): string | undefined => message.getChildText('body') ?? undefined

/** An occupant of light group chat is called by its bare JID; one of another room by its JID in the room. */
function speaker(from: Jid): string {
  const user = Jid.parse(from.resource)
  return user !== undefined && user.local !== '' && user.resource === '' ? user.text : from.text
}

/** What is no property is left out; of several of one name the last counts. Undefined when there is none. RM-4 */
function propertiesOf(message: Element): Record<string, string> | undefined {
  const found = message.getChild('properties', propertiesNs)?.getChildren('property') ?? []
  const entries = found.flatMap((property): [string, string][] => {
    const [name, value] = [property.getChildText('name'), property.getChildText('value')]
    return typeof name === 'string' && typeof value === 'string' ? [[name, value]] : []
  })
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function markerOf(message: Element): ChatMarkerJson | undefined {
  for (const type of ['received', 'displayed', 'acknowledged'] as const) {
    const marker = message.getChild(type, chatMarkers)
    if (marker !== undefined) return { type, id: marker.attrs.id ?? '' }
  }
  return undefined
}

/** spec/muc-light.md §5 */
function firstAffiliation(message: Element) {
  const user = message.getChild('x', NS.mucLightAffiliations)?.getChild('user')
  const affiliation = affiliations.find(one => one === user?.attrs.affiliation)
  return user && affiliation && { user: user.getText(), affiliation }
}
