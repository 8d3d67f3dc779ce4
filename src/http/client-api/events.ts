import type { IncomingMessage } from 'node:http'
import type { Context } from 'koa'
import type { OperationServices } from '../../operations/services.js'
import type { Jid } from '../../protocols/jid.js'
import type { EventResponse } from '../../transports/event-stream.js'
import type { Peer } from '../../transports/transport.js'
import { empty, type HttpHandler } from '../app.js'
import { Refused } from '../rest/answer.js'
import { refuse } from '../rest/resource.js'
import { authorizeUser, corsHeaders } from './authorize.js'

/** A request for events that is granted. */
export interface EventsRequest extends EventResponse {
  readonly account: Jid
  readonly client: Peer
  readonly request: IncomingMessage
  /** Answers that nobody serves it. */
  refuse(): void
}

export interface EventsHandlerOptions {
  /** Compress for clients that accept it. `protocol.compress` */
  readonly compress: boolean
  /** Takes the answer over: it has to begin and end it. */
  open(request: EventsRequest): void
}

const METHODS = ['OPTIONS', 'GET']

/** `mongoose_client_api_sse`: who may have a stream of events. The password is asked for before the method. spec/sse.md §1 */
export function createEventsHandler(services: OperationServices, options: EventsHandlerOptions): HttpHandler {
  const authorize = authorizeUser(services)
  return async (ctx, asked) => {
    ctx.set(corsHeaders(ctx, METHODS))
    if (ctx.method === 'OPTIONS') return empty(ctx, 200)
    try {
      const account = await authorize(ctx, asked)
      if (ctx.method !== 'GET') return wrongMethod(ctx)
      // Behind a request that is not answered yet, and perhaps never is: a stream there would take messages and show none.
      if (ctx.res.socket === null) throw new Refused(503, '', { connection: 'close' })
      options.open({ account, client: asked.client, request: ctx.req, ...takeOver(ctx, options.compress) })
    } catch (error) {
      refuse(ctx, error)
    }
  }
}

/** S-3 */
function wrongMethod(ctx: Context): void {
  ctx.body = ''
  ctx.status = 405
  ctx.set({ 'content-type': 'text/html', allow: METHODS.join(', ') })
}

/** From here on koa has nothing to do with the answer, and silence of the client ends nothing. S-14 */
function takeOver(ctx: Context, compress: boolean): EventResponse & Pick<EventsRequest, 'refuse'> {
  const { req, res } = ctx
  ctx.respond = false
  req.setTimeout(0)
  // A body is nobody's business; unread it would hide that the client closes.
  req.resume()
  return {
    response: res,
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
    isCompressed: compress && acceptsGzip(ctx),
    refuse: () => void res.writeHead(503, { connection: 'close', 'content-length': 0 }).end(),
  }
}

/** HL-10 */
function acceptsGzip(ctx: Context): boolean {
  ctx.vary('accept-encoding')
  return ctx.get('accept-encoding') !== '' && ctx.acceptsEncodings('gzip', 'identity') === 'gzip'
}
