import { domainToASCII, domainToUnicode } from 'node:url'
import { opaqueString, usernameCaseMapped } from './precis.js'

/*
 * Addresses of the XMPP network. RFC 7622
 * A Jid is always in prepared form, so two of them name the same entity exactly when their texts are equal.
 */

/** Bytes of UTF-8 in a prepared part. RFC 7622 §3.1 */
const maxPartBytes = 1023
// Preparation can shorten a part (a composed letter takes fewer bytes); what is longer than this is not worth preparing.
const maxRawLength = 4 * maxPartBytes

const fits = (part: string) => part.length * 3 <= maxPartBytes || Buffer.byteLength(part) <= maxPartBytes

// RFC 7622 §3.3.1: " & ' / : < > @ are forbidden on top of what the profile forbids
const forbiddenInLocal = /["&'/:<>@]/
const plainLocal = /^[!#-%(-.0-9;=?[-~]+$/

/** The localpart in prepared form, or undefined when RFC 7622 §3.3 forbids it. */
export function prepareLocal(text: string): string | undefined {
  if (text.length > maxRawLength) return undefined
  const prepared = plainLocal.test(text) ? text : usernameCaseMapped(text)
  return prepared !== undefined && !forbiddenInLocal.test(prepared) && fits(prepared) ? prepared : undefined
}

/** The resourcepart in prepared form, or undefined when RFC 7622 §3.4 forbids it. */
export function prepareResource(text: string): string | undefined {
  if (text.length > maxRawLength) return undefined
  const prepared = opaqueString(text)
  return prepared !== undefined && fits(prepared) ? prepared : undefined
}

// The underscore is no LDH character, but machines are named with it and every server takes it.
const plainLabel = /^[a-z0-9_-]{1,63}$/
const plainDomain = /^[a-z0-9._-]+$/
const foreignInLabel = /[^a-z0-9_\-\u0080-\u{10ffff}]/u

const isPlainLabel = (label: string) => plainLabel.test(label) && !label.startsWith('-') && !label.endsWith('-')

// `domainToASCII` takes a name that ends in a number for an IPv4 address; the second label keeps it from that.
const toALabel = (label: string) => domainToASCII(`${label}.a`).slice(0, -2)
const toULabel = (label: string) => domainToUnicode(`${label}.a`).slice(0, -2)

/** One label of a domain name: LDH stays, an A-label becomes its U-label. RFC 7622 §3.2.1, RFC 5890 §2.3.2.1 */
function prepareLabel(text: string): string | undefined {
  const label = usernameCaseMapped(text)
  if (label === undefined) return undefined
  if (isPlainLabel(label)) return label.startsWith('xn--') ? decodeALabel(label) : label
  if (foreignInLabel.test(label) || label.startsWith('-') || label.endsWith('-')) return undefined
  const ascii = toALabel(label)
  return plainLabel.test(ascii) && toULabel(ascii) === label ? label : undefined
}

function decodeALabel(ascii: string): string | undefined {
  const label = toULabel(ascii)
  return usernameCaseMapped(label) === label && toALabel(label) === ascii ? label : undefined
}

function prepareIPv6(text: string): string | undefined {
  const url = `http://${text}/`
  return /^\[[0-9A-Fa-f:.]+\]$/.test(text) && URL.canParse(url) ? new URL(url).hostname : undefined
}

/** The domainpart in prepared form, or undefined when RFC 7622 §3.2 forbids it: a name, an IPv4 address, or `[IPv6]`. */
export function prepareDomain(text: string): string | undefined {
  if (text.length > maxRawLength) return undefined
  if (text.startsWith('[')) return prepareIPv6(text)
  const labels = text.split(/[.\u3002\uff0e\uff61]/)
  if (labels.length > 1 && labels.at(-1) === '') labels.pop() // §3.2: a final dot is stripped
  if (plainDomain.test(text) && !text.includes('xn--')) {
    const name = labels.join('.')
    return labels.every(isPlainLabel) && name.length <= maxPartBytes ? name : undefined
  }
  const prepared: string[] = []
  for (const label of labels) {
    const part = prepareLabel(label)
    if (part === undefined) return undefined
    prepared.push(part)
  }
  const name = prepared.join('.')
  return fits(name) ? name : undefined
}

/*
 * Jids that were asked for lately, by their text. Two generations: the older one is dropped when the younger is full,
 * so a stream of ever new JIDs costs at most 2 × 4096 entries of 256 characters and the busy ones stay.
 */
const generationSize = 4096
const maxCachedLength = 256
let young = new Map<string, Jid>()
let old = new Map<string, Jid>()

function recall(text: string): Jid | undefined {
  const found = young.get(text)
  if (found !== undefined) return found
  const older = old.get(text)
  if (older !== undefined) remember(older)
  return older
}

function remember(jid: Jid): void {
  if (jid.text.length > maxCachedLength) return
  if (young.size >= generationSize) {
    old = young
    young = new Map()
  }
  young.set(jid.text, jid)
}

/** A copy that does not keep alive the larger string that `text` may be a slice of. */
const detached = (text: string) => (text.length < 13 ? text : Buffer.from(text).toString())

/** An address of the XMPP network in prepared form. RFC 7622 */
export class Jid {
  #bare: Jid | undefined

  private constructor(
    /** The localpart; '' when absent. */
    readonly local: string,
    /** The domainpart. */
    readonly domain: string,
    /** The resourcepart; '' when absent. */
    readonly resource: string,
    /** `local@domain`, or `domain`. */
    readonly bareText: string,
    /** The whole JID as text. */
    readonly text: string,
  ) {}

  /** The JID that the text names, or undefined when RFC 7622 forbids it. */
  static parse(text: string): Jid | undefined {
    if (text.length > 3 * maxRawLength) return undefined
    const known = recall(text)
    if (known !== undefined) return known
    // RFC 7622 §3.2: the resourcepart starts at the first '/', and only then does the first '@' count
    const slash = text.indexOf('/')
    const bare = slash < 0 ? text : text.slice(0, slash)
    const resource = slash < 0 ? '' : text.slice(slash + 1)
    if (slash >= 0 && resource === '') return undefined
    const at = bare.indexOf('@')
    return at === 0 ? undefined : Jid.of(bare.slice(0, Math.max(at, 0)), bare.slice(at + 1), resource)
  }

  /** The JID of these parts, prepared here; '' for an absent localpart or resourcepart. Undefined when RFC 7622 forbids it. */
  static of(local: string, domain: string, resource = ''): Jid | undefined {
    const preparedDomain = prepareDomain(domain)
    const preparedLocal = local === '' ? '' : prepareLocal(local)
    const preparedResource = resource === '' ? '' : prepareResource(resource)
    if (preparedDomain === undefined || preparedLocal === undefined || preparedResource === undefined) return undefined
    return Jid.#prepared(preparedLocal, preparedDomain, preparedResource)
  }

  static #prepared(local: string, domain: string, resource: string): Jid {
    const bareLength = local === '' ? domain.length : local.length + 1 + domain.length
    const joined = `${local === '' ? '' : `${local}@`}${domain}${resource === '' ? '' : `/${resource}`}`
    const known = recall(joined)
    if (known !== undefined) return known
    const text = detached(joined)
    const bareText = resource === '' ? text : text.slice(0, bareLength)
    const jid = new Jid(
      text.slice(0, local.length),
      bareText.slice(bareLength - domain.length),
      resource === '' ? '' : text.slice(bareLength + 1),
      bareText,
      text,
    )
    remember(jid)
    return jid
  }

  /** This JID without its resourcepart. */
  get bare(): Jid {
    if (this.resource === '') return this
    this.#bare ??= Jid.#prepared(this.local, this.domain, '')
    return this.#bare
  }

  /** Without a resourcepart. */
  get isBare(): boolean {
    return this.resource === ''
  }

  /** With a resourcepart. */
  get isFull(): boolean {
    return this.resource !== ''
  }

  /** This JID with another resourcepart, prepared here; '' gives the bare JID. Undefined when RFC 7622 §3.4 forbids it. */
  withResource(resource: string): Jid | undefined {
    if (resource === '') return this.bare
    const prepared = prepareResource(resource)
    return prepared === undefined ? undefined : Jid.#prepared(this.local, this.domain, prepared)
  }

  /** Whether both name the same entity. */
  equals(other: Jid): boolean {
    return this === other || this.text === other.text
  }

  /** The same as `text`. */
  toString(): string {
    return this.text
  }
}
