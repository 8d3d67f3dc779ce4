import { z } from 'zod'
import type { Action, Command } from '../../operations/commands/command.js'
import { allCommands, commandsOf } from '../../operations/commands/registry.js'
import type { OperationServices } from '../../operations/services.js'
import { empty, type HttpHandler } from '../app.js'
import type { OperatorLogin } from '../operator-login.js'
import { type Route, splitPath } from '../pattern.js'
import { type Call, type Operation, operation, type Resource, serve } from '../rest/resource.js'
import { authorizeAdministrator, isNamedRightly, preflightHeaders } from './access.js'
import { byCount, byPath, type Chosen, malformedBody, pathArguments, type Said } from './matching.js'
import { run } from './run.js'

/*
 * `mongoose_api_admin`: commands as REST resources. spec/rest-admin.md
 */

/** A `mongoose_api_admin` handler, as the configuration has it. */
export interface AdminApiOptions {
  readonly host: string
  readonly path: string
  /** Who may ask; undefined = whoever can name this machine as itself. A-3, HC-4 */
  readonly login: OperatorLogin | undefined
}

/** What it mounts: its path with each category of commands, and everything below. */
export function adminApiRoutes(options: AdminApiOptions, services: OperationServices): Route<HttpHandler>[] {
  const base = options.path.replace(/\/+$/, '')
  const categories = new Set(allCommands.map(({ category }) => category))
  return [...categories].map(category => ({
    host: options.host,
    path: `${base}/${category}/[...]`,
    target: categoryHandler(category, options, services, () => commandsOf(services)),
  }))
}

/** Serves the commands of one category that there are when a request comes. HP-6 */
export function categoryHandler(
  category: string,
  options: Pick<AdminApiOptions, 'host' | 'login'>,
  services: OperationServices,
  enabled: () => readonly Command[],
): HttpHandler {
  return async (ctx, asked) => {
    if (options.login === undefined && !isNamedRightly(asked.host, options.host)) return empty(ctx, 404)
    const commands = enabled().filter(command => command.category === category)
    if (commands.length === 0) return empty(ctx, 404)
    await serve(resourceOf(commands, options.login, services), ctx, asked)
  }
}

const actions = { GET: 'read', POST: 'create', PUT: 'update', DELETE: 'delete' } as const satisfies Record<
  string,
  Action
>
type Method = keyof typeof actions

function resourceOf(
  commands: readonly Command[],
  login: OperatorLogin | undefined,
  services: OperationServices,
): Resource<undefined> {
  const used = (Object.keys(actions) as Method[]) // Object.keys forgets the literal type
    .filter(method => commands.some(({ action }) => action === actions[method]))
  return {
    authorize: (ctx, asked) => authorizeAdministrator(ctx, asked, login),
    isOptionsGuarded: true,
    headers: ctx => preflightHeaders(ctx, login),
    exists: call => byPath(commands, actionOf(call), saidIn(call)) !== undefined,
    operations: Object.fromEntries(used.map(method => [method, operationOf(method, commands, services)])),
  }
}

function operationOf(method: Method, commands: readonly Command[], services: OperationServices): Operation<undefined> {
  const action = actions[method]
  if (action === 'read' || action === 'delete') {
    return operation<undefined>({
      description: '',
      responses: {},
      // `exists` has found it.
      handle: call => run(services, byPath(commands, action, saidIn(call))!, () => ''),
    })
  }
  return operation<undefined, typeof members>({
    description: '',
    responses: {},
    body: members,
    wrongBody: () => malformedBody,
    handle(call) {
      const chosen = byCount(commands, action, saidIn(call), call.body)
      return run(services, chosen, name => locationOf(call, chosen, name))
    },
  })
}

const members = z.custom<Readonly<Record<string, unknown>>>(
  value => typeof value === 'object' && value !== null && !Array.isArray(value),
)

const saidIn = ({ ctx, asked }: Call<undefined>): Said => ({
  segments: asked.rest ?? [],
  query: new URLSearchParams(ctx.querystring),
})

/** `serve` lets no other method this far. */
const actionOf = ({ ctx }: Call<undefined>): Action => actions[ctx.method as Method]

/** The whole path of what was created, though the request may have said a part of it elsewhere. */
function locationOf({ ctx, asked }: Call<undefined>, { command, given }: Chosen, name: string): string {
  const segments = splitPath(ctx.path) ?? []
  const before = segments.slice(0, segments.length - (asked.rest?.length ?? 0))
  const values = pathArguments(command).map(argument => String(given.get(argument)))
  const own = command.subcategory === undefined ? [] : [command.subcategory]
  return [`${ctx.protocol}://${ctx.host}`, ...[...before, ...values, ...own, name].map(encodeSegment)].join('/')
}

/** RFC 3986 §3.3: `@` stands for itself. */
const encodeSegment = (segment: string) => encodeURIComponent(segment).replaceAll('%40', '@')
