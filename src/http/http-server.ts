import {
  createServer,
  type ServerOptions as HttpOptions,
  type IncomingMessage,
  type RequestListener,
  type Server,
  ServerResponse,
  STATUS_CODES,
} from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import { type Clock, systemClock } from '../observability/clock.js'
import type { HttpApp } from './app.js'
import { askingFor, type CertificateRules, refuseCertificates } from './client-certificate.js'
import { headMs, maxHead, type ParserError, parserStatus, requestsPerConnection, silenceMs } from './limits.js'

/** What makes an HTTPS server. */
export interface HttpServerTls {
  /** Of now: the files may be read again. */
  readonly settings: SecureContextOptions
  readonly certificates: CertificateRules
  /** Told when they were; the function that it gives ends that. */
  watch(changed: (settings: SecureContextOptions) => void): () => void
}

export interface HttpServerOptions {
  tls?: HttpServerTls
  /** `transport.max_connections`: further connections wait until one ends. HL-9 */
  maxConnections: number | 'infinity'
  /** Told of requests to go on in another protocol. A connection that it takes over does not count any more. HL-9 */
  upgrade?: HttpApp['upgrade']
  clock?: Clock
}

export interface HttpServer {
  /** Not listening yet. Its errors belong to the caller. */
  readonly server: Server
  /** Stops listening, lets running exchanges end within `graceMs` milliseconds, then cuts them. Resolves when all are gone. */
  close(graceMs: number): Promise<void>
}

/** Connections that may wait above the limit: what the backlog of a socket would hold. */
const maxHeld = 1_024

/** Requests of each connection. node:http counts too, but says `close` without closing. */
const served = new WeakMap<Socket, number>()

/** The request is of a kind that may come as often as it likes. spec/http-listener.md §5 */
export function doesNotCount({ socket }: IncomingMessage): void {
  served.set(socket, (served.get(socket) ?? 1) - 1)
}

/** A node:http server around an app, with the limits of spec/http-listener.md §5. */
export function createHttpServer(app: RequestListener, options: HttpServerOptions): HttpServer {
  const clock = options.clock ?? systemClock
  const running = new Set<ServerResponse>()
  let isClosing = false

  const listener: RequestListener = (request, response) => {
    running.add(response)
    response.once('close', () => {
      running.delete(response)
      if (isClosing) server.closeIdleConnections()
    })
    const count = (served.get(request.socket) ?? 0) + 1
    served.set(request.socket, count)
    if (isClosing || count >= requestsPerConnection) response.setHeader('connection', 'close')
    request.setTimeout(silenceMs)
    app(request, response)
  }
  const http = {
    maxHeaderSize: maxHead,
    requireHostHeader: false, // the app looks itself, HH-1
    connectionsCheckingInterval: 1_000, // the default sees a late head only every 30 s
    headersTimeout: headMs,
    keepAliveTimeout: headMs,
  }
  const { tls } = options
  const server = tls === undefined ? createServer(http, listener) : secureServer(tls, http, listener)
  server.maxHeadersCount = 0 // node:http would drop the further ones silently; the app counts

  const hasRunning = (socket: Duplex) => [...running].some(response => response.socket === socket)
  server.on('clientError', (error: ParserError, socket) => {
    // Bytes of ours in the middle of an answer would corrupt it.
    if (!socket.writable || hasRunning(socket)) return void socket.destroy()
    const status = parserStatus(error, (socket as Socket).bytesRead > 0) // node:http serves nothing but sockets here
    if (status === undefined) return void socket.destroy()
    endWith(socket, status)
  })
  server.on('connect', (_request, socket) => endWith(socket, 501))

  const limit = options.maxConnections === 'infinity' ? Number.POSITIVE_INFINITY : options.maxConnections
  const stopCounting = holdAbove(server, limit)
  const sockets = setOf(server, 'connection')
  const streams = tls === undefined ? sockets : setOf(server, 'secureConnection')
  // A handshake that was under way at the close: nothing comes after it.
  server.on('secureConnection', (socket: Socket) => {
    if (isClosing) socket.destroy()
  })
  if (options.upgrade !== undefined) server.on('upgrade', takeOver(options.upgrade))

  function takeOver(upgrade: HttpApp['upgrade']) {
    return (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      const socket = stream as Socket // node:http serves nothing but sockets here
      const connection = connectionUnder(socket, sockets)
      // An answer before it is not out yet.
      if (isClosing || connection === undefined || hasRunning(socket)) {
        socket.destroy()
      } else if (upgrade({ request, stream: socket, connection, head })) {
        streams.delete(socket)
        sockets.delete(connection)
        stopCounting(connection)
      } else {
        serveLast(request, socket, listener)
      }
    }
  }

  return {
    server,
    async close(graceMs) {
      isClosing = true
      server.close()
      for (const response of running) if (!response.headersSent) response.setHeader('connection', 'close')
      for (const stream of streams) if (!hasRunning(stream)) stream.destroy()
      const cancel = clock.after(graceMs, () => {
        for (const socket of sockets) socket.destroy()
      })
      // Not all: what was taken over is somebody else's, and goes on.
      await sockets.isEmpty()
      cancel()
    },
  }
}

