/*
 * A component's side of a stream from its header to the handshake, as a machine: a state, an event, and what to do.
 * Once it is established the connection takes the short path of its own and asks this file nothing more. XEP-0114
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Element, escapeXML } from 'ltx'
import { StanzaError, StreamError } from '../errors.js'
import { prepareDomain } from '../jid.js'
import { NS } from '../namespaces.js'
import type { Frame } from '../xml/frame.js'

/** What the listener says; the same for every connection of a listener. */
export interface Environment {
  /** Stands in the header when the component named no domain. */
  readonly defaultHost: string
  /** Served domains, under which `is_subdomain` registers. */
  readonly hosts: readonly string[]
  readonly password: string
}

/** What a component's stream header says; `ns` is that of its root element. */
export interface ComponentHeader {
  readonly name: string
  readonly ns: string
  readonly defaultNs: string
  readonly to: string | undefined
  readonly attributes: ReadonlyMap<string, string>
}

/** A component that has not proven itself, and what it wants to be. */
interface Named {
  /** In prepared form. */
  readonly domains: readonly string[]
}

export type State =
  | { phase: 'opening' }
  /** Our header is out; waits for the handshake. */
  | (Named & { phase: 'handshaking'; id: string })
  /** The password was right; waits for the route table. */
  | (Named & { phase: 'registering' })
  | (Named & { phase: 'established' })
  | { phase: 'closed' }

type In<P extends State['phase']> = Extract<State, { phase: P }>

/** Why a component is not let in. */
export type Refusal = 'not-authorized' | 'conflict'

export type Event =
  /** `id` is for our own header. */
  | { type: 'opened'; header: ComponentHeader; id: string }
  /** A first-level element and its text. */
  | { type: 'received'; name: string; ns: string; text: string }
  /** The answers to `register`. */
  | { type: 'registered' }
  | { type: 'refused'; condition: Refusal }
  /** The component closed its stream. */
  | { type: 'ended' }
  /** The bytes broke a rule of XML, of RFC 6120 §11, or a limit. */
  | { type: 'broken'; error: StreamError }
  | { type: 'timedOut' }

export type Effect =
  /** Write a stream header. */
  | { type: 'open'; id: string; from: string }
  /** Ask the access rule and the route table for these domains. */
  | { type: 'register'; domains: readonly string[] }
  | { type: 'send'; xml: string }
  /** The short path begins. */
  | { type: 'established' }
  /** Tell that a component was not let in. */
  | { type: 'refused'; domains: readonly string[]; condition: Refusal }
  /** Write the error if there is one and the trailer, and close. */
  | { type: 'close'; error?: StreamError }

export interface Step {
  state: State
  effects: Effect[]
}

export const initial: State = { phase: 'opening' }

export function transition(state: State, event: Event, environment: Environment): Step {
  if (state.phase === 'closed') return stay(state)
  if (event.type === 'timedOut') return fail(state, new StreamError('connection-timeout'), environment)
  if (event.type === 'broken') return fail(state, event.error, environment)
  if (event.type === 'ended') return ended(state, environment)
  switch (state.phase) {
    case 'opening':
      return opening(state, event, environment)
    case 'handshaking':
      return handshaking(state, event, environment)
    case 'registering':
      return registering(state, event, environment)
    case 'established':
      return stay(state)
  }
}

// ---- the phases, in the order in which a component meets them

/** spec/listeners.md §3.3.1 */
function opening(state: In<'opening'>, event: Event, environment: Environment): Step {
  if (event.type !== 'opened') return fail(state, new StreamError('not-well-formed'), environment)
  const { header, id } = event
  const from = header.to === undefined || header.to === '' ? environment.defaultHost : header.to
  const open: Effect = { type: 'open', id, from }
  if (header.ns !== NS.stream || header.name !== 'stream' || header.defaultNs !== NS.component) {
    return closed([open, { type: 'close', error: new StreamError('invalid-namespace') }])
  }
  if (header.to === undefined || header.to === '') {
    return closed([open, { type: 'close', error: new StreamError('improper-addressing') }])
  }
  const domains = domainsOf(header.to, header.attributes.get('is_subdomain') === 'true', environment)
  if (domains === undefined) return closed([open, { type: 'close', error: new StreamError('host-unknown') }])
  return { state: { phase: 'handshaking', id, domains }, effects: [open] }
}

