import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { ActorInfo } from '../../src/actors/runtime/index.js'
import { loadConfigOrThrow } from '../../src/config/load.js'
import { modules } from '../../src/modules/index.js'
import { createEvents, type EventRecord, type Events } from '../../src/observability/events.js'
import { createServer, type Internals, type Server, type ServerOptions } from '../../src/server.js'
import { startTestServer, type TestServer, type TestServerOptions } from '../../src/testing.js'
import { type Client, type ConnectOptions, connect } from './client.js'

/*
 * Servers and connections that end with the test (or the file) that asked for them.
 */

/** Every account of these tests has it. */
export const PASSWORD = 'r0m30'

export interface Setup extends TestServerOptions {
  /** Accounts on the first host. */
  users?: readonly string[]
  /** The one c2s listener: what differs from port 0 on 127.0.0.1 with two acceptors. */
  listener?: Readonly<Record<string, unknown>>
  /** Several c2s listeners. */
  listeners?: readonly Readonly<Record<string, unknown>>[]
}

const listenerDefaults = { port: 0, ip_address: '127.0.0.1', num_acceptors: 2 }

/** A server that the caller stops. */
export async function startServer({ users = [], listener, listeners, ...options }: Setup = {}): Promise<TestServer> {
  const c2s = (listeners ?? [listener ?? {}]).map(own => ({ ...listenerDefaults, ...own }))
  const config = { ...options.config, listen: { c2s, ...options.config?.listen } }
  const server = await startTestServer({ ...options, config })
  await Promise.all(users.map(user => server.addUser(user, PASSWORD)))
  return server
}

/** A server that stops when the running test ends. */
export async function startedServer(setup: Setup = {}): Promise<TestServer> {
  const server = await startServer(setup)
  onTestFinished(() => server.stop())
  return server
}

/** A server for all tests of a `describe`, for tests that leave nothing behind in it. */
export function sharedServer(setup: Setup = {}): () => TestServer {
  let server: TestServer | undefined
  beforeAll(async () => {
    server = await startServer(setup)
  })
  afterAll(() => server?.stop())
  return () => {
    if (server === undefined) throw new Error('the server runs only while the tests do')
    return server
  }
}

/** A server with its store in a folder, as `meerkat start` has it. */
export async function startInFolder(
  folder: string,
  { listener, config: given, ...options }: Pick<Setup, 'listener' | 'config'> & ServerOptions = {},
): Promise<Server & { internals: Internals; port: number }> {
  const object = {
    ...given,
    general: { hosts: ['localhost'], data_dir: join(folder, 'data'), ...given?.general },
    auth: { methods: ['internal'], scram_iterations: 4096, password: { hash: ['sha'] } },
    listen: { c2s: [{ ...listenerDefaults, ...listener }] },
  }
  const { config } = loadConfigOrThrow({ object, folder }, { modules })
  const server = await createServer(config, options)
  return { ...server, port: server.addresses[0]?.port ?? 0 }
}

/** What a server tells, as it tells it. */
export function recordedEvents(): Events & { records: EventRecord[] } {
  const records: EventRecord[] = []
  return { ...createEvents({ level: 'all', sinks: [record => records.push(record)] }), records }
}

/** A client that is dropped when the running test ends. */
export async function clientOf(server: { port: number }, options: Partial<ConnectOptions> = {}): Promise<Client> {
  const client = await connect({ port: server.port, ...options })
  onTestFinished(() => client.drop())
  return client
}

/** The same, logged in, available when there is a priority. */
export async function session(
  server: { port: number },
  user: string,
  options: Partial<ConnectOptions> & { resource?: string; mechanism?: string; priority?: number } = {},
): Promise<Client> {
  const { resource, mechanism, priority, ...connection } = options
  const client = await clientOf(server, connection)
  await client.login(user, PASSWORD, { ...(resource && { resource }), ...(mechanism && { mechanism }) })
  if (priority !== undefined) await available(client, priority)
  return client
}

/** Sends available presence and waits until the server has handled it. */
export async function available(client: Client, priority = 0): Promise<void> {
  await client.send(`<presence><priority>${priority}</priority></presence>`)
  await client.receives(`<presence from="${client.jid}"/>`)
  await client.settled()
}

