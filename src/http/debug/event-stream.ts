import type { ServerResponse } from 'node:http'
import type { Context } from 'koa'
import type { Clock } from '../../observability/clock.js'
import type { Feed, FeedEvent } from '../../observability/feed.js'
import { empty } from '../app.js'
import { Refused } from '../rest/answer.js'

/** Milliseconds without progress after which a reader is given up. */
const STALL_MS = 30_000

const head = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Proxies that gather answers would show everything late.
  'x-accel-buffering': 'no',
}

/** Streams of events of one endpoint, at most so many at a time. */
export class EventStreams {
  private open = 0

  constructor(
    private readonly most: number,
    private readonly clock: Clock,
  ) {}

  /** Answers with what the feed tells, until it ends or the client goes. */
  serve(ctx: Context, begin: () => Feed): void {
    if (ctx.method === 'HEAD') {
      empty(ctx, 200)
      ctx.set(head)
      return
    }
    if (this.open >= this.most) throw new Refused(503, `there are ${this.most} such streams already`)
    // Behind a request that is not answered yet, and perhaps never is.
    if (ctx.res.socket === null) throw new Refused(503, 'ask again on another connection', { connection: 'close' })
    const feed = begin()
    this.open++
    feed.closed(() => {
      this.open--
    })
    ctx.respond = false
    ctx.req.setTimeout(0)
    // A body is nobody's business; unread it would hide that the client closes.
    ctx.req.resume()
    void this.write(ctx.res, feed)
  }

  private async write(response: ServerResponse, feed: Feed): Promise<void> {
    response.on('close', () => feed.close()).on('error', () => feed.close())
    response.writeHead(200, head)
    response.flushHeaders()
    for await (const batch of feed.batches()) {
      if (response.destroyed) return
      if (!response.write(textOf(batch))) await this.drained(response)
    }
    response.end()
  }

  private drained(response: ServerResponse): Promise<void> {
    return new Promise(resolve => {
      const cancel = this.clock.after(STALL_MS, () => response.destroy())
      const end = () => {
        cancel()
        response.off('drain', end).off('close', end)
        resolve()
      }
      response.on('drain', end).on('close', end)
    })
  }
}

/** JSON has no line ends of its own. An empty batch keeps the connection alive. */
function textOf(batch: readonly FeedEvent[]): string {
  if (batch.length === 0) return ':\n\n'
  return batch.map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('')
}
