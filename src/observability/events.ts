import { systemClock } from './clock.js'

/*
 * Every event the server tells about, in one table: its name, its level, what it says and what it carries.
 * Code emits; only sinks log or count. To add one, add an entry to `catalogue`.
 * No field ever holds a password, a token or the body of a stanza.
 */

/** From the gravest to the least, with the names that `general.loglevel` uses. */
export const levels = ['emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug'] as const
/** How grave an event is. */
export type Level = (typeof levels)[number]
/** `general.loglevel`: events of this level and graver ones are told; `all` is `debug`. */
export type LogLevel = Level | 'none' | 'all'

/** What a field of an event holds. */
export type FieldValue = string | number | boolean | undefined
/** What an event carries. */
export type Fields = { readonly [name: string]: FieldValue }
/** Names that every record uses for itself. */
type Reserved = 'time' | 'level' | 'event' | 'message'

/** How an event is declared. */
export interface Declaration<F> {
  /** How grave it is. */
  readonly level: Level
  /** What happened, in a few words that are always the same. */
  readonly message: string
  /** Never set: it carries the type of the fields. */
  readonly fields?: F
}

const event = <F extends Fields & { readonly [K in Reserved]?: never }>(
  level: Level,
  message: string,
): Declaration<F> => ({ level, message })

// biome-ignore lint/complexity/noBannedTypes: an event without fields takes exactly {}
type None = {}

/** Every event, with the level at which it is told and what it carries. */
export const catalogue = {
  'server.starting': event<{ version: string; node: string; pid: number }>('notice', 'server starting'),
  'server.ready': event<{ ms: number }>('notice', 'server ready'),
  'server.stopping': event<{ reason: string }>('notice', 'server stopping'),
  'server.stopped': event<{ ms: number }>('notice', 'server stopped'),
  'server.bug': event<{ error: string; stack?: string }>('error', 'unexpected error'),

  'config.notice': event<{ path: string; text: string }>('info', 'configuration'),
  'config.warning': event<{ path: string; text: string }>('warning', 'configuration'),
  'certificate.created': event<{ file: string; names: string }>('warning', 'development certificate created'),
  'certificate.reloaded': event<{ listener: string; file: string; until: string }>('notice', 'certificate read again'),
  'certificate.refused': event<{ listener: string; error: string }>(
    'error',
    'certificate kept, the new one is no good',
  ),

  'listener.bound': event<{ listener: string; address: string; port: number }>('notice', 'listening'),
  'listener.retrying': event<{ listener: string; address: string; port: number; attempt: number; error: string }>(
    'warning',
    'port not free, trying again',
  ),
  'listener.failed': event<{ listener: string; address: string; port: number; error: string }>(
    'critical',
    'listener failed',
  ),
  'proxy.refused': event<{ listener: string; address: string; port: number; reason: string }>(
    'info',
    'connection without an accepted PROXY header closed',
  ),
  'datagrams.dropped': event<{ listener: string; count: number }>(
    'warning',
    'datagrams dropped, there is no XMPP over UDP',
  ),

  'connection.opened': event<{ connection: string; address: string; port: number }>('debug', 'connection opened'),
  'connection.closed': event<{ connection: string; reason: string; jid?: string }>('debug', 'connection closed'),

  'auth.succeeded': event<{ jid: string; address: string; mechanism: string }>('info', 'authenticated'),
  'auth.failed': event<{ jid?: string; address: string; mechanism: string; condition: string }>(
    'info',
    'authentication failed',
  ),
  'auth.blocked': event<{ address: string; host: string; user: string }>('notice', 'too many failed logins'),
  'auth.backendFailed': event<{ host: string; method: string; error: string }>('warning', 'a method of login failed'),

  'session.refused': event<{ jid: string; address: string }>('info', 'session refused by the access rule'),
  'session.opened': event<{ jid: string }>('info', 'session opened'),
  'session.closed': event<{ jid: string; reason: string }>('info', 'session closed'),
  'session.detached': event<{ jid: string; reason: string }>('info', 'session waits for its client to come back'),
  'session.resumed': event<{ jid: string; address: string; unacknowledged: number }>('info', 'session resumed'),
  'session.lost': event<{ jid: string; unacknowledged: number }>('info', 'a client did not come back to its session'),
  'session.replaced': event<{ jid: string }>('info', 'session replaced by a newer one'),
  'session.lingering': event<{ jid: string; ms: number }>('warning', 'a replaced session does not end'),

  'component.registered': event<{ domains: string; address: string }>('info', 'component registered'),
  'component.refused': event<{ domains: string; address: string; condition: string }>('notice', 'component refused'),
  'component.closed': event<{ domains: string; reason: string }>('info', 'component gone'),

  'server.authenticated': event<{ domain: string; address: string; mechanism: string }>(
    'info',
    'another server has proven to speak for a domain',
  ),
  'server.refused': event<{ domain: string; address: string; mechanism: string; reason: string }>(
    'notice',
    'another server has not proven to speak for a domain',
  ),
  'server.connected': event<{ from: string; to: string; mechanism: string }>(
    'info',
    'another server takes our stanzas',
  ),
  'server.unreachable': event<{ from: string; to: string; reason: string }>(
    'notice',
    'another server cannot be reached',
  ),
  'server.disconnected': event<{ from: string; to: string; reason: string }>('debug', 'stream to another server ended'),

  'actor.faulted': event<{ path: string; error: string; stack?: string }>('error', 'actor faulted'),
  'actor.restarted': event<{ path: string }>('warning', 'actor restarted'),
  'module.restarted': event<{ module: string; host: string }>('notice', 'module started again'),
  'module.stopped': event<{ module: string; host: string }>('warning', 'module stopped, the server goes on without it'),
  'module.failed': event<{ module: string; host: string }>(
    'error',
    'module failed too often, the server goes on without it',
  ),
  'actor.escalated': event<{ path: string; error: string }>('critical', 'actor gave up, its parent decides'),

  'storage.failed': event<{ error: string }>('error', 'storage failed'),
  'storage.recovered': event<None>('notice', 'storage recovered'),

  'control.failed': event<{ verb: string; error: string; stack?: string }>('error', 'control request failed'),
  'http.failed': event<{ request: string; method: string; path: string; error: string; stack?: string }>(
    'error',
    'HTTP request failed',
  ),
  'http.ignored': event<{ method: string; path: string; text: string }>('info', 'part of an HTTP request ignored'),
} as const

