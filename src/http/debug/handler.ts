import type { Context } from 'koa'
import type { Clock } from '../../observability/clock.js'
import type { Introspection } from '../../operations/introspection.js'
import { type Asked, empty, type HttpHandler, json } from '../app.js'
import type { OperatorLogin } from '../operator-login.js'
import type { Route } from '../pattern.js'
import { Refused } from '../rest/answer.js'
import { refuse } from '../rest/resource.js'
import { isThisMachine } from '../this-machine.js'
import { kickSession, restartActor, setLogLevel, stopActor, trace, writeHeap } from './acting.js'
import { EventStreams } from './event-stream.js'
import { showActor, showActors, showNews, showSessions, showSummaries, showSummary } from './looking.js'
import { createDebugPage, isOfPage } from './page.js'

/** Streams of events and samples, and traces, at a time. */
const MOST_STREAMS = 16
const MOST_TRACES = 4

export interface DebugOptions {
  readonly server: Introspection
  readonly clock: Clock
  /** Who may ask; undefined = whoever can name this machine as itself. HC-4 */
  readonly login: OperatorLogin | undefined
  /** Where the files of the page lie. */
  readonly page: string
}

/** Where `meerkat_debug` is mounted: its path and everything below. */
export async function createDebugRoute(
  where: { host: string; path: string },
  options: DebugOptions,
): Promise<Route<HttpHandler>> {
  return {
    host: where.host,
    path: `${where.path.replace(/\/+$/, '')}/[...]`,
    target: await createDebugHandler(options),
  }
}

type Handle = (ctx: Context) => void | Promise<void>

/** What there is, by the path below the mount. */
function resources({ server, clock, login }: DebugOptions): Record<string, ['GET' | 'POST', Handle]> {
  const streams = new EventStreams(MOST_STREAMS, clock)
  const traces = new EventStreams(MOST_TRACES, clock)
  return {
    '/actors': ['GET', ctx => showActors(ctx, server)],
    '/actors/detail': ['GET', ctx => showActor(ctx, server)],
    '/actors/events': ['GET', ctx => showNews(ctx, server, streams)],
    '/summary': ['GET', ctx => showSummary(ctx, server, login !== undefined)],
    '/summary/events': ['GET', ctx => showSummaries(ctx, server, streams)],
    '/sessions': ['GET', ctx => showSessions(ctx, server)],
    '/actors/stop': ['POST', ctx => stopActor(ctx, server)],
    '/actors/restart': ['POST', ctx => restartActor(ctx, server)],
    '/sessions/kick': ['POST', ctx => kickSession(ctx, server)],
    '/log-level': ['POST', ctx => setLogLevel(ctx, server)],
    '/heap-snapshot': ['POST', ctx => writeHeap(ctx, server)],
    '/trace': ['POST', ctx => trace(ctx, server, traces)],
  }
}

async function createDebugHandler(options: DebugOptions): Promise<HttpHandler> {
  const { login } = options
  const { Router } = await import('@koa/router')
  const router = new Router()
  for (const [path, [method, handle]] of Object.entries(resources(options))) {
    const guarded: Handle = ctx => guard(ctx, login !== undefined, handle)
    if (method === 'GET') router.get(path, guarded)
    else router.post(path, guarded)
    router.all(path, ctx => {
      empty(ctx, 405)
      ctx.set('allow', method === 'GET' ? 'GET, HEAD' : 'POST')
    })
  }
  const routes = router.routes()
  const page = await createDebugPage(options.page)

  return async (ctx: Context, asked: Asked) => {
    if (login === undefined && !isThisMachine(asked.host)) return empty(ctx, 404)
    const enter = () => login?.check(ctx, asked.client.address, 'meerkat')
    if (isOfPage(asked)) return entering(ctx, enter, () => page(ctx, asked))
    ctx.state.enter = enter
    ctx.path = `/${(asked.rest ?? []).map(encodeURIComponent).join('/')}`
    // koa's context and the router's differ in the type of `params` only
    await routes(ctx as Parameters<typeof routes>[0], async () => empty(ctx, 404))
  }
}

async function guard(ctx: Context, mayAct: boolean, handle: Handle): Promise<void> {
  try {
    if (!mayAct && ctx.method === 'POST') {
      throw new Refused(403, 'nothing may be done here without a username and a password in the configuration')
    }
    await entering(ctx, ctx.state.enter as () => void, () => handle(ctx)) // as the handler has set it
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    json(ctx, { error: error.text }, error.status)
    ctx.set(error.headers)
  }
}

/** The work of who may enter. */
async function entering(ctx: Context, enter: () => void, work: () => void | Promise<void>): Promise<void> {
  try {
    enter()
  } catch (error) {
    return refuse(ctx, error)
  }
  await work()
}
