import { createServer, type RequestListener, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'
import { type Clock, systemClock } from '../observability/clock.js'
import { headMs, maxHead, type ParserError, parserStatus, requestsPerConnection, silenceMs } from './limits.js'

export interface HttpServerOptions {
  /** Makes it an HTTPS server. */
  tls?: TlsOptions
  /** `transport.max_connections`: further connections wait until one ends. HL-9 */
  maxConnections: number | 'infinity'
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

/** A node:http server around an app, with the limits of spec/http-listener.md §5. */
export function createHttpServer(app: RequestListener, options: HttpServerOptions): HttpServer {
  const clock = options.clock ?? systemClock
  const running = new Set<ServerResponse>()
  /** node:http counts too, but says `close` without closing. */
  const served = new WeakMap<Socket, number>()
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
  const server =
    options.tls === undefined
      ? createServer(http, listener)
      : createSecureServer({ ...http, ALPNProtocols: ['http/1.1'], handshakeTimeout: headMs, ...options.tls }, listener)
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

  holdAbove(server, options.maxConnections === 'infinity' ? Number.POSITIVE_INFINITY : options.maxConnections)
  const sockets = setOf(server, 'connection')
  const streams = options.tls === undefined ? sockets : setOf(server, 'secureConnection')

  return {
    server,
    async close(graceMs) {
      isClosing = true
      const closed = new Promise<void>(resolve => void server.close(() => resolve()))
      for (const response of running) if (!response.headersSent) response.setHeader('connection', 'close')
      for (const stream of streams) if (!hasRunning(stream)) stream.destroy()
      const cancel = clock.after(graceMs, () => {
        for (const socket of sockets) socket.destroy()
      })
      await closed
      cancel()
    },
  }
}

/** The sockets of `event` that are not closed yet. */
function setOf(server: Server, event: 'connection' | 'secureConnection'): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on(event, (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

/** An answer to what could not be read as a request; the connection ends. */
function endWith(socket: Duplex, status: number): void {
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ndate: ${new Date().toUTCString()}\r\n`
  socket.on('error', () => undefined) // the peer may be gone already
  socket.end(`${head}content-length: 0\r\nconnection: close\r\n\r\n`, () => socket.destroy())
}

/**
 * Lets `limit` connections in; further ones wait, unread, until one ends. node:net cannot stop accepting, and its own
 * `maxConnections` drops what comes on top.
 */
function holdAbove(server: Server, limit: number): void {
  const held = new Set<Socket>()
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')
  let active = 0

  function admit(socket: Socket): void {
    active++
    socket.once('close', () => {
      active--
      const next = held.values().next()
      if (next.done === true) return
      held.delete(next.value)
      admit(next.value)
    })
    for (const listener of accept) listener.call(server, socket)
    socket.resume()
  }

  function hold(socket: Socket): void {
    socket.pause()
    held.add(socket)
    socket.on('error', () => undefined) // 'close' follows
    socket.once('close', () => held.delete(socket))
  }

  server.on('connection', (socket: Socket) => {
    if (active < limit) admit(socket)
    else if (held.size < maxHeld) hold(socket)
    else socket.destroy()
  })
}
