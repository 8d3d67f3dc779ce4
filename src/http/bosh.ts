import type { Context } from 'koa'
import { BadBody, type Body, readBody, terminate } from '../protocols/bosh-body.js'
import type { BoshTransport } from '../transports/bosh.js'
import { type Asked, empty, type HttpHandler } from './app.js'
import { doesNotCount } from './http-server.js'
import { maxBody, silenceMs } from './limits.js'
import { readRequestBody } from './request-body.js'

/** What clients see, and some compare: without the dash that the name has elsewhere. spec/bosh.md §2 */
const XML = 'text/xml; charset=utf8'
const TEXT = 'text/plain; charset=utf-8'

/** The sessions of BOSH of one listener, by `sid`. */
export type BoshSessions = ReadonlyMap<string, BoshTransport>

export interface BoshHandlerOptions {
  readonly sessions: BoshSessions
  /** Makes the session that a request asks for, and gives it the request; a condition when it must not be. */
  create(creation: Creation): string | undefined
}

/** A request for a session. */
export interface Creation {
  readonly body: Body
  readonly ctx: Context
  readonly asked: Asked
  /** Gives the new session the request. */
  begin(session: BoshTransport): void
  /** There is no session after all. */
  refuse(condition: string): void
}

/** `mod_bosh`: what is answered to requests that are none of BOSH, and where the others go. spec/bosh.md §2, §3 */
export function createBoshHandler(options: BoshHandlerOptions): HttpHandler {
  return (ctx, asked) => {
    switch (ctx.method) {
      case 'POST':
        return post(ctx, asked, options)
      case 'GET':
        allowScripts(ctx, undefined)
        text(ctx, 200, XML, 'MongooseIM bosh endpoint')
        return
      case 'OPTIONS':
        allowScripts(ctx, ctx.get('origin') || '*')
        empty(ctx, 200)
        return
      default:
        allowScripts(ctx, '*')
        text(ctx, 405, TEXT, 'Use POST request method')
        return
    }
  }
}

/** The set "ALL" of spec/bosh.md §2, without the first where there is no `origin`. */
function allowScripts(ctx: Context, origin: string | undefined): void {
  if (origin !== undefined) ctx.set('access-control-allow-origin', origin)
  ctx.set('access-control-allow-methods', 'POST, OPTIONS, GET')
  ctx.set('access-control-allow-headers', 'content-type')
  ctx.set('access-control-max-age', '1728000')
}

function text(ctx: Context, status: number, type: string, body: string | Buffer): void {
  ctx.status = status
  ctx.set('content-type', type)
  ctx.body = body
}

async function post(ctx: Context, asked: Asked, options: BoshHandlerOptions): Promise<void> {
  allowScripts(ctx, '*')
  doesNotCount(ctx.req)
  const { headers } = ctx.req
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) {
    text(ctx, 400, TEXT, 'Missing request body')
    return
  }
  const bytes = await readRequestBody(ctx.req, maxBody)
  if (bytes === undefined) {
    ctx.respond = false
    return
  }
  if (bytes === 'too-large') {
    empty(ctx, 413)
    ctx.set('connection', 'close')
    return
  }
  // The answer may take as long as the client said.
  ctx.req.setTimeout(0)
  const answer = await exchange(ctx, asked, bytes, options)
  ctx.req.setTimeout(silenceMs)
  if (answer === undefined) ctx.respond = false
  else text(ctx, 200, XML, answer)
}

/** Resolves with the answer, or with nothing when nobody waits for it any more. */
function exchange(
  ctx: Context,
  asked: Asked,
  bytes: Buffer,
  { sessions, create }: BoshHandlerOptions,
): Promise<string | Buffer | undefined> {
  let body: Body
  try {
    body = readBody(bytes)
  } catch (error) {
    if (!(error instanceof BadBody)) throw error
    sessions.get(error.sid ?? '')?.breakOff('bad-request')
    return Promise.resolve(terminate('bad-request'))
  }
  return new Promise(resolve => {
    const begin = (session: BoshTransport) => {
      const id = session.arrived(body, bytes.length, resolve)
      ctx.res.once('close', () => {
        session.abandoned(id)
        resolve(undefined)
      })
    }
    const refuse = (condition: string) => resolve(terminate(condition))
    if (body.kind === 'create') {
      const condition = create({ body, ctx, asked, begin, refuse })
      if (condition !== undefined) refuse(condition)
      return
    }
    const session = sessions.get(body.sid ?? '')
    if (session === undefined) refuse('item-not-found')
    else begin(session)
  })
}
