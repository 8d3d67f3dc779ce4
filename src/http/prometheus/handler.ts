import { empty, type HttpHandler } from '../app.js'

/** What a scrape is answered with. */
export interface Exposition {
  /** Of the text format. */
  readonly type: string
  text(): Promise<string>
}

/** `mongoose_prometheus_handler`, and `metrics` of `meerkat_health`. The metrics are made ready when they are first asked for. */
export function createPrometheusHandler(exposition: () => Promise<Exposition>): HttpHandler {
  return async ctx => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      empty(ctx, 405)
      ctx.set('allow', 'GET, HEAD')
      return
    }
    const { type, text } = await exposition()
    ctx.body = await text()
    ctx.set('content-type', type)
    ctx.set('cache-control', 'no-store')
  }
}
