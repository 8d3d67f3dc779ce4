import { describe, expect, it } from 'vitest'
import {
  catalogue,
  createEvents,
  type EventRecord,
  levels,
  silentEvents,
  thrown,
} from '../../src/observability/events.js'

const recorder = () => {
  const records: EventRecord[] = []
  return { records, sink: (record: EventRecord) => void records.push(record) }
}

describe('events', () => {
  it('gives every sink the name, level, message, time and fields of an event', () => {
    const [one, two] = [recorder(), recorder()]
    const events = createEvents({ level: 'all', sinks: [one.sink, two.sink], wall: () => 1_000 })
    events.emit('server.ready', { ms: 12 })
    const expected = { at: 1_000, name: 'server.ready', level: 'notice', message: 'server ready', fields: { ms: 12 } }
    expect(one.records).toEqual([expected])
    expect(two.records).toEqual([expected])
  })

  it.each([
    ['none', []],
    ['emergency', ['emergency']],
    ['warning', ['emergency', 'alert', 'critical', 'error', 'warning']],
    ['debug', [...levels]],
    ['all', [...levels]],
  ] as const)('tells events of the level %s and graver ones only', (level, told) => {
    const { records, sink } = recorder()
    const events = createEvents({ level, sinks: [sink] })
    expect(levels.filter(events.isEnabled)).toEqual(told)
    events.emit('connection.opened', { connection: 'c', address: '127.0.0.1', port: 1 })
    events.emit('config.warning', { path: 'p', text: 't' })
    const names = ['connection.opened', 'config.warning'] as const
    const allowed: readonly string[] = told
    expect(records.map(record => record.name)).toEqual(names.filter(name => allowed.includes(catalogue[name].level)))
  })

  it('is off at every level when there is no sink', () => {
    expect(levels.filter(silentEvents.isEnabled)).toEqual([])
    expect(levels.filter(createEvents({ level: 'all', sinks: [] }).isEnabled)).toEqual([])
  })

  it('never throws into the code when a sink fails, and the other sinks still get the event', () => {
    const { records, sink } = recorder()
    const failing = () => {
      throw new Error('disk full')
    }
    const events = createEvents({ level: 'all', sinks: [failing, sink] })
    expect(() => events.emit('server.ready', { ms: 1 })).not.toThrow()
    expect(records).toHaveLength(1)
    expect(events.lost()).toBe(1)
  })

  it('describes whatever was thrown', () => {
    expect(thrown('text')).toEqual({ error: 'text' })
    expect(thrown(undefined)).toEqual({ error: 'undefined' })
    expect(thrown(new Error('bad')).error).toBe('bad')
    expect(thrown(new Error('bad')).stack).toContain('events.test')
  })
})
