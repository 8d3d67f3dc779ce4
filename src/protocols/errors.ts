import { clone, Element } from 'ltx'
import { NS } from './namespaces.js'

/** Why a stream ends. RFC 6120 §4.9.3 */
export type StreamCondition =
  | 'bad-format'
  | 'bad-namespace-prefix'
  | 'conflict'
  | 'connection-timeout'
  | 'host-gone'
  | 'host-unknown'
  | 'improper-addressing'
  | 'internal-server-error'
  | 'invalid-from'
  | 'invalid-namespace'
  | 'invalid-xml'
  | 'not-authorized'
  | 'not-well-formed'
  | 'policy-violation'
  | 'remote-connection-failed'
  | 'reset'
  | 'resource-constraint'
  | 'restricted-xml'
  | 'see-other-host'
  | 'system-shutdown'
  | 'undefined-condition'
  | 'unsupported-encoding'
  | 'unsupported-feature'
  | 'unsupported-stanza-type'
  | 'unsupported-version'

/** Closes the stream. RFC 6120 §4.9 */
export class StreamError extends Error {
  override name = 'StreamError'
  constructor(
    readonly condition: StreamCondition,
    readonly text?: string,
    /** A condition of the application, as XML, beside the general one. RFC 6120 §4.9.4 */
    readonly specific?: string,
  ) {
    super(text === undefined ? condition : `${condition}: ${text}`)
  }
}

/** What the sender may do about an error. RFC 6120 §8.3.2 */
export type StanzaErrorType = 'auth' | 'cancel' | 'continue' | 'modify' | 'wait'

/** RFC 6120 §8.3.3, with the error type and the legacy code each condition carries. */
export const stanzaConditions = {
  'bad-request': ['modify', 400],
  conflict: ['cancel', 409],
  'feature-not-implemented': ['cancel', 501],
  forbidden: ['auth', 403],
  gone: ['cancel', 302],
  'internal-server-error': ['wait', 500],
  'item-not-found': ['cancel', 404],
  'jid-malformed': ['modify', 400],
  'not-acceptable': ['modify', 406],
  'not-allowed': ['cancel', 405],
  'not-authorized': ['auth', 401],
  'policy-violation': ['modify', 405],
  'recipient-unavailable': ['wait', 404],
  redirect: ['modify', 302],
  'registration-required': ['auth', 407],
  'remote-server-not-found': ['cancel', 404],
  'remote-server-timeout': ['wait', 504],
  'resource-constraint': ['wait', 500],
  'service-unavailable': ['cancel', 503],
  'subscription-required': ['auth', 407],
  'undefined-condition': ['cancel', 500],
  'unexpected-request': ['wait', 400],
} as const satisfies Record<string, readonly [StanzaErrorType, number]>

/** What went wrong with a stanza. RFC 6120 §8.3.3 */
export type StanzaCondition = keyof typeof stanzaConditions

/** Becomes an error reply. RFC 6120 §8.3 */
export class StanzaError extends Error {
  /** Always `StanzaError`. */
  override name = 'StanzaError'
  /** The one that usually goes with the condition, unless another is given. */
  readonly type: StanzaErrorType
  constructor(
    /** What went wrong. */
    readonly condition: StanzaCondition,
    /** For people. RFC 6120 §8.3.4 */
    readonly text?: string,
    type?: StanzaErrorType,
    /** A condition of the application, beside the general one. RFC 6120 §8.3.4 */
    readonly specific?: Element,
  ) {
    super(text === undefined ? condition : `${condition}: ${text}`)
    this.type = type ?? stanzaConditions[condition][0]
  }

  /** The `<error/>` child of the reply. */
  toElement(): Element {
    const error = new Element('error', { code: String(stanzaConditions[this.condition][1]), type: this.type })
    error.c(this.condition, { xmlns: NS.stanzaErrors })
    if (this.text !== undefined) error.c('text', { xmlns: NS.stanzaErrors }).t(this.text)
    if (this.specific !== undefined) error.cnode(clone(this.specific))
    return error
  }
}

/** RFC 6120 §6.5 */
export type SaslCondition =
  | 'aborted'
  | 'account-disabled'
  | 'credentials-expired'
  | 'encryption-required'
  | 'incorrect-encoding'
  | 'invalid-authzid'
  | 'invalid-mechanism'
  | 'malformed-request'
  | 'mechanism-too-weak'
  | 'not-authorized'
  | 'temporary-auth-failure'

/** Answers a login. RFC 6120 §6.5 */
export class SaslFailure extends Error {
  override name = 'SaslFailure'
  constructor(
    readonly condition: SaslCondition,
    readonly text?: string,
  ) {
    super(text === undefined ? condition : `${condition}: ${text}`)
  }
}
