import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCheck } from '../../src/cli/check.js'
import { loadConfig } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'

const folder = join(import.meta.dirname, '../../config')
const files = readdirSync(folder).filter(name => name.endsWith('.toml'))

describe('the example files in config/', () => {
  it('are the shipped one and some more', () => {
    expect(files).toContain('meerkat.toml')
    expect(files.length).toBeGreaterThan(2)
  })

  it.each(files)('%s loads with the modules that there are, without problems and without notices', name => {
    const file = join(folder, name)
    const { config, problems, notices } = loadConfig({ file, text: readFileSync(file, 'utf8') }, { modules, env: {} })
    expect({ problems, notices }).toEqual({ problems: [], notices: [] })
    expect(Object.isFrozen(config?.listen.c2s[0])).toBe(true)
  })

  it.each(files)('%s passes `meerkat check --dev`, whatever certificates are there', async name => {
    const lines: string[] = []
    const output = { out: (line: string) => void lines.push(line), error: (line: string) => void lines.push(line) }
    const options = { file: join(folder, name), json: false, dev: true, env: {}, modules }
    expect({ code: await runCheck(options, output), lines }).toEqual({
      code: 0,
      lines: [`${join(folder, name)}: the configuration is good`],
    })
  })

  it('meerkat.toml is what DESIGN §8 says: localhost, STARTTLS on 5222, TLS on 5223, servers and components of this machine, WebSockets, BOSH, the REST APIs, metrics, debug and health', () => {
    const file = join(folder, 'meerkat.toml')
    const { config } = loadConfig({ file, text: readFileSync(file, 'utf8') }, { modules })
    expect(config).toMatchObject({
      general: { hosts: ['localhost'], max_fsm_queue: 1000, data_dir: join(folder, '../data') },
      auth: { methods: ['internal'] },
      s2s: { use_starttls: 'optional', default_policy: 'deny' },
      listen: {
        c2s: [
          { port: 5222, max_stanza_size: 65_536, tls: { mode: 'starttls' } },
          { port: 5223, tls: { mode: 'tls', certfile: join(folder, '../data/certs/localhost.pem') } },
        ],
        // spec/listeners.md §2.9, but from this machine only
        s2s: [{ port: 5269, ip_address: '127.0.0.1', max_stanza_size: 131_072 }],
        service: [{ port: 8888, ip_address: '127.0.0.1', access: 'all', shaper_rule: 'fast', password: 'secret' }],
        http: [
          {
            port: 5281,
            ip_address: '127.0.0.1',
            handlers: { meerkat_debug: [{ host: '_', path: '/debug' }], meerkat_health: [{ host: '_', path: '/' }] },
          },
          {
            port: 5280,
            ip_address: '127.0.0.1',
            transport: { num_acceptors: 10, max_connections: 1024 },
            handlers: {
              mod_bosh: [{ host: '_', path: '/http-bind' }],
              mod_websockets: [
                { host: '_', path: '/ws-xmpp', service: { access: 'all', shaper_rule: 'fast', password: 'secret' } },
              ],
            },
          },
          {
            port: 5285,
            tls: { certfile: join(folder, '../data/certs/localhost.pem') },
            handlers: {
              mod_bosh: [{ host: '_', path: '/http-bind' }],
              mod_websockets: [{ host: '_', path: '/ws-xmpp' }],
            },
          },
          {
            port: 8088,
            ip_address: '127.0.0.1',
            handlers: { mongoose_api_admin: [{ host: 'localhost', path: '/api' }] },
          },
          {
            port: 8089,
            ip_address: '127.0.0.1',
            protocol: { compress: true },
            tls: { certfile: join(folder, '../data/certs/localhost.pem') },
            handlers: {
              lasse_handler: [{ path: '/api/sse', module: 'mongoose_client_api_sse' }],
              mongoose_client_api_rooms_messages: [{ host: '_', path: '/api/rooms/[:id]/messages' }],
              cowboy_static: [{ path: '/api-docs/[...]' }],
            },
          },
          {
            port: 5288,
            ip_address: '127.0.0.1',
            handlers: { mongoose_api: [{ host: 'localhost', path: '/api', handlers: ['mongoose_api_metrics'] }] },
          },
        ],
      },
    })
    expect(config?.modules).toHaveProperty('mod_roster')
    expect(config?.modules).toHaveProperty('mod_register')
  })
})
