import { empty, type HttpHandler, json } from './app.js'

/** `storage` = the store does not answer. */
export type HealthStatus = 'ok' | 'starting' | 'draining' | 'storage'

/** `meerkat_health`: 200 while the server does its work, 503 while it does not; the body says why. */
export function createHealthHandler(status: () => HealthStatus): HttpHandler {
  return ctx => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      empty(ctx, 405)
      ctx.set('allow', 'GET, HEAD')
      return
    }
    const now = status()
    json(ctx, { status: now }, now === 'ok' ? 200 : 503)
  }
}
