import { z } from 'zod'
import type { Clock } from '../observability/clock.js'
import { Feed, type FeedEvent } from '../observability/feed.js'
import { Jid } from '../protocols/jid.js'
import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Routing } from '../routing/services.js'
import type { Sender } from '../sessions/session.js'
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
  direction: z.enum(['sent', 'received']).optional(),
  /** Stanzas that are shown. */
  count: z.int().min(1).max(1000).default(100),
  seconds: z.int().min(1).max(600).default(60),
  /** Show texts. */
  bodies: z.boolean().default(false),
})
export type TraceRequest = z.output<typeof traceRequest>

/** Stanzas a second that are looked into; the others are counted. */
const RATE = 200
/** Characters of a stanza that are shown, and bytes of one that is looked into. */
const LONGEST = 4096
const MOST_BYTES = 65_536

/**
 * Shows the stanzas that clients of ours send and are handed, until there were as many as asked for, or the time is over, or the feed
 * is closed. It joins the ways of stanzas only while it runs.
 */
export function startTrace(routing: Pick<Routing, 'hosts' | 'hooksOf'>, clock: Clock, request: TraceRequest): Feed {
  return new Trace(routing, clock, request).feed
}

class Trace {
  readonly feed: Feed
  private seen = 0
  private shown = 0

  constructor(
    routing: Pick<Routing, 'hosts' | 'hooksOf'>,
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

  private join(routing: Pick<Routing, 'hosts' | 'hooksOf'>): (() => void)[] {
    const { kind, namespace, direction } = this.request
    const filter = { ...(kind && { kinds: [kind] }), ...(namespace !== undefined && { namespaces: [namespace] }) }
    return routing.hosts.flatMap(host => {
      const { sent, received } = routing.hooksOf(host)
      return [
        ...(direction === 'received' ? [] : [sent.observe(filter, (one, sender) => this.passed('sent', one, sender))]),
        ...(direction === 'sent'
          ? []
          : [received.observe(filter, (one, session) => this.passed('received', one, session))]),
      ]
    })
  }

  private passed(direction: 'sent' | 'received', stanza: Stanza, session: Sender): void {
    if (!this.isWanted(stanza, session.jid)) return
    this.seen++
    if (!this.feed.offer('stanza', () => this.describe(direction, stanza, session.jid))) return
    this.shown++
    if (this.shown >= this.request.count) this.end('count')
  }

  private isWanted({ from, to }: Stanza, session: Jid): boolean {
    const { jid } = this.request
    return jid === undefined || [session, from, to].some(one => one !== undefined && isWithin(one, jid))
  }

  private describe(direction: string, stanza: Stanza, session: Jid): FeedEvent {
    const { kind, type, from, toText, id, payload } = stanza
    const bytes = stanza.encodedLength()
    const xml = bytes > MOST_BYTES ? '' : this.xmlOf(stanza)
    const isCut = bytes > MOST_BYTES || xml.length > LONGEST
    return this.event('stanza', {
      n: this.seen,
      direction,
      session: session.text,
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
