/*
 * The originating side of a stream between servers, as a machine: from our header to the right to send stanzas of one domain
 * to another, and the questions about keys that such a stream carries. Where the peer offers it, stanzas of the other domain
 * come back on the same stream: the peer is whom its name led us to, which is what dialback takes for proof.
 * spec/listeners.md §3.2.2, §3.2.5, XEP-0288
 */
import type { Element } from 'ltx'
import {
  answerVerification,
  type Dialback,
  type DomainPair,
  dialbackKey,
  isDialback,
  isDialbackKey,
  readDialback,
  refuseResult,
  requestResult,
  requestVerification,
} from '../dialback.js'
import { StreamError } from '../errors.js'
import { NS } from '../namespaces.js'
import type { Header } from '../xml/framer.js'
import type { PeerCertificate, StartTlsPolicy } from './s2s-in.js'

/** Milliseconds that each state may last; no option changes them. spec/listeners.md §3.2.5 */
const STATE_MS = 30_000
/** For the TLS handshake, in milliseconds. spec/listeners.md §1.6.4 */
export const HANDSHAKE_MS = 10_000
const VALIDATION_MS = 180_000
const IDLE_MS = 600_000
/** The reason to end a stream that nobody needs. */
export const IDLE = 'idle'

/** What one connection is for and what it may do. */
export interface Environment {
  /** Our domain and the peer's. */
  readonly pair: DomainPair
  readonly startTls: StartTlsPolicy
  /** We have a certificate, and the peer has not refused it before. */
  readonly mayUseExternal: boolean
  /** Of dialback, for our domain. */
  readonly secret: string
}

/** A question to the server of `pair.originating`: did it make this key? */
export interface Question {
  readonly pair: DomainPair
  /** Of the stream that the key is for. */
  readonly id: string
  readonly key: string
}

/** Whether stanzas may come back on the stream: `offered` by the peer, `agreed` when we said that we want that. XEP-0288 */
type Bidi = 'none' | 'offered' | 'agreed'

interface Common {
  readonly bidi: Bidi
  readonly isEncrypted: boolean
  /** There are stanzas to send: the peer has to be shown who we are. */
  readonly isWanted: boolean
  /** Questions that cannot be asked yet. */
  readonly waiting: readonly Question[]
}

export type State =
  | (Common & { phase: 'opening'; isAuthenticated: boolean })
  /** Waits for features. */
  | (Common & { phase: 'negotiating'; isAuthenticated: boolean; streamId: string })
  /** `<starttls/>` is sent. */
  | (Common & { phase: 'startingTls' })
  | (Common & { phase: 'securing' })
  /** Everything is agreed upon but who we are. */
  | (Common & { phase: 'ready'; streamId: string; offersExternal: boolean; proof: 'none' | 'asked' | 'given' })
  /** SASL EXTERNAL is under way. */
  | (Common & { phase: 'authenticating' })
  | { phase: 'closed' }

type In<P extends State['phase']> = Extract<State, { phase: P }>
type Living = Exclude<State, { phase: 'closed' }>

export type Event =
  | { type: 'opened'; header: Header }
  | { type: 'received'; element: Element }
  | { type: 'ended' }
  | { type: 'broken'; error: StreamError }
  | { type: 'timedOut' }
  | { type: 'secured'; certificate: PeerCertificate }
  /** There are stanzas to send. */
  | { type: 'wanted' }
  | { type: 'asked'; question: Question }

export type Effect =
  /** Write our header. */
  | { type: 'open'; hasVersion: boolean }
  | { type: 'send'; xml: string }
  | { type: 'restart' }
  | { type: 'startTls' }
  /** Stanzas may go out. */
  | { type: 'established'; mechanism: 'dialback' | 'EXTERNAL' }
  /** An answer to a question; whether anybody asked it is not looked at here. */
  | { type: 'answered'; pair: DomainPair; id: string; isValid: boolean }
  /** The peer does not take our certificate for proof: the next stream does without. */
  | { type: 'externalRefused' }
  /** Write the error if there is one, and close. `reason` is for our log. */
  | { type: 'close'; error?: StreamError; reason: string }

