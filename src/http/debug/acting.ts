import type { Context } from 'koa'
import { z } from 'zod'
import { type LogLevel, levels } from '../../observability/events.js'
import type { Done, Introspection } from '../../operations/introspection.js'
import { MOST_TRACES, traceRequest } from '../../operations/trace.js'
import { json } from '../app.js'
import { Refused } from '../rest/answer.js'
import type { EventStreams } from './event-stream.js'
import { readBody } from './parameters.js'

/*
 * What the debug endpoint does, for who has the credentials. README.md lists it.
 */

const actor = z.strictObject({ path: z.string() })

export async function stopActor(ctx: Context, server: Introspection): Promise<void> {
  const body = await readBody(ctx, actor)
  if (body === undefined) return
  check(server.stopActor(body.path), body.path, 'it would be missed, or is stopping already')
  json(ctx, body)
}

export async function restartActor(ctx: Context, server: Introspection): Promise<void> {
  const body = await readBody(ctx, actor)
  if (body === undefined) return
  check(server.restartActor(body.path), body.path, 'its supervisor never restarts it, or it is stopping')
  json(ctx, body)
}

function check(done: Done, path: string, why: string): void {
  if (done === 'not-found') throw new Refused(404, `no actor at ${path}`)
  if (done === 'refused') throw new Refused(409, `not ${path}: ${why}`)
}

const kick = z.strictObject({ jid: z.string() })

export async function kickSession(ctx: Context, server: Introspection): Promise<void> {
  const body = await readBody(ctx, kick)
  if (body === undefined) return
  if (!server.kick(body.jid)) throw new Refused(404, `no session ${body.jid}`)
  json(ctx, body)
}

const logLevels: readonly LogLevel[] = ['none', ...levels, 'all']
const logLevel = z.strictObject({ level: z.enum(logLevels, { error: `must be one of ${logLevels.join(', ')}` }) })

export async function setLogLevel(ctx: Context, server: Introspection): Promise<void> {
  const body = await readBody(ctx, logLevel)
  if (body !== undefined) json(ctx, { level: body.level, before: server.setLogLevel(body.level) })
}

export async function writeHeap(ctx: Context, server: Introspection): Promise<void> {
  const body = await readBody(ctx, z.strictObject({}))
  if (body === undefined) return
  const written = await server.heapSnapshot()
  if (written === 'busy') throw new Refused(409, 'another snapshot is being written')
  if (written === 'in-memory') throw new Refused(409, 'the server keeps everything in memory: there is no data_dir')
  json(ctx, written)
}

export async function trace(ctx: Context, server: Introspection, streams: EventStreams): Promise<void> {
  const body = await readBody(ctx, traceRequest)
  if (body === undefined) return
  streams.serve(ctx, () => {
    const feed = server.trace(body)
    if (feed === undefined) throw new Refused(503, `there are ${MOST_TRACES} traces already`)
    return feed
  })
}
