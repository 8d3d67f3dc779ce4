import type { IncomingMessage } from 'node:http'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import { type Asked, empty, type HttpHandler, type Upgrade } from './app.js'

/** Bytes of a message, whatever the options say; a larger one is not read. spec/websockets.md W-21 */
const MAX_MESSAGE = 8_000_000
/** Milliseconds that a peer may take to close its side when it began the closing. */
const CLOSE_MS = 5_000

export interface WebSocketHandlerOptions {
  /** Value of the `server` header. HL-7 */
  serverName: string
  /** A WebSocket is open. It is paused, so that nothing is lost until somebody listens. */
  opened(webSocket: WebSocket, upgrade: Upgrade, asked: Asked): void
}

/** `mod_websockets`: the opening handshake, and what is answered to requests that are none. spec/websockets.md §2 */
export function createWebSocketHandler({ serverName, opened }: WebSocketHandlerOptions): HttpHandler {
  // `closeTimeout` is newer than the types.
  const settings: ServerOptions & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false, // W-5
    maxPayload: MAX_MESSAGE,
    closeTimeout: CLOSE_MS,
    // W-4: as it was offered. Without it there is a WebSocket all the same.
    handleProtocols: offered => [...offered].find(name => name.toLowerCase() === 'xmpp') ?? false,
  }
  const server = new WebSocketServer(settings)
  server.on('headers', headers => void headers.push(`server: ${serverName}`))

  const handler: HttpHandler = ctx => {
    if (isWebSocketRequest(ctx.req)) {
      empty(ctx, 400) // W-3: otherwise it would have been taken over
      return
    }
    empty(ctx, 426) // W-2
    ctx.set('connection', 'upgrade')
    ctx.set('upgrade', 'websocket')
  }
  handler.upgrade = (upgrade, asked) => {
    const { request, stream, head } = upgrade
    if (!isWebSocketRequest(request) || !isAcceptable(request)) return false
    // `ws` knows only those of the two drafts that it has seen; they differ in nothing that matters here. W-3
    if (request.headers['sec-websocket-version'] === '7') request.headers['sec-websocket-version'] = '8'
    server.handleUpgrade(request, stream, head, webSocket => {
      webSocket.pause()
      webSocket.on('error', toldByItsEnd)
      opened(webSocket, upgrade, asked)
    })
    return true
  }
  return handler
}

/** What goes wrong before somebody listens. Made here: as a closure it would keep the request as long as its WebSocket. */
const toldByItsEnd = () => {}

const isWebSocketRequest = ({ method, headers }: IncomingMessage) =>
  method === 'GET' &&
  headers.upgrade?.toLowerCase() === 'websocket' &&
  /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.connection ?? '')

/** RFC 6455 §4.2.1 */
const isAcceptable = ({ headers }: IncomingMessage) =>
  /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '') &&
  ['13', '8', '7'].includes(headers['sec-websocket-version'] ?? '') &&
  isListOfTokens(headers['sec-websocket-protocol'])

/** RFC 6455 §4.1: tokens, each once. */
function isListOfTokens(text: string | undefined): boolean {
  if (text === undefined) return true
  const tokens = text.split(',').map(token => token.trim())
  return new Set(tokens).size === tokens.length && tokens.every(token => /^[\w!#$%&'*+.^`|~-]+$/.test(token))
}
