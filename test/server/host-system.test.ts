import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as nact from 'nact'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Component, type Server, type ServerOptions, StartupError, startServer } from '../../src/index.js'
import { lockDataDir } from '../../src/storage/data-dir.js'
import { eventually, PASSWORD, recordedEvents, session, startInFolder } from '../support/server.js'

/*
 * A server in the nact system of the program around it. DESIGN §3, §8
 */

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'meerkat-host-system-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A program's system, stopped when the test ends. */
function hostSystem() {
  const system = nact.start()
  onTestFinished(() => nact.stop(system))
  return system
}

async function started(options: ServerOptions): Promise<Server & { port: number }> {
  const object = {
    general: { hosts: ['localhost'] },
    auth: { methods: ['anonymous'] },
    listen: { c2s: [{ port: 0, ip_address: '127.0.0.1', num_acceptors: 1 }] },
    modules: {},
  }
  const server = await startServer(object, { inMemory: true, ...options })
  onTestFinished(() => server.stop())
  return Object.assign(server, { port: server.addresses[0]!.port })
}

const anonymous = (server: { port: number }) => session(server, 'anyone', { mechanism: 'ANONYMOUS' })

/** An actor of the program that notes what it gets. */
function noting(system: nact.ActorSystemRef) {
  const seen: unknown[] = []
  return { seen, actor: nact.spawnStateless(system, (message: unknown) => void seen.push(message)) }
}

