/*
 * The receiving side of a stream between servers, as a machine: who the peer is, and for which domains it has proven to speak.
 * Stanzas take the short path of the connection, which asks `mayRelay` about each. Where the peer asked for it before it proved
 * anything, stanzas go back on the same stream, for the inverse of each pair that is proven. spec/listeners.md §3.2.1 - §3.2.4,
 * XEP-0288
 */
import type { Element } from 'ltx'
import {
  answerResult,
  answerVerification,
  type Dialback,
  type DomainPair,
  isDialback,
  isDialbackKey,
  readDialback,
} from '../dialback.js'
import { type SaslCondition, StreamError } from '../errors.js'
import { prepareDomain } from '../jid.js'
import { NS } from '../namespaces.js'
import { decodeBase64 } from '../sasl/mechanism.js'
import type { Header } from '../xml/framer.js'

/** Pairs of domains that one stream may carry, and those of them that may wait to be proven; no option lifts it. */
const MAX_PAIRS = 1000
const MAX_PENDING = 100

/** `s2s.use_starttls` */
export type StartTlsPolicy = 'false' | 'optional' | 'required' | 'required_trusted'

/** What the server allows; the same for every connection of a listener. */
export interface Environment {
  readonly startTls: StartTlsPolicy
  /** Whether the domain is ours: a host, a service, or a component that is connected. */
  serves(domain: string): boolean
  /** `default_policy` and `host_policy` */
  allows(local: string, remote: string): boolean
  /** The dialback secret of the domain. */
  secretOf(local: string): string
}

/** What the peer's certificate is worth. */
export interface PeerCertificate {
  /** What is wrong with it, or with its not being there; undefined when it is trusted. */
  readonly problem: string | undefined
  /** Whether it is for that domain. RFC 6125, RFC 6120 §13.7.1.2 */
  names(domain: string): boolean
}

interface Channel {
  readonly isEncrypted: boolean
  readonly certificate: PeerCertificate | undefined
}

interface Open extends Channel {
  readonly streamId: string
  /** Whom the peer addressed. */
  readonly local: string
  /** Who the peer says it is, if it does. */
  readonly remote: string | undefined
  /** It speaks version 1.0, so it may negotiate. */
  readonly hasFeatures: boolean
  /** The domain that SASL EXTERNAL has proven, for traffic to anywhere here. */
  readonly trusted: string | undefined
  /** The peer takes stanzas on this stream, too. */
  readonly isBidi: boolean
  /** What dialback has proven or is about to, by `keyOf`. */
  readonly pairs: ReadonlyMap<string, 'pending' | 'valid'>
}

export type State =
  | (Channel & { phase: 'opening'; trusted: string | undefined; isBidi: boolean })
  | (Open & { phase: 'open' })
  | { phase: 'securing' }
  | { phase: 'closed' }

type In<P extends State['phase']> = Extract<State, { phase: P }>

export type Event =
  /** `id` is fresh and random. */
  | { type: 'opened'; header: Header; id: string }
  /** Whatever is no stanza. */
  | { type: 'received'; element: Element }
  | { type: 'ended' }
  | { type: 'broken'; error: StreamError }
  | { type: 'timedOut' }
  | { type: 'secured'; certificate: PeerCertificate }
  /** The answer to `verify`. */
  | { type: 'verified'; pair: DomainPair; isValid: boolean }

export type Effect =
  | { type: 'open'; id: string; from: string; to: string | undefined; hasVersion: boolean }
  | { type: 'send'; xml: string }
  /** Throw away everything read so far: the peer opens a new stream. */
  | { type: 'restart' }
  /** Begin the TLS handshake; nothing read in clear counts any more. */
  | { type: 'startTls' }
  /** Ask the server of `pair.originating` about the key, and report as `verified`. */
  | { type: 'verify'; pair: DomainPair; id: string; key: string }
  /** The peer speaks for the domain from here on. */
  | { type: 'authenticated'; remote: string; mechanism: 'dialback' | 'EXTERNAL' }
  /** What the pair's originating domain, one of ours, sends to the other may go on this stream. XEP-0288 §2.2 */
  | { type: 'lend'; pair: DomainPair }
  | { type: 'refused'; remote: string; mechanism: string; reason: string }
  /** Evaluate the shaper's rule. spec/listeners.md §1.12 */
  | { type: 'shape'; local: string; remote: string }
  /** The certificate of this domain's server is no good: what goes there stops, too. */
  | { type: 'distrust'; local: string; remote: string }
  | { type: 'close'; error?: StreamError; isSilent?: boolean }

