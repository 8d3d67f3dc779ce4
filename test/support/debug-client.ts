import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { httpPort } from './bosh.js'
import { eventually } from './server.js'

/*
 * The tests' client of `meerkat_debug`, mounted at /debug with credentials.
 */

/** An HTTP listener with the debug endpoint. */
export const debugListener = {
  http: [
    {
      port: 0,
      ip_address: '127.0.0.1',
      handlers: { meerkat_debug: [{ host: '_', path: '/debug', username: 'admin', password: 'secret' }] },
    },
  ],
}

/** What the server answers, of which each test knows the shape. */
// biome-ignore lint/suspicious/noExplicitAny: JSON
type Answer = any

const authorization = `Basic ${Buffer.from('admin:secret').toString('base64')}`

function send(
  server: Pick<TestServer, 'addresses'>,
  path: string,
  body: unknown,
  ms = 10_000,
): Promise<IncomingMessage> {
  const sent = request({
    host: '127.0.0.1',
    port: httpPort(server),
    path: `/debug/${path}`,
    method: body === undefined ? 'GET' : 'POST',
    agent: false,
    headers: { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) },
  })
  onTestFinished(() => void sent.destroy())
  sent.on('error', () => undefined)
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  return once(sent, 'response', { signal: AbortSignal.timeout(ms) }).then(([response]) => response as IncomingMessage)
}

/** Asks, or with a body acts. */
export async function ask(
  server: Pick<TestServer, 'addresses'>,
  path: string,
  body?: unknown,
  ms?: number,
): Promise<{ status: number; json: Answer }> {
  const response = await send(server, path, body, ms)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { status: response.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString()) }
}

export interface StreamEvent {
  readonly event: string
  readonly data: Record<string, unknown>
}

/** A stream of events, as it comes. */
export class EventReader {
  readonly events: StreamEvent[] = []
  comments = 0
  isClosed = false
  #text = ''

  private constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8')
    response.on('data', (text: string) => this.#read(text))
    response.on('error', () => undefined)
    response.on('close', () => {
      this.isClosed = true
    })
  }

  static async open(server: Pick<TestServer, 'addresses'>, path: string, body?: unknown): Promise<EventReader> {
    const response = await send(server, path, body)
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
    return new EventReader(response)
  }

  named(event: string): Record<string, unknown>[] {
    return this.events.filter(one => one.event === event).map(({ data }) => data)
  }

  /** Waits for an event that has these values. */
  until(event: string, values: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return eventually(() =>
      this.named(event).find(data => Object.entries(values).every(([name, value]) => data[name] === value)),
    )
  }

  closed(): Promise<true> {
    return eventually(() => this.isClosed)
  }

  drop(): void {
    this.response.destroy()
  }

  #read(text: string): void {
    this.#text += text
    const parts = this.#text.split('\n\n')
    this.#text = parts.pop() ?? ''
    for (const part of parts) {
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(part) ?? []
      if (event === undefined || data === undefined) this.comments++
      else this.events.push({ event, data: JSON.parse(data) })
    }
  }
}
