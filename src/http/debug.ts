import type { Context } from 'koa'
import { type Asked, empty, type HttpHandler, json } from './app.js'
import { type BasicCredentials, isSameCredentials, readBasic } from './basic-auth.js'
import type { Route } from './pattern.js'

export interface InspectOptions {
  /** Levels below the actor at the path. */
  depth: number
  /** Children per actor, from `offset` on. */
  limit: number
  offset: number
}

/** A part of the tree as a JSON value, from the root when the path is ''; undefined when no actor has the path. */
export type Inspect = (path: string, options: InspectOptions) => unknown

/** What `GET actors` takes, with what holds when it is left out. */
const numbers = {
  depth: { min: 0, max: 10, default: 2 },
  limit: { min: 1, max: 1_000, default: 100 },
  offset: { min: 0, max: 2_147_483_647, default: 0 },
} as const

export interface DebugOptions {
  inspect: Inspect
  /** Who may ask; undefined = whoever can name this machine as itself. HC-4 */
  credentials: BasicCredentials | undefined
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

async function createDebugHandler({ inspect, credentials }: DebugOptions): Promise<HttpHandler> {
  const { Router } = await import('@koa/router')
  const router = new Router()
  router.get('/actors', ctx => {
    if (credentials === undefined || mayEnter(ctx, credentials)) showActors(ctx, inspect)
  })
  router.all('/actors', ctx => {
    empty(ctx, 405)
    ctx.set('allow', 'GET, HEAD')
  })
  const routes = router.routes()

  return async (ctx: Context, asked: Asked) => {
    if (credentials === undefined && !isThisMachine(asked.host)) return empty(ctx, 404)
    ctx.path = `/${(asked.rest ?? []).map(encodeURIComponent).join('/')}`
    // koa's context and the router's differ in the type of `params` only
    await routes(ctx as Parameters<typeof routes>[0], async () => empty(ctx, 404))
  }
}

/** A page of another site that a browser was tricked into sending here (DNS rebinding) bears that site's name. HC-4 */
const isThisMachine = (host: string) => host === 'localhost' || host === '127.0.0.1' || host === '[::1]'

function mayEnter(ctx: Context, expected: BasicCredentials): boolean {
  const given = readBasic(ctx.get('authorization'))
  if (given === 'malformed') {
    empty(ctx, 400)
    return false
  }
  if (given !== 'absent' && isSameCredentials(given, expected)) return true
  empty(ctx, 401)
  ctx.set('www-authenticate', 'Basic realm="meerkat"')
  return false
}

function showActors(ctx: Context, inspect: Inspect): void {
  const asked = readQuery(new URLSearchParams(ctx.querystring))
  if (typeof asked === 'string') {
    json(ctx, { error: asked }, 400)
    return
  }
  const found = inspect(asked.path, asked.options)
  if (found === undefined) json(ctx, { error: `no actor at ${asked.path}` }, 404)
  else json(ctx, found)
}

/** The question, or what is wrong with it. */
function readQuery(query: URLSearchParams): { path: string; options: InspectOptions } | string {
  for (const name of new Set(query.keys())) {
    if (name !== 'path' && !Object.hasOwn(numbers, name))
      return `${name} is not known; known are path, depth, limit, offset`
    if (query.getAll(name).length > 1) return `${name} is given twice`
  }
  const options: InspectOptions = { depth: 0, limit: 0, offset: 0 }
  for (const name of ['depth', 'limit', 'offset'] as const) {
    const { min, max, default: otherwise } = numbers[name]
    const text = query.get(name)
    if (text !== null && !(/^\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max)) {
      return `${name} must be a whole number from ${min} to ${max}`
    }
    options[name] = text === null ? otherwise : Number(text)
  }
  return { path: query.get('path') ?? '', options }
}
