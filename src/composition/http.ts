import { type InspectOptions, inspect } from '../actors/runtime/index.js'
import type { HttpListenerConfig } from '../config/listen-http.js'
import { createHttpApp, type HttpHandler } from '../http/app.js'
import { createDebugRoute } from '../http/debug.js'
import { createHealthHandler } from '../http/health.js'
import type { Route } from '../http/pattern.js'
import type { Base } from './base.js'

export async function httpApp(
  { config, counters, emit, runtime }: Base,
  listener: HttpListenerConfig,
  health: () => 'ok' | 'starting' | 'draining' | 'storage',
) {
  const routes: Route<HttpHandler>[] = []
  for (const { host, path, username, password } of listener.handlers.meerkat_debug ?? []) {
    const credentials = username === undefined || password === undefined ? undefined : { username, password }
    const look = (from: string, page: InspectOptions) => inspect(runtime, from, page)
    routes.push(await createDebugRoute({ host, path }, { inspect: look, credentials }))
  }
  for (const { host, path } of listener.handlers.meerkat_health ?? []) {
    routes.push({ host, path, target: createHealthHandler(health) })
  }
  return createHttpApp({
    routes,
    serverName: config.general.http_server_name,
    compress: listener.protocol.compress,
    counters,
    emit,
  })
}