/** Bytes out, text back: for answers that have to be right to the byte. */
export class RawConnection {
  /** All that came so far. */
  text = ''
  isClosed = false
  readonly #wake = new Set<() => void>()

  /** Over a socket that is there; closed when the running test ends. */
  static of(socket: net.Socket): RawConnection {
    onTestFinished(() => {
      socket.destroy()
    })
    return new RawConnection(socket)
  }

  private constructor(readonly socket: net.Socket) {
    socket.setEncoding('utf8')
    socket.on('data', text => {
      this.text += text
      this.#tell()
    })
    // A reset is one way to be closed, and 'close' follows.
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      this.#tell()
    })
  }

  /** Dropped when the running test ends; `allowHalfOpen` keeps our side open when the server has closed its own. */
  static async open(port: number, options: { host?: string; allowHalfOpen?: boolean } = {}): Promise<RawConnection> {
    const { host = '127.0.0.1', allowHalfOpen = false } = options
    const socket = net.connect({ port, host, allowHalfOpen })
    onTestFinished(() => {
      socket.destroy()
    })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  /** False when the connection is gone. */
  send(bytes: string | Uint8Array): Promise<boolean> {
    return new Promise(resolve => {
      this.socket.write(bytes, error => resolve(!error))
    })
  }

  /** Waits until the text so far contains this. */
  async until(wanted: string | RegExp): Promise<string> {
    const has = () => (typeof wanted === 'string' ? this.text.includes(wanted) : wanted.test(this.text))
    await this.#when(() => has() || this.isClosed, `${wanted}`)
    if (!has()) throw new Error(`closed before ${wanted} came; all that came:\n${this.text}`)
    return this.text
  }

  /** Waits for the end of the connection; all that came. */
  async closed(): Promise<string> {
    await this.#when(() => this.isClosed, 'the end of the connection')
    return this.text
  }

  async #when(isThere: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 10_000
    while (!isThere()) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${what} did not come; all that came:\n${this.text}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  #tell(): void {
    for (const wake of this.#wake) wake()
    this.#wake.clear()
  }
}

/** What the server answers to these bytes until it closes, with stream ids replaced by `ID`. */
export async function answerTo(port: number, bytes: string | Uint8Array): Promise<string> {
  const connection = await RawConnection.open(port)
  await connection.send(bytes)
  return withoutIds(await connection.closed())
}

/** Stream ids are random: 16 lower-case hex digits. spec/listeners.md §3 */
export const withoutIds = (text: string) => text.replace(/ id='[0-9a-f]{16}'/g, " id='ID'")

/** The stream header of a client. */
export const streamHeader = (attributes = "to='localhost' version='1.0'") =>
  `<?xml version='1.0'?><stream:stream ${attributes} xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

/** Looks again and again until it is so; fails after ten seconds. */
export async function eventually<T>(look: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const found = look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`it did not come to be: ${look}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** Every actor of a server, the root first. */
export function actors(server: Pick<Server, 'tree'>): ActorInfo[] {
  const root = server.tree(undefined, { depth: 10, limit: 5000 })
  return root === undefined ? [] : flat(root)
}

const flat = (actor: ActorInfo): ActorInfo[] => [actor, ...(actor.children?.items ?? []).flatMap(flat)]

/** The actors of the class, such as `Connection`. */
export const actorsOfKind = (server: Pick<Server, 'tree'>, kind: string) =>
  actors(server).filter(actor => actor.kind === kind)

/** The paths of the acceptors of all listeners. */
export const acceptorNames = (server: Pick<Server, 'tree'>) =>
  actors(server)
    .map(({ path }) => path)
    .filter(path => /\/acceptor-\d+$/.test(path))

/** The connection actor of a client that is logged in. */
export function connectionOf(server: Pick<Server, 'tree'>, client: Client): ActorInfo {
  const found = actorsOfKind(server, 'Connection').find(({ details }) => details.jid === client.jid)
  if (found === undefined) throw new Error(`no connection of ${client.jid}`)
  return found
}

/** Resolves when the server's run queue has had its turn, for tests that move the clock by hand. */
export async function drained(server: TestServer): Promise<void> {
  await eventually(() => server.internals.runtime.isIdle)
}
