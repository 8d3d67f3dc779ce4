import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCounters } from '../../src/observability/counters.js'
import type { TestServer } from '../../src/testing.js'
import { http, httpPort } from '../support/bosh.js'
import { type Family, readExposition } from '../support/prometheus-text.js'
import { session, sharedServer, startedServer } from '../support/server.js'
import { webSocketSession } from '../support/websocket.js'

/*
 * What Prometheus gets of a running server.
 */

const setup = (handlers: object, general: object = {}) => ({
  users: ['romeo', 'juliet'],
  config: {
    general: { hosts: ['localhost', 'b.example'], registration_timeout: 'infinity', ...general },
    listen: { http: [{ port: 0, ip_address: '127.0.0.1', transport: { num_acceptors: 2 }, handlers }] },
  },
})
const prometheus = { mongoose_prometheus_handler: [{ host: '_', path: '/metrics/[...]' }] }

const ask = (server: TestServer, path: string, method = 'GET') => http(httpPort(server), undefined, { method, path })

async function scrape(server: TestServer, path = '/metrics'): Promise<Map<string, Family>> {
  const { status, text } = await ask(server, path)
  expect(status).toBe(200)
  return readExposition(text)
}

/** The value of a series; its labels are exactly these. */
function value(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number | undefined {
  const family = families.get(name.replace(/_(bucket|sum|count)$/, '')) ?? families.get(name)
  const wanted = JSON.stringify(Object.entries(labels).sort())
  return family?.samples.find(
    sample => sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted,
  )?.value
}

async function chat(server: TestServer): Promise<void> {
  const romeo = await session(server, 'romeo')
  const juliet = await session(server, 'juliet', { priority: 0 })
  await romeo.send('<message to="juliet@localhost" type="chat"><body>Hi</body></message>')
  await juliet.receives('<message><body>Hi</body></message>')
}

describe('mongoose_prometheus_handler', () => {
  const server = sharedServer(setup(prometheus))

  it('answers in the text format, below its path too; HEAD without the body, other methods with 405', async () => {
    for (const path of ['/metrics', '/metrics/', '/metrics/anything']) {
      const answer = await ask(server(), path)
      expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(answer.headers['cache-control']).toBe('no-store')
      readExposition(answer.text)
    }
    expect(await ask(server(), '/metrics', 'HEAD')).toMatchObject({ status: 200, text: '' })
    expect(await ask(server(), '/metrics', 'POST')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  })

  it('counts stanzas by host, kind and direction, and what modules do by host', async () => {
    const before = await scrape(server())
    await chat(server())
    const after = await scrape(server())
    const grown = (name: string, labels: Record<string, string>) =>
      (value(after, name, labels) ?? Number.NaN) - (value(before, name, labels) ?? Number.NaN)
    for (const direction of ['sent', 'received']) {
      expect(grown('xmpp_stanzas_total', { host: 'localhost', kind: 'message', direction })).toBe(1)
      expect(grown('xmpp_stanzas_total', { host: 'b.example', kind: 'message', direction })).toBe(0)
    }
    expect(grown('xmpp_logins_total', { host: 'localhost', result: 'success' })).toBe(2)
    expect(grown('xmpp_stanza_size_bytes_count', { direction: 'sent' })).toBeGreaterThan(0)
    expect(value(after, 'xmpp_mod_roster_gets_total', { host: 'localhost' })).toBe(0)
    expect(grown('xmpp_hook_runs_total', { host: 'localhost', hook: 'session_opened' })).toBe(2)
  })

  it('shows connections by the type of their listener, and sessions', async () => {
    const own = await startedServer(setup({ ...prometheus, mod_websockets: [{ host: '_', path: '/ws-xmpp' }] }))
    const before = await scrape(own)
    await session(own, 'romeo')
    await webSocketSession(httpPort(own), 'juliet')
    const after = await scrape(own)
    const grown = (listener: string) =>
      (value(after, 'xmpp_listener_connections', { listener }) ?? Number.NaN) -
      (value(before, 'xmpp_listener_connections', { listener }) ?? Number.NaN)
    expect(grown('c2s')).toBe(1)
    expect(grown('http')).toBeGreaterThanOrEqual(1)
    expect(value(after, 'xmpp_listener_connections', { listener: 's2s' })).toBe(0)
    expect(value(after, 'xmpp_sessions')).toBe(2)
    expect(value(after, 'xmpp_host_sessions', { host: 'localhost' })).toBe(2)
  })

  it('has what Node says of the process, and no metric that walks through every socket', async () => {
    const families = await scrape(server())
    expect(value(families, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
    expect(families.get('nodejs_eventloop_lag_p99_seconds')?.type).toBe('gauge')
    expect([...families.keys()].filter(name => name.startsWith('nodejs_active'))).toEqual([])
  })

  it('names things as Prometheus wants it: what is counted ends in _total, and all of ours begins with xmpp_', async () => {
    const families = [...(await scrape(server())).values()]
    for (const { name, type, help } of families) {
      expect(name).toMatch(/^(xmpp|process|nodejs)_/)
      if (!name.startsWith('xmpp_')) continue
      expect(name.endsWith('_total')).toBe(type === 'counter')
      expect(help).toMatch(/\.$/)
    }
    const labels = new Set(
      families.flatMap(({ name, samples }) =>
        name.startsWith('xmpp_') ? samples.flatMap(one => Object.keys(one.labels)) : [],
      ),
    )
    expect([...labels].sort()).toEqual([
      'direction',
      'event',
      'hook',
      'host',
      'kind',
      'le',
      'listener',
      'result',
      'state',
    ])
  })

  it('exports every number of the server, each from its own counter', async () => {
    const read = new Set<string>()
    const { serverCounters, serverGauges } = await import('../../src/http/prometheus/names.js')
    const watched = new Proxy(createCounters(), {
      get(target, name) {
        read.add(String(name))
        return Reflect.get(target, name)
      },
    })
    for (const [, of] of Object.values({ ...serverCounters, ...serverGauges })) of(watched)
    // The runtime counts those itself, by actor.
    expect(Object.keys(createCounters()).filter(name => !read.has(name))).toEqual([])
  })

  it('writes two scrapes at a time that do not disturb each other', async () => {
    const texts = await Promise.all(Array.from({ length: 5 }, async () => (await ask(server(), '/metrics')).text))
    const counts = texts.map(text => [...readExposition(text).values()].flatMap(({ samples }) => samples).length)
    expect(new Set(counts).size).toBe(1)
  })
})

describe('metrics of meerkat_health', () => {
  it.each([
    ['/', '/metrics'],
    ['/health', '/health/metrics'],
    ['/health/', '/health/metrics'],
    ['/health/[...]', '/health/metrics'],
  ])('mounted at %s they are at %s', async (path, where) => {
    const server = await startedServer(setup({ meerkat_health: [{ host: '_', path }] }))
    await session(server, 'romeo')
    expect(value(await scrape(server, where), 'xmpp_host_sessions', { host: 'localhost' })).toBe(1)
    expect((await ask(server, path.replace('[...]', ''))).text).toBe('{"status":"ok"}')
  })

  it('gives way to what is mounted there', async () => {
    const api = { host: '_', path: '/', handlers: ['mongoose_api_metrics'] }
    const server = await startedServer(setup({ meerkat_health: [{ host: '_' }], mongoose_api: [api] }))
    expect(JSON.parse((await ask(server, '/metrics')).text)).toHaveProperty('hosts')
  })
})

describe('general.all_metrics_are_global', () => {
  it('Q-13: sums the hosts, and says no host', async () => {
    const server = await startedServer(setup(prometheus, { all_metrics_are_global: true }))
    await chat(server)
    const families = await scrape(server)
    expect(value(families, 'xmpp_stanzas_total', { kind: 'message', direction: 'sent' })).toBe(1)
    expect(value(families, 'xmpp_host_sessions')).toBe(2)
    const labels = [...families.values()].flatMap(({ samples }) => samples.flatMap(one => Object.keys(one.labels)))
    expect(labels).not.toContain('host')
  })
})

describe('docs/grafana.json', () => {
  interface Panel {
    title: string
    type: string
    description?: string
    gridPos: { x: number; y: number; w: number; h: number }
    targets?: { expr: string; refId: string }[]
  }
  const dashboard = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/grafana.json'), 'utf8')) as {
    uid: string
    title: string
    schemaVersion: number
    templating: { list: { name: string; query: unknown }[] }
    panels: (Panel & { id: number })[]
  } // Grafana's format
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  const named = (text: string) => text.match(/\b(xmpp|process|nodejs)_[a-z0-9_]+/g) ?? []

  it('names only metrics that are exported, and labels that they have', async () => {
    const server = await startedServer(setup(prometheus))
    const families = await scrape(server)
    const names = new Set([...families.values()].flatMap(({ samples }) => samples.map(({ name }) => name)))
    const queries = dashboard.templating.list.map(({ query }) => JSON.stringify(query))
    const used = new Set([...expressions, ...queries].flatMap(named))
    expect(used.size).toBeGreaterThan(20)
    expect([...used].filter(name => !names.has(name))).toEqual([])
    const labels = new Set(
      [...families.values()].flatMap(({ samples }) => samples.flatMap(one => Object.keys(one.labels))),
    )
    const matchers = expressions.flatMap(text =>
      [...text.matchAll(/[{,]\s*(\w+)(?:=~|=|!=)/g)].map(([, label]) => label),
    )
    const grouped = expressions.flatMap(text =>
      [...text.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/)),
    )
    // What Prometheus itself adds.
    const added = ['job', 'instance']
    expect([...matchers, ...grouped].filter(label => !labels.has(`${label}`) && !added.includes(`${label}`))).toEqual(
      [],
    )
  })

  it('is a dashboard: panels with ids, places that do not overlap, and questions', () => {
    expect(dashboard.uid).toMatch(/^[\w-]{1,40}$/)
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36)
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const { type, title, gridPos, targets = [] } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`), `${title} lies over another panel`).toBe(false)
          taken.add(`${x},${y}`)
        }
      }
      expect(title).not.toBe('')
      if (type === 'row') continue
      expect(targets.length).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
    }
  })

  it('has balanced brackets in every expression', () => {
    for (const text of expressions) {
      let depth = 0
      for (const letter of text.replace(/"[^"]*"/g, '')) {
        if ('({['.includes(letter)) depth++
        if (')}]'.includes(letter)) depth--
        expect(depth).toBeGreaterThanOrEqual(0)
      }
      expect(depth).toBe(0)
    }
  })
})

describe('the reader of these tests', () => {
  const family = '# HELP a_total b\n# TYPE a_total counter\n'
  it.each([
    ['no end of line', `${family}a_total 1`],
    ['a sample without TYPE', 'a_total 1\n'],
    ['a series twice', `${family}a_total{x="1",y="2"} 1\na_total{y="2",x="1"} 1\n`],
    ['a family in two pieces', `${family}a_total 1\n# HELP b c\n# TYPE b gauge\nb 1\n${family}`],
    ['a foreign sample', `${family}b_total 1\n`],
    ['a wrong name', '# HELP a-b c\n# TYPE a-b gauge\na-b 1\n'],
    ['a wrong label', `${family}a_total{a-b="1"} 1\n`],
    ['a wrong escape', `${family}a_total{x="\\t"} 1\n`],
    ['a quote that is not escaped', `${family}a_total{x="""} 1\n`],
    ['no number', `${family}a_total one\n`],
    ['a counter below 0', `${family}a_total -1\n`],
    ['a histogram without +Inf', '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'],
    [
      'a histogram that shrinks',
      '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    ],
  ])('refuses %s', (_, text) => {
    expect(() => readExposition(text)).toThrow()
  })
})