/** Such as `session.opened`. */
export type EventName = keyof typeof catalogue
/** What one event carries. */
export type FieldsOf<D> = D extends Declaration<infer F> ? F : never
/** What each event carries. */
export type EventFields = { [K in EventName]: FieldsOf<(typeof catalogue)[K]> }
/** Tells an event; costs one look-up when its level is off. Never throws. */
export type Emit = <K extends EventName>(name: K, fields: EventFields[K]) => void

/** An event as the sinks get it. */
export interface EventRecord {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Which event it is. */
  readonly name: EventName
  /** How grave it is. */
  readonly level: Level
  /** What happened, in a few words that are always the same. */
  readonly message: string
  /** What it carries; never a password, a token or the body of a stanza. */
  readonly fields: Fields
}
/** Gets the events, at once; must be quick. */
export type Sink = (record: EventRecord) => void

/** Where the server tells what happens to it. */
export interface Events {
  /** Tells the sinks. */
  readonly emit: Emit
  /** Ask before building the fields of an event on a hot path. */
  isEnabled(level: Level): boolean
  /** How many records a sink threw away by failing. */
  lost(): number
  /** What is told now. */
  readonly level: LogLevel
  /** From now on another level is told. */
  setLevel(level: LogLevel): void
}

/** Tells the sinks about every event of `level` and graver. A sink that throws loses its record, nothing else. */
export function createEvents(options: {
  /** `none`: nothing is told. */
  level: LogLevel
  /** In the order in which they are told. */
  sinks: readonly Sink[]
  /** Milliseconds since 1970; the process's clock by default. */
  wall?: () => number
}): Events {
  const { sinks, wall = systemClock.wall } = options
  let level = options.level
  let { enabledLevels, enabled } = enabledBy(level, sinks)
  let lost = 0
  return {
    get level() {
      return level
    },
    setLevel(to) {
      level = to
      ;({ enabledLevels, enabled } = enabledBy(level, sinks))
    },
    isEnabled: level => enabledLevels.has(level),
    lost: () => lost,
    emit(name, fields) {
      if (!enabled.has(name)) return
      const { level, message } = catalogue[name]
      const record: EventRecord = { at: wall(), name, level, message, fields }
      for (const sink of sinks) {
        try {
          sink(record)
        } catch {
          lost++ // nobody is left to be told
        }
      }
    },
  }
}

function enabledBy(level: LogLevel, sinks: readonly Sink[]) {
  const enabledLevels = new Set<Level>(sinks.length === 0 ? [] : levels.slice(0, toldLevels(level)))
  const names = Object.keys(catalogue) as EventName[] // Object.keys gives string
  return { enabledLevels, enabled: new Set(names.filter(name => enabledLevels.has(catalogue[name].level))) }
}

/** How many of `levels` are told. */
const toldLevels = (level: LogLevel) =>
  level === 'all' ? levels.length : level === 'none' ? 0 : levels.indexOf(level) + 1

/** Tells nobody. */
export const silentEvents: Events = createEvents({ level: 'none', sinks: [] })

/** The fields that describe a thrown value. */
export function thrown(error: unknown): { error: string; stack?: string } {
  if (!(error instanceof Error)) return { error: String(error) }
  return error.stack === undefined ? { error: error.message } : { error: error.message, stack: error.stack }
}