export interface Step {
  state: State
  effects: Effect[]
}

/** A connection is there: what is said first. With direct TLS (XEP-0368) it is encrypted already. */
export function begin(environment: Environment, isEncrypted = false): Step {
  const common: Common = { isEncrypted, isWanted: false, waiting: [], bidi: 'none' }
  const state: State = { phase: 'opening', ...common, isAuthenticated: false }
  return { state, effects: [header(environment)] }
}

/** Milliseconds that the state may last, counted from the last event. */
export function limitOf(state: State): number {
  switch (state.phase) {
    case 'securing':
      return HANDSHAKE_MS
    case 'ready':
      // A stream for questions only is not kept: the peer ends one that shows nothing.
      if (state.proof === 'none') return STATE_MS
      return state.proof === 'asked' ? VALIDATION_MS : IDLE_MS
    default:
      return STATE_MS
  }
}

/** Whether a stanza between these domains may come in on the stream. XEP-0288 §2.2 */
export function mayRelay(state: State, from: string, to: string, { pair }: Environment): boolean {
  return isTwoWay(state) && from === pair.receiving && to === pair.originating
}

/** Whether stanzas come in on the stream, as well as go out. */
export function isTwoWay(state: State): boolean {
  return state.phase === 'ready' && state.proof === 'given' && state.bidi === 'agreed'
}

export function transition(state: State, event: Event, environment: Environment): Step {
  const step = next(state, event, environment)
  // Whatever ended it, a peer that ends over our certificate is asked without it.
  const isRefused = state.phase === 'authenticating' && step.state.phase === 'closed'
  return isRefused ? { ...step, effects: [{ type: 'externalRefused' }, ...step.effects] } : step
}

function next(state: State, event: Event, environment: Environment): Step {
  if (state.phase === 'closed') return stay(state)
  switch (event.type) {
    case 'timedOut':
      return timedOut(state)
    case 'broken':
      return fail(event.error)
    case 'ended':
      return closed('the peer ended the stream')
    case 'wanted':
      return wanted(state, environment)
    case 'asked':
      return asked(state, event.question)
    case 'received':
      if (event.element.is('error', NS.stream)) return closed(`the peer said ${conditionOf(event.element)}`)
      break
    default:
  }
  switch (state.phase) {
    case 'opening':
      return opening(state, event, environment)
    case 'negotiating':
      return negotiating(state, event, environment)
    case 'startingTls':
      return startingTls(state, event)
    case 'securing':
      return securing(state, event, environment)
    case 'ready':
      return ready(state, event, environment)
    case 'authenticating':
      return authenticating(state, event, environment)
  }
}

// ---- the phases, in their order

function opening(state: In<'opening'>, event: Event, environment: Environment): Step {
  if (event.type !== 'opened') return fail(new StreamError('not-well-formed'))
  const { ns, defaultNs, id, version } = event.header
  if (ns !== NS.stream || defaultNs !== NS.server) return fail(new StreamError('invalid-namespace'))
  const streamId = id ?? ''
  if (version === '1.0' && environment.startTls !== 'false') {
    return stay({ ...state, phase: 'negotiating', streamId })
  }
  return withoutFeatures(state, streamId, environment)
}

/** The peer negotiates nothing: dialback in clear, or nothing. */
function withoutFeatures(state: In<'opening'>, streamId: string, environment: Environment): Step {
  if (!state.isEncrypted && isRequired(environment)) return fail(new StreamError('policy-violation', 'no STARTTLS'))
  return becomeReady({ ...state, phase: 'ready', streamId, offersExternal: false, proof: 'none' }, environment)
}

