import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfigOrThrow } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'
import { createServer } from '../../src/server.js'
import type { Client } from '../support/client.js'
import {
  clientOf,
  PASSWORD,
  RawConnection,
  recordedEvents,
  sharedServer,
  startedServer,
  streamHeader,
} from '../support/server.js'

const certfile = join(import.meta.dirname, '../support/certificates/rsa.pem')
const scram = (...plus: string[]) =>
  ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1'].flatMap(name => [...plus.map(suffix => name + suffix), name])
const inClear = [...scram(), 'PLAIN']
const overTls = [...scram('-PLUS'), 'PLAIN']

/** The names of the features in their order. */
/** In their order, without the limits that end the list in every phase (XEP-0478). */
const names = (client: Client) => {
  const all = client.features?.getChildElements().map(child => child.getName()) ?? []
  return all.at(-1) === 'limits' ? all.slice(0, -1) : all
}
const mechanisms = (client: Client) =>
  client.features
    ?.getChild('mechanisms', 'urn:ietf:params:xml:ns:xmpp-sasl')
    ?.getChildren('mechanism')
    .map(mechanism => mechanism.getText())
const bindings = (client: Client) =>
  client.features
    ?.getChild('sasl-channel-binding', 'urn:xmpp:sasl-cb:0')
    ?.getChildren('channel-binding')
    .map(binding => binding.attrs.type)

describe('the features of a stream (§3.1.2)', () => {
  const server = sharedServer({
    users: ['romeo'],
    listeners: [
      {},
      { tls: { mode: 'starttls', certfile } },
      { tls: { mode: 'starttls_required', certfile } },
      { tls: { mode: 'tls', certfile } },
      { tls: { mode: 'tls', certfile: join(certfile, '../ed25519.pem') } },
      { tls: { certfile } },
    ],
  })
  /** A client of the listener in that place. */
  const at = async (place: number, options: Parameters<typeof clientOf>[1] = {}) =>
    clientOf({ port: server().addresses[place]!.port }, options)

  /** What is offered once the client has logged in; the same on every listener. */
  async function offersBind(client: Client): Promise<void> {
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.open()
    expect(names(client)).toEqual(['bind', 'session', 'sub', 'sm'])
    expect(client.features?.getChild('session')?.getChildElements().map(String)).toEqual(['<optional/>'])
  }

  it('without TLS are mechanisms, PLAIN among them, and what modules offer; then bind, session and sub', async () => {
    const client = await at(0)
    await client.open()
    expect(names(client)).toEqual(['mechanisms', 'register'])
    expect(mechanisms(client)).toEqual(inClear)
    await offersBind(client)
  })

  it('with starttls begin with starttls, not required, and PLAIN is offered in clear; after TLS there is -PLUS', async () => {
    const client = await at(1)
    await client.open()
    expect(names(client)).toEqual(['starttls', 'mechanisms', 'register'])
    expect(client.features?.getChild('starttls')?.children).toEqual([])
    expect(mechanisms(client)).toEqual(inClear)
    await client.startTls()
    await client.open()
    expect(names(client)).toEqual(['mechanisms', 'sasl-channel-binding', 'register'])
    expect(mechanisms(client)).toEqual(overTls)
    await offersBind(client)
  })

  it('with starttls_required are starttls and nothing else, to the byte, and mechanisms only after TLS', async () => {
    const raw = await RawConnection.open(server().addresses[2]!.port)
    await raw.send(streamHeader())
    expect(await raw.until('</stream:features>')).toContain(
      "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>",
    )
    const client = await at(2)
    await client.open()
    await client.startTls()
    await client.open()
    expect(names(client)).toEqual(['mechanisms', 'sasl-channel-binding', 'register'])
    expect(mechanisms(client)).toEqual(overTls)
    await offersBind(client)
  })

  it('with tls have no starttls', async () => {
    const client = await at(3, { tls: 'direct' })
    await client.open()
    expect(names(client)).toEqual(['mechanisms', 'sasl-channel-binding', 'register'])
    expect(mechanisms(client)).toEqual(overTls)
    await offersBind(client)
  })

  it('are those without TLS where a tls table names no mode (§4 trap 1)', async () => {
    const client = await at(5)
    await client.open()
    expect(names(client)).toEqual(['mechanisms', 'register'])
    expect(mechanisms(client)).toEqual(inClear)
  })

  it('name no EXTERNAL without verify_peer, whatever certificate the client has (§1.6.4, first row)', async () => {
    const pem = readFileSync(join(certfile, '../chain.pem'))
    const client = await at(3, { tls: 'direct', tlsOptions: { cert: pem, key: pem } })
    await client.open()
    expect(mechanisms(client)).toEqual(overTls)
    await client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
    const failure = await client.receives('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>')
    expect(failure.getChild('invalid-mechanism')).toBeDefined()
  })

  it('name the channel bindings right behind the mechanisms (XEP-0440): tls-exporter on TLS 1.3 only', async () => {
    const newer = await at(3, { tls: 'direct', tlsOptions: { minVersion: 'TLSv1.3' } })
    await newer.open()
    expect(bindings(newer)).toEqual(['tls-exporter', 'tls-server-end-point'])
    const older = await at(3, { tls: 'direct', tlsOptions: { maxVersion: 'TLSv1.2' } })
    await older.open()
    expect(bindings(older)).toEqual(['tls-server-end-point'])
  })

  it('have no -PLUS and no channel bindings where there is none to have: TLS 1.2 with an Ed25519 certificate', async () => {
    const older = await at(4, { tls: 'direct', tlsOptions: { maxVersion: 'TLSv1.2' } })
    await older.open()
    expect(names(older)).toEqual(['mechanisms', 'register'])
    expect(mechanisms(older)).toEqual(inClear)
    const newer = await at(4, { tls: 'direct' })
    await newer.open()
    expect(bindings(newer)).toEqual(['tls-exporter'])
  })
})

