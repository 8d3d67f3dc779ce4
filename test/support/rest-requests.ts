import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import fc from 'fast-check'
import { z } from 'zod'

/*
 * Requests of every kind for the operations of an OpenAPI document of ours, right ones and wrong ones, and what may come of them.
 */

export type Schema = Readonly<Record<string, unknown>>
export type Content = Readonly<Record<string, { readonly schema: Schema }>>

/** As much of an OpenAPI document as the tests read. */
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export interface OpenApiOperation {
  readonly tags: readonly string[]
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>
}

/** The operations of a document by `METHOD path`. */
export const operationsOf = ({ paths }: OpenApi): [string, OpenApiOperation][] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, OpenApiOperation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )

/** Texts that mean something to the server, by the name of the parameter or member that they are for. */
export type Hints = Readonly<Record<string, readonly string[]>>

/** A request as it is sent. */
export interface RestRequest {
  readonly method: string
  /** Escaped, with the query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

export interface RestReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Requests for one operation; about every second one is right in all its parts. */
export function requestsFor(
  document: OpenApi,
  key: string,
  operation: OpenApiOperation,
  { authorization, hints }: { authorization: string | undefined; hints: Hints },
): fc.Arbitrary<RestRequest> {
  const [method = '', template = ''] = key.split(' ')
  const { parameters = [], requestBody } = operation
  const schema = requestBody?.content['application/json']?.schema
  const isWritten = method === 'POST' || method === 'PUT'
  return fc
    .record({
      path: pathOf(template, hints),
      query: queryOf(parameters.filter(parameter => parameter.in === 'query')),
      body: schema === undefined ? sometimes(fc.constant(undefined), anyBody) : bodyOf(document, schema, hints),
      type: sometimes<string | undefined>(
        fc.constant(schema !== undefined || isWritten ? 'application/json' : undefined),
        contentTypes,
      ),
      accept: sometimes<string | undefined>(fc.constant(undefined), accepts),
      credentials: sometimes<string | undefined>(fc.constant(authorization), credentials),
      origin: fc.constantFrom(undefined, undefined, 'https://page.example', '"'),
    })
    .map(({ path, query, body, type, accept, credentials: given, origin }) => ({
      method,
      target: `${path}${query}`,
      body,
      headers: present({
        host: 'localhost',
        'content-type': type,
        accept,
        authorization: given,
        origin,
        'content-length': body === undefined ? undefined : String(body.length),
      }),
    }))
}

/** What is right, and one time in ten something else. */
const sometimes = <T>(right: fc.Arbitrary<T>, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: other })

const present = (headers: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined))

const contentTypes = fc.constantFrom(
  undefined,
  'application/json; charset=utf-8',
  'APPLICATION/JSON',
  'application/json;',
  'text/plain',
  'application/jsonx',
  'multipart/form-data; boundary=x',
  'json',
  ',,,',
  `application/${'j'.repeat(3_000)}`,
)
const accepts = fc.constantFrom(
  '*/*',
  'application/json',
  'application/json;q=0',
  'text/xml',
  'text/*, application/*;q=0.1',
  ';;;',
  '*',
  '\t',
  'a'.repeat(3_000),
)
/** None of them is a guess at a password: those are counted. */
const credentials = fc.constantFrom(
  undefined,
  'Basic',
  'Basic !!!',
  'Basic bm9jb2xvbg==',
  'Basic Og==',
  'Bearer token',
  'Digest username="x"',
  'Nonsense',
  `Basic ${Buffer.from(`@:${'x'.repeat(1_000)}`).toString('base64')}`,
)

const odd = fc.constantFrom(
  '%zz',
  '%',
  '%ff',
  '%00',
  '%2F',
  '..%2f..',
  '%25',
  '@bad',
  '%40',
  'a@b@c',
  'x'.repeat(2_000),
  `${'y'.repeat(1_024)}@localhost`,
  'alice@localhost%2Fres',
  '%F0%9F%8C%B9@localhost',
  '%E2%80%8B',
  'A@LOCALHOST',
  '0',
  '-1',
  'null',
)

/** The path with its parameters filled in. */
function pathOf(template: string, hints: Hints): fc.Arbitrary<string> {
  const parts = template.split(/\{(.*?)\}/)
  const filled = parts.map((part, index) =>
    index % 2 === 0
      ? fc.constant(part)
      : sometimes(
          fc.constantFrom(...(hints[part] ?? ['x'])).map(encodeURIComponent),
          fc.oneof(odd, fc.uuid(), fc.string({ minLength: 1, unit: 'grapheme' }).map(encodeURIComponent)),
        ),
  )
  return fc.tuple(...filled).map(texts => texts.join(''))
}

function queryOf(parameters: readonly { readonly name: string }[]): fc.Arbitrary<string> {
  const wrong = fc.oneof(
    fc.constantFrom('', '-1', '1.5', '1e3', 'NaN', '0x10', '9'.repeat(30), '%zz', '%00', '007', '%205', 'x&limit=2'),
    fc.string().map(encodeURIComponent),
  )
  const right = fc.oneof(fc.nat(600).map(String), fc.constant(String(Number.MAX_SAFE_INTEGER)))
  const one = ({ name }: { name: string }) =>
    fc.option(
      sometimes(right, wrong).map(value => `${name}=${value}`),
      { nil: undefined },
    )
  const other = sometimes(fc.constant(undefined), fc.constantFrom('x', '&&', '=', '__proto__=1', 'limit[]=1', '%zz=1'))
  return fc.tuple(...parameters.map(one), other).map(found => {
    const texts = found.filter(text => text !== undefined)
    return texts.length === 0 ? '' : `?${texts.join('&')}`
  })
}

