import { Element } from 'ltx'
import { NS } from '../protocols/namespaces.js'

/*
 * A stanza as it may be shown to somebody who is not meant to read it. What is not known to be harmless is hidden.
 */

/** Stands for what is hidden. */
export const HIDDEN = '…'

/** Attributes that say how things are, not what people tell each other. */
const harmless = new Set(
  [
    ...['xmlns', 'xml:lang', 'from', 'to', 'id', 'type', 'jid', 'node', 'affiliation', 'role', 'subscription', 'ask'],
    ...['approved', 'ver', 'hash', 'code', 'stamp', 'by', 'queryid', 'category', 'action', 'status', 'max', 'h', 'var'],
    ...['seconds', 'host', 'port', 'transport', 'complete', 'stable', 'index', 'condition', 'rule', 'default', 'order'],
  ].flat(),
)

/** Never shown, whoever asks. */
const secretWord = /passw|pwd|secret|token|credential|nonce|private|digest|signature|cookie|^key(?:-|$)|^auth/i
const secretNamespaces = new Set<string>([NS.sasl, 'jabber:iq:auth', NS.register, NS.privateXml, 'urn:xmpp:sasl:2'])
const secretFields = new Set(['text-private', 'hidden'])

/** The deepest element that is looked into; what is below is hidden. */
const DEEPEST = 50

export interface Redaction {
  /** Show texts and all attributes but those that hold secrets. */
  readonly bodies: boolean
}

/** A copy of the element with what may be shown of it. */
export function redact(element: Element, { bodies }: Redaction): Element {
  return copy(element, { bodies, isSecret: false, namespace: NS.client, depth: 0 })
}

interface Place extends Redaction {
  /** Inside of something that holds a secret. */
  readonly isSecret: boolean
  readonly namespace: string
  readonly depth: number
}

function copy(element: Element, place: Place): Element {
  const namespace: string = element.attrs.xmlns ?? place.namespace
  const isSecret = place.isSecret || holdsSecret(element, namespace)
  const shown = new Element(element.name)
  for (const [name, value] of Object.entries(element.attrs)) {
    if (value !== undefined && value !== null)
      shown.attrs[name] = attribute(name, String(value), place.bodies, isSecret)
  }
  if (place.depth >= DEEPEST) {
    if (element.children.length > 0) shown.t(HIDDEN)
    return shown
  }
  const inside = { ...place, namespace, isSecret, depth: place.depth + 1 }
  for (const child of element.children) {
    if (child instanceof Element) shown.cnode(copy(child, inside))
    else shown.t(text(String(child), inside))
  }
  return shown
}

function attribute(name: string, value: string, bodies: boolean, isSecret: boolean): string {
  if (name === 'xmlns' || name.startsWith('xmlns:')) return value
  if (secretWord.test(name)) return HIDDEN
  if (harmless.has(name)) return value
  return bodies && !isSecret ? value : HIDDEN
}

function text(value: string, { bodies, isSecret }: Place): string {
  if (value.trim() === '') return value
  return bodies && !isSecret ? value : HIDDEN
}

function holdsSecret(element: Element, namespace: string): boolean {
  const { type, var: field, name: header } = element.attrs
  if (secretNamespaces.has(namespace) || secretWord.test(element.getName())) return true
  // Of a request elsewhere, as an upload is. XEP-0363 §4
  if (element.getName() === 'header') return typeof header === 'string' && secretWord.test(header)
  if (element.getName() !== 'field') return false
  return secretFields.has(type) || (typeof field === 'string' && secretWord.test(field))
}
