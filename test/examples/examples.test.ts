import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { start, stop } from 'nact'
import { afterEach, describe, expect, it } from 'vitest'
import { echo } from '../../examples/echo-bot/echo.js'
import { countOn } from '../../examples/host-system/counter.js'
import { application } from '../../examples/koa/app.js'
import { loadConfigFile } from '../../src/config/load-file.js'
import { startServer } from '../../src/index.js'
import { availableModules } from '../../src/modules/packages.js'
import { startTestServer, type TestServer } from '../../src/testing.js'
import { connect, dropClients } from '../support/client.js'

/*
 * The examples run as they stand: they take `meerkat-xmpp` from the built package, whose name is this repository's own.
 */

const undos: (() => Promise<void>)[] = []
afterEach(async () => {
  dropClients()
  for (const undo of undos.splice(0).reverse()) await undo()
})

async function served(): Promise<TestServer> {
  const server = await startTestServer()
  undos.push(() => server.stop())
  await server.addUser('romeo', 'secret')
  return server
}

async function login({ port }: { port: number }) {
  const romeo = await connect({ port })
  return romeo.login('romeo', 'secret')
}

describe('examples/echo-bot', () => {
  it('says again what it is told, and answers no error', async () => {
    const server = await served()
    const bot = echo(server, 'echo.localhost')
    const romeo = await login(server)
    await romeo.send("<message to='a@echo.localhost' type='error'><body>1</body></message>")
    await romeo.send("<message to='a@echo.localhost' type='chat'><body>a &lt; b</body></message>")
    await romeo.receives("<message type='chat' from='a@echo.localhost'><body>a &lt; b</body></message>")
    await bot.stop()
  })
})

describe('examples/host-system', () => {
  it('counts in an actor of the program, and ends when its system stops', async () => {
    const system = start()
    undos.push(async () => stop(system))
    const listen = { c2s: [{ port: 0, ip_address: '127.0.0.1' }] }
    const config = { general: { hosts: ['localhost'] }, auth: { methods: ['anonymous'] }, listen, modules: {} }
    const server = await startServer(config, { inMemory: true, system })
    undos.push(() => server.stop())
    countOn(system, server, 'counter.localhost')
    const romeo = await connect({ port: server.addresses[0]!.port })
    await romeo.login('', '', { mechanism: 'ANONYMOUS' })
    await romeo.send("<message to='a@counter.localhost' type='error'><body>0</body></message>")
    for (const count of [1, 2]) {
      await romeo.send("<message to='a@counter.localhost' type='chat'><body>hello</body></message>")
      await romeo.receives(`<message type='chat' from='a@counter.localhost'><body>${count}</body></message>`)
    }
    stop(system)
    await romeo.streamError('system-shutdown')
  })
})

describe('examples/module', () => {
  it('answers with the greeting of its options, and with how many messages went by', async () => {
    const path = join(import.meta.dirname, '../../examples/module/greeter.js')
    const server = await startTestServer({ modules: { mod_greeter: { package: path, greeting: 'Good day' } } })
    undos.push(() => server.stop())
    await server.addUser('romeo', 'secret')
    const romeo = await login(server)
    await romeo.send("<message to='juliet@localhost' id='m'><body>hi</body></message>")
    await romeo.send("<iq type='get' to='localhost' id='g'><query xmlns='urn:example:greeter'/></iq>")
    const answer = await romeo.receives(
      "<iq type='result' id='g'><query xmlns='urn:example:greeter' messages='1'/></iq>",
    )
    expect(answer.getChildText('query')).toBe('Good day, romeo')
  })

  it('has a configuration that is good', async () => {
    const configFile = join(import.meta.dirname, '../../examples/module/meerkat.toml')
    const available = await availableModules({ file: configFile }, {})
    expect(loadConfigFile(configFile, available).problems).toEqual([])
  })
})

describe('examples/koa', () => {
  it('shows who wrote, and announces', async () => {
    const server = await served()
    const http = application(server).listen(0, '127.0.0.1')
    undos.push(async () => {
      http.close()
      http.closeAllConnections()
      await once(http, 'close')
    })
    await once(http, 'listening')
    const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}` // a port, not a path
    const romeo = await login(server)
    await romeo.send('<presence/>')
    await romeo.send("<message to='localhost'><body>hi</body></message>")
    await romeo.settled()
    const shown: unknown = await (await fetch(base)).json()
    expect(shown).toEqual({ state: 'running', sessions: 1, written: { 'romeo@localhost': 1 } })
    const told = await fetch(`${base}/announce?to=romeo@localhost&text=soon`, { method: 'POST' })
    expect(told.status).toBe(204)
    await romeo.receives("<message type='headline' from='localhost'><body>soon</body></message>")
  })
})
