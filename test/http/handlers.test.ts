import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHealthHandler, type HealthStatus } from '../../src/http/health.js'
import { exchange, serveApp, testApp } from './raw.js'

let health: HealthStatus = 'ok'

let server: Awaited<ReturnType<typeof serveApp>>
beforeAll(async () => {
  const routes = [{ host: '_', path: '/', target: createHealthHandler(() => health) }]
  server = await serveApp((await testApp(routes)).app)
})
afterAll(() => server.close(0))

const ask = (method: string, target: string, headers: Record<string, string> = {}) => {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return exchange(server.port, `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
}

describe('meerkat_health', () => {
  it.each([
    ['ok', 200],
    ['starting', 503],
    ['draining', 503],
    ['storage', 503],
  ] as const)('answers %s with %d', async (status, code) => {
    health = status
    const reply = await ask('GET', '/')
    expect(reply.status).toBe(code)
    expect(JSON.parse(reply.body)).toEqual({ status })
    expect(reply.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    })
    const head = await ask('HEAD', '/')
    expect(head.status).toBe(code)
    expect(head.headers['content-length']).toBe(reply.headers['content-length'])
  })

  it('answers other methods with 405 and allow, and other paths with 404', async () => {
    const reply = await ask('POST', '/')
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD', 'content-length': '0' } })
    expect((await ask('GET', '/health')).status).toBe(404)
  })
})
