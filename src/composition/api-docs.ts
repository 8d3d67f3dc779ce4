import { createSwaggerHandler } from '../http/api-docs/handlers.js'
import type { HttpHandler } from '../http/app.js'
import type { Route } from '../http/pattern.js'
import type { DescribedHandler } from '../http/rest/description.js'

export { createDocsRedirect } from '../http/api-docs/handlers.js'

/** Describes those of a listener's handlers that say what they are. D-5 */
export function swaggerHandler(routes: readonly Route<HttpHandler>[]): HttpHandler {
  return createSwaggerHandler(() =>
    routes.flatMap(({ path, target }) => (isDescribed(target) ? [{ path, description: target.description }] : [])),
  )
}

const isDescribed = (handler: HttpHandler): handler is DescribedHandler => 'description' in handler
