import type { Element } from 'ltx'
import { StanzaError } from '../errors.js'
import type { Jid } from '../jid.js'
import { NS } from '../namespaces.js'
import { Stanza } from '../stanza/stanza.js'
import type { HistorySnapshot } from './snapshot.js'

/*
 * The last messages of a room, for those who enter. XEP-0045 §7.2.13, §7.2.14
 */

/** What somebody who enters wants to get at most. */
export interface HistoryRequest {
  /** Characters of whole stanzas. */
  readonly maxChars: number
  readonly maxStanzas: number
  /** Milliseconds since 1970: nothing older. */
  readonly since: number
}

const everything: HistoryRequest = { maxChars: Infinity, maxStanzas: Infinity, since: -Infinity }

/** Reads `<history/>`. Throws `bad-request`. */
export function readHistoryRequest(history: Element | undefined, now: number): HistoryRequest {
  if (history === undefined) return everything
  const seconds = numberIn(history, 'seconds')
  const since = timeIn(history, 'since')
  return {
    maxChars: numberIn(history, 'maxchars'),
    maxStanzas: numberIn(history, 'maxstanzas'),
    since: Math.max(since, seconds === Infinity ? -Infinity : now - seconds * 1000),
  }
}

function numberIn(history: Element, name: string): number {
  const text: string | undefined = history.attrs[name]
  if (text === undefined) return Infinity
  if (!/^\d{1,15}$/.test(text)) throw new StanzaError('bad-request', `${name} is a number`)
  return Number(text)
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** XEP-0082 §3.2 */
function timeIn(history: Element, name: string): number {
  const text: string | undefined = history.attrs[name]
  if (text === undefined) return -Infinity
  const time = dateTime.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new StanzaError('bad-request', `${name} is a DateTime`)
  return time
}

interface Entry {
  readonly id: string
  readonly at: number
  readonly stanza: Stanza
  readonly sender: string
  /** The message with its delay; made when somebody enters. */
  delayed?: Stanza
  /** Characters of that. */
  length?: number
}

/** XEP-0203. A bare JID holds nothing that XML would have to escape. */
export function delayed(stanza: Stanza, room: Jid, at: number): Stanza {
  const stamp = new Date(at).toISOString()
  return stanza.withChild(`<delay xmlns="${NS.delay}" from="${room.text}" stamp="${stamp}"/>`, NS.delay)
}

export class History {
  private readonly entries: Entry[] = []

  constructor(
    private readonly room: Jid,
    /** Messages that are kept. */
    private readonly size: number,
    stored: readonly HistorySnapshot[] = [],
  ) {
    for (const { id, at, message, sender } of stored) this.push({ id, at, sender, stanza: Stanza.parse(message) })
  }

  get isEmpty(): boolean {
    return this.entries.length === 0
  }

  add(message: { id: string; at: number; stanza: Stanza; sender: string }): void {
    if (this.size > 0) this.push({ ...message, stanza: message.stanza.compact() })
  }

  private push(entry: Entry): void {
    this.entries.push(entry)
    if (this.entries.length > this.size) this.entries.shift()
  }

  /** The largest number of the newest messages that meets all limits, the oldest first. */
  select({ maxChars, maxStanzas, since }: HistoryRequest, maxOfRoom: number): Stanza[] {
    const selected: Stanza[] = []
    let chars = 0
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const entry = this.entries[i]!
      entry.delayed ??= delayed(entry.stanza, this.room, entry.at)
      entry.length ??= entry.delayed.toString().length
      chars += entry.length
      if (selected.length >= Math.min(maxStanzas, maxOfRoom) || chars > maxChars || entry.at < since) break
      selected.push(entry.delayed)
    }
    return selected.reverse()
  }

  /** The message with this stanza-id. */
  find(id: string): { readonly stanza: Stanza; readonly sender: string } | undefined {
    return this.entries.find(entry => entry.id === id)
  }

  /** Whoever enters from now on does not get the message. True when it was there. XEP-0424 §5 */
  forget(id: string): boolean {
    const index = this.entries.findIndex(entry => entry.id === id)
    if (index >= 0) this.entries.splice(index, 1)
    return index >= 0
  }

  snapshot(): HistorySnapshot[] {
    return this.entries.map(({ id, at, sender, stanza }) => ({ id, at, sender, message: stanza.toString() }))
  }
}