export interface Step {
  state: State
  effects: Effect[]
}

export function initial(): State {
  return { phase: 'opening', isEncrypted: false, certificate: undefined, trusted: undefined, isBidi: false }
}

/** True when a stanza between these domains may come in on the stream. */
export function mayRelay(state: State, from: string, to: string, serves: Environment['serves']): boolean {
  if (state.phase !== 'open') return false
  if (state.pairs.get(keyOf({ originating: from, receiving: to })) === 'valid') return true
  return state.trusted === from && serves(to)
}

/** True once the peer has proven anything. */
export function isAuthenticated(state: State): boolean {
  if (state.phase === 'opening') return state.trusted !== undefined
  if (state.phase !== 'open') return false
  if (state.trusted !== undefined) return true
  for (const proof of state.pairs.values()) if (proof === 'valid') return true
  return false
}

export function transition(state: State, event: Event, environment: Environment): Step {
  if (event.type === 'timedOut') return fail(new StreamError('connection-timeout'))
  if (event.type === 'broken') return fail(event.error)
  if (event.type === 'ended') return closed([{ type: 'close' }])
  switch (state.phase) {
    case 'opening':
      return opening(state, event, environment)
    case 'open':
      return open(state, event, environment)
    case 'securing':
      return securing(event)
    case 'closed':
      return stay(state)
  }
}

// ---- the phases, in the order in which a server meets them

/** spec/listeners.md §3.2.1 */
function opening(state: In<'opening'>, event: Event, environment: Environment): Step {
  if (event.type !== 'opened') return fail(new StreamError('not-well-formed'))
  const { header, id } = event
  if (header.ns !== NS.stream || header.defaultNs !== NS.server) return fail(new StreamError('invalid-namespace'))
  const hasFeatures = header.version === '1.0' && environment.startTls !== 'false'
  const announcesDialback = [...header.prefixes.values()].includes(NS.dialback)
  if (!hasFeatures && !announcesDialback) return fail(new StreamError('invalid-namespace'))
  const local = domainOf(header.to)
  if (local === undefined) return fail(new StreamError('improper-addressing'))
  if (!environment.serves(local)) return fail(new StreamError('host-unknown'))
  const remote = domainOf(header.from)
  if (header.from !== undefined && remote === undefined) return fail(new StreamError('invalid-from'))
  // Who it is was proven to us before the stream began anew.
  if (state.trusted !== undefined && remote !== undefined && remote !== state.trusted) {
    return fail(new StreamError('invalid-from'))
  }
  const { isEncrypted, certificate, trusted, isBidi } = state
  const shape: Effect[] = remote === undefined ? [] : [{ type: 'shape', local, remote }]
  const effects: Effect[] = [...shape, { type: 'open', id, from: local, to: remote, hasVersion: hasFeatures }]
  if (!isEncrypted && isRequired(environment) && !hasFeatures) {
    return closed([...effects, { type: 'close', error: encryptionRequired() }])
  }
  if (isEncrypted && environment.startTls === 'required_trusted' && certificate?.problem !== undefined) {
    const distrust: Effect[] = remote === undefined ? [] : [{ type: 'distrust', local, remote }]
    const error = new StreamError('policy-violation', certificate.problem)
    return closed([...effects, ...distrust, { type: 'close', error }])
  }
  const next: In<'open'> = {
    phase: 'open',
    streamId: id,
    local,
    remote,
    hasFeatures,
    pairs: new Map(),
    isEncrypted,
    certificate,
    trusted,
    isBidi,
  }
  if (hasFeatures)
    effects.push({ type: 'send', xml: `<stream:features>${features(next, environment)}</stream:features>` })
  if (trusted !== undefined && isBidi && environment.allows(local, trusted)) {
    effects.push({ type: 'lend', pair: { originating: local, receiving: trusted } })
  }
  return { state: next, effects }
}

