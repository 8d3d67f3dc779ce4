import type { SaslCondition } from '../errors.js'
import type { Credentials, ScramHash } from './credentials.js'
import type { CertificateIdentity, IdentitySource } from './identity.js'

/** What an exchange wants next from the one who runs it. */
export type SaslStep =
  /** Send the challenge, then call `respond` with the answer. */
  | { type: 'challenge'; data: Buffer }
  /** Look the account's keys for `hash` up (without one: its password), then call `credentials`. `username` is as the client wrote it. */
  | { type: 'lookup'; username: string; hash: ScramHash | undefined }
  /** Check the password, then call `verified`. `username` is as the client wrote it. */
  | { type: 'verify'; username: string; password: string }
  /** Ask whether the account, which the client's certificate proves, may log in, then call `verified`. `username` is prepared. */
  | { type: 'identify'; username: string }
  /** Wait so many milliseconds, which a wrong guess costs, then go on with `failure`. No mechanism asks for it: a login does. */
  | { type: 'wait'; ms: number; failure: SaslFailed }
  /** Done: `username` is a localpart as the client wrote it, not prepared yet; `data` rides in `<success/>`. */
  | { type: 'success'; username: string; data?: Buffer }
  | SaslFailed

export interface SaslFailed {
  type: 'failure'
  condition: SaslCondition
  text?: string
  /** The two sides have no channel binding in common, so no password was tried. */
  isMismatch?: true
}

/** XEP-0440 §3, the types that this server can compute. */
export type ChannelBindingType = 'tls-exporter' | 'tls-server-end-point'

/** What the machines need from outside; everything that is random or secret comes in here. */
export interface SaslContext {
  /** The served domain that the account is on. */
  host: string
  /** The wire names that the stream features offered. */
  offered: readonly string[]
  /** The channel-binding data of each type that the stream features offered, by the type's registered name. */
  channelBindings: ReadonlyMap<string, Buffer>
  /** The server's part of the SCRAM nonce: printable ASCII without a comma, fresh for each exchange. */
  nonce: string
  /** Makes up salts for accounts that do not exist; always the same for one installation. */
  secret: Buffer
  /** The iteration counts that accounts of the host have; one made up has one of them. */
  iterations: readonly number[]
  /** The localpart for ANONYMOUS, fresh for each exchange. */
  anonymousName: string
  /** What the client's certificate says; undefined when it showed none that counts. */
  identity: CertificateIdentity | undefined
  /** `auth.sasl_external`, in this order. */
  identitySources: readonly IdentitySource[]
}

/**
 * One login, as a machine: each call takes what the last step asked for and returns the next step. It never throws.
 * A call that the last step did not ask for fails with `malformed-request`; after success or failure so does every call.
 */
export interface SaslExchange {
  /** `initial` is the decoded content of `<auth/>`; undefined when it had none. */
  start(initial?: Buffer): SaslStep
  /** `data` is the decoded content of `<response/>`. */
  respond(data: Buffer): SaslStep
  /** Answers `lookup`; undefined when there is no such account. */
  credentials(found: Credentials | undefined): SaslStep
  /** Answers `verify` and `identify`. */
  verified(isRight: boolean): SaslStep
}

/** What a mechanism may do with each answer; what it does not list is out of turn. */
export type Expected = Partial<{
  respond(data: Buffer): Turn
  credentials(found: Credentials | undefined): Turn
  verified(isRight: boolean): Turn
}>

/** A step, and what may follow it. */
export type Turn = [step: SaslStep, next?: Expected]

/** Bytes of one message from a client; more is no login. */
const maxMessageBytes = 8192

export const failure = (condition: SaslCondition, text?: string): Turn => [
  text === undefined ? { type: 'failure', condition } : { type: 'failure', condition, text },
]

/**
 * Runs `first` as an exchange. `first` gets the client's first message; where `<auth/>` carried none, the client is asked
 * for it with an empty challenge (RFC 6120 §6.4.2), unless the mechanism `startsEmpty`.
 */
export function exchange(first: (data: Buffer) => Turn, startsEmpty = false): SaslExchange {
  let expected: Expected = {}
  let started = false
  const take = ([step, next]: Turn): SaslStep => {
    expected = next ?? {}
    return step
  }
  const outOfTurn = () => take(failure('malformed-request', 'This message is out of turn.'))
  const message = (handle: ((data: Buffer) => Turn) | undefined, data: Buffer): SaslStep => {
    if (handle === undefined) return outOfTurn()
    return take(data.length > maxMessageBytes ? failure('malformed-request', 'The message is too long.') : handle(data))
  }
  return {
    start(initial) {
      if (started) return outOfTurn()
      started = true
      if (initial !== undefined || startsEmpty) return message(first, initial ?? Buffer.alloc(0))
      return take([{ type: 'challenge', data: Buffer.alloc(0) }, { respond: first }])
    },
    respond: data => message(expected.respond, data),
    credentials: found => (expected.credentials === undefined ? outOfTurn() : take(expected.credentials(found))),
    verified: isRight => (expected.verified === undefined ? outOfTurn() : take(expected.verified(isRight))),
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of a message, or undefined when it is not UTF-8. */
export function decodeText(data: Buffer): string | undefined {
  try {
    return utf8.decode(data)
  } catch {
    return undefined // TextDecoder has no other way to say so
  }
}

/**
 * The bytes of base64 text, or undefined when it is not exactly what RFC 4648 §4 writes: padded, nothing but the
 * alphabet, no stray bits. '=' and '' both give no bytes; a caller that tells "empty" (`=`) from "absent" ('') in
 * `<auth/>` (RFC 6120 §6.4.2) looks at the text first.
 */
export function decodeBase64(text: string): Buffer | undefined {
  if (text === '=') return Buffer.alloc(0)
  const data = Buffer.from(text, 'base64')
  return data.toString('base64') === text ? data : undefined
}
