import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingHttpHeaders, request } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import type { Element } from 'ltx'
import { onTestFinished } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import { PASSWORD } from './server.js'
import { parseXml } from './xml.js'

/*
 * The tests' client of BOSH: every request is written by hand, and may be wrong.
 */

export const httpbind = 'http://jabber.org/protocol/httpbind'
const xbosh = 'urn:xmpp:xbosh'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The `<body/>`. */
  readonly body: Element
  /** What is in it. */
  readonly children: Element[]
}

export const httpPort = ({ addresses }: Pick<TestServer, 'addresses'>) =>
  addresses.find(({ protocol }) => protocol === 'http')?.port ?? 0

export interface Sending {
  method?: string
  path?: string
  headers?: Record<string, string>
  agent?: Agent
  /** Over TLS, whoever signed the server's certificate, with this one of our own if there is one. */
  tls?: { cert?: Buffer; key?: Buffer } | undefined
}

/** A request under way. */
export interface Pending extends PromiseLike<HttpAnswer> {
  /** Drops the connection. */
  abort(): void
  /** True once there is an answer. */
  readonly isAnswered: boolean
}

/** Sends one request. */
export function http(port: number, content: string | Buffer | undefined, options: Sending = {}): Pending {
  const { method = 'POST', path = '/http-bind', headers = {}, agent, tls } = options
  const asked = { host: '127.0.0.1', port, method, path, agent, headers: { host: 'localhost', ...headers } }
  const sent = tls === undefined ? request(asked) : secureRequest({ ...asked, ...tls, rejectUnauthorized: false })
  sent.on('error', () => undefined)
  if (content !== undefined) sent.setHeader('content-length', Buffer.byteLength(content))
  sent.end(content)
  const answer = answerTo(sent)
  answer.catch(() => undefined)
  let isAnswered = false
  void answer.then(
    () => {
      isAnswered = true
    },
    () => undefined,
  )
  return {
    // biome-ignore lint/suspicious/noThenProperty: it is to be awaited.
    then: (done, failed) => answer.then(done, failed),
    abort: () => sent.destroy(),
    get isAnswered() {
      return isAnswered
    },
  }
}

async function answerTo(sent: ClientRequest): Promise<HttpAnswer> {
  const [response] = await Promise.race([
    once(sent, 'response', { signal: AbortSignal.timeout(10_000) }),
    once(sent, 'close').then(() => Promise.reject(new Error('closed without an answer'))),
  ])
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    get body() {
      return parseXml(text, '')
    },
    get children() {
      return parseXml(text, '').getChildElements()
    },
  }
}

export const creation = (rid: number | string, attributes = '', to = "to='localhost'", hold = "hold='1'") =>
  `<body rid='${rid}' ${to} ${hold} ver='1.6' xmpp:version='1.0' xmlns='${httpbind}' xmlns:xmpp='${xbosh}' ${attributes}/>`

export interface BoshOptions {
  /** More attributes of the creation; the others are `to`, `hold` and versions. */
  attributes?: string
  /** Of every request. */
  keyed?: (index: number) => string
  rid?: number
  headers?: Record<string, string>
  tls?: Sending['tls']
  /** Called again and again while the server gathers: moves a clock that stands still. */
  tick?: () => void
}

/** A session, as far as its creation. */
export async function boshClient(port: number, options: BoshOptions = {}): Promise<BoshClient> {
  const client = new BoshClient(port, options)
  onTestFinished(() => client.drop())
  await client.create()
  return client
}

/** The same, logged in and bound. */
export async function boshSession(
  server: TestServer,
  user: string,
  options: BoshOptions & { resource?: string; priority?: number } = {},
): Promise<BoshClient> {
  const client = await boshClient(httpPort(server), options)
  await client.login(user, options.resource ?? 'bosh')
  if (options.priority !== undefined) {
    await client.send(`<presence xmlns='jabber:client'><priority>${options.priority}</priority></presence>`)
  }
  return client
}

export class BoshClient {
  sid = ''
  rid: number
  jid = ''
  opening!: HttpAnswer
  readonly #agent: Agent
  #index = 0

  constructor(
    readonly port: number,
    readonly options: BoshOptions = {},
  ) {
    this.rid = options.rid ?? 1_000_000
    this.#agent = new (options.tls === undefined ? Agent : SecureAgent)({ keepAlive: true })
  }

  get #key(): string {
    return this.options.keyed?.(this.#index++) ?? ''
  }

  async create(): Promise<HttpAnswer> {
    const { attributes = "wait='30'" } = this.options
    const text = creation(this.rid, `${attributes} ${this.#key}`)
    this.opening = await this.#gathered(this.raw(text))
    this.sid = this.opening.body.attrs.sid ?? ''
    return this.opening
  }

  /** The next request. */
  send(content = '', attributes = ''): Pending {
    this.rid++
    return this.as(this.rid, content, `${attributes} ${this.#key}`)
  }

  /** A request with any `rid`. */
  as(rid: number | string, content = '', attributes = ''): Pending {
    const start = `<body rid='${rid}' sid='${this.sid}' xmlns='${httpbind}' ${attributes}`
    return this.raw(content === '' ? `${start}/>` : `${start}>${content}</body>`)
  }

  raw(text: string | Buffer): Pending {
    const { headers = {}, tls } = this.options
    return http(this.port, text, { agent: this.#agent, headers, tls })
  }

  restart(attributes = "to='localhost'"): Promise<HttpAnswer> {
    return this.#gathered(this.send('', `${attributes} xmpp:restart='true' xmlns:xmpp='${xbosh}'`))
  }

  async #gathered(pending: Pending): Promise<HttpAnswer> {
    const { tick } = this.options
    const timer = tick && setInterval(tick, 5)
    try {
      return await pending
    } finally {
      clearInterval(timer)
    }
  }

  async login(user: string, resource: string): Promise<void> {
    const initial = Buffer.from(`\0${user}\0${PASSWORD}`).toString('base64')
    const done = await this.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${initial}</auth>`)
    if (done.children[0]?.getName() !== 'success') throw new Error(`no success: ${done.text}`)
    await this.restart()
    const bound = await this.send(
      `<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    )
    this.jid = bound.children[0]?.getChild('bind')?.getChildText('jid') ?? ''
    if (this.jid === '') throw new Error(`not bound: ${bound.text}`)
  }

  /** Drops every connection. */
  drop(): void {
    this.#agent.destroy()
  }
}