describe('the features that modules add (§3.1.2)', () => {
  const server = sharedServer({ users: ['romeo'], modules: { mod_roster: { versioning: true } } })

  it('are there when the module is: no registration, but roster versioning', async () => {
    const client = await clientOf(server())
    await client.open()
    expect(names(client)).toEqual(['mechanisms'])
    await client.authenticate('PLAIN', 'romeo', PASSWORD)
    await client.open()
    expect(names(client)).toEqual(['bind', 'session', 'ver', 'sub'])
  })
})

describe('the mechanisms that are offered (§3.1.5)', () => {
  const nobody = sharedServer({ config: { auth: { methods: [] } } })
  const anonymous = sharedServer({ config: { auth: { methods: ['anonymous'] } } })
  const chosen = sharedServer({
    config: {
      auth: { methods: ['internal', 'anonymous'], sasl_mechanisms: ['anonymous', 'plain', 'scram_sha256'] },
    },
  })

  it('are left out as a whole where nobody can log in (§4 trap 41)', async () => {
    const client = await clientOf(nobody())
    await client.open()
    expect(names(client)).toEqual(['register'])
  })

  it('are what the methods can check', async () => {
    const client = await clientOf(anonymous())
    await client.open()
    expect(mechanisms(client)).toEqual(['ANONYMOUS'])
  })

  it('stand in the order of the configuration', async () => {
    const client = await clientOf(chosen())
    await client.open()
    expect(mechanisms(client)).toEqual(['ANONYMOUS', 'PLAIN', 'SCRAM-SHA-256'])
  })
})

describe('PLAIN in clear (§3.1.5)', () => {
  /** The warnings of a start with these listeners. */
  async function warnings(...c2s: object[]): Promise<string[]> {
    const events = recordedEvents()
    const object = { general: { hosts: ['localhost'] }, auth: { methods: ['internal'] }, listen: { c2s } }
    const { config } = loadConfigOrThrow({ object, folder: '/' }, { modules })
    const server = await createServer(config, { inMemory: true, events })
    await server.stop()
    return events.records.filter(({ name }) => name === 'config.warning').map(({ fields }) => String(fields.path))
  }

  it('is worth a warning at start on an address that is not loopback, unless TLS comes first', async () => {
    const required = { mode: 'starttls_required', certfile }
    const loopback = [
      { port: 0, ip_address: '127.0.0.1' },
      { port: 0, ip_address: '::1' },
    ]
    expect(await warnings(...loopback)).toEqual([])
    expect(await warnings({ port: 0, tls: required }, { port: 0, tls: { mode: 'tls', certfile } })).toEqual([])
    expect(await warnings({ port: 0 }, { port: 0, tls: { mode: 'starttls', certfile } })).toHaveLength(2)
  })
})

describe('the features of each phase, with and without compression (§6 item 2, §3.1.2)', () => {
  const modes = [undefined, 'starttls', 'starttls_required', 'tls'] as const
  const table = modes.flatMap(mode =>
    [undefined, 100_000].map(zlib => [mode ?? 'no TLS', zlib ?? 'no zlib', mode, zlib] as const),
  )

  it.each(table)('are right for %s and %s', async (_mode, _zlib, mode, zlib) => {
    const server = await startedServer({
      users: ['romeo'],
      listener: { ...(mode && { tls: { mode, certfile } }), ...(zlib && { zlib }) },
      modules: { mod_register: {}, mod_roster: {} },
    })
    const client = await clientOf(server, mode === 'tls' ? { tls: 'direct' } : {})
    await client.open()
    const beforeLogin = ['mechanisms', ...(mode === undefined ? [] : ['sasl-channel-binding']), 'register']
    if (mode === 'starttls') expect(names(client)).toEqual(['starttls', 'mechanisms', 'register'])
    if (mode === 'starttls_required') expect(names(client)).toEqual(['starttls'])
    if (mode?.startsWith('starttls')) {
      await client.startTls()
      await client.open()
    }
    expect(names(client)).toEqual(beforeLogin)
    await client.authenticate('SCRAM-SHA-1', 'romeo', PASSWORD)
    await client.open()
    const afterLogin = ['bind', 'session', 'sub']
    expect(names(client)).toEqual(zlib ? ['compression', ...afterLogin] : afterLogin)
    if (zlib === undefined) return
    await client.compress()
    await client.open()
    expect(names(client)).toEqual(afterLogin)
  })
})
