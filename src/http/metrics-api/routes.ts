import type { Metrics } from '../../observability/metrics/registry.js'
import type { OperationServices } from '../../operations/services.js'
import type { HttpHandler } from '../app.js'
import type { Route } from '../pattern.js'
import { metricsResources } from './metrics.js'
import { usersResources } from './users.js'

/** A `mongoose_api` handler, as the configuration has it. */
export interface MetricsApiOptions {
  readonly host: string
  readonly path: string
  readonly handlers: readonly ('mongoose_api_metrics' | 'mongoose_api_users')[]
}

/** What it mounts: the resources of each API that it lists, below its path. */
export async function metricsApiRoutes(
  { host, path, handlers }: MetricsApiOptions,
  metrics: () => Promise<Metrics>,
  services: Pick<OperationServices, 'accounts'>,
): Promise<Route<HttpHandler>[]> {
  const base = path.replace(/\/+$/, '')
  const routes: Route<HttpHandler>[] = []
  for (const name of new Set(handlers)) {
    const resources = name === 'mongoose_api_metrics' ? metricsResources(await metrics()) : usersResources(services)
    for (const resource of resources) routes.push({ host, path: `${base}${resource.path}`, target: resource.target })
  }
  return routes
}
