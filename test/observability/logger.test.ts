import { PassThrough, Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEvents, type EventRecord } from '../../src/observability/events.js'
import { formatJson, formatLogfmt, formatPretty } from '../../src/observability/format.js'
import { createLogger, type LogFormat } from '../../src/observability/logger.js'

const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const record = (fields: EventRecord['fields'], name: EventRecord['name'] = 'auth.failed'): EventRecord => ({
  at,
  name,
  level: 'info',
  message: 'authentication failed',
  fields,
})

const openStream = (isTTY?: boolean) => {
  const stream: PassThrough & { isTTY?: boolean } = new PassThrough({ highWaterMark: 4_194_304 })
  if (isTTY !== undefined) stream.isTTY = isTTY
  return stream
}

describe('the JSON form', () => {
  it('is one object per line, without the fields that have no value', () => {
    expect(formatJson(record({ jid: undefined, address: '::1', mechanism: 'PLAIN' }))).toBe(
      '{"time":"2026-01-02T03:04:05.678Z","level":"info","event":"auth.failed","message":"authentication failed",' +
        '"address":"::1","mechanism":"PLAIN"}',
    )
  })
})

describe('the logfmt form', () => {
  it.each([
    ['plain', 'plain'],
    ['', '""'],
    ['two words', '"two words"'],
    ['a=b', '"a=b"'],
    ['say "hi"', String.raw`"say \"hi\""`],
    ['back\\slash', String.raw`"back\\slash"`],
    ['line\nbreak', String.raw`"line\nbreak"`],
    ['\u001b[2J', String.raw`"\u001b[2J"`],
    ['\u009b2J', String.raw`"\u009b2J"`],
    ['a\u2028b', String.raw`"a\u2028b"`],
    ['romeo@ver\u00f6na', 'romeo@ver\u00f6na'],
  ])('quotes %j as %s', (value, expected) => {
    expect(formatLogfmt(record({ jid: value }))).toBe(
      `time=2026-01-02T03:04:05.678Z level=info event=auth.failed message="authentication failed" jid=${expected}`,
    )
  })

  it('writes numbers and booleans bare and leaves out what has no value', () => {
    expect(formatLogfmt(record({ port: 5222, secure: false, jid: undefined }))).toMatch(/ port=5222 secure=false$/)
  })
})

describe('the pretty form', () => {
  it('starts with the time and the level and ends with the fields', () => {
    expect(formatPretty(record({ address: '::1', jid: 'a b' }), false)).toBe(
      '03:04:05.678 info      authentication failed address=::1 jid="a b"',
    )
  })

  it('colours the level on a terminal only', () => {
    expect(formatPretty(record({}), true)).toContain('\u001b[36minfo')
    expect(formatPretty(record({}), false)).not.toContain('\u001b')
  })

  it('puts the frames of a stack below, indented', () => {
    const stack = 'Error: bad\n    at one (a.ts:1:1)\n    at two (b.ts:2:2)'
    expect(
      formatPretty(record({ error: 'bad', stack }), false)
        .split('\n')
        .slice(1),
    ).toEqual(['    at one (a.ts:1:1)', '    at two (b.ts:2:2)'])
  })
})

describe('every form', () => {
  it('keeps hostile text on its line and bounded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), text => {
        for (const line of [formatJson, formatLogfmt, (r: EventRecord) => formatPretty(r, false)]) {
          // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
          expect(line(record({ jid: text }))).not.toMatch(/[\u0000-\u001f]/)
        }
      }),
      { numRuns: 100 },
    )
    expect(formatLogfmt(record({ jid: 'x'.repeat(100_000) })).length).toBeLessThan(3_000)
    expect(formatJson(record({ jid: 'x'.repeat(100_000) })).length).toBeLessThan(3_000)
  })
})

describe('the logger', () => {
  const lines = async (format: LogFormat, isTTY?: boolean) => {
    const stream = openStream(isTTY)
    const logger = createLogger({ format, stream })
    const events = createEvents({ level: 'all', sinks: [logger.sink], wall: () => at })
    events.emit('server.ready', { ms: 1 })
    events.emit('server.ready', { ms: 2 })
    await logger.close()
    return String(stream.read()).split('\n')
  }

  it.each([
    ['json', undefined, /^\{"time"/],
    ['auto', undefined, /^\{"time"/],
    ['logfmt', true, /^time=2026/],
    ['pretty', undefined, /^03:04:05/],
    ['auto', true, /^03:04:05/],
  ] as const)('writes %s (terminal: %s) one line per event, in order', async (format, isTTY, first) => {
    const [one, two, ...rest] = await lines(format, isTTY)
    expect(one).toMatch(first)
    expect(one).toMatch(/ms"?[:=]1/)
    expect(two).toMatch(/ms"?[:=]2/)
    expect(rest).toEqual([''])
  })

  it('survives a stream whose reader went away', async () => {
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      },
    })
    const logger = createLogger({ format: 'json', stream })
    const events = createEvents({ level: 'all', sinks: [logger.sink] })
    events.emit('server.ready', { ms: 1 })
    await logger.close()
    events.emit('server.ready', { ms: 2 })
    expect(stream.destroyed).toBe(true)
    expect(events.lost()).toBe(1)
  })

  it('drops records instead of piling them up when nobody reads the stream', async () => {
    const stream = new Writable({ write: () => undefined })
    const logger = createLogger({ format: 'json', stream })
    const events = createEvents({ level: 'all', sinks: [logger.sink] })
    for (let i = 0; i < 1_500; i++) events.emit('config.notice', { path: 'p', text: 'x'.repeat(2_000) })
    expect(events.lost()).toBe(500)
    await logger.close()
    expect(stream.writableLength).toBeLessThan(1_100_000)
  })
})
