import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { BlockList, Socket } from 'node:net'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Context } from 'koa'
import type { Counters } from '../observability/counters.js'
import { type Emit, thrown } from '../observability/events.js'
import { StartupError } from '../observability/startup-error.js'
import type { Peer } from '../transports/transport.js'
import { clientOf } from './forwarded.js'
import { beyondLimits } from './limits.js'
import { createDispatcher, type Dispatcher, type Match, PatternError, type Route, splitPath } from './pattern.js'
import { requestTarget } from './target.js'

/** What a handler is told about a request besides koa's context. */
export interface Asked extends Match {
  /** Lower-cased, without port. */
  readonly host: string
  /** Who asks, as far as proxies that are trusted can be believed. */
  readonly client: Peer
}

/** A request to go on in another protocol. RFC 9110 §7.8 */
export interface Upgrade {
  readonly request: IncomingMessage
  /** Carries what comes next; a TLS socket on an HTTPS listener. */
  readonly stream: Socket
  /** The TCP connection under it. */
  readonly connection: Socket
  /** What came behind the request already. */
  readonly head: Buffer
}

/** Answers the requests of one mounted path. One that fails is answered with 500. */
export interface HttpHandler {
  (ctx: Context, asked: Asked): void | Promise<void>
  /** Takes the connection over for good; false when it does not, and the request is answered as any other. */
  upgrade?(upgrade: Upgrade, asked: Asked): boolean
  /**
   * Answers a request by itself; undefined when it does not. For what many wait for: koa's objects would wait with each of them.
   * Compressed answers are koa's.
   */
  plain?(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> | undefined
}

export interface HttpApp {
  readonly serve: RequestListener
  /** True when a handler has taken the connection over. */
  upgrade(upgrade: Upgrade): boolean
}

export interface HttpAppOptions {
  /** In the order of the configuration file. */
  routes: readonly Route<HttpHandler>[]
  /** Value of the `server` header. HL-7 */
  serverName: string
  /** Compress what clients accept compressed. HL-10 */
  compress: boolean
  /** Peers whose forwarding headers are believed. */
  trustedProxies: BlockList
  counters: Counters
  emit: Emit
}

/**
 * The koa app of one HTTP listener: limits, choice of the handler by host and path, errors. koa is loaded by the first call.
 * @throws StartupError for a host or path that is no pattern
 */
export async function createHttpApp(options: HttpAppOptions): Promise<HttpApp> {
  const dispatch = compileRoutes(options.routes)
  const { default: Koa } = await import('koa')
  const app = new Koa()
  app.use(async ctx => {
    options.counters.httpRequests++
    ctx.set('server', options.serverName)
    try {
      await answer(ctx, dispatch, options.trustedProxies)
      if (options.compress) await compress(ctx)
    } catch (error) {
      fail(ctx, error, options)
    }
  })
  // Failures of handlers end above. What arrives here is a client that went away, or an answer that could not be written out.
  app.on('error', (error: Error & { code?: string }, ctx?: Context) => {
    if (ctx !== undefined && !ctx.req.socket.destroyed && error.code === undefined) report(ctx, error, options)
  })
  return {
    serve: servePlainly(options, dispatch, app.callback()),
    upgrade(upgrade) {
      const { request, stream } = upgrade
      const found = beyondLimits(request) === undefined ? resolve(request, dispatch) : undefined
      if (found === undefined || typeof found === 'number' || found.target.upgrade === undefined) return false
      try {
        const isTaken = found.target.upgrade(upgrade, asked(request, found, options.trustedProxies))
        if (isTaken) options.counters.httpRequests++
        return isTaken
      } catch (error) {
        report({ method: request.method ?? '', originalUrl: request.url ?? '' }, error, options)
        stream.destroy()
        return true
      }
    },
  }
}

function compileRoutes(routes: readonly Route<HttpHandler>[]): Dispatcher<HttpHandler> {
  try {
    return createDispatcher(routes)
  } catch (error) {
    if (error instanceof PatternError) throw new StartupError('configuration', error.message, { cause: error })
    throw error
  }
}

async function answer(ctx: Context, dispatch: Dispatcher<HttpHandler>, trusted: BlockList): Promise<void> {
  const excess = beyondLimits(ctx.req)
  if (excess !== undefined) return refuse(ctx, excess)
  const found = resolve(ctx.req, dispatch)
  if (found === 400) return refuse(ctx, 400)
  if (found === undefined) return empty(ctx, 404)
  await found.target(ctx, asked(ctx.req, found, trusted))
}

type Found = NonNullable<ReturnType<Dispatcher<HttpHandler>>> & { readonly host: string }

/** The handler by host and path; 400 when the request names none. */
function resolve(request: IncomingMessage, dispatch: Dispatcher<HttpHandler>): Found | 400 | undefined {
  const target = requestTarget(request)
  const segments = target === undefined ? undefined : splitPath(target.path)
  if (target === undefined || segments === undefined) return 400
  const found = dispatch(target.host, segments)
  return found && { ...found, host: target.host }
}

const asked = (request: IncomingMessage, { host, bindings, rest }: Found, trusted: BlockList): Asked => ({
  host,
  bindings,
  rest,
  // Few want to know.
  get client() {
    return clientOf(request, trusted)
  },
})

/** Serves what needs no koa without it. */
function servePlainly(
  options: HttpAppOptions,
  dispatch: Dispatcher<HttpHandler>,
  other: RequestListener,
): RequestListener {
  if (options.compress) return other
  return (request, response) => {
    const found = beyondLimits(request) === undefined ? resolve(request, dispatch) : undefined
    if (found === undefined || found === 400 || found.target.plain === undefined) return other(request, response)
    const answered = found.target.plain(request, response, asked(request, found, options.trustedProxies))
    if (answered === undefined) return other(request, response)
    options.counters.httpRequests++
    answered.catch(error => failPlainly(request, response, error, options))
  }
}

/** HR-5 */
function failPlainly(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  options: HttpAppOptions,
): void {
  const id = report({ method: request.method ?? '', originalUrl: request.url ?? '' }, error, options)
  if (response.headersSent) request.socket.destroy()
  else response.writeHead(500, { server: options.serverName, 'x-request-id': id, 'content-length': 0 }).end()
}

/** An answer without a body. */
export function empty(ctx: Context, status: number): void {
  ctx.body = null
  ctx.status = status
}

/** An answer with a JSON body that no cache keeps. */
export function json(ctx: Context, value: unknown, status = 200): void {
  ctx.body = bodyOf(JSON.stringify(value))
  ctx.type = 'application/json'
  ctx.set('cache-control', 'no-store')
  ctx.status = status
}

/** Characters from which on a text is made into bytes here: koa would count those first, and node then make them. */
const LONG_TEXT = 65_536

function bodyOf(text: string): string | Buffer {
  if (text.length < LONG_TEXT) return text
  // A byte for each character, as nearly always, is quicker.
  return Buffer.from(text, /[\u0080-\uffff]/.test(text) ? 'utf8' : 'latin1')
}

/** Answers and closes the connection: where the next request starts cannot be known, or is not wanted. */
function refuse(ctx: Context, status: number): void {
  empty(ctx, status)
  ctx.set('connection', 'close')
}

/** HR-5 */
function fail(ctx: Context, error: unknown, options: HttpAppOptions): void {
  const id = report(ctx, error, options)
  if (ctx.headerSent) {
    ctx.req.socket.destroy() // half an answer must not look like a whole one
    return
  }
  for (const name of ctx.res.getHeaderNames()) if (name !== 'server') ctx.remove(name)
  ctx.set('x-request-id', id)
  empty(ctx, 500)
}

/** The path is told without its query, which may hold a token. */
function report(
  ctx: Pick<Context, 'method' | 'originalUrl'>,
  error: unknown,
  { counters, emit }: HttpAppOptions,
): string {
  const id = randomUUID()
  counters.httpFailures++
  emit('http.failed', {
    request: id,
    method: ctx.method,
    path: ctx.originalUrl.split('?', 1)[0] ?? '',
    ...thrown(error),
  })
  return id
}

const gzipped = promisify(gzip)
const minCompressed = 300

/** HL-10 */
async function compress(ctx: Context): Promise<void> {
  const body: unknown = ctx.body
  if (!(typeof body === 'string' || Buffer.isBuffer(body)) || ctx.res.hasHeader('content-encoding')) return
  if (Buffer.byteLength(body) <= minCompressed) return
  ctx.vary('accept-encoding')
  if (ctx.get('accept-encoding') === '' || ctx.acceptsEncodings('gzip', 'identity') !== 'gzip') return
  ctx.body = await gzipped(body)
  ctx.set('content-encoding', 'gzip')
}
