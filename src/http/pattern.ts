import { isIPv6 } from 'node:net'

/*
 * Which handler answers a host and a path. Patterns have Cowboy's syntax (spec/http-listener.md §3): `:name` is one segment,
 * `[...]` any number of them, `[x]` is optional, the host `_` is any host. Pure: no request objects, nothing of ours.
 */

/** A pattern that cannot be compiled; the message says what is wrong with it. */
export class PatternError extends Error {
  override name = 'PatternError'
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  /** `_` matches anything and binds nothing. */
  | { readonly kind: 'binding'; readonly name: string }

/** One way to read a pattern, its optional parts taken or left. */
interface Alternative {
  readonly segments: readonly Segment[]
  /** Ends (a host: starts) with `[...]`. */
  readonly isOpen: boolean
}

/** The alternatives of a pattern, those with more optional parts taken first. */
export type Pattern = readonly Alternative[]

type Kind = 'host' | 'path'
const separators = { host: '.', path: '/' } as const

/** An optional part doubles the alternatives; no sensible pattern comes near this. */
const maxAlternatives = 64

/**
 * Compiles a path pattern.
 * @throws PatternError
 */
export function compilePath(text: string): Pattern {
  if (!text.startsWith('/')) throw new PatternError(`${text}: must start with /`)
  return compilePattern(text, 'path')
}

/**
 * Compiles a host pattern other than `_`; its segments are the labels from the right. An IPv6 address in brackets is itself.
 * @throws PatternError
 */
export function compileHost(text: string): Pattern {
  const lower = text.toLowerCase()
  if (isIpLiteral(lower)) return [{ segments: [{ kind: 'literal', text: lower }], isOpen: false }]
  return compilePattern(lower, 'host')
}

function compilePattern(text: string, kind: Kind): Pattern {
  try {
    return expand(text, kind).map(alternative => compile(alternative, kind))
  } catch (error) {
    throw error instanceof PatternError ? new PatternError(`${text}: ${error.message}`) : error
  }
}

const isIpLiteral = (host: string) => host.startsWith('[') && host.endsWith(']') && isIPv6(host.slice(1, -1))

/** The texts that a pattern stands for, without optional brackets; `[...]` stays. HP-4: what follows a bracket belongs to both. */
function expand(text: string, kind: Kind): string[] {
  const start = openBracket(text)
  if (start < 0) {
    if (text.replaceAll('[...]', '').includes(']')) throw new PatternError('] closes nothing')
    return [text]
  }
  const separator = separators[kind]
  const before = text.slice(0, start)
  if (before.replaceAll('[...]', '').includes(']')) throw new PatternError('] closes nothing')
  const end = closingBracket(text, start)
  const inner = text.slice(start + 1, end)
  const after = text.slice(end + 1)
  const isAtSegmentStart = before === '' || before.endsWith(separator) || inner.startsWith(separator)
  if (!isAtSegmentStart) throw new PatternError('[ opens in the middle of a segment')
  const alternatives = [...expand(before + inner + after, kind), ...expand(before + after, kind)]
  if (alternatives.length > maxAlternatives) throw new PatternError('too many optional parts')
  return alternatives
}

/** Where the first bracket opens that is not `[...]`; -1 when there is none. */
function openBracket(text: string): number {
  let at = text.indexOf('[')
  while (at >= 0 && text.startsWith('[...]', at)) at = text.indexOf('[', at + 5)
  return at
}

function closingBracket(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    if (text[at] === '[') depth++
    else if (text[at] === ']' && --depth === 0) return at
  }
  throw new PatternError('[ is never closed')
}

function compile(text: string, kind: Kind): Alternative {
  const parts = split(text, kind)
  const rest = parts.indexOf('[...]')
  if (rest >= 0 && rest !== parts.length - 1) {
    throw new PatternError(kind === 'path' ? '[...] must be the last element' : '[...] must be the first label')
  }
  const named = rest < 0 ? parts : parts.slice(0, -1)
  return { segments: named.map(part => compileSegment(part, kind)), isOpen: rest >= 0 }
}

/** Empty segments of a pattern mean nothing: the ones at the ends, and those that a left-out optional part leaves behind. */
function split(text: string, kind: Kind): string[] {
  if (kind === 'path') return text.split('/').filter(part => part !== '')
  const rest = text.startsWith('[...]') ? ['[...]'] : [] // it holds dots itself
  const labels = text.slice(rest.length * 5).split('.')
  if (rest.length > 0 && labels[0] !== '') throw new PatternError('[...] must be a label of its own')
  return [...rest, ...labels.filter(part => part !== '')].reverse()
}

