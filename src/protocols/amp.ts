import { clone, Element } from 'ltx'
import { StanzaError } from './errors.js'
import { NS } from './namespaces.js'
import { Stanza } from './stanza/stanza.js'

/*
 * Advanced message processing (XEP-0079): the rules that a message brings, and what comes of them.
 */

export type AmpAction = 'alert' | 'drop' | 'error' | 'notify'

export interface AmpRule {
  readonly condition: 'deliver' | 'expire-at' | 'match-resource'
  readonly action: AmpAction
  readonly value: string
}

/** What would become of a message without rules. XEP-0079 §2.2.2 */
export interface Fate {
  readonly deliver: 'direct' | 'stored' | 'none'
  /** The resource that it goes to, as compared with the one it is addressed to; `none`: it goes to none. XEP-0079 §3.3.3 */
  readonly resource: 'exact' | 'other' | 'none'
  /** When, in milliseconds since 1970; undefined while nobody knows. XEP-0079 §3.3.2 */
  readonly at: number | undefined
}

const actions: readonly AmpAction[] = ['alert', 'drop', 'error', 'notify']
const deliveries: readonly string[] = ['direct', 'forward', 'gateway', 'none', 'stored']
const matches: readonly string[] = ['any', 'exact', 'other']
/** The conditions, with the values that each takes. XEP-0079 §3.3 */
const isValue: Readonly<Record<AmpRule['condition'], (value: string) => boolean>> = {
  deliver: value => deliveries.includes(value),
  'expire-at': value => instantOf(value) !== undefined,
  'match-resource': value => matches.includes(value),
}

const dateTimeInUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]00:00)$/

/** Milliseconds since 1970 of a DateTime in UTC; undefined for anything else. XEP-0082 §3.2 */
function instantOf(text: string): number | undefined {
  const time = dateTimeInUtc.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

/** The disco features of the node of that name. XEP-0079 §2.1.1 */
export const ampFeatures = [
  NS.amp,
  ...actions.map(action => `${NS.amp}?action=${action}`),
  ...Object.keys(isValue).map(condition => `${NS.amp}?condition=${condition}`),
]

/** Reads the rules; throws the `StanzaError` of XEP-0079 §6 that names all at fault. */
export function readAmpRules(amp: Element): AmpRule[] {
  const rules = amp.getChildren('rule')
  refuseSome(rules, 'bad-request', 'unsupported-actions', ({ attrs }) => actions.includes(attrs.action))
  refuseSome(rules, 'bad-request', 'unsupported-conditions', ({ attrs }) => Object.hasOwn(isValue, attrs.condition))
  const isValid = ({ attrs }: Element) => isValue[attrs.condition as AmpRule['condition']](attrs.value ?? '')
  refuseSome(rules, 'not-acceptable', 'invalid-rules', isValid)
  // Checked just now.
  return rules.map(({ attrs: { condition, action, value } }) => ({ condition, action, value }) as AmpRule)
}

/** The rules of a message that has waited, as far as its time is what they are about; none where they cannot be read. XEP-0079 §3.3.2 */
export function expiryRules(message: Stanza): AmpRule[] {
  try {
    const amp = message.element.getChild('amp', NS.amp)
    // What bears a status is an answer.
    if (amp === undefined || amp.attrs.status !== undefined) return []
    return readAmpRules(amp).filter(({ condition }) => condition === 'expire-at')
  } catch (error) {
    if (error instanceof StanzaError) return []
    throw error
  }
}

/** For a sender who may not learn what the rules would tell. XEP-0079 §9 */
export function refuseAmpRules(amp: Element): never {
  refuseSome(amp.getChildren('rule'), 'not-acceptable', 'invalid-rules', () => false)
  throw new StanzaError('not-acceptable')
}

function refuseSome(
  rules: readonly Element[],
  condition: 'bad-request' | 'not-acceptable',
  name: string,
  isGood: (rule: Element) => boolean,
): void {
  const bad = rules.filter(rule => !isGood(rule))
  if (bad.length === 0) return
  const specific = new Element(name, { xmlns: NS.amp })
  for (const rule of bad) specific.cnode(ruleElement(rule.attrs as Partial<AmpRule>))
  throw new StanzaError(condition, undefined, 'modify', specific)
}

/** True when the rule's condition is met. XEP-0079 §3.3 */
export function isMet({ condition, value }: AmpRule, { deliver, resource, at }: Fate): boolean {
  if (condition === 'deliver') return value === deliver
  if (condition === 'expire-at') return at !== undefined && at >= instantOf(value)!
  return value === 'any' ? resource !== 'none' : value === resource
}

/** What the sender is told of a rule that was met, or of rules that are refused. XEP-0079 §2.2.5, §3.4, §6.2 */
export function ampReply(host: string, message: Stanza, content: AmpRule | StanzaError): Stanza {
  const { from, to, id } = message
  const reply = new Element('message', { from: host, to: from?.text, id })
  if (content instanceof StanzaError) {
    reply.attrs.type = 'error'
    reply.cnode(clone(message.element.getChild('amp', NS.amp)!))
    reply.cnode(content.toElement())
    return Stanza.fromElement(reply)
  }
  const amp = reply.c('amp', { xmlns: NS.amp, status: content.action, from: from?.text, to: to?.text })
  amp.cnode(ruleElement(content))
  if (content.action === 'error') {
    reply.attrs.type = 'error'
    const failed = new Element('failed-rules', { xmlns: NS.ampErrors })
    failed.cnode(ruleElement(content))
    reply.cnode(new StanzaError('undefined-condition', undefined, 'modify', failed).toElement())
  }
  return Stanza.fromElement(reply)
}

const ruleElement = ({ action, condition, value }: Partial<AmpRule>) =>
  new Element('rule', { action, condition, value })
