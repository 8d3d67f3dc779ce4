import { TransportAlarm } from '../actors/alarm.js'
import type { StreamServices } from '../actors/stream-connection.js'
import { randomText } from '../auth/random-text.js'
import type { Base } from './base.js'

/** Bytes of a stanza, whatever the options say. spec/listeners.md §1.9 */
const MAX_STANZA = 8_000_000

/** What every stream needs of the server, whoever is at its other end. */
export function streamServices(base: Base, name: string, maxStanzaSize: number | undefined): StreamServices {
  const { config, clock, emit, counters, sizes, runtime, backlog } = base
  return {
    listener: name,
    language: config.general.language,
    defaultHost: config.general.hosts[0]!, // the schema wants one
    transport: {
      flushLater: target => runtime.flushLater(target),
      now: () => clock.now(),
      traffic: counters,
      sizes,
      newAlarm: target => new TransportAlarm(runtime.deadlines, target),
    },
    emit,
    counters,
    backlog,
    stanzaBytes: Math.min(maxStanzaSize ?? MAX_STANZA, MAX_STANZA),
    newStreamId: () => randomText(8, 'hex'),
  }
}

/** Bytes a second that the shaper of this name allows; undefined = no limit. spec/listeners.md §1.4, §2.4 */
export function maxRate({ config }: Base, shaper: string | number | undefined): number | undefined {
  return typeof shaper === 'string' && Object.hasOwn(config.shaper, shaper)
    ? config.shaper[shaper]?.max_rate
    : undefined
}
