/*
 * The client's side of a stream from its header to the bound resource, as a machine: a state, an event, and what to do.
 * After `bound` the connection takes the short path of its own and asks this file nothing more.
 */
import { Element } from 'ltx'
import { type StanzaCondition, StanzaError, StreamError } from '../errors.js'
import { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { decodeBase64, type SaslExchange, type SaslStep } from '../sasl/mechanism.js'
import type { FeatureContext } from './features.js'
import { failed, readManagement } from './management.js'

/** Failed logins on one stream before it is closed. spec/listeners.md §3.1.3 */
const LOGIN_ATTEMPTS = 5
/** Longest client language tag that is remembered, in bytes. spec/listeners.md §3.1.1 */
const LANG_BYTES = 35

/** What the listener and the virtual hosts allow; the same for every connection of a listener. */
export interface Environment {
  /** Stands in stream headers when the client addressed no host of ours. */
  readonly defaultHost: string
  readonly language: string
  /** STARTTLS on this listener. */
  readonly startTls: 'none' | 'offered' | 'required'
  /** Stream compression on this listener. XEP-0138 */
  readonly offersCompression: boolean
  readonly hidesServiceName: boolean
  serves(host: string): boolean
  /** Whether streams of the host may be managed. XEP-0198 */
  managesStreams(host: string): boolean
}

/** What a client's stream header says; `ns` is that of its root element. */
export interface ClientHeader {
  readonly name: string
  readonly ns: string
  readonly to: string | undefined
  readonly version: string | undefined
  readonly lang: string | undefined
}

interface Secured {
  readonly isEncrypted: boolean
}
interface Hosted extends Secured {
  readonly host: string
  readonly attemptsLeft: number
}

export type State =
  /** Waits for a stream header: the first, or the one after TLS or SASL. */
  | (Secured & { phase: 'opening'; host?: string; account?: string; isCompressed?: boolean; attemptsLeft: number })
  | (Hosted & { phase: 'negotiating' })
  | (Hosted & { phase: 'securing' })
  | (Hosted & { phase: 'authenticating'; exchange: SaslExchange })
  | (Secured & { phase: 'binding'; host: string; account: string; isCompressed: boolean })
  | (Secured & { phase: 'bound'; jid: Jid })
  | { phase: 'closed' }

type In<P extends State['phase']> = Extract<State, { phase: P }>

export type Event =
  | { type: 'opened'; header: ClientHeader }
  | { type: 'received'; element: Element }
  /** The client closed its stream. */
  | { type: 'ended' }
  /** The bytes broke a rule of XML, of RFC 6120 §11, or a limit. */
  | { type: 'broken'; error: StreamError }
  | { type: 'timedOut' }
  /** The TLS handshake is done. */
  | { type: 'secured' }
  /** The answer to `exchange`: a mechanism was chosen, or there is none of that name. */
  | { type: 'exchangeStarted'; exchange: SaslExchange | undefined; initial: Buffer | undefined }
  /** The answer to `check`. */
  | { type: 'checked'; exchange: SaslExchange; step: SaslStep }
  /** The answer to `bind`. */
  | { type: 'bindRefused'; id: string | undefined; condition: StanzaCondition }

export type Effect =
  /** Write a stream header. */
  | { type: 'open'; from: string; hasVersion: boolean }
  /** Write `<stream:features/>` for this point of the negotiation. */
  | { type: 'offer'; host: string; features: Pick<FeatureContext, 'startTls' | 'hasCompression' | 'isAuthenticated'> }
  /** What says its namespace itself. */
  | { type: 'send'; xml: string }
  | { type: 'reply'; iq: Element }
  /** Throw away everything read so far: the client opens a new stream. */
  | { type: 'restart' }
  /** Begin the TLS handshake; nothing read in clear counts any more. RFC 6120 §5.3.3 */
  | { type: 'startTls' }
  /** Compress both directions from here on; nothing read before counts any more. XEP-0138 */
  | { type: 'compress' }
  /** Find the mechanism on this host. */
  | { type: 'exchange'; host: string; mechanism: string; initial: Buffer | undefined }
  /** Do what the step asks (`lookup`, `verify`, `identify`, `wait`) and report as `checked`. */
  | { type: 'check'; host: string; exchange: SaslExchange; step: SaslStep }
  | { type: 'authenticated'; jid: Jid }
  | { type: 'loginFailed'; host: string; reason: string }
  /** An IQ before login, for registration to answer. */
  | { type: 'offerIq'; host: string; element: Element }
  | { type: 'remember'; lang: string }
  /** Open a session. An undefined resource asks for one of the server's making. */
  | { type: 'bind'; host: string; account: string; resource: string | undefined; id: string | undefined }
  /** Go on with the session of the account that has this id, or say why not. XEP-0198 §5 */
  | { type: 'resume'; host: string; account: string; previd: string; h: number }
  /** Write the error if there is one, the trailer unless `isSilent`, and close. */
  | { type: 'close'; error?: StreamError; isSilent?: boolean }

export interface Step {
  state: State
  effects: Effect[]
}

export function initial(isEncrypted: boolean): State {
  return { phase: 'opening', isEncrypted, attemptsLeft: LOGIN_ATTEMPTS }
}

export function transition(state: State, event: Event, environment: Environment): Step {
  if (event.type === 'timedOut') return fail(state, new StreamError('connection-timeout'), environment)
  if (event.type === 'broken') return broken(state, event.error, environment)
  if (event.type === 'ended') return ended(state, environment)
  switch (state.phase) {
    case 'opening':
      return opening(state, event, environment)
    case 'negotiating':
      return negotiating(state, event, environment)
    case 'securing':
      return securing(state, event, environment)
    case 'authenticating':
      return authenticating(state, event, environment)
    case 'binding':
      return binding(state, event, environment)
    case 'bound':
      return bound(state, event)
    case 'closed':
      return stay(state)
  }
}

// ---- the phases, in the order in which a client meets them

/** spec/listeners.md §3.1.1 */
function opening(state: In<'opening'>, event: Event, environment: Environment): Step {
  if (event.type !== 'opened') return fail(state, new StreamError('not-well-formed'), environment)
  const { header } = event
  if (header.ns !== NS.stream || header.name !== 'stream') return refuse('invalid-namespace', environment)
  const host = header.to === undefined ? undefined : Jid.parse(header.to)
  if (host === undefined || host.text !== host.domain || !environment.serves(host.domain)) {
    return refuse('host-unknown', environment)
  }
  if (header.version !== '1.0') return refuse('unsupported-version', environment)
  // The account belongs to the host it was proven on.
  if (state.account !== undefined && state.host !== host.domain) return refuse('host-unknown', environment)
  const effects: Effect[] = [{ type: 'open', from: host.domain, hasVersion: true }]
  if (header.lang !== undefined && header.lang !== '' && Buffer.byteLength(header.lang) <= LANG_BYTES) {
    effects.unshift({ type: 'remember', lang: header.lang })
  }
  const { isEncrypted, isCompressed = false, attemptsLeft, account } = state
  const isAuthenticated = account !== undefined
  const startTls = isEncrypted || isAuthenticated ? 'none' : environment.startTls
  const hasCompression = environment.offersCompression && isAuthenticated && !isCompressed
  effects.push({ type: 'offer', host: host.domain, features: { startTls, hasCompression, isAuthenticated } })
  if (isAuthenticated) {
    return { state: { phase: 'binding', isEncrypted, host: host.domain, account, isCompressed }, effects }
  }
  return { state: { phase: 'negotiating', isEncrypted, host: host.domain, attemptsLeft }, effects }
}

/** Before login. spec/listeners.md §3.1.3 */
function negotiating(state: In<'negotiating'>, event: Event, environment: Environment): Step {
  switch (event.type) {
    case 'received':
      break
    case 'exchangeStarted':
      return exchangeStarted(state, event, environment)
    default:
      return fail(state, new StreamError('policy-violation'), environment)
  }
  const { element } = event
  if (element.is('starttls', NS.tls)) return startTls(state, environment)
  if (environment.startTls === 'required' && !state.isEncrypted) {
    return fail(state, new StreamError('policy-violation', 'Use of STARTTLS required'), environment)
  }
  if (element.is('auth', NS.sasl)) return authenticate(state, element)
  // spec/listeners.md §3.1.7
  if (environment.offersCompression && element.is('compress', NS.compress)) {
    return { state, effects: [compressionFailed('setup-failed')] }
  }
  return unauthenticated(state, state.host, element, environment)
}

function startTls(state: In<'negotiating'>, environment: Environment): Step {
  if (state.isEncrypted || environment.startTls === 'none') {
    // RFC 6120 §5.4.2.2
    return closed([{ type: 'send', xml: `<failure xmlns='${NS.tls}'/>` }, { type: 'close' }])
  }
  return {
    state: { ...state, phase: 'securing' },
    effects: [{ type: 'send', xml: `<proceed xmlns='${NS.tls}'/>` }, { type: 'startTls' }],
  }
}

function securing(state: In<'securing'>, event: Event, environment: Environment): Step {
  if (event.type !== 'secured') return fail(state, new StreamError('policy-violation'), environment)
  const { host, attemptsLeft } = state
  return {
    state: { phase: 'opening', isEncrypted: true, host, attemptsLeft },
    effects: [{ type: 'restart' }],
  }
}

function authenticate(state: In<'negotiating'>, element: Element): Step {
  const mechanism = String(element.attrs.mechanism ?? '')
  const initialResponse = decodeResponse(element.getText())
  if (initialResponse === 'bad') return saslFailed(state, 'incorrect-encoding')
  const initial = initialResponse === 'none' ? undefined : initialResponse
  return { state, effects: [{ type: 'exchange', host: state.host, mechanism, initial }] }
}

function exchangeStarted(
  state: In<'negotiating'>,
  event: Extract<Event, { type: 'exchangeStarted' }>,
  environment: Environment,
): Step {
  if (event.exchange === undefined) return saslFailed(state, 'invalid-mechanism')
  const started: State = { ...state, phase: 'authenticating', exchange: event.exchange }
  return saslStep(started, event.exchange.start(event.initial), environment)
}

/** During SASL. RFC 6120 §6.4 */
function authenticating(state: In<'authenticating'>, event: Event, environment: Environment): Step {
  const negotiatingAgain: In<'negotiating'> = {
    phase: 'negotiating',
    isEncrypted: state.isEncrypted,
    host: state.host,
    attemptsLeft: state.attemptsLeft,
  }
  switch (event.type) {
    case 'received': {
      const { element } = event
      if (element.is('response', NS.sasl)) {
        const response = decodeResponse(element.getText())
        if (response === 'bad') return saslFailed(state, 'incorrect-encoding')
        return saslStep(state, state.exchange.respond(response === 'none' ? Buffer.alloc(0) : response), environment)
      }
      if (element.is('abort', NS.sasl)) return saslFailed(state, 'aborted')
      return unauthenticated(negotiatingAgain, state.host, element, environment)
    }
    case 'checked':
      // An answer that comes after the client gave the exchange up is nobody's.
      return event.exchange === state.exchange ? saslStep(state, event.step, environment) : stay(state)
    default:
      return fail(state, new StreamError('policy-violation'), environment)
  }
}

function saslStep(state: In<'authenticating'>, step: SaslStep, environment: Environment): Step {
  switch (step.type) {
    case 'challenge':
      return { state, effects: [{ type: 'send', xml: sasl('challenge', step.data) }] }
    case 'lookup':
    case 'verify':
    case 'identify':
    case 'wait':
      return { state, effects: [{ type: 'check', host: state.host, exchange: state.exchange, step }] }
    case 'failure':
      return saslFailed(state, step.condition, step.text, step.isMismatch)
    case 'success': {
      // The localpart may not be one that a JID can carry, or none at all. spec/listeners.md §3.1.5
      const jid = step.username === '' ? undefined : Jid.of(step.username, state.host)
      if (jid === undefined || !environment.serves(jid.domain)) return saslFailed(state, 'not-authorized')
      return {
        state: {
          phase: 'opening',
          isEncrypted: state.isEncrypted,
          host: state.host,
          account: jid.local,
          attemptsLeft: state.attemptsLeft,
        },
        effects: [
          { type: 'authenticated', jid },
          { type: 'send', xml: sasl('success', step.data) },
          { type: 'restart' },
        ],
      }
    }
  }
}

/** Logged in, no resource yet. RFC 6120 §7 */
function binding(state: In<'binding'>, event: Event, environment: Environment): Step {
  switch (event.type) {
    case 'received':
      if (event.element.is('compress', NS.compress)) return compress(state, event.element, environment)
      return bind(state, event.element, environment)
    case 'bindRefused':
      return { state, effects: [{ type: 'reply', iq: iqError(event.id, event.condition, state.host) }] }
    default:
      return fail(state, new StreamError('policy-violation'), environment)
  }
}

/** XEP-0138; spec/listeners.md §3.1.7 */
function compress(state: In<'binding'>, element: Element, environment: Environment): Step {
  if (!environment.offersCompression || state.isCompressed) return stay(state)
  const refusal = compressionRefusal(element)
  if (refusal !== undefined) return { state, effects: [compressionFailed(refusal)] }
  const { isEncrypted, host, account } = state
  return {
    state: { phase: 'opening', isEncrypted, host, account, isCompressed: true, attemptsLeft: 0 },
    effects: [{ type: 'send', xml: compressed }, { type: 'compress' }, { type: 'restart' }],
  }
}

function bind(state: In<'binding'>, element: Element, environment: Environment): Step {
  const request = isIq(element) && element.attrs.type === 'set' ? element.getChild('bind', NS.bind) : undefined
  if (request === undefined) return unauthenticated(state, state.host, element, environment)
  const wanted = request.getChildText('resource', NS.bind) ?? ''
  const id: string | undefined = element.attrs.id
  if (wanted !== '' && Jid.of(state.account, state.host, wanted) === undefined) {
    return { state, effects: [{ type: 'reply', iq: iqError(id, 'bad-request', state.host) }] }
  }
  const resource = wanted === '' ? undefined : wanted
  return { state, effects: [{ type: 'bind', host: state.host, account: state.account, resource, id }] }
}

/** The connection's short path has taken over; only what ends the stream still comes here. */
function bound(state: In<'bound'>, _event: Event): Step {
  return stay(state)
}

// ---- compression, which may come before the resource is bound and after

type CompressionFailure = 'setup-failed' | 'unsupported-method'

export const compressed = `<compressed xmlns='${NS.compress}'/>`

/** What is wrong with a `<compress/>`; undefined when zlib is among its methods. XEP-0138 §2 */
export function compressionRefusal(element: Element): CompressionFailure | undefined {
  const methods = element.getChildren('method', NS.compress).map(method => method.getText())
  if (methods.length === 0) return 'setup-failed'
  return methods.includes('zlib') ? undefined : 'unsupported-method'
}

export function compressionFailed(condition: CompressionFailure): Extract<Effect, { type: 'send' }> {
  return { type: 'send', xml: `<failure xmlns='${NS.compress}'><${condition}/></failure>` }
}

// ---- what several phases share

function stay(state: State): Step {
  return { state, effects: [] }
}

function closed(effects: Effect[]): Step {
  return { state: { phase: 'closed' }, effects }
}

/** Whether the server's own header has gone out on the current stream. RFC 6120 §4.9.1.2 wants it before an error. */
function hasSentHeader(state: State): boolean {
  return state.phase !== 'opening'
}

function fail(state: State, error: StreamError, environment: Environment): Step {
  if (state.phase === 'closed') return stay(state)
  // Nothing may be written in clear once the handshake began.
  if (state.phase === 'securing') return closed([{ type: 'close', isSilent: true }])
  const header: Effect[] = hasSentHeader(state)
    ? []
    : [{ type: 'open', from: environment.defaultHost, hasVersion: true }]
  return closed([...header, { type: 'close', error }])
}

function broken(state: State, error: StreamError, environment: Environment): Step {
  const isFirst = state.phase === 'opening' && state.host === undefined
  // spec/listeners.md §2.1: what is no stream start is not answered; one that is too big is one.
  if (isFirst && environment.hidesServiceName && error.condition !== 'policy-violation') {
    return closed([{ type: 'close', isSilent: true }])
  }
  return fail(state, error, environment)
}

/** A header that names something we are not: ours comes first, without a version. */
function refuse(
  condition: 'invalid-namespace' | 'host-unknown' | 'unsupported-version',
  environment: Environment,
): Step {
  return closed([
    { type: 'open', from: environment.defaultHost, hasVersion: false },
    { type: 'close', error: new StreamError(condition) },
  ])
}

/** RFC 6120 §4.4: the trailer is answered with ours. */
function ended(state: State, environment: Environment): Step {
  if (state.phase === 'closed') return stay(state)
  if (!hasSentHeader(state)) return fail(state, new StreamError('not-well-formed'), environment)
  return closed([{ type: 'close' }])
}

/** An element without a namespace of its own is in that of the stream. */
function isIq(element: Element): boolean {
  return element.getName() === 'iq' && (element.getNS() ?? NS.client) === NS.client
}

/** IQs are offered to registration; everything else before login is dropped. spec/listeners.md §3.1.3 */
function unauthenticated(state: State, host: string, element: Element, environment: Environment): Step {
  if (isIq(element)) return { state, effects: [{ type: 'offerIq', host, element }] }
  const said = environment.managesStreams(host) ? readManagement(element) : undefined
  if (said === undefined) return stay(state)
  if (said.type === 'broken') return fail(state, said.error, environment)
  if (said.type === 'resume' && state.phase === 'binding') {
    const { previd, h } = said
    return { state, effects: [{ type: 'resume', host, account: state.account, previd, h }] }
  }
  // spec/listeners.md §3.1.3: too early
  return { state, effects: [{ type: 'send', xml: failed('unexpected-request') }] }
}

function saslFailed(
  state: In<'negotiating'> | In<'authenticating'>,
  condition: Extract<SaslStep, { type: 'failure' }>['condition'],
  text?: string,
  isMismatch = false,
): Step {
  // Clients that know only a channel binding that we have not, as slixmpp 1.8 does, try every -PLUS mechanism before the others.
  const attemptsLeft = isMismatch ? state.attemptsLeft : state.attemptsLeft - 1
  const effects: Effect[] = [
    { type: 'loginFailed', host: state.host, reason: condition },
    { type: 'send', xml: `<failure xmlns='${NS.sasl}'>${saslFailure(condition, text)}</failure>` },
  ]
  if (attemptsLeft === 0) {
    return closed([...effects, { type: 'close', error: new StreamError('policy-violation', 'too many failed logins') }])
  }
  return {
    state: { phase: 'negotiating', isEncrypted: state.isEncrypted, host: state.host, attemptsLeft },
    effects,
  }
}

function saslFailure(condition: string, text: string | undefined): string {
  if (text === undefined) return `<${condition}/>`
  return `<${condition}/>${new Element('text', { 'xml:lang': 'en' }).t(text).toString()}`
}

function sasl(name: 'challenge' | 'success', data: Buffer | undefined): string {
  if (data === undefined || (data.length === 0 && name === 'challenge')) return `<${name} xmlns='${NS.sasl}'/>`
  return `<${name} xmlns='${NS.sasl}'>${data.length === 0 ? '=' : data.toString('base64')}</${name}>`
}

/** The payload is not echoed, there is no `to`. spec/listeners.md §3.1.3 */
export function iqError(id: string | undefined, condition: StanzaCondition, from: string): Element {
  return new Element('iq', { type: 'error', id, from }).cnode(new StanzaError(condition).toElement()).up()
}

/** No text is no response at all, which is not an empty one. RFC 6120 §6.4.2 */
function decodeResponse(text: string): Buffer | 'none' | 'bad' {
  const trimmed = text.trim()
  return trimmed === '' ? 'none' : (decodeBase64(trimmed) ?? 'bad')
}