function negotiating(state: In<'negotiating'>, event: Event, environment: Environment): Step {
  if (event.type !== 'received' || !event.element.is('features', NS.stream)) return fail(new StreamError('bad-format'))
  const { element } = event
  const { isEncrypted, isWanted, waiting, bidi, streamId } = state
  const common = { isEncrypted, isWanted, waiting, bidi, streamId }
  if (state.isAuthenticated) {
    return becomeEstablished({ phase: 'ready', ...common, offersExternal: false, proof: 'given' }, 'EXTERNAL')
  }
  if (!isEncrypted) {
    if (element.getChild('starttls', NS.tls) !== undefined) {
      return {
        state: { phase: 'startingTls', isEncrypted, isWanted, waiting, bidi: 'none' },
        effects: [{ type: 'send', xml: `<starttls xmlns='${NS.tls}'/>` }],
      }
    }
    if (isRequired(environment)) return fail(new StreamError('policy-violation', 'no STARTTLS'))
  }
  const offersExternal = isEncrypted && environment.mayUseExternal && mechanismsOf(element).includes('EXTERNAL')
  const isOffered = element.getChild('bidi', NS.bidiFeature) !== undefined
  return becomeReady(
    { phase: 'ready', ...common, bidi: isOffered ? 'offered' : 'none', offersExternal, proof: 'none' },
    environment,
  )
}

function startingTls(state: In<'startingTls'>, event: Event): Step {
  if (event.type !== 'received') return fail(new StreamError('policy-violation'))
  if (event.element.is('proceed', NS.tls)) {
    return { state: { ...state, phase: 'securing' }, effects: [{ type: 'startTls' }] }
  }
  if (event.element.is('failure', NS.tls)) return closed('the peer failed to start TLS')
  return fail(new StreamError('bad-format'))
}

function securing(state: In<'securing'>, event: Event, environment: Environment): Step {
  if (event.type !== 'secured') return fail(new StreamError('policy-violation'))
  const problem = distrust(event.certificate, environment)
  if (problem !== undefined) return closed(`the certificate is not trusted: ${problem}`)
  const { isWanted, waiting } = state
  return {
    state: { phase: 'opening', isEncrypted: true, isAuthenticated: false, isWanted, waiting, bidi: 'none' },
    effects: [{ type: 'restart' }, header(environment)],
  }
}

/** Why the peer's certificate does not do; undefined when it does, or when nobody asks. §3.2.2 */
export function distrust(certificate: PeerCertificate, { startTls, pair }: Environment): string | undefined {
  if (startTls !== 'required_trusted') return undefined
  if (certificate.problem !== undefined) return certificate.problem
  return certificate.names(pair.receiving) ? undefined : `it is not for ${pair.receiving}`
}

function ready(state: In<'ready'>, event: Event, environment: Environment): Step {
  if (event.type !== 'received') return fail(new StreamError('policy-violation'))
  const { element } = event
  if (!isDialback(element)) {
    // The peer has shown on this stream nothing of who it is.
    if ((element.getNS() ?? NS.server) === NS.server) return fail(new StreamError('not-authorized'))
    return stay(state)
  }
  const said = readDialback(element)
  if (said === undefined) return stay(state)
  if (said.type === undefined) return question(state, said, environment)
  const isValid = said.type === 'valid'
  if (said.name === 'verify') {
    const pair: DomainPair = { originating: said.from, receiving: said.to }
    return { state, effects: [{ type: 'answered', pair, id: said.id ?? '', isValid }] }
  }
  const { pair } = environment
  if (state.proof !== 'asked' || said.from !== pair.receiving || said.to !== pair.originating) return stay(state)
  if (!isValid) return closed(`dialback is ${said.type}`)
  return becomeEstablished({ ...state, proof: 'given' }, 'dialback')
}

/** Questions belong on the streams that the peer opens; only where it need not open any, this is one of those. XEP-0288 §2.2 */
function question(state: In<'ready'>, { name, from, to, id = '', key }: Dialback, { pair, secret }: Environment): Step {
  if (!isTwoWay(state)) return stay(state)
  // Another domain of the peer's has to come on a stream of its own.
  if (name === 'result')
    return { state, effects: [{ type: 'send', xml: refuseResult({ originating: from, receiving: to }) }] }
  const asked: DomainPair = { originating: to, receiving: from }
  const isOurs = to === pair.originating && isDialbackKey(key, secret, asked, id)
  return { state, effects: [{ type: 'send', xml: answerVerification(asked, id, isOurs ? 'valid' : 'invalid') }] }
}

