import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  ControlError,
  type ControlHandlers,
  type ControlServer,
  callControl,
  serveControl,
} from '../../src/control/socket.js'
import { createEvents, type EventRecord } from '../../src/observability/events.js'

const told: EventRecord[] = []
const { emit } = createEvents({ level: 'all', sinks: [record => void told.push(record)] })

const handlers: ControlHandlers = {
  echo: request => request,
  nothing: () => undefined,
  slow: () => new Promise(() => undefined),
  refuse: () => {
    throw new ControlError('not-found', 'no such thing')
  },
  crash: async () => {
    throw new Error('a bug')
  },
  unprintable: () => 1n,
  large: () => 'x'.repeat(1_000_000),
}

let folder: string
let servers: ControlServer[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meerkat-'))
  servers = []
  told.length = 0
})
afterEach(async () => {
  for (const server of servers) await server.close()
  rmSync(folder, { recursive: true })
})

const socketFile = () => join(folder, 'meerkat.sock')

async function serve(dataDir = folder): Promise<ControlServer> {
  const server = await serveControl(dataDir, handlers, emit)
  servers.push(server)
  return server
}

/** Opens a raw client and collects what it gets until the server ends. */
function rawClient(): { socket: Socket; ended: Promise<string> } {
  const socket = connect(socketFile())
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const ended = new Promise<string>(resolve => {
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
  return { socket, ended }
}

const replies = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

/** What a server that was killed leaves behind. */
function leaveStaleSocket(): void {
  const code = `require('node:net').createServer().listen(${JSON.stringify(socketFile())}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', code])
}

describe('the control socket', () => {
  it('answers a verb with its result', async () => {
    await serve()
    expect(await callControl(folder, { verb: 'echo', text: 'h\u00e9\nllo' }, 5_000)).toEqual({
      ok: true,
      result: { verb: 'echo', text: 'h\u00e9\nllo' },
    })
    expect(await callControl(folder, { verb: 'nothing' }, 5_000)).toEqual({ ok: true, result: null })
  })

  it('is open to the owner alone', async () => {
    const before = process.umask(0)
    await serve()
    expect(process.umask(before)).toBe(0)
    expect(statSync(socketFile()).mode & 0o777).toBe(0o600)
  })

  it('answers a refusal with its code and text', async () => {
    await serve()
    expect(await callControl(folder, { verb: 'refuse' }, 5_000)).toEqual({
      ok: false,
      error: { code: 'not-found', message: 'no such thing' },
    })
    expect(await callControl(folder, { verb: 'toString' }, 5_000)).toMatchObject({ error: { code: 'unknown-verb' } })
    expect(told).toEqual([])
  })

  it('answers a failing handler with internal, tells about it, and goes on', async () => {
    await serve()
    expect(await callControl(folder, { verb: 'crash' }, 5_000)).toMatchObject({ error: { code: 'internal' } })
    expect(await callControl(folder, { verb: 'unprintable' }, 5_000)).toMatchObject({ error: { code: 'internal' } })
    expect(told.map(record => [record.name, record.fields.verb])).toEqual([
      ['control.failed', 'crash'],
      ['control.failed', 'unprintable'],
    ])
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toMatchObject({ ok: true })
  })

  it('answers the requests of one client in order, however they are cut', async () => {
    await serve()
    const { socket, ended } = rawClient()
    const text = '{"verb":"echo","n":1}\n{"verb":"refuse"}\n{"verb":"echo","n":2}\n'
    for (const byte of text) socket.write(byte)
    socket.end()
    expect(replies(await ended)).toMatchObject([
      { result: { n: 1 } },
      { error: { code: 'not-found' } },
      { result: { n: 2 } },
    ])
  })

  it('answers a client that closed its half, and a last line without its end', async () => {
    await serve()
    const { socket, ended } = rawClient()
    socket.end('{"verb":"large"}\n{"verb":"echo","n":2}')
    expect(replies(await ended)).toMatchObject([{ ok: true }, { result: { n: 2 } }])
  })

  it.each([
    ['no JSON', '\u0000\u0001 hello'],
    ['no object', '[1]'],
    ['null', 'null'],
    ['no verb', '{"a":1}'],
    ['a verb that is no text', '{"verb":1}'],
    ['an empty line', ''],
  ])('answers %s with bad-request and stays open', async (_what, line) => {
    await serve()
    const { socket, ended } = rawClient()
    socket.end(`${line}\n{"verb":"echo"}\n`)
    expect(replies(await ended)).toMatchObject([{ error: { code: 'bad-request' } }, { ok: true }])
  })

  it('refuses a request that is too long and hangs up, and other clients are served', async () => {
    await serve()
    const { socket, ended } = rawClient()
    socket.write('x'.repeat(16_777_217))
    expect(replies(await ended)).toMatchObject([{ error: { code: 'bad-request', message: 'the request is too long' } }])
    expect(await callControl(folder, { verb: 'echo', pad: 'x'.repeat(60_000) }, 5_000)).toMatchObject({ ok: true })
  })

  it('is not hurt by a client that vanishes while it is served', async () => {
    await serve()
    const { socket, ended } = rawClient()
    socket.write('{"verb":"large"}\n'.repeat(20))
    await new Promise<void>(resolve => socket.once('data', () => resolve()))
    socket.destroy()
    await ended
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toMatchObject({ ok: true })
  })

  it('rejects when the server does not answer in time', async () => {
    await serve()
    await expect(callControl(folder, { verb: 'slow' }, 50)).rejects.toThrow('within 50 ms')
  })

  it('rejects when the server hangs up', async () => {
    const server = createServer(socket => socket.destroy())
    await new Promise<void>(resolve => server.listen(socketFile(), resolve))
    await expect(callControl(folder, { verb: 'echo' }, 5_000)).rejects.toThrow()
    await new Promise(resolve => server.close(resolve))
  })

  it('is nobody where no server runs, where one was killed, and where there is no folder', async () => {
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toBeUndefined()
    leaveStaleSocket()
    expect(existsSync(socketFile())).toBe(true)
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toBeUndefined()
    expect(await callControl(join(folder, 'missing'), { verb: 'echo' }, 5_000)).toBeUndefined()
  })

  it('replaces the file that a killed server left', async () => {
    leaveStaleSocket()
    expect(existsSync(socketFile())).toBe(true)
    await serve()
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toMatchObject({ ok: true })
    expect(statSync(socketFile()).mode & 0o777).toBe(0o600)
  })

  it('never takes the socket of a living server away', async () => {
    await serve()
    await expect(serve()).rejects.toMatchObject({ name: 'StartupError', problem: 'data-dir-in-use' })
    expect(await callControl(folder, { verb: 'echo' }, 5_000)).toMatchObject({ ok: true })
  })

  it('does not delete a file that is no socket', async () => {
    writeFileSync(socketFile(), 'precious')
    await expect(serve()).rejects.toMatchObject({ name: 'StartupError', problem: 'data-dir' })
    expect(statSync(socketFile()).size).toBe(8)
  })

  it('cuts its clients and removes its file when it closes', async () => {
    const server = await serve()
    const { socket, ended } = rawClient()
    socket.write('{"verb":"slow"}\n{"verb":"echo"}\n')
    await new Promise<void>(resolve => socket.once('connect', () => resolve()))
    await server.close()
    expect(await ended).toBe('')
    expect(readdirSync(folder)).toEqual([])
    servers = []
  })

  it.runIf(process.platform === 'linux')('works in a folder whose path is too long for a socket', async () => {
    const long = join(folder, 'd'.repeat(120), 'e'.repeat(120))
    await mkdir(long, { recursive: true })
    const server = await serve(long)
    expect(await callControl(long, { verb: 'echo' }, 5_000)).toMatchObject({ ok: true })
    await expect(serveControl(long, handlers, emit)).rejects.toMatchObject({ problem: 'data-dir-in-use' })
    await server.close()
    servers = []
    expect(readdirSync(long)).toEqual([])
    expect(await callControl(long, { verb: 'echo' }, 5_000)).toBeUndefined()
  })
})
