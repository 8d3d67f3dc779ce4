import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { collect, exited } from '../support/programs.js'

/*
 * What `meerkat start` loads, as V8 tells when it counts what ran: only what the configuration needs. DESIGN §5
 */

const main = join(import.meta.dirname, '../../dist/main.js')
const base = `
[general]
  hosts = ["localhost"]
  loglevel = "error"
  data_dir = "data"
[auth]
  methods = ["internal"]
[[listen.c2s]]
  port = 0
  ip_address = "127.0.0.1"
`

/** The packages, and of our own files the paths below dist/, that a start with these further tables loads. */
const loadedWith = async (more: string) => [...new Set((await filesWith(more)).map(nameOf))]

async function filesWith(more: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-loading-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'meerkat.toml')
  writeFileSync(file, base + more)
  const counts = join(folder, 'counts')
  const child = spawn(process.execPath, [main, 'start', '--config', file], {
    env: { ...process.env, NODE_V8_COVERAGE: counts },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await collect(child).line(line => line.startsWith('ready'), 'ready')
  child.kill('SIGTERM')
  expect(await exited(child)).toBe(0)
  return readdirSync(counts).flatMap(name => {
    const { result } = JSON.parse(readFileSync(join(counts, name), 'utf8')) as { result: { url: string }[] } // V8's format
    return result.map(({ url }) => url)
  })
}

const nameOf = (url: string) =>
  /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /\/dist\/(.*)/.exec(url)?.[1] ?? url

const packages = ['@koa/router', 'jose', 'koa', 'node-forge', 'pg', 'prom-client', 'winston', 'ws']
const http = (handler: string) => `
[[listen.http]]
  port = 0
  ip_address = "127.0.0.1"
  [[listen.http.handlers.${handler}]]
    host = "_"
    path = "/here"
`

describe('meerkat start', () => {
  it('loads with a c2s listener alone neither HTTP nor federation nor components nor PostgreSQL', async () => {
    const loaded = await loadedWith('')
    expect(loaded).toContain('actors/connection.js')
    expect(loaded.filter(name => packages.includes(name))).toEqual([])
    const others =
      /^(http\/|storage\/postgres\/|composition\/(http|bosh|websocket|s2s|component)\.js|transports\/(bosh|websocket|dns)\.js)/
    expect(loaded.filter(name => others.test(name))).toEqual([])
  }, 60_000)

  it('loads to read the certificates of other servers no more of node-forge than that', async () => {
    const certificate = join(import.meta.dirname, '../support/certificates/rsa.pem')
    const files = await filesWith(`
[s2s]
  use_starttls = "optional"
  certfile = "${certificate}"
[[listen.s2s]]
  port = 0
  ip_address = "127.0.0.1"
`)
    const ofForge = files.flatMap(url => /\/node-forge\/lib\/(.*)/.exec(url)?.[1] ?? [])
    expect(ofForge).toContain('asn1.js')
    expect(ofForge).not.toContain('x509.js')
    expect(ofForge.length).toBeLessThan(10)
  }, 60_000)

  it('loads for a handler what it needs, and nothing for the others', async () => {
    const loaded = await loadedWith(http('meerkat_health'))
    expect(loaded.filter(name => packages.includes(name))).toEqual(['koa'])
    expect(loaded.filter(name => /^(http\/debug\/|composition\/introspection)/.test(name))).toEqual([])
  }, 60_000)

  it('loads the library of Prometheus where there is its handler; that of health waits for the first scrape', async () => {
    const loaded = await loadedWith(http('mongoose_prometheus_handler'))
    expect(loaded.filter(name => packages.includes(name))).toEqual(expect.arrayContaining(['koa', 'prom-client']))
  }, 60_000)
})
