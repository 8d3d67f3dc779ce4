import { z } from 'zod'
import type { Clock } from '../observability/clock.js'
import { Feed, type FeedEvent } from '../observability/feed.js'
import { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import { wants } from '../routing/hooks.js'
import type { Direction, FarEnd } from '../routing/onlookers.js'
import type { Routing } from '../routing/services.js'
import { redact } from './redact.js'

/** What a trace shows, and for how long. */
export const traceRequest = z.strictObject({
  /** From or to whom, or of whose session: a full or bare JID, or a domain. */
  jid: z
    .string()
    .transform((text, ctx) => {
      const jid = Jid.parse(text)
      if (jid === undefined) ctx.addIssue({ code: 'custom', message: 'is no JID' })
      return jid ?? z.NEVER
    })
    .optional(),
  kind: z.enum(['message', 'presence', 'iq']).optional(),
  /** Of the first child. */
  namespace: z.string().min(1).max(1000).optional(),
  /** As who is at the other end sees it. */
  direction: z.enum(['sent', 'received']).optional(),
  /** Who is at the other end. */
  via: z.enum(['client', 'component', 'server']).optional(),
  /** Stanzas that are shown. */
  count: z.int().min(1).max(1000).default(100),
  seconds: z.int().min(1).max(600).default(60),
  /** Show texts. */
  bodies: z.boolean().default(false),
})
export type TraceRequest = z.output<typeof traceRequest>

/** Traces of a server at a time, whoever asked for them. */
export const MOST_TRACES = 8
/** Stanzas a second that are looked into; the others are counted. */
const RATE = 200
/** Characters of a stanza that are shown, and bytes of one that is looked into. */
const LONGEST = 4096
const MOST_BYTES = 65_536

/**
 * Shows the stanzas that clients of ours, components and other servers send and are handed, until there were as many as asked for, or
 * the time is over, or the feed is closed. It joins the ways of stanzas only while it runs.
 */
export function startTrace(routing: Ways, clock: Clock, request: TraceRequest): Feed {
  return new Trace(routing, clock, request).feed
}

type Ways = Pick<Routing, 'hosts' | 'hooksOf' | 'onlookers'>

/** Where a stanza was seen: who was at the other end, and what that one did. */
interface Seen {
  readonly direction: Direction
  readonly via: 'client' | FarEnd
  /** A client's JID, or a domain. */
  readonly peer: Jid | undefined
}

class Trace {
  readonly feed: Feed
  private seen = 0
  private shown = 0

  constructor(
    routing: Ways,
    private readonly clock: Clock,
    private readonly request: TraceRequest,
  ) {
    const { count, seconds, bodies } = request
    this.feed = new Feed(clock, {
      rate: RATE,
      idleMs: 10_000,
      leftOut: (_counts, total) => this.event('left-out', { total }),
    })
    this.feed.offer('started', () => this.event('started', { count, seconds, bodies }), true)
    const leave = this.join(routing)
    const cancel = clock.after(seconds * 1000, () => this.end('time'))
    this.feed.closed(() => {
      cancel()
      for (const each of leave) each()
    })
  }

  private join({ hosts, hooksOf, onlookers }: Ways): (() => void)[] {
    const { kind, namespace, direction, via } = this.request
    const filter = { ...(kind && { kinds: [kind] }), ...(namespace !== undefined && { namespaces: [namespace] }) }
    const isAsked = (way: Direction) => direction === undefined || direction === way
    const leave: (() => void)[] = []
    if (via === undefined || via === 'client') {
      for (const { sent, received } of hosts.map(hooksOf)) {
        const passed = (way: Direction) => (stanza: Stanza, client: { readonly jid: Jid }) =>
          this.passed(stanza, { direction: way, via: 'client', peer: client.jid })
        if (isAsked('sent')) leave.push(sent.observe(filter, passed('sent')))
        if (isAsked('received')) leave.push(received.observe(filter, passed('received')))
      }
    }
    if (via !== 'client') {
      const watch = onlookers.add((way, end, stanza) => {
        if (!isAsked(way) || (via !== undefined && via !== end) || !wants(filter, stanza)) return
        this.passed(stanza, { direction: way, via: end, peer: way === 'sent' ? stanza.from : stanza.to })
      })
      leave.push(watch)
    }
    return leave
  }

  private passed(stanza: Stanza, seen: Seen): void {
    if (!this.isWanted(stanza, seen.peer)) return
    this.seen++
    if (!this.feed.offer('stanza', () => this.describe(stanza, seen))) return
    this.shown++
    if (this.shown >= this.request.count) this.end('count')
  }

  private isWanted({ from, to }: Stanza, peer: Jid | undefined): boolean {
    const { jid } = this.request
    return jid === undefined || [peer, from, to].some(one => one !== undefined && isWithin(one, jid))
  }

  private describe(stanza: Stanza, { direction, via, peer }: Seen): FeedEvent {
    const { kind, type, from, toText, id, payload } = stanza
    const bytes = stanza.encodedLength()
    const xml = bytes > MOST_BYTES ? '' : this.xmlOf(stanza)
    const isCut = bytes > MOST_BYTES || xml.length > LONGEST
    const isClient = via === 'client'
    return this.event('stanza', {
      n: this.seen,
      direction,
      via,
      peer: (isClient ? peer?.text : peer?.domain) ?? null,
      session: isClient ? (peer?.text ?? null) : null,
      kind,
      from: from?.text ?? null,
      to: toText ?? null,
      type: type === '' ? null : type,
      id: id ?? null,
      namespace: payload?.ns ?? null,
      bytes,
      xml: xml.slice(0, LONGEST),
      ...(isCut && { isCut }),
    })
  }

  /** Whatever is wrong with it, its way goes on. */
  private xmlOf(stanza: Stanza): string {
    try {
      return redact(stanza.element, this.request).toString()
    } catch {
      return ''
    }
  }

  private end(why: 'count' | 'time'): void {
    this.feed.close(this.event('ended', { why, seen: this.seen, leftOut: this.seen - this.shown }))
  }

  private event(event: string, data: object): FeedEvent {
    return { event, data: { at: this.clock.wall(), ...data } }
  }
}

function isWithin(one: Jid, wanted: Jid): boolean {
  if (one.domain !== wanted.domain) return false
  if (wanted.local !== '' && one.local !== wanted.local) return false
  return wanted.resource === '' || one.resource === wanted.resource
}
