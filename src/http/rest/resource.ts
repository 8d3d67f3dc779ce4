import type { Context } from 'koa'
import type { z } from 'zod'
import { StoreUnavailable } from '../../storage/store.js'
import { type Asked, empty, type HttpHandler } from '../app.js'
import { readRequestBody } from '../request-body.js'
import { type Answer, Refused } from './answer.js'
import { acceptedType, requireJson } from './negotiation.js'

/*
 * The sequence in which a REST request is decided, the same for every API: the first check that fails answers. spec/http-listener.md §4
 */

/** Longest request body, in bytes; beyond it 413. spec/http-listener.md §5 */
const MAX_BODY = 8_000_000

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'

/** A request as an operation sees it. */
export interface Call<User> {
  readonly user: User
  /** What the path pattern bound, percent-decoded. */
  readonly bindings: ReadonlyMap<string, string>
  /** The request as koa has it, for URLs and headers. */
  readonly ctx: Context
  readonly asked: Asked
}

/** The same with what came in, validated. */
export interface ReadCall<User, Body, Query> extends Call<User> {
  readonly body: Body
  readonly query: Query
}

/** What a status means, and the schema of its body. */
export interface Response {
  readonly description: string
  readonly schema?: z.ZodType
  /** Media type of the body, for the documents; JSON when it is left out. */
  readonly type?: string
}

/** One method of a resource. Made with `operation`, so that the types of `handle` follow the schemas. */
export interface Operation<User> {
  readonly description: string
  readonly responses: Readonly<Record<number, Response>>
  /** Schema of the JSON body; without one a body is ignored. */
  readonly body?: z.ZodType | undefined
  /** The body counts as JSON whatever its type is said to be. RK-5 */
  readonly isAnyType?: boolean
  /** Schema of the query parameters, each one a text; others are ignored. */
  readonly query?: z.ZodType | undefined
  /** Decides before the body is read whether the user may; throws `Refused`. RC-7 */
  permit?(call: Call<User>): void | Promise<void>
  /** The text of the 400 for a body that is no JSON or not as the schema says; '' without it. */
  wrongBody?(problem: 'no JSON' | z.ZodError): string
  handle(call: ReadCall<User, unknown, unknown>): Answer | Promise<Answer>
}

/** Ties the types of the schemas to those that `handle` gets. */
export function operation<User, Body extends z.ZodType = z.ZodUndefined, Query extends z.ZodType = z.ZodUndefined>(
  it: Omit<Operation<User>, 'handle' | 'body' | 'query'> & {
    body?: Body
    query?: Query
    handle(call: ReadCall<User, z.output<Body>, z.output<Query>>): Answer | Promise<Answer>
  },
): Operation<User> {
  // The cast: `serve` hands in what the schemas made.
  return it as Operation<User>
}

export interface Resource<User> {
  readonly operations: Readonly<Partial<Record<Method, Operation<User>>>>
  /** Who asks; throws `Refused`. */
  authorize(ctx: Context, asked: Asked): User | Promise<User>
  /** OPTIONS is answered only to those who may ask. A-4 */
  readonly isOptionsGuarded?: boolean
  /** Of the answer to OPTIONS. */
  readonly optionsHeaders?: Readonly<Record<string, string>>
  /** Of every answer that the resource itself makes, errors too. RC-3 */
  headers?(ctx: Context, methods: readonly string[]): Readonly<Record<string, string>>
  /** Media types of answers; JSON when it is left out. */
  readonly provided?: readonly [string, ...string[]]
  /** Makes the body of an answer in another type than JSON. */
  encode?(value: unknown, type: string): string
  /** Whether what the path names is there; where not, all but POST and PUT are answered with 404. */
  exists?(call: Call<User>): boolean | Promise<boolean>
}

/** The methods of a resource as `allow` lists them. */
export function methodsOf(operations: Resource<unknown>['operations']): string[] {
  return ['OPTIONS', ...Object.keys(operations)]
}

/** Serves one resource. */
export function resourceHandler<User>(resource: Resource<User>): HttpHandler {
  return (ctx, asked) => serve(resource, ctx, asked)
}