function features(state: In<'open'>, environment: Environment): string {
  if (state.trusted !== undefined) return ''
  const mechanisms = `<mechanisms xmlns='${NS.sasl}'><mechanism>EXTERNAL</mechanism></mechanisms>`
  const required = isRequired(environment) ? '<required/>' : ''
  const startTls = `<starttls xmlns='${NS.tls}'>${required}</starttls>`
  // Until there is TLS, nothing else may be done where it is required.
  if (!state.isEncrypted && isRequired(environment)) return startTls
  const dialback = `<dialback xmlns='${NS.dialbackFeature}'><errors/></dialback>`
  const bidi = `<bidi xmlns='${NS.bidiFeature}'/>`
  return `${mayUseExternal(state) ? mechanisms : ''}${state.isEncrypted ? '' : startTls}${dialback}${bidi}`
}

/** XEP-0178 §3: a certificate for somebody else than the peer says it is would only make it fail. */
function mayUseExternal({ isEncrypted, certificate, remote }: Open): boolean {
  if (!isEncrypted || certificate === undefined || certificate.problem !== undefined) return false
  return remote === undefined || certificate.names(remote)
}

function open(state: In<'open'>, event: Event, environment: Environment): Step {
  switch (event.type) {
    case 'received':
      return received(state, event.element, environment)
    case 'verified':
      return verified(state, event, environment)
    default:
      return fail(new StreamError('policy-violation'))
  }
}

function received(state: In<'open'>, element: Element, environment: Environment): Step {
  if (element.is('starttls', NS.tls)) return startTls(state, environment)
  if (!state.isEncrypted && isRequired(environment)) return fail(encryptionRequired())
  if (isDialback(element)) return dialback(state, element, environment)
  if (element.is('auth', NS.sasl)) return authenticate(state, element, environment)
  // Later it would be too late for what is proven already. XEP-0288 §2.2
  if (element.is('bidi', NS.bidi)) return stay(isAuthenticated(state) ? state : { ...state, isBidi: state.hasFeatures })
  // The peer says why it goes.
  if (element.is('error', NS.stream)) return closed([{ type: 'close' }])
  if (!isAuthenticated(state)) return fail(new StreamError('not-authorized'))
  // What belongs to an extension that is not here is ignored.
  return stay(state)
}

function startTls(state: In<'open'>, environment: Environment): Step {
  const isPossible = !state.isEncrypted && environment.startTls !== 'false' && !isAuthenticated(state)
  if (!isPossible) {
    // RFC 6120 §5.4.2.2
    return closed([{ type: 'send', xml: `<failure xmlns='${NS.tls}'/>` }, { type: 'close' }])
  }
  return {
    state: { phase: 'securing' },
    effects: [{ type: 'send', xml: `<proceed xmlns='${NS.tls}'/>` }, { type: 'startTls' }],
  }
}

function securing(event: Event): Step {
  if (event.type === 'verified') return stay({ phase: 'securing' })
  if (event.type !== 'secured') return fail(new StreamError('policy-violation'))
  const { certificate } = event
  return {
    state: { phase: 'opening', isEncrypted: true, certificate, trusted: undefined, isBidi: false },
    effects: [{ type: 'restart' }],
  }
}

/** SASL EXTERNAL. spec/listeners.md §3.2.3, XEP-0178 §3 */
function authenticate(state: In<'open'>, element: Element, environment: Environment): Step {
  const mechanism = String(element.attrs.mechanism ?? '')
  const { certificate, local, isBidi } = state
  if (mechanism !== 'EXTERNAL' || !mayUseExternal(state) || certificate === undefined) {
    return saslFailed(state, mechanism, 'invalid-mechanism')
  }
  const text = element.getText().trim()
  const payload = text === '' || text === '=' ? Buffer.alloc(0) : decodeBase64(text)
  if (payload === undefined) return saslFailed(state, mechanism, 'incorrect-encoding')
  const named = payload.length === 0 ? state.remote : domainOf(payload.toString())
  if (named === undefined || (state.remote !== undefined && named !== state.remote)) {
    return saslFailed(state, mechanism, 'invalid-authzid')
  }
  if (!certificate.names(named) || !environment.allows(local, named)) {
    return saslFailed(state, mechanism, 'not-authorized')
  }
  return {
    state: { phase: 'opening', isEncrypted: true, certificate, trusted: named, isBidi },
    effects: [
      { type: 'authenticated', remote: named, mechanism: 'EXTERNAL' },
      { type: 'shape', local, remote: named },
      { type: 'send', xml: `<success xmlns='${NS.sasl}'/>` },
      { type: 'restart' },
    ],
  }
}

