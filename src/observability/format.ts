import type { EventRecord, FieldValue, Level } from './events.js'

/*
 * A record as one line of text. Whatever a peer put into a field (a JID, a path), it stays one line and cannot forge another:
 * JSON and the quoted forms escape control characters.
 */

/** Longer field values are cut; a log line is no place for a payload. */
const maxFieldChars = 2_048

const cut = (text: string) => (text.length > maxFieldChars ? `${text.slice(0, maxFieldChars)}…` : text)
const clipped = (value: FieldValue) => (typeof value === 'string' ? cut(value) : value)

/** One JSON object; a field without a value is left out. */
export function formatJson(record: EventRecord): string {
  const { at, level, name, message, fields } = record
  const line: Record<string, FieldValue> = { time: new Date(at).toISOString(), level, event: name, message }
  for (const [key, value] of Object.entries(fields)) line[key] = clipped(value)
  return JSON.stringify(line)
}

/** `key=value` pairs; a value is quoted when it is empty or holds a blank, a quote, `=`, `\` or a control character. */
export function formatLogfmt(record: EventRecord): string {
  const { at, level, name, message, fields } = record
  const pairs = [
    pair('time', new Date(at).toISOString()),
    pair('level', level),
    pair('event', name),
    pair('message', message),
  ]
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) pairs.push(pair(key, value))
  return pairs.join(' ')
}

const pair = (key: string, value: string | number | boolean) =>
  `${key}=${typeof value === 'string' ? quoteIfNeeded(cut(value)) : value}`

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const needsQuotes = /[\s"=\\\u0000-\u001f\u007f-\u009f\u2028\u2029]/
const control = /[\u007f-\u009f\u2028\u2029]/g
const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

function quoteIfNeeded(text: string): string {
  if (text !== '' && !needsQuotes.test(text)) return text
  return JSON.stringify(text).replace(control, escaped) // JSON leaves DEL, C1 and the two separators as they are
}

const colours: Record<Level, string> = {
  emergency: '\u001b[97;41m',
  alert: '\u001b[97;41m',
  critical: '\u001b[91m',
  error: '\u001b[31m',
  warning: '\u001b[33m',
  notice: '\u001b[32m',
  info: '\u001b[36m',
  debug: '\u001b[90m',
}

/** For people: time of day, level, message, fields; a stack follows, indented. */
export function formatPretty(record: EventRecord, isColoured: boolean): string {
  const { at, level, message, fields } = record
  const { stack, ...rest } = fields
  const time = new Date(at).toISOString().slice(11, 23)
  const name = isColoured ? `${colours[level]}${level.padEnd(9)}\u001b[0m` : level.padEnd(9)
  let line = `${time} ${name} ${message}`
  for (const [key, value] of Object.entries(rest)) if (value !== undefined) line += ` ${pair(key, value)}`
  if (typeof stack === 'string') {
    const frames = cut(stack)
      .split('\n')
      .filter(frame => frame.trimStart().startsWith('at '))
    for (const frame of frames) line += `\n    ${quoteIfControl(frame.trim())}`
  }
  return line
}

const quoteIfControl = (text: string) => (/\p{Cc}/u.test(text) ? JSON.stringify(text) : text)