/** Answers a request for the resource. */
export async function serve<User>(resource: Resource<User>, ctx: Context, asked: Asked): Promise<void> {
  const methods = methodsOf(resource.operations)
  try {
    const answer = await decide(resource, methods, ctx, asked)
    if (answer !== undefined) write(resource, ctx, answer)
  } catch (error) {
    refuse(ctx, error)
  }
  if (resource.headers !== undefined) ctx.set(resource.headers(ctx, methods))
}

/** Answers with what was thrown, where that is a `Refused` or the state of the store; throws anything else again. */
export function refuse(ctx: Context, error: unknown): void {
  // Where the store is, its state is told.
  const refused = error instanceof StoreUnavailable ? new Refused(503) : error
  if (!(refused instanceof Refused)) throw refused
  empty(ctx, refused.status)
  if (refused.text !== '') {
    ctx.body = refused.text
    ctx.type = 'text/plain'
    ctx.status = refused.status
  }
  ctx.set(refused.headers)
}

async function decide<User>(
  resource: Resource<User>,
  methods: readonly string[],
  ctx: Context,
  asked: Asked,
): Promise<Answer | undefined> {
  const { operations, isOptionsGuarded, optionsHeaders } = resource
  const { method } = ctx
  if (!methods.includes(method)) throw new Refused(405, '', { allow: methods.join(', ') })
  if (method === 'OPTIONS' && isOptionsGuarded !== true)
    return { status: 200, ...(optionsHeaders && { headers: optionsHeaders }) }
  const user = await resource.authorize(ctx, asked)
  if (method === 'OPTIONS') return { status: 200, ...(optionsHeaders && { headers: optionsHeaders }) }
  // It is one of `methods`.
  const found = operations[method as Method]!
  acceptedType(ctx, resource.provided ?? ['application/json'])
  const call: Call<User> = { user, bindings: asked.bindings, ctx, asked }
  const isThere = resource.exists === undefined || (await resource.exists(call))
  if (!isThere && method !== 'PUT' && method !== 'POST') throw new Refused(404)
  if (method === 'POST' || method === 'PUT') requireJson(ctx)
  await found.permit?.(call)
  const query = readQuery(found, ctx)
  const body = await readBody(found, ctx)
  // Whoever went away is not answered.
  if (body === 'gone') return undefined
  return found.handle({ ...call, query, body: body.value })
}

function readQuery(found: Operation<unknown>, ctx: Context): unknown {
  if (found.query === undefined) return undefined
  const given = new URLSearchParams(ctx.querystring)
  const read = found.query.safeParse(Object.fromEntries(given))
  if (!read.success) throw new Refused(400)
  return read.data
}

async function readBody(found: Operation<unknown>, ctx: Context): Promise<{ value: unknown } | 'gone'> {
  if (found.body === undefined) return { value: undefined }
  const bytes = await readRequestBody(ctx.req, MAX_BODY)
  if (bytes === undefined) return 'gone'
  if (bytes === 'too-large') throw new Refused(413, '', { connection: 'close' })
  const wrong = (problem: Parameters<NonNullable<Operation<unknown>['wrongBody']>>[0]) =>
    new Refused(400, found.wrongBody?.(problem))
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw wrong('no JSON')
  }
  const read = found.body.safeParse(value)
  if (!read.success) throw wrong(read.error)
  return { value: read.data }
}

function write<User>(resource: Resource<User>, ctx: Context, answer: Answer): void {
  const type = acceptedOf(resource, ctx)
  if (answer.json !== undefined) {
    ctx.body = type === 'application/json' ? JSON.stringify(answer.json) : resource.encode!(answer.json, type)
    // koa would add a charset, which JSON has not. Q-5
    ctx.set('content-type', type)
  } else if (answer.text !== undefined) {
    ctx.body = answer.text
    ctx.type = 'text/plain'
  } else {
    empty(ctx, answer.status)
  }
  ctx.status = answer.status
  if (answer.headers !== undefined) ctx.set(answer.headers)
}

function acceptedOf<User>({ provided = ['application/json'] }: Resource<User>, ctx: Context): string {
  return ctx.method === 'OPTIONS' ? provided[0] : acceptedType(ctx, provided)
}
