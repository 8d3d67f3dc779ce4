import type { Metrics } from '../../observability/metrics/registry.js'
import type { HttpHandler } from '../app.js'
import { ok, Refused } from '../rest/answer.js'
import { operation, resourceHandler } from '../rest/resource.js'
import { xmlOf } from './xml.js'

/*
 * `mongoose_api_metrics`. spec/metrics-api.md §1
 */

/** One of the forms of the path: a page of the API. */
interface Page {
  readonly path: string
  readonly description: string
  /** What is answered; undefined = there is no such thing. */
  read(metrics: Metrics, name: (of: 'host' | 'metric') => string): unknown
}

const under = (key: 'metric' | 'metrics', value: unknown) => (value === undefined ? undefined : { [key]: value })

const pages: readonly Page[] = [
  { path: '/metrics', description: 'Names of all metrics.', read: metrics => metrics.index() },
  {
    path: '/metrics/all',
    description: 'Metrics of all hosts, summed.',
    read: metrics => under('metrics', metrics.all()),
  },
  {
    path: '/metrics/all/:metric',
    description: 'A metric of all hosts, summed.',
    read: (metrics, name) => under('metric', metrics.oneOfAll(name('metric'))),
  },
  {
    path: '/metrics/host/:host',
    description: 'Metrics of a host.',
    read: (metrics, name) => under('metrics', metrics.host(name('host').toLowerCase())),
  },
  {
    path: '/metrics/host/:host/:metric',
    description: 'A metric of a host.',
    read: (metrics, name) => under('metric', metrics.oneOfHost(name('host').toLowerCase(), name('metric'))),
  },
  {
    path: '/metrics/global',
    description: 'Metrics of the server as a whole.',
    read: metrics => under('metrics', metrics.global()),
  },
  {
    path: '/metrics/global/:metric',
    description: 'A metric of the server as a whole.',
    read: (metrics, name) => under('metric', metrics.oneOfGlobal(name('metric'))),
  },
]

/** Its resources, by their paths below that of the handler. Metrics are no part of the API's documents: spec/api-docs.md D-5. */
export function metricsResources(metrics: Metrics): { path: string; target: HttpHandler }[] {
  return pages.map(page => ({ path: page.path, target: pageHandler(metrics, page) }))
}

function pageHandler(metrics: Metrics, { description, read }: Page): HttpHandler {
  const GET = operation<undefined>({
    description,
    responses: {
      200: { description: 'What there is now.' },
      404: { description: 'There is no such host or metric.' },
    },
    handle({ bindings }) {
      const value = read(metrics, name => bindings.get(name) ?? '')
      if (value === undefined) throw new Refused(404)
      return ok(value)
    },
  })
  return resourceHandler<undefined>({
    authorize: () => undefined,
    optionsHeaders: { allow: 'OPTIONS, HEAD, GET' },
    provided: ['application/json', 'application/xml'],
    encode: xmlOf,
    // In the order in which `allow` lists them.
    operations: { HEAD: GET, GET },
  })
}
