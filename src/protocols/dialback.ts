import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { Element } from 'ltx'
import { prepareDomain } from './jid.js'
import { NS } from './namespaces.js'

/*
 * Server dialback: who may speak for a domain is whom the domain's own server says so. XEP-0220
 */

/** The two ends of one direction of traffic, in prepared form. */
export interface DomainPair {
  /** Whose stanzas these are. */
  readonly originating: string
  readonly receiving: string
}

/** What one server says to another about a key. */
export interface Dialback {
  readonly name: 'result' | 'verify'
  /** Prepared domains. */
  readonly from: string
  readonly to: string
  /** Of the stream that the key was made for; only `verify` has it. */
  readonly id: string | undefined
  /** Undefined for a question. */
  readonly type: 'valid' | 'invalid' | 'error' | undefined
  readonly key: string
}

/** Longest key that is looked at, in characters; ours have 64. */
const MAX_KEY = 1024

/**
 * The key for a stream from `originating` to `receiving`: 64 lower-case hex digits. XEP-0185 §2 recommends the domains the other
 * way round, but only who made a key has to know it again: that is any server of the domain with the same `s2s.shared`, so it
 * is made as the others are that read this option. spec/listeners.md §3.2.4
 */
export function dialbackKey(secret: string, { originating, receiving }: DomainPair, streamId: string): string {
  const hashed = createHash('sha256').update(secret).digest('hex')
  return createHmac('sha256', hashed).update(`${originating} ${receiving} ${streamId}`).digest('hex')
}

/** Whether a key is ours for that stream; takes the same time for every wrong one. */
export function isDialbackKey(key: string, secret: string, pair: DomainPair, streamId: string): boolean {
  const [given, right] = [Buffer.from(key), Buffer.from(dialbackKey(secret, pair, streamId))]
  return given.length === right.length && timingSafeEqual(given, right)
}

/** True for an element of dialback, well addressed or not. */
export function isDialback(element: Element): boolean {
  return element.is('result', NS.dialback) || element.is('verify', NS.dialback)
}

/** What the element says; undefined when it is no dialback, or its addresses are no domains. */
export function readDialback(element: Element): Dialback | undefined {
  if (!isDialback(element)) return undefined
  const { from, to, id, type } = element.attrs as Record<string, string | undefined>
  const name = element.getName() as Dialback['name'] // `isDialback` knows no other
  const [sender, addressee] = [prepareDomain(from ?? ''), prepareDomain(to ?? '')]
  if (sender === undefined || addressee === undefined) return undefined
  if (type !== undefined && type !== 'valid' && type !== 'invalid' && type !== 'error') return undefined
  const key = element.getText().trim()
  if (key.length > MAX_KEY || (name === 'verify' && (id === undefined || id === ''))) return undefined
  return { name, from: sender, to: addressee, id, type, key }
}

/** Asks to be taken for `originating`. XEP-0220 §2.1.1 */
export function requestResult({ originating, receiving }: DomainPair, key: string): string {
  return dialback('result', originating, receiving, {}, key)
}

/** Says whether the peer is taken for `originating`. XEP-0220 §2.1.2 */
export function answerResult({ originating, receiving }: DomainPair, type: 'valid' | 'invalid'): string {
  return dialback('result', receiving, originating, { type })
}

/** Says that the pair is not looked at on this stream. XEP-0220 §2.5 */
export function refuseResult({ originating, receiving }: DomainPair): string {
  const element = new Element('db:result', { from: receiving, to: originating, type: 'error' })
  element.c('error', { type: 'cancel' }).c('not-allowed', { xmlns: NS.stanzaErrors })
  return element.toString()
}

/** Asks the server of `originating` whether it made the key. XEP-0220 §2.2.1 */
export function requestVerification({ originating, receiving }: DomainPair, id: string, key: string): string {
  return dialback('verify', receiving, originating, { id }, key)
}

/** Says whether the key is ours. XEP-0220 §2.2.2 */
export function answerVerification(
  { originating, receiving }: DomainPair,
  id: string,
  type: 'valid' | 'invalid',
): string {
  return dialback('verify', originating, receiving, { id, type })
}

function dialback(name: string, from: string, to: string, more: Record<string, string>, key?: string): string {
  const element = new Element(`db:${name}`, { from, to, ...more })
  if (key !== undefined) element.t(key)
  return element.toString()
}
