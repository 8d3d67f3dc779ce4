import { chatMessageJson, roomMessageJson } from './message-json.js'
import type { Stanza } from './stanza/stanza.js'

/*
 * What a stream of server-sent events says of stanzas. spec/sse.md §2; the format is that of the HTML standard, §9.2.
 */

/** Says nothing, and shows whoever waits that the stream is alive. S-14 */
export const emptyComment = ':\n\n'

/** Whether a stanza makes an event. S-8, S-9, S-10 */
export const isEvent = ({ kind, type }: Stanza): boolean =>
  kind === 'message' && (type === 'chat' || type === 'groupchat')

/** The event of a stanza that makes one; `id` is its number on the stream, `timestamp` in microseconds since 1970. S-8, S-9 */
export function eventOf(stanza: Stanza, id: number, timestamp: number): string {
  const { element, from, to } = stanza
  if (stanza.type === 'groupchat') {
    return eventText(id, 'room.message', JSON.stringify(roomMessageJson(element, { timestamp, room: true })))
  }
  const envelope = { ...(from && { from }), ...(to && { to }), timestamp }
  return eventText(id, 'message', JSON.stringify(chatMessageJson(element, envelope)))
}

/** A whole event. Data of several lines stands in as many fields. */
export function eventText(id: number, event: string, data: string): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data.replaceAll('\n', '\ndata: ')}\n\n`
}
