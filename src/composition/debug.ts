import type { HttpListenerConfig } from '../config/listen-http.js'
import type { HttpHandler } from '../http/app.js'
import { createDebugRoute } from '../http/debug/handler.js'
import type { Route } from '../http/pattern.js'
import type { Introspection } from '../operations/introspection.js'
import type { Base } from './base.js'
import { operatorLogin } from './operator-login.js'

type Options = NonNullable<HttpListenerConfig['handlers']['meerkat_debug']>[number]

/** A `meerkat_debug`; the files of its page lie in the folder. */
export function debugRoute(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  options: Options,
  server: Introspection,
  page: string,
): Promise<Route<HttpHandler>> {
  const { host, path } = options
  return createDebugRoute(
    { host, path },
    { server, clock: base.clock, login: operatorLogin(base, name, listener, options), page },
  )
}
