/*
 * One request of a REST API and its answer.
 */

/** What goes in and comes out, by `METHOD path`; the generated files have these. */
export type OperationTypes = Record<string, { input: Input; answers: object }>

/** What a request is made of; which of it is needed depends on the operation. */
export interface Input {
  /** What stands in the braces of the path. */
  path?: Record<string, string>
  query?: Record<string, string | number | boolean | undefined>
  /** Sent as JSON. */
  body?: unknown
}

/** The answers of an operation: which body comes with which status. */
export type AnswerOf<Answers> = {
  [Status in keyof Answers & number]: {
    /** Of HTTP. */
    status: Status
    /** All of the answer's. */
    headers: Headers
    /** Parsed where it is JSON. */
    body: Answers[Status]
  }
}[keyof Answers & number]

/** Who asks. */
export interface Credentials {
  /** The JID of an account, or the name of the administrator. */
  readonly user: string
  /** In clear: use `https:`. RFC 7617 */
  readonly password: string
}

/** How a request is sent. */
export interface Sending {
  /** Gives the request up. */
  readonly signal?: AbortSignal
}

/** The server answered, and not with success. */
export class RestError extends Error {
  /** Always `RestError`. */
  override readonly name = 'RestError'
  constructor(
    /** As `METHOD path`. */
    readonly operation: string,
    /** Of HTTP. */
    readonly status: number,
    /** What the body says; often nothing. */
    readonly text: string,
  ) {
    super(`${operation}: status ${status}${text === '' ? '' : `: ${text}`}`)
  }
}

/** Sends requests of an API. */
export type Request<Operations> = <Key extends keyof Operations & string>(
  operation: Key,
  ...input: InputOf<Operations[Key]>
) => Promise<Operations[Key] extends { answers: infer Answers } ? AnswerOf<Answers> : never>

/** What a request is given: an operation that needs nothing is asked with nothing. */
export type InputOf<Operation> = Operation extends { input: infer Given }
  ? object extends Given
    ? [input?: Given & Sending]
    : [input: Given & Sending]
  : never

/** @param base where the API is: the origin of the server, and what stands before the paths of the documents if something does */
export function createRequest<Operations>(base: string | URL, credentials?: Credentials): Request<Operations> {
  const request = async (operation: string, input: Input & Sending = {}) => {
    const response = await send(base, credentials, operation, input)
    return { status: response.status, headers: response.headers, body: await bodyOf(response) }
  }
  // The cast: which body comes with which status is what the document says.
  return request as unknown as Request<Operations>
}

/** The answer before its body is read. Rejects with a `RestError` unless it is a success. */
export async function send(
  base: string | URL,
  credentials: Credentials | undefined,
  operation: string,
  { path = {}, query = {}, body, signal }: Input & Sending,
): Promise<Response> {
  const [method = '', template = ''] = operation.split(' ')
  const filled = template.replace(/\{(.*?)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''))
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  const search = given.size === 0 ? '' : `?${given}`
  const response = await fetch(`${String(base).replace(/\/$/, '')}${filled}${search}`, {
    method,
    headers: {
      ...(credentials && { authorization: `Basic ${encoded(`${credentials.user}:${credentials.password}`)}` }),
      ...((body !== undefined || method === 'POST' || method === 'PUT') && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  })
  if (!response.ok) throw new RestError(operation, response.status, await response.text())
  return response
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text()
  if (text === '') return undefined
  return response.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : text
}

/** The base64 of the text's UTF-8; `btoa` takes octets as characters. */
const encoded = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)))
