import type { Context } from 'koa'
import { z } from 'zod'
import { actorStates, type Introspection, newsTypes } from '../../operations/introspection.js'
import { json } from '../app.js'
import { Refused } from '../rest/answer.js'
import type { EventStreams } from './event-stream.js'
import { readQuery, whole, words } from './parameters.js'

/*
 * What the debug endpoint shows. README.md lists it.
 */

const most = 2_147_483_647
const view = z.enum(['full', 'brief'], { error: 'must be full or brief' })
/** Children per actor, or actors in a list. */
const limits = { full: 1000, brief: 10_000 }

const treeQuery = z.strictObject({
  path: z.string().default(''),
  depth: whole(0, 10).default(2),
  limit: whole(1, limits.brief).default(100),
  offset: whole(0, most).default(0),
  view: view.default('full'),
  counts: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .transform(text => text === 'true')
    .default(false),
})

const filters = {
  listener: z.string().min(1).optional(),
  jid: z.string().min(1).optional(),
  state: words(actorStates).optional(),
  kind: z.string().min(1).optional(),
  mailbox: whole(1, most).optional(),
  faults: whole(1, most).optional(),
}
const findQuery = treeQuery.omit({ depth: true, counts: true }).extend(filters)

/** A part of the tree, or the actors that pass filters. */
export async function showActors(ctx: Context, server: Introspection): Promise<void> {
  const asked = [...new URLSearchParams(ctx.querystring).keys()]
  if (asked.some(name => Object.hasOwn(filters, name))) return showFound(ctx, server)
  const query = readQuery(ctx, treeQuery)
  checkLimit(query)
  const found = server.tree(query)
  if (found === undefined) throw new Refused(404, `no actor at ${query.path}`)
  json(ctx, found)
}

async function showFound(ctx: Context, server: Introspection): Promise<void> {
  const { path, view: wanted, limit, offset, state: states, ...filter } = readQuery(ctx, findQuery)
  checkLimit({ view: wanted, limit })
  if (path !== '' && filter.listener !== undefined)
    throw new Refused(400, 'listener stands for a path: give one of them')
  const found = await server.find({ ...filter, states }, { path, view: wanted, limit, offset })
  if (found === undefined) throw new Refused(404, `no actor at ${filter.listener ?? path}`)
  json(ctx, found)
}

function checkLimit({ limit, view: wanted }: { limit: number; view: keyof typeof limits }): void {
  if (limit <= limits[wanted]) return
  throw new Refused(400, `limit must be a whole number from 1 to ${limits[wanted]}`)
}

export function showActor(ctx: Context, server: Introspection): void {
  const { path } = readQuery(ctx, z.strictObject({ path: z.string({ error: 'is missing' }) }))
  const found = server.detail(path)
  if (found === undefined) throw new Refused(404, `no actor at ${path}`)
  json(ctx, found)
}

const newsQuery = z.strictObject({
  types: words(newsTypes).default([...newsTypes]),
  path: z.string().default(''),
  rate: whole(1, 1000).default(100),
})

/** What happens to actors, as it happens. */
export function showNews(ctx: Context, server: Introspection, streams: EventStreams): void {
  const query = readQuery(ctx, newsQuery)
  streams.serve(ctx, () => server.news(query))
}

const nothing = z.strictObject({})

export function showSummary(ctx: Context, server: Introspection, mayAct: boolean): void {
  readQuery(ctx, nothing)
  json(ctx, { ...server.summary(), mayAct })
}

export function showSummaries(ctx: Context, server: Introspection, streams: EventStreams): void {
  readQuery(ctx, nothing)
  streams.serve(ctx, () => server.summaries())
}

const sessionQuery = z.strictObject({
  search: z.string().max(1000).default(''),
  host: z.string().optional(),
  limit: whole(1, 1000).default(100),
  offset: whole(0, most).default(0),
})

export function showSessions(ctx: Context, server: Introspection): void {
  json(ctx, server.sessions(readQuery(ctx, sessionQuery)))
}