const texts = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\u0000', '\uFFFE', '\uD800', '<a/>', ']]>', '&amp;', '__proto__', 'x'.repeat(20_000)),
)
const anyJson = fc.oneof(fc.jsonValue(), texts, fc.constantFrom(null, 0, -1, 1e308, true, [], {}, [[]]))
const depth = '['.repeat(50_000)

/** Bodies that are no JSON, or that nobody asked for. */
const anyBody: fc.Arbitrary<Buffer | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.uint8Array().map(bytes => Buffer.from(bytes)),
  anyJson.map(value => Buffer.from(JSON.stringify(value))),
  fc
    .constantFrom(
      '',
      '{',
      '{"a":}',
      'null',
      '"',
      '[',
      '\uFEFF{}',
      '{}{}',
      '{"a":1,"a":2}',
      '{"__proto__":{}}',
      'NaN',
      depth,
    )
    .map(text => Buffer.from(text)),
)

function bodyOf(document: OpenApi, schema: Schema, hints: Hints): fc.Arbitrary<Buffer | undefined> {
  const right = valuesOf(document, schema, hints)
  const changed = fc.tuple(right, fc.nat(20), anyJson, fc.constantFrom('drop', 'change', 'add')).map(mutated)
  return fc.oneof(
    { weight: 6, arbitrary: right.map(value => Buffer.from(JSON.stringify(value))) },
    { weight: 3, arbitrary: changed.map(value => Buffer.from(JSON.stringify(value))) },
    { weight: 1, arbitrary: anyBody },
  )
}

function mutated([value, at, other, how]: [unknown, number, unknown, string]): unknown {
  if (typeof value !== 'object' || value === null) return other
  const entries = Object.entries(value)
  const [name = 'x'] = entries[at % Math.max(entries.length, 1)] ?? []
  if (how === 'drop') return Object.fromEntries(entries.filter(([key]) => key !== name))
  return { ...value, [how === 'add' ? 'more' : name]: other }
}

/** Values that the schema lets through. */
export function valuesOf(document: OpenApi, schema: Schema, hints: Hints, name = ''): fc.Arbitrary<unknown> {
  const { $ref, enum: values, anyOf, oneOf, type, properties = {}, required = [], items } = schema
  if (typeof $ref === 'string') return valuesOf(document, resolved(document, $ref), hints, name)
  if ('const' in schema) return fc.constant(schema.const)
  if (Array.isArray(values)) return fc.constantFrom(...values)
  const choices = (anyOf ?? oneOf) as readonly Schema[] | undefined
  if (choices !== undefined) return fc.oneof(...choices.map(choice => valuesOf(document, choice, hints, name)))
  switch (type) {
    case 'object': {
      const members = Object.entries(properties as Record<string, Schema>).map(([key, member]) => [
        key,
        valuesOf(document, member, hints, key),
      ])
      return fc.record(Object.fromEntries(members), { requiredKeys: required as [] })
    }
    case 'array':
      return fc.array(valuesOf(document, (items ?? {}) as Schema, hints, name), { maxLength: 5 })
    case 'string': {
      const hinted = hints[name]
      return hinted === undefined ? texts : sometimes(fc.constantFrom(...hinted), texts)
    }
    case 'integer':
      return fc.nat()
    case 'boolean':
      return fc.boolean()
    default:
      return anyJson
  }
}

const resolved = ({ components }: OpenApi, ref: string): Schema =>
  components.schemas[ref.slice(ref.lastIndexOf('/') + 1)] ?? {}

/** Says whether a value is as the document has it; undefined when it is. */
export function mismatch(document: OpenApi, schema: Schema, value: unknown): string | undefined {
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas })
  const whole = JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/'))
  const read = z.fromJSONSchema(whole).safeParse(value)
  return read.success ? undefined : `${JSON.stringify(value)}: ${z.prettifyError(read.error)}`
}

/** Sends a request as it stands. */
export function exchanged(
  port: number,
  agent: Agent,
  { method, target, headers, body }: RestRequest,
): Promise<RestReply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, agent, method, path: target, headers, setHost: false },
      response => {
        const { statusCode: status = 0, headers: told } = response
        let text = ''
        response
          .setEncoding('utf8')
          .on('data', chunk => {
            text += chunk
          })
          .once('end', () => resolve({ status, headers: told, text }))
          .once('error', reject)
        if (told['content-type'] !== 'text/event-stream') return
        // It has no end.
        resolve({ status, headers: told, text })
        response.destroy()
      },
    )
    sent.once('error', reject).end(body)
  })
}

/** Of every request, whatever its operation. spec/http-listener.md §4 */
const generic = new Set([400, 401, 404, 405, 406, 413, 414, 415, 431])

/** What is wrong with a reply; undefined when nothing is. */
export function fault(document: OpenApi, operation: OpenApiOperation, { status, headers, text }: RestReply) {
  const documented = operation.responses[status]
  if (documented === undefined) return generic.has(status) ? undefined : `status ${status} is not documented: ${text}`
  const schema = documented.content?.['application/json']?.schema
  if (schema === undefined || status >= 300) return undefined
  if (headers['content-type'] !== 'application/json') return `${status} with ${headers['content-type']}`
  return mismatch(document, schema, JSON.parse(text))
}
