import type { IncomingHttpHeaders } from 'node:http'
import type { TestServer } from '../../src/testing.js'
import { http, httpPort } from './bosh.js'
import { PASSWORD } from './server.js'

/*
 * Requests of users of the client REST API.
 */

export interface RestAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body as JSON; fails when it is none. */
  json<Value = unknown>(): Value
}

export const basic = (user: string, password = PASSWORD): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/**
 * Sends a request; `body` is sent as JSON, or as it stands if it is a text. A header that is '' is left out, such as `content-type`, which
 * otherwise comes with a body.
 */
export async function request(
  server: Pick<TestServer, 'addresses'>,
  line: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<RestAnswer> {
  const [method = '', path = ''] = line.split(' ')
  const content = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const all = { ...(content !== undefined && { 'content-type': 'application/json' }), ...headers }
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  const answer = await http(httpPort(server), content, { method, path, headers: sent })
  return { status: answer.status, headers: answer.headers, text: answer.text, json: () => JSON.parse(answer.text) }
}

/** What a user asks, by bare JID. */
export const userOf =
  (server: Pick<TestServer, 'addresses'>, jid: string) =>
  (line: string, body?: unknown, headers: Record<string, string> = {}) =>
    request(server, line, body, { ...basic(jid), ...headers })
