import type { Writable } from 'node:stream'
import type { Logger } from 'winston'
import { type EventRecord, levels, type Sink } from './events.js'
import { formatJson, formatLogfmt, formatPretty } from './format.js'

/** `general.log_format`; `auto` is `pretty` on a terminal and `json` elsewhere. */
export type LogFormat = 'auto' | 'json' | 'logfmt' | 'pretty'

/** Records beyond these limits are dropped rather than kept in memory: winston not loaded yet, or nobody reads the stream. */
const maxWaiting = 1_000
const maxUnreadBytes = 1_048_576

/**
 * A sink that writes one line per record to `stream`. winston (11 MiB, 0.1 s) is loaded at the first record: at the default
 * level a healthy server has none. `close` resolves when everything told so far has been given to the stream.
 */
export function createLogger(options: { format: LogFormat; stream: Writable & { readonly isTTY?: boolean } }): {
  sink: Sink
  close(): Promise<void>
} {
  const { stream } = options
  const isTerminal = stream.isTTY === true
  const format = lineFormat(options.format, isTerminal)
  let logger: Logger | undefined
  let loading: Promise<void> | undefined
  let isClosed = false
  const waiting: EventRecord[] = []

  // A reader that went away (EPIPE) must not end the server.
  stream.on('error', () => undefined)

  async function load(): Promise<void> {
    logger = await createWinston(stream)
    for (const record of waiting.splice(0)) if (isRead(stream)) write(logger, record)
  }

  const write = (to: Logger, record: EventRecord) => to.log({ level: record.level, message: format(record) })

  return {
    sink(record) {
      if (isClosed || !isRead(stream) || waiting.length >= maxWaiting) throw new Error('nobody reads the log')
      if (logger !== undefined) return write(logger, record)
      waiting.push(record)
      loading ??= load().catch((error: unknown) => {
        stream.write(`the log cannot be written: ${String(error)}\n`)
      })
    },
    async close() {
      isClosed = true
      await loading
      const open = logger
      if (open !== undefined) await new Promise<void>(resolve => open.once('finish', resolve).end())
    },
  }
}

const isRead = (stream: Writable) => !stream.destroyed && stream.writableLength <= maxUnreadBytes

function lineFormat(format: LogFormat, isTerminal: boolean): (record: EventRecord) => string {
  switch (format === 'auto' ? (isTerminal ? 'pretty' : 'json') : format) {
    case 'json':
      return formatJson
    case 'logfmt':
      return formatLogfmt
    default:
      return record => formatPretty(record, isTerminal)
  }
}

async function createWinston(stream: Writable): Promise<Logger> {
  const { default: winston } = await import('winston')
  const logger = winston.createLogger({
    levels: Object.fromEntries(levels.map((level, severity) => [level, severity])),
    level: 'debug', // the threshold is createEvents' own
    format: winston.format.printf(info => String(info.message)), // the line is made already
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
  })
  logger.on('error', () => undefined) // a transport that fails loses its line, nothing else
  return logger
}
