import { once } from 'node:events'
import { type Element, parse } from 'ltx'
import { SaxesParser } from 'saxes'
import { onTestFinished } from 'vitest'
import WebSocket, { type ClientOptions } from 'ws'
import { LoginRefused } from './client.js'
import { clientExchange } from './sasl.js'
import { PASSWORD } from './server.js'
import { contains, parseXml } from './xml.js'

/*
 * XMPP over WebSocket as the tests speak it: each message that comes has to be a document by itself. RFC 7395
 */

const framing = 'urn:ietf:params:xml:ns:xmpp-framing'
const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'
const streamNs = 'http://etherx.jabber.org/streams'
const defaultWithin = 10_000

export const open = (to = 'localhost', attributes = " version='1.0'") =>
  `<open xmlns='${framing}' to='${to}'${attributes}/>`
export const close = `<close xmlns='${framing}'/>`

export interface WebSocketOptions extends ClientOptions {
  path?: string
  protocols?: string[]
  scheme?: 'ws' | 'wss'
}

/** A client whose connection ends with the running test. */
export async function webSocketClient(port: number, options: WebSocketOptions = {}): Promise<WebSocketClient> {
  const { path = '/ws-xmpp', protocols = ['xmpp'], scheme = 'ws', ...more } = options
  const socket = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, protocols, {
    perMessageDeflate: true,
    rejectUnauthorized: false,
    ...more,
  })
  const client = new WebSocketClient(socket)
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  return client
}

/** The same, logged in. */
export async function webSocketSession(
  port: number,
  user: string,
  options: WebSocketOptions & { resource?: string; priority?: number; mechanism?: string } = {},
): Promise<WebSocketClient> {
  const { resource, priority, mechanism, ...connection } = options
  const client = await webSocketClient(port, connection)
  await client.login(user, PASSWORD, { ...(resource && { resource }), ...(mechanism && { mechanism }) })
  if (priority !== undefined) {
    client.send(`<presence><priority>${priority}</priority></presence>`)
    await client.receives(`<presence from="${client.jid}"/>`)
  }
  return client
}

export class WebSocketClient {
  jid = ''
  /** Every message so far, as it came. */
  readonly texts: string[] = []
  readonly pings: Buffer[] = []
  readonly pongs: string[] = []
  closed: Promise<{ code: number; reason: string }>
  isClosed = false
  private readonly queue: Element[] = []
  private wake: () => void = () => undefined
  private unreadable: Error | undefined
  private ids = 0

  constructor(readonly socket: WebSocket) {
    socket.on('message', (data, isBinary) => this.arrived(String(data), isBinary))
    socket.on('ping', data => {
      this.pings.push(data)
      this.wake()
    })
    socket.on('pong', data => {
      this.pongs.push(String(data))
      this.wake()
    })
    socket.on('error', () => undefined)
    this.closed = new Promise(resolve =>
      socket.on('close', (code, reason) => {
        this.isClosed = true
        this.wake()
        resolve({ code, reason: String(reason) })
      }),
    )
  }

  /** One message. */
  send(data: string | Uint8Array, options: { binary?: boolean; fin?: boolean } = {}): void {
    this.socket.send(data, { compress: false, ...options })
  }

  /** The oldest message that nobody took. */
  next(): Promise<Element> {
    return this.take(() => true, 'any message')
  }

  /** Waits for a message like the pattern, in `jabber:client` where it says nothing else. */
  receives(pattern: string): Promise<Element> {
    const wanted = parseXml(pattern, 'jabber:client')
    return this.take(element => contains(element, wanted), pattern)
  }

  /** Waits until it is so. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + defaultWithin
    while (!isSo()) {
      if (this.unreadable !== undefined) throw this.unreadable
      if (this.isClosed) throw new Error(`closed before ${what}; all that came:\n${this.texts.join('\n')}`)
      if (Date.now() > deadline) throw new Error(`${what} did not come; all that came:\n${this.texts.join('\n')}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, defaultWithin)
        this.wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Opens a stream; the features. */
  async open(to?: string): Promise<Element> {
    this.send(open(to))
    await this.receives(`<open xmlns="${framing}"/>`)
    return this.receives(`<features xmlns="${streamNs}"/>`)
  }

