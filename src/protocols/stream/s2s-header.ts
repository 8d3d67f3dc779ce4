import { escapeXML } from 'ltx'
import { NS } from '../namespaces.js'

/** What our header on a stream between servers says. RFC 6120 §4.7, spec/listeners.md §3.2.1 */
export interface ServerHeader {
  readonly from: string
  /** Undefined when the peer did not say who it is. */
  readonly to: string | undefined
  /** Only the receiving server names the stream. */
  readonly id?: string
  /** Without a version there are no features: dialback only. */
  readonly hasVersion: boolean
  readonly lang: string
}

/** The header that opens a stream between servers; it announces dialback. XEP-0220 §2.3.1 */
export function serverHeader({ from, to, id, hasVersion, lang }: ServerHeader): string {
  const attributes = [
    ...(id === undefined ? [] : [['id', id]]),
    ['from', from],
    ...(to === undefined ? [] : [['to', to]]),
    ...(hasVersion ? [['version', '1.0']] : []),
    ['xml:lang', lang],
  ]
  const text = attributes.map(([name, value = '']) => ` ${name}='${escapeXML(value)}'`).join('')
  return (
    `<?xml version='1.0'?><stream:stream xmlns:stream='${NS.stream}' xmlns='${NS.server}' ` +
    `xmlns:db='${NS.dialback}'${text}>`
  )
}