describe("a server in a program's nact system", () => {
  it('is a direct child of it, under the name that the program gives', async () => {
    const system = hostSystem()
    const first = await started({ system })
    const second = await started({ system, rootName: 'second' })
    expect([first.tree()?.path, second.tree('/second/listeners')?.path]).toEqual(['/root', '/second/listeners'])
    await Promise.all([anonymous(first), anonymous(second)])
    await first.stop()
    await anonymous(second)
  })

  it('has a top actor of another name without a system too', async () => {
    const server = await started({ rootName: 'chat' })
    expect([server.tree()?.path, server.tree('/root')]).toEqual(['/chat', undefined])
  })

  it('does not start in one that has stopped, or that has an actor of the name', async () => {
    const system = hostSystem()
    nact.spawnStateless(system, () => {}, 'root')
    const gone = nact.start()
    nact.stop(gone)
    for (const given of [system, gone, {}]) {
      const error: unknown = await started({ system: given }).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(StartupError)
      expect(error).toMatchObject({ problem: 'system', message: expect.stringContaining('nact system') })
    }
  })

  it('lets an actor of the program be a component: stanzas come as messages, and go by dispatch', async () => {
    const system = hostSystem()
    const server = await started({ system })
    const client = await anonymous(server)
    let component: Component | undefined
    const echo = nact.spawnStateless(system, (xml: string) => {
      const answer = `<message from='echo.localhost' to='${client.jid}'><body>${xml.includes('hello')}</body></message>`
      nact.dispatch(component!.ref, answer)
    })
    component = server.component('echo.localhost', echo)
    await client.send("<message to='echo.localhost'><body>hello</body></message>")
    await client.receives("<message from='echo.localhost'><body>true</body></message>")
  })

  it('gives the component as the sender of what it dispatches', async () => {
    const system = hostSystem()
    const server = await started({ system })
    const client = await anonymous(server)
    const echo = nact.spawnStateless(system, (_xml: string, context) => {
      // nact has it, its typings do not.
      const { sender } = context as typeof context & { sender: nact.Ref<string> }
      nact.dispatch(sender, `<message from='echo.localhost' to='${client.jid}' id='back'/>`)
    })
    server.component('echo.localhost', echo)
    await client.send("<message to='echo.localhost'/>")
    await client.receives("<message from='echo.localhost' id='back'/>")
  })

  it('supervised by an actor of the program, a worker that fails goes on with the next stanza', async () => {
    const system = hostSystem()
    const server = await started({ system })
    const client = await anonymous(server)
    const crashes: string[] = []
    const parent = nact.spawnStateless(system, () => {})
    const worker = nact.spawn(
      parent,
      (_state: unknown, xml: string, context) => {
        if (xml.includes('boom')) throw new Error('on purpose')
        const { sender } = context as typeof context & { sender: nact.Ref<string> }
        nact.dispatch(sender, `<message from='work.localhost' to='${client.jid}' id='done'/>`)
      },
      'worker',
      {
        onCrash: (_message, error, context) => {
          crashes.push(String(error?.message))
          return context.reset
        },
      },
    )
    server.component('work.localhost', worker)
    await client.send("<message to='work.localhost'><body>boom</body></message><message to='work.localhost'/>")
    await client.receives("<message from='work.localhost' id='done'/>")
    expect(crashes).toEqual(['on purpose'])
  })

  it('tells senders when the actor behind a component is gone', async () => {
    const system = hostSystem()
    const server = await started({ system })
    const client = await anonymous(server)
    const { actor } = noting(system)
    server.component('gone.localhost', actor)
    nact.stop(actor)
    await client.send("<message to='gone.localhost' id='m1'/>")
    await client.receives(
      "<message type='error' id='m1'><error><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    )
  })

  it('counts what is no stanza of the component as a fault of its actor, which goes on', async () => {
    const system = hostSystem()
    const server = await started({ system })
    const client = await anonymous(server)
    const { ref } = server.component('echo.localhost', noting(system).actor)
    for (const wrong of ['<message', "<message from='localhost' to='a@b'/>", 7]) nact.dispatch(ref, wrong)
    nact.dispatch(ref, `<message from='echo.localhost' to='${client.jid}' id='good'/>`)
    await client.receives("<message id='good'/>")
    expect(server.tree('/root/components/echo.localhost')).toMatchObject({ faults: 3, restarts: 0 })
  })

  it('refuses a component that is neither a function nor an actor', async () => {
    const server = await started({})
    expect(() => server.component('echo.localhost', {})).toThrow('nact')
  })

  it("is drained by nact's stop of the system as by its own: clients are told, and the store is written and free", async () => {
    const system = nact.start()
    const data = folder()
    const events = recordedEvents()
    const failed: Error[] = []
    const modules = { mod_private: {}, mod_disco: {} }
    const server = await startInFolder(data, { config: { modules }, system, events, onFailed: e => failed.push(e) })
    await server.internals.authenticator.create('romeo', 'localhost', PASSWORD)
    const romeo = await session(server, 'romeo')
    const kept = "<kept xmlns='urn:example:kept'>yes</kept>"
    await romeo.ask('set', `<query xmlns='jabber:iq:private'>${kept}</query>`)

    nact.stop(system)
    await romeo.streamError('system-shutdown')
    await server.stop()
    expect([server.status().state, failed]).toEqual(['draining', []])
    const ends = events.records.filter(({ name }) => name.startsWith('server.stop'))
    expect(ends.map(({ name, fields }) => [name, fields.reason])).toEqual([
      ['server.stopping', 'system'],
      ['server.stopped', undefined],
    ])
    expect(events.records.filter(({ name }) => name === 'server.bug' || name === 'actor.faulted')).toEqual([])
    expect(existsSync(join(data, 'data/meerkat.sock'))).toBe(false)
    lockDataDir(join(data, 'data')).release()

    const again = await startInFolder(data, { config: { modules } })
    onTestFinished(() => again.stop())
    const back = await session(again, 'romeo')
    const result = await back.ask('get', "<query xmlns='jabber:iq:private'><kept xmlns='urn:example:kept'/></query>")
    expect(String(result)).toContain('yes')
  })

  it('stops without its system, whose actors live on and where another can take its place', async () => {
    const system = hostSystem()
    const { seen, actor } = noting(system)
    const first = await started({ system })
    const client = await anonymous(first)
    await first.stop()
    await client.streamError('system-shutdown')
    nact.dispatch(actor, 'still here')
    await eventually(() => seen.length === 1)
    // The name is free again.
    const second = await started({ system })
    await anonymous(second)
  })

  it('does not start when the system stops meanwhile, and leaves nothing behind', async () => {
    const system = nact.start()
    const data = folder()
    const starting = startInFolder(data, { system })
    nact.stop(system)
    await expect(starting).rejects.toThrow('stopped')
    lockDataDir(join(data, 'data')).release()
  })
})
