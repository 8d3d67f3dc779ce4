import { z } from 'zod'
import { actorFilter, type Introspection, type SessionQuery } from '../operations/introspection.js'
import { MOST_TRACES, traceRequest } from '../operations/trace.js'
import { ControlError, type ControlHandlers, type ControlRequest } from './socket.js'

/*
 * The verbs by which a terminal looks at the running server: `tree`, `actors`, `top`, `trace`, `sessions`, `kick`. Their values are as
 * src/http/debug/README.md has them; `top` and `trace` stream.
 */

const most = 2_147_483_647
const path = z.string().default('')

const treeRequest = z.object({
  path,
  depth: z.int().min(0).max(10).default(1),
  limit: z.int().min(1).max(1000).default(100),
  offset: z.int().min(0).max(most).default(0),
})

const actorsRequest = actorFilter.extend({
  path,
  limit: z.int().min(1).max(1000).default(100),
  offset: z.int().min(0).max(most).default(0),
})

const topRequest = z.object({ most: z.int().min(1).max(200).default(20) })

const sessionsRequest = z.object({
  search: z.string().max(1000).default(''),
  host: z.string().optional(),
  limit: z.int().min(1).max(1000).default(100),
  offset: z.int().min(0).max(most).default(0),
})

const kickRequest = z.object({ jid: z.string() })

/** What it takes is loaded when somebody asks. */
export function introspectionRequests(introspection: () => Promise<Introspection>): ControlHandlers {
  return {
    async tree(request) {
      const page = read(treeRequest, request)
      return (await introspection()).tree({ ...page, view: 'full', counts: false })
    },
    async actors(request) {
      const { path: top, limit, offset, ...filters } = read(actorsRequest, request)
      return (await introspection()).find(filters, { path: top, limit, offset, view: 'full' })
    },
    async top(request) {
      const { most: lines } = read(topRequest, request)
      return (await introspection()).busy(lines)
    },
    async trace(request) {
      const { verb: _verb, ...asked } = request
      const feed = (await introspection()).trace(read(traceRequest, asked))
      if (feed === undefined) throw new ControlError('unavailable', `there are ${MOST_TRACES} traces already`)
      return feed
    },
    async sessions(request) {
      const query: SessionQuery = read(sessionsRequest, request)
      return (await introspection()).sessions(query)
    },
    async kick(request) {
      const { jid } = read(kickRequest, request)
      if ((await introspection()).kick(jid)) return { jid }
      throw new ControlError('not-found', `no session ${jid}`)
    },
  }
}

/** Anything that is not of its kind is refused. */
function read<Schema extends z.ZodType>(schema: Schema, request: Partial<ControlRequest>): z.output<Schema> {
  const found = schema.safeParse(request)
  if (found.success) return found.data
  const said = found.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ')
  throw new ControlError('bad-request', said)
}