function compileSegment(part: string, kind: Kind): Segment {
  if (part.includes('[')) throw new PatternError('[...] must be a segment of its own')
  const colon = part.indexOf(':')
  if (colon < 0 || (colon > 0 && kind === 'path')) return { kind: 'literal', text: part }
  if (colon > 0) throw new PatternError(': must be at the start of a label')
  if (part.length === 1) throw new PatternError(': without a name')
  return { kind: 'binding', name: part.slice(1) }
}

export interface Match {
  readonly bindings: ReadonlyMap<string, string>
  /** What `[...]` matched; undefined when the pattern has none. */
  readonly rest: readonly string[] | undefined
}

/** Matches decoded segments (a host: its labels from the right). A name bound already must get the same value again. */
export function matchPattern(
  pattern: Pattern,
  segments: readonly string[],
  bound: ReadonlyMap<string, string> = new Map(),
): Match | undefined {
  for (const alternative of pattern) {
    const bindings = matchAlternative(alternative, segments, bound)
    if (bindings === undefined) continue
    return { bindings, rest: alternative.isOpen ? segments.slice(alternative.segments.length) : undefined }
  }
  return undefined
}

function matchAlternative(
  { segments: expected, isOpen }: Alternative,
  actual: readonly string[],
  bound: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> | undefined {
  if (isOpen ? actual.length < expected.length : actual.length !== expected.length) return undefined
  const bindings = new Map(bound)
  for (const [index, segment] of expected.entries()) {
    const text = actual[index] ?? ''
    if (segment.kind === 'literal') {
      if (segment.text !== text) return undefined
    } else if (segment.name !== '_') {
      if ((bindings.get(segment.name) ?? text) !== text) return undefined
      bindings.set(segment.name, text)
    }
  }
  return bindings
}

/**
 * The segments of a request's path (the target without its query), decoded after splitting, dot segments resolved;
 * undefined for a path that must be answered with 400. HP-1, HP-2
 */
export function splitPath(path: string): string[] | undefined {
  if (!path.startsWith('/') || !isAscii(path)) return undefined
  const raw = path.slice(1).split('/')
  if (raw.at(-1) === '') raw.pop()
  const segments: string[] = []
  for (const part of raw) {
    const segment = decode(part)
    if (segment === undefined) return undefined
    if (segment === '..') segments.pop()
    else if (segment !== '.') segments.push(segment)
  }
  return segments
}

/** The labels of a request's host from the right; the dot that may end a full name is dropped. */
export function splitHost(host: string): string[] {
  if (host.startsWith('[')) return [host]
  const labels = host.split('.').reverse()
  if (labels[0] === '') labels.shift()
  return labels
}

const isAscii = (text: string) => /^[\x21-\x7e]*$/.test(text)

function decode(part: string): string | undefined {
  if (!part.includes('%')) return part
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined // a bad escape, or octets that are no UTF-8
  }
}

/** A handler and where it is mounted, as the configuration says it. */
export interface Route<T> {
  readonly host: string
  readonly path: string
  readonly target: T
}

export interface Found<T> extends Match {
  readonly target: T
}

/** Finds the target for a host (lower-cased, without port) and the segments of a path. */
export type Dispatcher<T> = (host: string, segments: readonly string[]) => Found<T> | undefined

/**
 * Compiles routes, which come in the order of the configuration file. HH-3: the first host group that matches decides, and has the
 * routes of `_` after its own; HP-5: within a group, patterns that end in `[...]` come last.
 * @throws PatternError
 */
export function createDispatcher<T>(routes: readonly Route<T>[]): Dispatcher<T> {
  const compiled = routes.map(route => ({
    host: trimDots(route.host.toLowerCase()),
    path: compilePath(route.path),
    target: route.target,
  }))
  const anywhere = compiled.filter(route => route.host === '_')
  const groups = [...new Set(compiled.map(route => route.host))]
    .filter(host => host !== '_')
    .map(host => ({
      pattern: compileHost(host),
      routes: openLast([...compiled.filter(route => route.host === host), ...anywhere]),
    }))
  const fallback = openLast(anywhere)

  return (host, segments) => {
    const labels = splitHost(host)
    for (const group of groups) {
      const match = matchPattern(group.pattern, labels)
      if (match !== undefined) return find(group.routes, segments, match.bindings)
    }
    return find(fallback, segments, new Map())
  }
}

const trimDots = (host: string) => host.replace(/^\.+|\.+$/g, '')

const openLast = <R extends { path: Pattern }>(routes: readonly R[]): R[] => {
  const isOpen = (route: R) => route.path.some(alternative => alternative.isOpen)
  return [...routes.filter(route => !isOpen(route)), ...routes.filter(isOpen)]
}

function find<T>(
  routes: readonly { path: Pattern; target: T }[],
  segments: readonly string[],
  bound: ReadonlyMap<string, string>,
): Found<T> | undefined {
  for (const { path, target } of routes) {
    const match = matchPattern(path, segments, bound)
    if (match !== undefined) return { ...match, target }
  }
  return undefined
}
