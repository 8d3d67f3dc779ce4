import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { createGunzip } from 'node:zlib'
import { onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { httpPort } from './bosh.js'
import { PASSWORD } from './server.js'

/*
 * The tests' client of server-sent events. It takes nothing but what spec/sse.md §2 and S-14 allow, to the byte.
 */

export interface ServerEvent {
  readonly id: number
  readonly event: string
  readonly data: Record<string, unknown>
}

export interface StreamOptions {
  password?: string
  headers?: Record<string, string>
  path?: string
  host?: string
  /** Over TLS, whoever signed the server's certificate. */
  isSecure?: boolean
}

export const basic = (user: string, password = PASSWORD, host = 'localhost') => ({
  authorization: `Basic ${Buffer.from(`${user}@${host}:${password}`).toString('base64')}`,
})

const whole = /^(?:id: ([1-9]\d*)\nevent: ([a-z.]+)\ndata: (\{[^\n]*\})|(:))\n\n/

/** A stream whose head has come; dropped when the running test ends. Rejects where the answer is another than 200. */
export async function eventsOf(
  server: Pick<TestServer, 'addresses'>,
  user: string,
  options: StreamOptions = {},
): Promise<EventsClient> {
  const { headers = {}, password, path = '/api/sse', host = 'localhost', isSecure = false } = options
  const asked = { host: '127.0.0.1', port: httpPort(server), path, agent: false as const, rejectUnauthorized: false }
  const all = { host, ...basic(user, password), ...headers }
  const sent = (isSecure ? secureRequest : request)({ ...asked, headers: all })
  onTestFinished(() => void sent.destroy())
  sent.end()
  const [response] = (await once(sent, 'response', { signal: AbortSignal.timeout(10_000) })) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
  return new EventsClient(sent, response)
}

export class EventsClient {
  /** Events that nobody took. */
  readonly events: ServerEvent[] = []
  comments = 0
  /** True once the body has ended in good order; `isClosed` also when it has not. */
  hasEnded = false
  isClosed = false
  #text = ''
  #broken: Error | undefined
  readonly #wake = new Set<() => void>()

  constructor(
    readonly request: ClientRequest,
    readonly response: IncomingMessage,
  ) {
    const body = response.headers['content-encoding'] === 'gzip' ? response.pipe(createGunzip()) : response
    body.setEncoding('utf8')
    body.on('data', (text: string) => this.#read(text))
    body.on('end', () => {
      this.hasEnded = response.complete
      this.#tell()
    })
    response.on('error', () => {}) // 'close' follows
    const closed = () => {
      this.isClosed = true
      this.#tell()
    }
    // What has come whole may still have to be unpacked.
    response.on('close', () => (response.complete && body !== response ? body.once('close', closed) : closed()))
  }

  /** The next event; rejects when the stream ends before. */
  async next(): Promise<ServerEvent> {
    await this.#until(() => this.events.length > 0 || this.isClosed, 'an event')
    const event = this.events.shift()
    if (event === undefined) throw new Error('the stream ended before an event came')
    return event
  }

  /** The data of the next event, which is of this kind. */
  async data(event: string): Promise<Record<string, unknown>> {
    const found = await this.next()
    if (found.event !== event) throw new Error(`${event} was to come, but this did: ${JSON.stringify(found)}`)
    return found.data
  }

  /** Waits for so many comments altogether. */
  async commented(count: number): Promise<void> {
    await this.#until(() => this.comments >= count, `comment ${count}`)
  }

  /** Waits for the end, and says whether it came in good order. */
  async ended(): Promise<boolean> {
    await this.#until(() => this.isClosed, 'the end')
    return this.hasEnded
  }

  drop(): void {
    this.request.destroy()
  }

  #read(text: string): void {
    this.#text += text
    for (let found = whole.exec(this.#text); found !== null; found = whole.exec(this.#text)) {
      this.#text = this.#text.slice(found[0].length)
      const [, id, event = '', data = ''] = found
      if (id === undefined) this.comments++
      else this.events.push({ id: Number(id), event, data: JSON.parse(data) })
    }
    if (this.#text.includes('\n\n')) this.#broken ??= new Error(`this is no event: ${this.#text.slice(0, 500)}`)
    this.#tell()
  }

  async #until(isThere: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 10_000
    while (!isThere()) {
      if (this.#broken !== undefined) throw this.#broken
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${what} did not come; behind the last event: ${JSON.stringify(this.#text)}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    if (this.#broken !== undefined) throw this.#broken
  }

  #tell(): void {
    for (const wake of this.#wake) wake()
    this.#wake.clear()
  }
}