  async authenticate(mechanism: string, user: string, password: string): Promise<void> {
    const exchange = clientExchange(mechanism, user, password, undefined)
    this.send(`<auth xmlns="${saslNs}" mechanism="${mechanism}">${exchange.initial?.toString('base64') ?? ''}</auth>`)
    for (;;) {
      const answer = await this.take(element => element.getNS() === saslNs, `the answer to ${mechanism}`)
      const data = answer.getText() === '' ? undefined : Buffer.from(answer.getText(), 'base64')
      if (answer.getName() === 'challenge') {
        const response = exchange.respond(data ?? Buffer.alloc(0)).toString('base64')
        this.send(`<response xmlns="${saslNs}">${response}</response>`)
      } else if (answer.getName() === 'success') {
        exchange.succeed(data)
        return
      } else throw new LoginRefused(answer.getChildElements()[0]?.getName() ?? String(answer))
    }
  }

  async login(user: string, password: string, options: { resource?: string; mechanism?: string } = {}): Promise<this> {
    await this.open()
    await this.authenticate(options.mechanism ?? 'SCRAM-SHA-1', user, password)
    await this.open()
    const wanted = options.resource === undefined ? '' : `<resource>${options.resource}</resource>`
    const answer = await this.ask('set', `<bind xmlns="${bindNs}">${wanted}</bind>`)
    this.jid = answer.getChild('bind', bindNs)?.getChildText('jid') ?? ''
    return this
  }

  async ask(type: 'get' | 'set', payload: string, to?: string): Promise<Element> {
    this.ids++
    const addressee = to === undefined ? '' : ` to="${to}"`
    this.send(`<iq type="${type}" id="ask-${this.ids}"${addressee} xmlns="jabber:client">${payload}</iq>`)
    return this.take(element => element.attrs.id === `ask-${this.ids}`, `the answer to ${payload}`)
  }

  /** All that it sent so far is handled. */
  async settled(): Promise<void> {
    await this.ask('get', '<ping xmlns="urn:xmpp:ping"/>', 'localhost')
  }

  /** A stream error, the end of the stream and the end of the WebSocket, in this order and with nothing between. RFC 7395 §3.4 */
  async streamError(condition: string): Promise<Element> {
    const error = await this.receives(`<error xmlns="${streamNs}"/>`)
    const found = error.getChildElements()[0]
    if (found?.getName() !== condition || found.getNS() !== 'urn:ietf:params:xml:ns:xmpp-streams')
      throw new Error(`the stream error should be ${condition}, but is:\n${error}`)
    const end = await this.next()
    if (!end.is('close', framing)) throw new Error(`<close/> should follow the error, not ${end}`)
    const { code } = await this.closed
    if (code !== 1000) throw new Error(`closed with ${code}`)
    return error
  }

  private arrived(text: string, isBinary: boolean): void {
    this.texts.push(text)
    try {
      if (isBinary) throw new Error(`a binary message: ${text}`)
      checkDocument(text)
      this.queue.push(parse(text))
    } catch (error) {
      this.unreadable = error instanceof Error ? error : new Error(String(error))
    }
    this.wake()
  }

  private async take(matches: (element: Element) => boolean, what: string): Promise<Element> {
    let found: Element | undefined
    await this.until(() => {
      const at = this.queue.findIndex(matches)
      if (at >= 0) found = this.queue.splice(at, 1)[0]
      return found !== undefined
    }, what)
    return found! // `until` has seen to it
  }
}

/** Throws unless the text is a document with all its prefixes declared, a stanza in its own namespace. W-9 */
function checkDocument(text: string): void {
  const parser = new SaxesParser({ xmlns: true })
  let isRoot = true
  parser.on('error', error => {
    throw new Error(`${error.message} in ${text}`)
  })
  parser.on('opentag', tag => {
    if (!isRoot) return
    isRoot = false
    const isStanza = ['message', 'presence', 'iq'].includes(tag.local)
    if (isStanza && tag.uri !== 'jabber:client') throw new Error(`in no namespace: ${text}`)
    if (tag.prefix !== '') throw new Error(`with a prefix: ${text}`)
  })
  parser.write(text).close()
}
