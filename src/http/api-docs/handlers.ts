import { empty, type HttpHandler } from '../app.js'
import { splitPath } from '../pattern.js'
import { ok } from '../rest/answer.js'
import { operation, resourceHandler } from '../rest/resource.js'
import type { MountedApi } from './operations.js'
import { swaggerDocument } from './swagger.js'

/*
 * `cowboy_swagger_redirect_handler` and `cowboy_swagger_json_handler`. spec/api-docs.md §1, §2
 */

/** The order is the reference's. */
const allow = 'HEAD, GET, OPTIONS'

/** Leads to the page of the API documentation, which is served below the path that was asked for. D-1 */
export function createDocsRedirect(): HttpHandler {
  return ctx => {
    const { method } = ctx
    if (method === 'GET' || method === 'HEAD') {
      empty(ctx, 301)
      ctx.set('location', pageBelow(ctx.path))
    } else {
      empty(ctx, method === 'OPTIONS' ? 200 : 405)
      ctx.set('allow', allow)
    }
  }
}

/** Made anew of the segments: two slashes at the start would name another server. */
function pageBelow(path: string): string {
  const segments = (splitPath(path) ?? []).filter(segment => segment !== '')
  return ['', ...segments.map(encodeURIComponent), 'index.html'].join('/')
}

/**
 * Shows the Swagger document of what is mounted; it is made when it is asked for first. D-3
 * @param mounted gives the handlers of the listener, when all of them are there
 */
export function createSwaggerHandler(mounted: () => readonly MountedApi[]): HttpHandler {
  let document: unknown
  const show = operation<undefined>({
    description: 'The document.',
    responses: { 200: { description: 'The document.' } },
    handle() {
      document ??= swaggerDocument(mounted())
      return ok(document)
    },
  })
  return resourceHandler<undefined>({
    authorize: () => undefined,
    operations: { HEAD: show, GET: show },
    headers: ({ method }) => (method === 'GET' || method === 'HEAD' ? {} : { allow }),
  })
}
