/*
 * The elements of stream management, XEP-0198, between XML and values. They are no stanzas: they stand at the first level of
 * a stream and are not counted.
 */

import { type Element, escapeXML } from 'ltx'
import { type StanzaCondition, StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import { COUNTER_LIMIT } from './acknowledgements.js'

const names = new Set(['enable', 'resume', 'r', 'a'])

/** Whether an element of this name is one of stream management's, or wants to be one. */
export const isManagement = (name: string) => names.has(name)

export type ClientElement =
  /** `max`: seconds that the client would like to have for resuming. */
  | { readonly type: 'enable'; readonly resume: boolean; readonly max: number | undefined }
  | { readonly type: 'resume'; readonly previd: string; readonly h: number }
  | { readonly type: 'request' }
  | { readonly type: 'acknowledgement'; readonly h: number }
  /** It breaks a rule, and the stream ends. */
  | { readonly type: 'broken'; readonly error: StreamError }

/** What a first-level element says of stream management; undefined when it has another name. spec/listeners.md §3.5 */
export function readManagement(element: Element): ClientElement | undefined {
  const name = element.getName()
  if (!isManagement(name)) return undefined
  if (element.getNS() !== NS.streamManagement) return broken('invalid-namespace')
  switch (name) {
    case 'enable': {
      const { resume, max } = element.attrs
      return { type: 'enable', resume: resume === 'true' || resume === '1', max: readCount(max) }
    }
    case 'resume': {
      const { previd } = element.attrs
      const h = readCount(element.attrs.h)
      if (h === undefined || typeof previd !== 'string') return broken('policy-violation')
      return { type: 'resume', previd, h }
    }
    case 'r':
      return { type: 'request' }
    default: {
      const h = readCount(element.attrs.h)
      return h === undefined ? broken('policy-violation') : { type: 'acknowledgement', h }
    }
  }
}

/** An `unsignedInt` of XML Schema. */
function readCount(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\s*\+?\d{1,20}\s*$/.test(text)) return undefined
  const count = Number(text)
  return count < COUNTER_LIMIT ? count : undefined
}

function broken(condition: 'invalid-namespace' | 'policy-violation'): ClientElement {
  return { type: 'broken', error: new StreamError(condition) }
}

export const managementFeature = `<sm xmlns='${NS.streamManagement}'/>`
export const request = `<r xmlns='${NS.streamManagement}'/>`

/** The answer to `<enable/>`: `resumption` where the stream can be resumed. XEP-0198 §3, §5 */
export function enabled(resumption: { id: string; max: number } | undefined): string {
  if (resumption === undefined) return `<enabled xmlns='${NS.streamManagement}'/>`
  const { id, max } = resumption
  return `<enabled xmlns='${NS.streamManagement}' id='${escapeXML(id)}' resume='true' max='${max}'/>`
}

export function acknowledgement(h: number): string {
  return `<a xmlns='${NS.streamManagement}' h='${h}'/>`
}

export function resumed(previd: string, h: number): string {
  return `<resumed xmlns='${NS.streamManagement}' previd='${escapeXML(previd)}' h='${h}'/>`
}

/** The refusal of `<enable/>` or `<resume/>`; `h` is what was handled in a session that has ended. XEP-0198 §5, §6 */
export function failed(condition: StanzaCondition, h?: number): string {
  const handled = h === undefined ? '' : ` h='${h}'`
  return `<failed xmlns='${NS.streamManagement}'${handled}><${condition} xmlns='${NS.stanzaErrors}'/></failed>`
}

/** The end of a stream whose peer acknowledges more than it was sent. XEP-0198 §6 */
export function handledTooMany(h: number, sent: number): StreamError {
  return new StreamError(
    'undefined-condition',
    `You acknowledged ${h} stanzas, but I only sent you ${sent} so far.`,
    `<handled-count-too-high xmlns='${NS.streamManagement}' h='${h}' send-count='${sent}'/>`,
  )
}
