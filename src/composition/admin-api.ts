import type { HttpListenerConfig } from '../config/listen-http.js'
import { adminApiRoutes } from '../http/admin-api/handler.js'
import type { HttpHandler } from '../http/app.js'
import type { Route } from '../http/pattern.js'
import type { OperationServices } from '../operations/services.js'
import type { Base } from './base.js'
import { operatorLogin } from './operator-login.js'

type Options = NonNullable<HttpListenerConfig['handlers']['mongoose_api_admin']>[number]

/** Where a `mongoose_api_admin` is mounted. */
export function adminApi(
  base: Base,
  name: string,
  listener: HttpListenerConfig,
  options: Options,
  operations: OperationServices,
): Route<HttpHandler>[] {
  const { host, path } = options
  return adminApiRoutes({ host, path, login: operatorLogin(base, name, listener, options) }, operations)
}
