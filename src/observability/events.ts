/*
 * Every event the server tells about, with its fields and its level. Code emits; only sinks log or count.
 * No field ever holds a password, a token or the body of a stanza.
 */
export type Level = 'emergency' | 'alert' | 'critical' | 'error' | 'warning' | 'notice' | 'info' | 'debug'

export interface EventFields {
  'server.ready': { ms: number }
}
export const eventLevels: Record<keyof EventFields, Level> = {
  'server.ready': 'notice',
}
export type EventName = keyof EventFields
/** Tells an event; cheap when nobody listens at its level. Never throws. */
export type Emit = <K extends EventName>(name: K, fields: EventFields[K]) => void
