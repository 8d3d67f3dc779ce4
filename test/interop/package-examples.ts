import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { collect, freePort, type Output, patience, stopped } from '../support/programs.js'

/*
 * The main programs of the examples as their readers start them, each as a process of its own, seen from outside.
 */

const within = { timeout: patience, interval: 100 }

interface Started {
  readonly output: Output
  /** As by Ctrl-C or a service manager; says how the program exited. */
  stop(): Promise<number | null>
}

function start(folder: string, program: string, parameters: readonly string[], ports: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(program, parameters, { cwd: folder, env: { ...process.env, ...ports } })
  const output = collect(child)
  onTestFinished(() => void child.kill('SIGKILL'))
  return { output, stop: () => stopped(child) }
}

const startMain = (folder: string, ports: NodeJS.ProcessEnv) => start(folder, process.execPath, ['main.js'], ports)

/** Makes an account as a client does (XEP-0077), and logs in. */
async function registered(port: number): Promise<Client> {
  const before = await connect({ port, within: patience })
  await before.open()
  const account = '<username>romeo</username><password>secret</password>'
  await before.send(`<iq type='set' id='r'><query xmlns='jabber:iq:register'>${account}</query></iq>`)
  await before.receives("<iq type='result' id='r'/>")
  await before.close()
  return loggedIn(port)
}

async function loggedIn(port: number): Promise<Client> {
  const romeo = await connect({ port, within: patience })
  await romeo.login('romeo', 'secret')
  return romeo
}

/** Tests of every example, in a folder that has their programs. */
export function runExamples(folder: string): void {
  afterEach(dropClients)
  const at = (name: string) => join(folder, name)

  it('echo-bot: says again what it is told', async () => {
    const port = await freePort()
    const bot = startMain(at('echo-bot'), { XMPP_PORT: String(port) })
    await bot.output.line(line => line === 'write to anybody@echo.localhost', 'that it is ready')
    const romeo = await registered(port)
    await romeo.send("<message to='a@echo.localhost' type='chat'><body>hello</body></message>")
    await romeo.receives("<message type='chat' from='a@echo.localhost'><body>hello</body></message>")
    expect(await bot.stop()).toBe(0)
  })

  it('host-system: an actor of the program counts, and one stop ends all', async () => {
    const port = await freePort()
    const host = startMain(at('host-system'), { XMPP_PORT: String(port) })
    await host.output.line(line => line === 'write to anybody@counter.localhost', 'that it is ready')
    const romeo = await registered(port)
    for (const count of [1, 2]) {
      await romeo.send("<message to='a@counter.localhost'><body>hello</body></message>")
      await romeo.receives(`<message from='a@counter.localhost'><body>${count}</body></message>`)
    }
    const ended = host.stop()
    await romeo.streamError('system-shutdown')
    expect(await ended).toBe(0)
  })

  it('koa: shows who wrote, and announces', async () => {
    const [port, http] = [await freePort(), await freePort()]
    const app = startMain(at('koa'), { XMPP_PORT: String(port), PORT: String(http) })
    await app.output.line(line => line === 'ready', 'that it is ready')
    const base = `http://127.0.0.1:${http}`
    const shown = async (): Promise<unknown> => (await fetch(base)).json()
    expect(await shown()).toEqual({ state: 'running', sessions: 0, written: {} })
    const romeo = await registered(port)
    await romeo.send("<presence/><message to='localhost'><body>hi</body></message>")
    await romeo.settled()
    expect(await shown()).toEqual({ state: 'running', sessions: 1, written: { 'romeo@localhost': 1 } })
    const told = await fetch(`${base}/announce?to=romeo@localhost&text=soon`, { method: 'POST' })
    expect(told.status).toBe(204)
    await romeo.receives("<message type='headline' from='localhost'><body>soon</body></message>")
    expect(await app.stop()).toBe(0)
  })

  it('module: answers with the greeting of its options', async () => {
    const port = await freePort()
    const configFile = join(at('module'), 'meerkat.toml')
    const text = readFileSync(configFile, 'utf8')
    expect(text).toContain('port = 5222')
    writeFileSync(configFile, text.replace('port = 5222', `port = ${port}`))
    const meerkat = join(folder, '../node_modules/.bin/meerkat')
    const config = ['--config', 'module/meerkat.toml']
    const checked = await promisify(execFile)(meerkat, ['check', ...config], { cwd: folder })
    expect(checked.stdout).toContain('the configuration is good')
    const user = ['user', 'add', 'romeo@localhost', '--password', 'secret']
    await promisify(execFile)(meerkat, [...user, ...config], { cwd: folder })
    const server = start(folder, meerkat, ['start', ...config])
    await server.output.line(line => line.startsWith('ready'), 'that it is ready')
    const romeo = await loggedIn(port)
    await romeo.send("<message to='juliet@localhost'><body>hi</body></message>")
    await romeo.send("<iq type='get' to='localhost' id='g'><query xmlns='urn:example:greeter'/></iq>")
    const answer = await romeo.receives(
      "<iq type='result' id='g'><query xmlns='urn:example:greeter' messages='1'/></iq>",
    )
    expect(answer.getChildText('query')).toBe('Good day, romeo')
    expect(await server.stop()).toBe(0)
  })

  it('chat: tells everybody else what one says', async () => {
    const port = await freePort()
    const chat = startMain(at('chat'), { PORT: String(port) })
    const one = await vi.waitFor(() => connected(port), within)
    const other = await connected(port)
    const lines = createInterface(one)[Symbol.asyncIterator]()
    other.write('hello\n')
    expect((await lines.next()).value).toBe('2: hello')
    const gone = once(one, 'close')
    expect(await chat.stop()).toBe(0)
    await gone
  })

  it('client-test: passes by the test runner of Node.js', async () => {
    const how = ['--test', '--test-reporter=tap']
    // The runner of a runner would wait for its parent.
    const options = { cwd: at('client-test'), env: { PATH: process.env.PATH } }
    const { stdout } = await promisify(execFile)(process.execPath, how, options)
    expect(stdout).toMatch(/^# pass 1$/m)
    expect(stdout).toMatch(/^# fail 0$/m)
  })
}

async function connected(port: number): Promise<Socket> {
  const socket = createConnection(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}
