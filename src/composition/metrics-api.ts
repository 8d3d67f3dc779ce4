import type { HttpListenerConfig } from '../config/listen-http.js'
import type { HttpHandler } from '../http/app.js'
import { type MetricsApiOptions, metricsApiRoutes } from '../http/metrics-api/routes.js'
import type { Route } from '../http/pattern.js'
import type { Base } from './base.js'
import { isLoopback } from './c2s.js'
import type { HttpNeeds } from './http-needs.js'
import { addressOf } from './listen.js'

/** What a `mongoose_api` mounts; warns where others than this machine's users may change accounts. spec/metrics-api.md §5 */
export function metricsApi(
  { emit }: Base,
  name: string,
  listener: HttpListenerConfig,
  options: MetricsApiOptions,
  { metrics, operations }: Pick<HttpNeeds, 'metrics' | 'operations'>,
): Promise<Route<HttpHandler>[]> {
  if (options.handlers.includes('mongoose_api_users') && !isLoopback(addressOf(listener))) {
    const text = 'mongoose_api_users lets whoever reaches the port make, change and remove accounts'
    emit('config.warning', { path: `listener ${name}`, text })
  }
  return metricsApiRoutes(options, async () => (await metrics()).api(), operations)
}
