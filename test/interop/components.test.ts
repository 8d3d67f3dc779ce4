import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { certfile, domain, Meerkat, register } from '../support/meerkat.js'
import { collect, exited, freePort, type Output } from '../support/programs.js'

/*
 * Other people's components, as their users start them. XEP-0114
 */

const secret = 'not the shipped one'
/** Stanzas of one client; `ECHOED=100000` is ten times as many. */
const ECHOED = Number(process.env.ECHOED ?? 10_000)

interface Port {
  readonly disconnect: number
  readonly kickOld: number
}

let server: Meerkat<'c2s'>
let ports: Port

beforeAll(async () => {
  ports = { disconnect: await freePort(), kickOld: await freePort() }
  const service = (port: number, behaviour: string) => `
[[listen.service]]
  ip_address = "127.0.0.1"
  port = ${port}
  password = "${secret}"
  conflict_behaviour = "${behaviour}"
`
  server = await Meerkat.start(
    { c2s: `\n  tls.mode = "starttls"\n  tls.certfile = "${certfile}"` },
    { more: service(ports.disconnect, 'disconnect') + service(ports.kickOld, 'kick_old') },
  )
  return async () => {
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  }
})

afterEach(() => dropClients())

interface Program {
  readonly name: string
  missing(): string | undefined
  readonly command: readonly [string, ...string[]]
}

const here = import.meta.dirname
const python = '/usr/bin/python3'

const programs: readonly Program[] = [
  {
    name: 'slixmpp',
    missing: () =>
      spawnSync(python, ['-c', 'import slixmpp']).status === 0 ? undefined : 'slixmpp: run scripts/install-peers.sh',
    command: [python, join(here, 'peers/slixmpp_component.py')],
  },
  {
    name: '@xmpp/component',
    missing: () =>
      existsSync(join(here, 'node_modules/@xmpp/component')) ? undefined : 'run npm ci --prefix test/interop',
    command: [process.execPath, join(here, 'peers/xmpp-component.mjs')],
  },
]

describe.each(programs)('a component with $name', program => {
  it(`echoes ${ECHOED} stanzas of a client, none lost, in order`, { timeout: ECHOED * 12 }, async ({ skip }) => {
    need(program.missing(), skip)
    const component = start(program, `echo-${program.name.replace(/\W/g, '')}.${domain}`)
    await component.isOnline()
    const romeo = await user('romeo')
    const since = performance.now()
    let answered = 0
    for (let sent = 0; sent < ECHOED; sent += 500) {
      const bodies = Array.from({ length: 500 }, (_, i) => sent + i)
      await romeo.send(bodies.map(body => chat(component.name, `${body} <&> ὦ`)).join(''))
      for (; answered < sent + 500; answered++) {
        const answer = await Promise.race([romeo.receives('<message/>', { within: 60_000 }), component.output.ended])
        expect(answer.getChildText('body')).toBe(`${answered} <&> ὦ`)
      }
    }
    await romeo.receivesNothing('<message/>')
    console.log(`${program.name}: ${answered} stanzas echoed in ${((performance.now() - since) / 1000).toFixed(1)} s`)
    expect(await component.stop()).toBe(0)
  })

  it('sees conflict where its name is taken (disconnect), and when a newer one takes it (kick_old)', async ({
    skip,
  }) => {
    need(program.missing(), skip)
    const name = `twice-${program.name.replace(/\W/g, '')}.${domain}`
    const old = start(program, name)
    await old.isOnline()
    const refused = start(program, name)
    await refused.output.line(line => line.includes('"conflict"'), 'the conflict')
    const newer = start(program, name, ports.kickOld)
    await newer.isOnline()
    await old.output.line(line => line.includes('"conflict"'), 'the conflict')
    const romeo = await user('romeo')
    await romeo.send(chat(name, 'who is it?'))
    await romeo.receives(`<message from="${name}"><body>who is it?</body></message>`)
  })
})

describe('biboumi', () => {
  it('connects as a component and answers disco#info', async ({ skip }) => {
    need(existsSync('/usr/bin/biboumi') ? undefined : 'biboumi: run scripts/install-peers.sh', skip)
    const name = `irc.${domain}`
    const folder = mkdtempSync(join(tmpdir(), 'biboumi-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const settings = {
      hostname: name,
      password: secret,
      xmpp_server_ip: '127.0.0.1',
      port: ports.disconnect,
      db_name: join(folder, 'biboumi.sqlite'),
      policy_directory: folder,
      log_level: 1,
      identd_port: 0,
    }
    const file = join(folder, 'biboumi.cfg')
    writeFileSync(
      file,
      Object.entries(settings)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    const child = spawn('/usr/bin/biboumi', [file])
    onTestFinished(() => end(child))
    const output = collect(child)
    const romeo = await user('romeo')
    const query = '<query xmlns="http://jabber.org/protocol/disco#info"/>'
    let info = await romeo.ask('get', query, { to: name })
    // It connects when it likes.
    for (let i = 0; i < 100 && info.attrs.type === 'error'; i++) {
      await Promise.race([new Promise(resolve => setTimeout(resolve, 100)), output.ended])
      info = await romeo.ask('get', query, { to: name })
    }
    expect(info.toString()).toContain('category="conference"')
    expect(info.toString()).toContain('type="irc"')
    const items = await romeo.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: domain })
    expect(items.toString()).toContain(`jid="${name}"`)
  })
})

interface Running {
  readonly name: string
  readonly output: Output
  isOnline(): Promise<void>
  stop(): Promise<number | null>
}

/** A program that is a component until the test ends. */
function start(program: Program, name: string, port = ports.disconnect): Running {
  const [command, ...args] = program.command
  const child = spawn(command, [...args, JSON.stringify({ domain: name, port, secret })])
  onTestFinished(() => end(child))
  const output = collect(child)
  return {
    name,
    output,
    isOnline: () => output.line(line => line.includes('"online"'), 'the word that it is online'),
    stop() {
      child.stdin.end()
      return exited(child)
    },
  }
}

async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await exited(child)
}

let accounts = 0

async function user(name: string): Promise<Client> {
  accounts++
  const made = { user: `${name}-${accounts}`, password: `pw-${accounts}` }
  const client = await connect({ port: server.ports.c2s, domain })
  await client.open()
  await register(client, made)
  await client.login(made.user, made.password)
  await client.send('<presence/>')
  return client
}

const chat = (to: string, body: string) =>
  `<message to="${to}" type="chat"><body>${body.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</body></message>`

/** In CI every peer is there, or the run fails. */
function need(missing: string | undefined, skip: TestContext['skip']): void {
  if (missing === undefined) return
  if (process.env.CI === 'true') throw new Error(missing)
  skip(missing)
}