function authenticating(state: In<'authenticating'>, event: Event, environment: Environment): Step {
  if (event.type !== 'received') return fail(new StreamError('policy-violation'))
  const { element } = event
  if (element.is('success', NS.sasl)) {
    const { isWanted, waiting, bidi } = state
    return {
      state: { phase: 'opening', isEncrypted: true, isAuthenticated: true, isWanted, waiting, bidi },
      effects: [{ type: 'restart' }, header(environment)],
    }
  }
  if (element.is('failure', NS.sasl)) return closed('the peer refused EXTERNAL')
  return fail(new StreamError('bad-format'))
}

// ---- what comes at any time

function wanted(state: Living, environment: Environment): Step {
  if (state.isWanted) return stay(state)
  const needed = { ...state, isWanted: true }
  return needed.phase === 'ready' ? prove(needed, environment) : stay(needed)
}

function asked(state: Living, question: Question): Step {
  if (state.phase === 'ready') return { state, effects: [ask(question)] }
  return stay({ ...state, waiting: [...state.waiting, question] })
}

function timedOut(state: Living): Step {
  // A stream that nobody needs is no failure of anybody's.
  if (state.phase === 'ready' && state.proof !== 'asked') return closed(IDLE)
  return fail(new StreamError('connection-timeout'))
}

// ---- what several phases need

function becomeReady(state: In<'ready'>, environment: Environment): Step {
  const effects = state.waiting.map(ask)
  const asked: In<'ready'> = { ...state, waiting: [] }
  if (!asked.isWanted) return { state: asked, effects }
  const step = prove(asked, environment)
  return { state: step.state, effects: [...effects, ...step.effects] }
}

/** Shows who we are: by certificate where the peer takes one, by dialback where it does not. */
function prove(state: In<'ready'>, { pair, secret }: Environment): Step {
  if (state.proof !== 'none') return stay(state)
  const { isEncrypted, isWanted, waiting, streamId } = state
  // Before either proof. XEP-0288 §2.2
  const [bidi, wish]: [Bidi, string] =
    state.bidi === 'offered' ? ['agreed', `<bidi xmlns='${NS.bidi}'/>`] : [state.bidi, '']
  if (state.offersExternal) {
    const identity = Buffer.from(pair.originating).toString('base64')
    const xml = `${wish}<auth xmlns='${NS.sasl}' mechanism='EXTERNAL'>${identity}</auth>`
    return {
      state: { phase: 'authenticating', isEncrypted, isWanted, waiting, bidi },
      effects: [{ type: 'send', xml }],
    }
  }
  // Without the stream's id there is nothing that a key could be for.
  if (streamId === '') return fail(new StreamError('undefined-condition', 'a stream has an id'))
  const xml = `${wish}${requestResult(pair, dialbackKey(secret, pair, streamId))}`
  return { state: { ...state, bidi, proof: 'asked' }, effects: [{ type: 'send', xml }] }
}

function becomeEstablished(state: In<'ready'>, mechanism: 'dialback' | 'EXTERNAL'): Step {
  const effects: Effect[] = [...state.waiting.map(ask), { type: 'established', mechanism }]
  return { state: { ...state, waiting: [] }, effects }
}

const ask = ({ pair, id, key }: Question): Effect => ({ type: 'send', xml: requestVerification(pair, id, key) })
const header = ({ startTls }: Environment): Effect => ({ type: 'open', hasVersion: startTls !== 'false' })
const isRequired = ({ startTls }: Environment) => startTls === 'required' || startTls === 'required_trusted'
const stay = (state: State): Step => ({ state, effects: [] })
const closed = (reason: string): Step => ({ state: { phase: 'closed' }, effects: [{ type: 'close', reason }] })
const fail = (error: StreamError): Step => ({
  state: { phase: 'closed' },
  effects: [{ type: 'close', error, reason: error.message }],
})

function mechanismsOf(features: Element): string[] {
  const list = features.getChild('mechanisms', NS.sasl)
  return (list?.getChildren('mechanism') ?? []).map(mechanism => mechanism.getText().trim())
}

function conditionOf(error: Element): string {
  return (
    error
      .getChildElements()
      .find(child => child.getNS() === NS.streamErrors)
      ?.getName() ?? 'an error'
  )
}