function secureServer(tls: HttpServerTls, http: HttpOptions, listener: RequestListener): Server {
  const asking = askingFor(tls.certificates)
  const server = createSecureServer(
    { ...http, ...tls.settings, ...asking, ALPNProtocols: ['http/1.1'], handshakeTimeout: headMs },
    listener,
  )
  refuseCertificates(server, tls.certificates)
  const unwatch = tls.watch(settings => server.setSecureContext(settings))
  server.once('close', unwatch)
  return server
}

/** Sockets that are not closed yet. */
class LivingSockets extends Set<Socket> {
  private emptied: (() => void) | undefined

  override delete(socket: Socket): boolean {
    const wasThere = super.delete(socket)
    if (this.size === 0) this.emptied?.()
    return wasThere
  }

  async isEmpty(): Promise<void> {
    if (this.size === 0) return
    await new Promise<void>(resolve => {
      this.emptied = resolve
    })
  }
}

/** The sockets of `event`. */
function setOf(server: Server, event: 'connection' | 'secureConnection'): LivingSockets {
  const sockets = new LivingSockets()
  // One listener for all of them.
  function closed(this: Socket) {
    sockets.delete(this)
  }
  server.on(event, (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', closed)
  })
  return sockets
}

/** The TCP connection that a TLS socket came over, told by its addresses: node:tls says nothing of it. */
function connectionUnder(stream: Socket, sockets: ReadonlySet<Socket>): Socket | undefined {
  if (sockets.has(stream)) return stream
  return [...sockets].find(
    ({ remoteAddress, remotePort }) =>
      remotePort !== undefined && remotePort === stream.remotePort && remoteAddress === stream.remoteAddress,
  )
}

/** Answers a request to upgrade as if it had not asked; node:http has let go of its connection, which ends with the answer. */
function serveLast(request: IncomingMessage, socket: Socket, listener: RequestListener): void {
  socket.on('error', () => undefined) // 'close' follows
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => {
    response.detachSocket(socket)
    socket.end(() => socket.destroy())
  })
  listener(request, response)
}

/** An answer to what could not be read as a request; the connection ends. */
function endWith(socket: Duplex, status: number): void {
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ndate: ${new Date().toUTCString()}\r\n`
  socket.on('error', () => undefined) // the peer may be gone already
  socket.end(`${head}content-length: 0\r\nconnection: close\r\n\r\n`, () => socket.destroy())
}

/**
 * Lets `limit` connections in; further ones wait, unread, until one ends or does not count any more, which the function that
 * it gives is told of. node:net cannot stop accepting, and its own `maxConnections` drops what comes on top.
 */
function holdAbove(server: Server, limit: number): (socket: Socket) => void {
  const held = new Set<Socket>()
  const active = new Set<Socket>()
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')

  function admit(socket: Socket): void {
    active.add(socket)
    socket.on('close', left)
    for (const listener of accept) listener.call(server, socket)
    socket.resume()
  }

  function left(this: Socket): void {
    leave(this)
  }

  function leave(socket: Socket): void {
    if (!active.delete(socket)) return
    const next = held.values().next()
    if (next.done === true) return
    held.delete(next.value)
    admit(next.value)
  }

  function hold(socket: Socket): void {
    socket.pause()
    held.add(socket)
    socket.on('error', () => undefined) // 'close' follows
    socket.once('close', () => held.delete(socket))
  }

  server.on('connection', (socket: Socket) => {
    if (active.size < limit) admit(socket)
    else if (held.size < maxHeld) hold(socket)
    else socket.destroy()
  })
  return leave
}