/** What a component is called: its name, or that label under every served domain. spec/listeners.md §3.3.3 */
function domainsOf(to: string, isSubdomain: boolean, { hosts }: Environment): string[] | undefined {
  const names = isSubdomain ? hosts.map(host => `${to}.${host}`) : [to]
  const domains: string[] = []
  for (const name of names) {
    const domain = prepareDomain(name)
    if (domain === undefined) return undefined
    domains.push(domain)
  }
  return domains
}

/** spec/listeners.md §3.3.2 */
function handshaking(state: In<'handshaking'>, event: Event, environment: Environment): Step {
  if (event.type !== 'received') return fail(state, new StreamError('policy-violation'), environment)
  const { domains, id } = state
  // XEP-0114 knows no other way in.
  if (event.name !== 'handshake' || event.ns !== NS.component) return refuse(domains, 'not-authorized')
  if (!isProof(event.text, id, environment.password)) return refuse(domains, 'not-authorized', 'Invalid Handshake')
  return { state: { phase: 'registering', domains }, effects: [{ type: 'register', domains }] }
}

function registering(state: In<'registering'>, event: Event, environment: Environment): Step {
  const { domains } = state
  switch (event.type) {
    case 'registered':
      return {
        state: { phase: 'established', domains },
        effects: [{ type: 'send', xml: '<handshake/>' }, { type: 'established' }],
      }
    case 'refused':
      return refuse(domains, event.condition)
    default:
      return fail(state, new StreamError('policy-violation'), environment)
  }
}

// ---- what several phases share

function stay(state: State): Step {
  return { state, effects: [] }
}

function closed(effects: Effect[]): Step {
  return { state: { phase: 'closed' }, effects }
}

function refuse(domains: readonly string[], condition: Refusal, text?: string): Step {
  return closed([
    { type: 'refused', domains, condition },
    { type: 'close', error: new StreamError(condition, text) },
  ])
}

function fail(state: State, error: StreamError, { defaultHost }: Environment): Step {
  // RFC 6120 §4.9.1.2 wants a header of ours before an error. spec/listeners.md §3.3.1
  const header: Effect[] = state.phase === 'opening' ? [{ type: 'open', id: 'none', from: defaultHost }] : []
  return closed([...header, { type: 'close', error }])
}

/** RFC 6120 §4.4: the trailer is answered with ours. */
function ended(state: State, environment: Environment): Step {
  if (state.phase === 'opening') return fail(state, new StreamError('not-well-formed'), environment)
  return closed([{ type: 'close' }])
}

/** Whether this is the SHA-1 of the stream's id and the password, in hexadecimal. The time it takes says nothing of where they differ. */
function isProof(text: string, id: string, password: string): boolean {
  const wanted = Buffer.from(createHash('sha1').update(id).update(password).digest('hex'))
  const given = Buffer.from(text.trim().toLowerCase())
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

// ---- what a component is told

/** Our stream header; `from` is the component's own name. */
export function componentHeader(id: string, from: string): string {
  return (
    `<?xml version='1.0'?><stream:stream xmlns:stream='${NS.stream}' xmlns='${NS.component}' id='${id}' ` +
    `from='${escapeXML(from)}'>`
  )
}

/** What a component gets back that sent something which cannot be routed; undefined where nothing may be said. spec/listeners.md §3.3.6 */
export function refusal(frame: Frame, error = new StanzaError('bad-request')): string | undefined {
  const { name, ns, type, id, from, to } = frame
  if (type === 'error' || (name === 'iq' && type === 'result')) return undefined
  const reply = new Element(name, { type: 'error' })
  // In the stream's own namespace nothing needs to be declared.
  if (ns !== NS.component && ns !== NS.client) reply.attrs.xmlns = ns
  const addresses = { id, from: to, to: from }
  for (const [attribute, value] of Object.entries(addresses)) if (value !== undefined) reply.attrs[attribute] = value
  return reply.cnode(error.toElement()).root().toString()
}
