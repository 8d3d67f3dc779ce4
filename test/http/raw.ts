import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, BlockList, connect, type Socket } from 'node:net'
import { createHttpApp, type HttpApp, type HttpHandler } from '../../src/http/app.js'
import { createHttpServer, type HttpServerOptions } from '../../src/http/http-server.js'
import type { Route } from '../../src/http/pattern.js'
import { createCounters } from '../../src/observability/counters.js'
import { createEvents, type EventRecord } from '../../src/observability/events.js'

/** An app with everything it needs, and what it told. */
export async function testApp(
  routes: readonly Route<HttpHandler>[],
  options: { compress?: boolean } = {},
): Promise<{
  app: RequestListener
  upgrade: HttpApp['upgrade']
  told: EventRecord[]
  counters: ReturnType<typeof createCounters>
}> {
  const told: EventRecord[] = []
  const counters = createCounters()
  const { emit } = createEvents({ level: 'all', sinks: [record => void told.push(record)] })
  const { serve, upgrade } = await createHttpApp({
    routes,
    serverName: 'Classified',
    compress: options.compress ?? false,
    trustedProxies: new BlockList(),
    counters,
    emit,
  })
  return { app: serve, upgrade, told, counters }
}

/** Serves an app on a free port of 127.0.0.1. */
export async function serveApp(app: RequestListener, options: Partial<HttpServerOptions> = {}) {
  const http = createHttpServer(app, { maxConnections: 'infinity', ...options })
  await new Promise<void>(resolve => http.server.listen(0, '127.0.0.1', resolve))
  return { ...http, port: (http.server.address() as AddressInfo).port } // bound to an address, not to a path
}

export interface Reply {
  status: number
  headers: Record<string, string>
  body: string
}

/** A connection that says what a test writes. */
export class RawClient {
  readonly socket: Socket
  readonly closed: Promise<void>
  #text = ''
  #changed: () => void = () => undefined
  #isClosed = false

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.#text += chunk
      this.#changed()
    })
    this.socket.on('error', () => undefined)
    this.closed = new Promise(resolve =>
      this.socket.once('close', () => {
        this.#isClosed = true
        this.#changed()
        resolve()
      }),
    )
  }

  /** Everything that came and was not taken by `reply`. */
  get text(): string {
    return this.#text
  }

  /** The next reply; its body is what `content-length` says. Fails when the connection ends before. */
  async reply(isHead = false): Promise<Reply> {
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n')
      if (end >= 0) {
        const [first = '', ...lines] = this.#text.slice(0, end).split('\r\n')
        const headers = Object.fromEntries(
          lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
        )
        const length = isHead ? 0 : Number(headers['content-length'] ?? 0)
        if (this.#text.length >= end + 4 + length) {
          const body = this.#text.slice(end + 4, end + 4 + length)
          this.#text = this.#text.slice(end + 4 + length)
          return { status: Number(first.split(' ')[1]), headers, body }
        }
      }
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.#text)}`)
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
    }
  }
}

/** Sends one request as it stands and gives the reply and whether the server then closed the connection by itself. */
export async function exchange(port: number, text: string): Promise<Reply> {
  const client = new RawClient(port)
  client.socket.write(text, 'latin1')
  try {
    return await client.reply(text.startsWith('HEAD'))
  } finally {
    client.socket.destroy()
    await client.closed
  }
}

/** A bare listening server, to see that a port is free again. */
export async function canBind(port: number): Promise<boolean> {
  const server = createServer()
  return await new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