function saslFailed({ remote = '' }: Open, mechanism: string, condition: SaslCondition): Step {
  return closed([
    { type: 'refused', remote, mechanism, reason: condition },
    { type: 'send', xml: `<failure xmlns='${NS.sasl}'><${condition}/></failure>` },
    { type: 'close' },
  ])
}

/** spec/listeners.md §3.2.4 */
function dialback(state: In<'open'>, element: Element, environment: Environment): Step {
  const said = readDialback(element)
  if (said === undefined) return fail(new StreamError('improper-addressing'))
  // We ask nothing on a stream that the peer opened.
  if (said.type !== undefined) return stay(state)
  return said.name === 'verify' ? verification(state, said, environment) : result(state, said, environment)
}

/** The peer asks whether we made a key for a stream of ours. */
function verification(state: In<'open'>, { from, to, id = '', key }: Dialback, environment: Environment): Step {
  const pair: DomainPair = { originating: to, receiving: from }
  const isOurs = environment.serves(to) && isDialbackKey(key, environment.secretOf(to), pair, id)
  return { state, effects: [{ type: 'send', xml: answerVerification(pair, id, isOurs ? 'valid' : 'invalid') }] }
}

/** The peer wants to send stanzas of a domain. */
function result(state: In<'open'>, { from, to, key }: Dialback, environment: Environment): Step {
  const pair: DomainPair = { originating: from, receiving: to }
  if (!environment.serves(to)) return fail(new StreamError('host-unknown'))
  if (environment.serves(from) || !environment.allows(to, from)) {
    const refused: Effect = { type: 'refused', remote: from, mechanism: 'dialback', reason: 'policy' }
    return closed([refused, { type: 'close', error: new StreamError('invalid-from') }])
  }
  const known = state.pairs.get(keyOf(pair))
  if (known === 'valid') return { state, effects: [{ type: 'send', xml: answerResult(pair, 'valid') }] }
  if (known === 'pending') return stay(state)
  if (state.pairs.size >= MAX_PAIRS || pending(state) >= MAX_PENDING) {
    return fail(new StreamError('policy-violation', 'too many domains on one stream'))
  }
  return {
    state: { ...state, pairs: new Map(state.pairs).set(keyOf(pair), 'pending') },
    effects: [
      { type: 'shape', local: to, remote: from },
      { type: 'verify', pair, id: state.streamId, key },
    ],
  }
}

function verified(
  state: In<'open'>,
  { pair, isValid }: Extract<Event, { type: 'verified' }>,
  environment: Environment,
): Step {
  if (state.pairs.get(keyOf(pair)) !== 'pending') return stay(state)
  const remote = pair.originating
  if (!isValid) {
    return closed([
      { type: 'refused', remote, mechanism: 'dialback', reason: 'key' },
      { type: 'send', xml: answerResult(pair, 'invalid') },
      { type: 'close' },
    ])
  }
  return {
    state: { ...state, pairs: new Map(state.pairs).set(keyOf(pair), 'valid') },
    effects: [
      { type: 'authenticated', remote, mechanism: 'dialback' },
      { type: 'send', xml: answerResult(pair, 'valid') },
      ...back(state, pair, environment),
    ],
  }
}

/** The other direction of what dialback has proven, if the peer is one that we would send it to on a stream of our own. */
function back(state: Open, { originating, receiving }: DomainPair, { startTls }: Environment): Effect[] {
  const { isBidi, certificate } = state
  const isTrusted = certificate?.problem === undefined && certificate?.names(originating) === true
  if (!isBidi || (startTls === 'required_trusted' && !isTrusted)) return []
  return [{ type: 'lend', pair: { originating: receiving, receiving: originating } }]
}

// ---- what several phases need

const keyOf = ({ originating, receiving }: DomainPair) => `${originating} ${receiving}`
const domainOf = (text: string | undefined) => (text === undefined ? undefined : prepareDomain(text))
const isRequired = ({ startTls }: Environment) => startTls === 'required' || startTls === 'required_trusted'
const encryptionRequired = () => new StreamError('policy-violation', 'Use of STARTTLS required')
const stay = (state: State): Step => ({ state, effects: [] })
const closed = (effects: Effect[]): Step => ({ state: { phase: 'closed' }, effects })
const fail = (error: StreamError): Step => closed([{ type: 'close', error }])

function pending({ pairs }: Open): number {
  let count = 0
  for (const proof of pairs.values()) if (proof === 'pending') count++
  return count
}
