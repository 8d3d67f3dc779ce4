import type { IncomingMessage, ServerResponse } from 'node:http'
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
  /** Value of the `server` header. HL-7 */
  readonly serverName: string
  /** Makes the session that a request asks for, and gives it the request; a condition when it must not be. */
  create(creation: Creation): string | undefined
}

/** A request for a session. */
export interface Creation {
  readonly body: Body
  readonly request: IncomingMessage
  readonly asked: Asked
  /** Gives the new session the request. */
  begin(session: BoshTransport): void
  /** There is no session after all. */
  refuse(condition: string): void
}

/** `mod_bosh`: what is answered to requests that are none of BOSH, and where the others go. spec/bosh.md §2, §3 */
export function createBoshHandler(options: BoshHandlerOptions): HttpHandler {
  const handler: HttpHandler = (ctx, asked) => {
    switch (ctx.method) {
      case 'POST':
        return new Promise((resolve, reject) => {
          const told = (answer: PostAnswer) => resolve(tell(ctx, answer))
          take({ request: ctx.req, response: ctx.res, asked, tell: told }, options).catch(reject)
        })
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
  handler.plain = (request, response, asked) =>
    request.method === 'POST'
      ? take({ request, response, asked, tell: answer => tellPlainly(response, answer, options.serverName) }, options)
      : undefined
  return handler
}

/** The set "ALL" of spec/bosh.md §2, for any origin. */
const forScripts = [
  'access-control-allow-origin',
  '*',
  'access-control-allow-methods',
  'POST, OPTIONS, GET',
  'access-control-allow-headers',
  'content-type',
  'access-control-max-age',
  '1728000',
]

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

/** What is answered to a POST; undefined when nobody waits for it any more. */
type PostAnswer = { readonly status: number; readonly type: string; readonly body: string } | undefined

/** A POST that waits for its answer. What it says is not in it: that must not wait. */
interface Post {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly asked: Asked
  tell(answer: PostAnswer): void
}

function tell(ctx: Context, answer: PostAnswer): void {
  if (answer === undefined) {
    ctx.respond = false
    return
  }
  allowScripts(ctx, '*')
  text(ctx, answer.status, answer.type, answer.body)
  if (answer.status === 413) ctx.set('connection', 'close')
}

/** The same without koa. */
function tellPlainly(response: ServerResponse, answer: PostAnswer, server: string): void {
  if (answer === undefined) return
  const { status, type, body } = answer
  if (status === 413) response.setHeader('connection', 'close')
  const length = `${Buffer.byteLength(body)}`
  response.writeHead(status, [...forScripts, 'server', server, 'content-type', type, 'content-length', length])
  response.end(body)
}

/** Resolves when the request is with its session, or answered. */
async function take(post: Post, options: BoshHandlerOptions): Promise<void> {
  const { request } = post
  doesNotCount(request)
  const { headers } = request
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) {
    return post.tell({ status: 400, type: TEXT, body: 'Missing request body' })
  }
  const bytes = await readRequestBody(request, maxBody)
  if (bytes === undefined) return post.tell(undefined)
  if (bytes === 'too-large') return post.tell({ status: 413, type: TEXT, body: '' })
  // The answer may take as long as the client said.
  request.setTimeout(0)
  const said = saidIn(bytes, options.sessions)
  if (said === undefined) reply(post, terminate('bad-request'))
  else if (said.kind === 'create') create(post, said, bytes.length, options)
  else {
    const session = options.sessions.get(said.sid ?? '')
    if (session === undefined) reply(post, terminate('item-not-found'))
    else hand(post, session, said, bytes.length)
  }
}

/** Undefined for nothing sensible, which ends the session that it names. B-9, B-21 */
function saidIn(bytes: Buffer, sessions: BoshSessions): Body | undefined {
  try {
    return readBody(bytes)
  } catch (error) {
    if (!(error instanceof BadBody)) throw error
    sessions.get(error.sid ?? '')?.breakOff('bad-request')
    return undefined
  }
}

function create(post: Post, body: Body, bytes: number, options: BoshHandlerOptions): void {
  const begin = (session: BoshTransport) => hand(post, session, body, bytes)
  const refuse = (condition: string) => reply(post, terminate(condition))
  const condition = options.create({ body, request: post.request, asked: post.asked, begin, refuse })
  if (condition !== undefined) refuse(condition)
}

function hand(post: Post, session: BoshTransport, body: Body, bytes: number): void {
  const id = session.arrived(body, bytes, answer => reply(post, answer))
  post.response.once('close', () => {
    if (session.abandoned(id)) post.tell(undefined)
  })
}

function reply(post: Post, body: string): void {
  post.request.setTimeout(silenceMs)
  post.tell({ status: 200, type: XML, body })
}
