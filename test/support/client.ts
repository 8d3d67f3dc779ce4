import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'
import type { Element } from 'ltx'
import { clientExchange, type SaslOptions } from './sasl.js'
import { contains, parseXml, streamReader } from './xml.js'

/*
 * The tests' XMPP client: it sends what it is told to, right or wrong, and waits for what should come.
 * Waiting has one generous bound and never a lower one; what arrived meanwhile stays in a queue until somebody asks for it.
 */

const ns = {
  client: 'jabber:client',
  stream: 'http://etherx.jabber.org/streams',
  tls: 'urn:ietf:params:xml:ns:xmpp-tls',
  sasl: 'urn:ietf:params:xml:ns:xmpp-sasl',
  bind: 'urn:ietf:params:xml:ns:xmpp-bind',
  compress: 'http://jabber.org/protocol/compress',
  streamErrors: 'urn:ietf:params:xml:ns:xmpp-streams',
}

export interface ConnectOptions {
  port: number
  /** 127.0.0.1 when not given. */
  host?: string
  /** The XMPP domain; localhost when not given. */
  domain?: string
  /** `direct` begins with the handshake, `starttls` makes `login` upgrade first; none when not given. */
  tls?: 'none' | 'starttls' | 'direct'
  /** The certificate authority to trust, in PEM. Without one any certificate is taken. */
  ca?: string | Buffer
  /** More for `tls.connect`, such as a client certificate, versions or ALPN. */
  tlsOptions?: tls.ConnectionOptions
  /** The stream's default namespace; jabber:client when not given. */
  namespace?: string
  /** How long to wait for anything, in milliseconds; 10 000 when not given. */
  within?: number
  /** False leaves the server's `</stream:stream>` unanswered; true when not given. */
  answersClose?: boolean
}

export interface Waiting {
  /** In milliseconds. */
  within?: number
}

/** The server answered a login with `<failure/>`. */
export class LoginRefused extends Error {
  override name = 'LoginRefused'
  constructor(readonly condition: string) {
    super(`the login was refused: ${condition}`)
  }
}

const living = new Set<Client>()

/** Connects, and shakes hands where TLS comes first. Opens no stream yet. */
export async function connect(options: ConnectOptions): Promise<Client> {
  const host = options.host ?? '127.0.0.1'
  const direct = options.tls === 'direct'
  const socket = direct
    ? tls.connect({ port: options.port, host, ...tlsOptions(options) })
    : net.connect({ port: options.port, host })
  await connected(socket, direct ? 'secureConnect' : 'connect', options.within ?? defaultWithin)
  return new Client(socket, options)
}

/** Drops every connection that a test left open. */
export function dropClients(): void {
  for (const client of living) client.drop()
}

const defaultWithin = 10_000
/** How much of what arrived a failure shows. */
const reportedLength = 4_000

function tlsOptions(options: ConnectOptions): tls.ConnectionOptions {
  return {
    servername: options.domain ?? 'localhost',
    rejectUnauthorized: options.ca !== undefined,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...options.tlsOptions,
  }
}

async function connected(socket: net.Socket, event: string, within: number): Promise<void> {
  const signal = AbortSignal.timeout(within)
  try {
    await Promise.race([once(socket, event, { signal }), closedBefore(socket, signal)])
  } catch (error) {
    socket.destroy()
    throw signal.aborted ? new Error(`no ${event} within ${within} ms`) : error
  }
}

/** Rejects when the socket closes; a handshake that the peer drops gives no other event. */
async function closedBefore(socket: net.Socket, signal: AbortSignal): Promise<never> {
  await once(socket, 'close', { signal })
  throw new Error('the server closed the connection')
}

interface Waiter {
  /** True when this is settled and the waiter may go. */
  check(): boolean
}

export class Client {
  /** The full JID, once bound. */
  jid: string | undefined
  /** What the server opened the present stream with. */
  header: Element | undefined
  /** The features of the present stream. */
  features: Element | undefined
  readonly domain: string
  readonly #options: ConnectOptions
  #socket: net.Socket
  /** What is sent goes through it, once the stream is compressed. */
  #deflater: Deflate | undefined
  #inflater: Inflate | undefined
  readonly #queue: Element[] = []
  readonly #waiters = new Set<Waiter>()
  readonly #reader
  /** The end of what arrived as text, for messages. */
  #transcript = ''
  #bytesReceived = 0
  #serverEndedStream = false
  #clientEndedStream = false
  #isClosed = false
  #unreadable: Error | undefined
  #lastId = 0

  constructor(socket: net.Socket, options: ConnectOptions) {
    this.domain = options.domain ?? 'localhost'
    this.#options = options
    this.#socket = socket
    this.#reader = streamReader({
      header: element => {
        this.header = element
      },
      element: element => this.#arrived(element),
      ended: () => {
        this.#serverEndedStream = true
        if (this.#options.answersClose !== false) this.#answerClose()
      },
    })
    this.#listen(socket)
    living.add(this)
  }

  /** The socket in use; the TLS one once there is TLS. */
  get socket(): net.Socket {
    return this.#socket
  }

  get bareJid(): string {
    return (this.jid ?? '').split('/')[0] ?? ''
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** How many bytes arrived so far, after decryption. */
  get bytesReceived(): number {
    return this.#bytesReceived
  }

  /** Sends text as it stands. False when the connection is gone; resolves once the kernel has it. */
  send(raw: string): Promise<boolean> {
    return this.sendBytes(Buffer.from(raw))
  }

  /** Sends bytes as they stand. False when the connection is gone; resolves once the kernel has them. */
  sendBytes(bytes: Uint8Array): Promise<boolean> {
    return new Promise(resolve => {
      const to = this.#deflater ?? this.#socket
      to.write(bytes, error => resolve(!error))
    })
  }

  /** Opens a stream and waits for the server's header and features. */
  async open(attributes: { to?: string; from?: string; lang?: string } & Waiting = {}): Promise<Element> {
    this.header = undefined
    this.features = undefined
    const from = attributes.from === undefined ? '' : ` from="${attributes.from}"`
    const lang = attributes.lang === undefined ? '' : ` xml:lang="${attributes.lang}"`
    const namespace = this.#options.namespace ?? ns.client
    await this.send(
      `<?xml version="1.0"?><stream:stream to="${attributes.to ?? this.domain}"${from}${lang} version="1.0" xmlns="${namespace}" xmlns:stream="${ns.stream}">`,
    )
    this.features = await this.receives('<stream:features/>', attributes)
    return this.features
  }

  /** Upgrades to TLS. The next step is to open a new stream. RFC 6120 §5 */
  async startTls(): Promise<void> {
    await this.send(`<starttls xmlns="${ns.tls}"/>`)
    await this.receives(`<proceed xmlns="${ns.tls}"/>`)
    await this.handshake()
  }

  /** Asks for compression and turns it on. The next step is to open a new stream. XEP-0138 */
  async compress(): Promise<void> {
    await this.send(`<compress xmlns="${ns.compress}"><method>zlib</method></compress>`)
    await this.receives(`<compressed xmlns="${ns.compress}"/>`)
    const socket = this.#socket
    const inflater = createInflate()
    inflater.on('data', bytes => this.#read(bytes))
    inflater.on('error', error => this.#note(`[${error.message}]`))
    socket.removeAllListeners('data')
    socket.on('data', bytes => inflater.write(bytes))
    const deflater = createDeflate({ flush: constants.Z_SYNC_FLUSH })
    deflater.on('data', bytes => socket.write(bytes))
    this.#deflater = deflater
    this.#inflater = inflater
  }

  /** The TLS handshake alone, for tests that said `<starttls/>` in their own words. */
  async handshake(): Promise<void> {
    const plain = this.#socket
    const secure = tls.connect({ socket: plain, ...tlsOptions(this.#options) })
    this.#socket = secure
    this.#listen(secure)
    await connected(secure, 'secureConnect', this.#within({}))
  }

  /**
   * Authenticates, checking the server's proof too where the mechanism has one. The next step is to open a new stream.
   * Throws `LoginRefused` on `<failure/>`. RFC 6120 §6
   */
  async authenticate(mechanism: string, user = '', password = '', options: SaslOptions = {}): Promise<void> {
    const socket = this.#socket instanceof tls.TLSSocket ? this.#socket : undefined
    const exchange = clientExchange(mechanism, user, password, socket, options)
    const initial = exchange.initial?.toString('base64') ?? ''
    await this.send(`<auth xmlns="${ns.sasl}" mechanism="${mechanism}">${initial}</auth>`)
    for (;;) {
      const answer = await this.#receivesWhere(
        element => element.getNS() === ns.sasl,
        `the server's answer to a login by ${mechanism}`,
        {},
      )
      const data = answer.getText() === '' ? undefined : Buffer.from(answer.getText(), 'base64')
      switch (answer.getName()) {
        case 'challenge': {
          const response = exchange.respond(data ?? Buffer.alloc(0)).toString('base64')
          await this.send(`<response xmlns="${ns.sasl}">${response}</response>`)
          break
        }
        case 'success':
          exchange.succeed(data)
          return
        default:
          throw new LoginRefused(answer.getChildElements()[0]?.getName() ?? answer.toString())
      }
    }
  }

  /** Binds the resource, or one of the server's choosing, and returns the full JID. RFC 6120 §7 */
  async bind(resource?: string): Promise<string> {
    const wanted = resource === undefined ? '' : `<resource>${resource}</resource>`
    const answer = await this.ask('set', `<bind xmlns="${ns.bind}">${wanted}</bind>`)
    const jid = answer.getChild('bind', ns.bind)?.getChildText('jid')
    if (answer.attrs.type !== 'result' || !jid) throw new Error(`no resource was bound: ${answer}`)
    this.jid = jid
    return jid
  }

  /**
   * Everything up to a bound resource: opens the stream unless it is open, STARTTLS if the options say so, SASL, bind.
   * Sends no presence. SCRAM-SHA-1 unless another mechanism is named.
   */
  async login(
    user: string,
    password: string,
    options: { resource?: string; mechanism?: string } & SaslOptions = {},
  ): Promise<this> {
    if (!this.features) await this.open()
    if (this.#options.tls === 'starttls' && !(this.#socket instanceof tls.TLSSocket)) {
      await this.startTls()
      await this.open()
    }
    await this.authenticate(options.mechanism ?? 'SCRAM-SHA-1', user, password, options)
    await this.open()
    await this.bind(options.resource)
    return this
  }

  /** Sends an IQ request with an id of its own and returns the answer, result or error. */
  async ask(type: 'get' | 'set', payload: string, options: { to?: string } & Waiting = {}): Promise<Element> {
    this.#lastId += 1
    const id = `ask-${this.#lastId}`
    const to = options.to === undefined ? '' : ` to="${options.to}"`
    await this.send(`<iq type="${type}" id="${id}"${to}>${payload}</iq>`)
    return this.#receivesWhere(
      element => element.getName() === 'iq' && element.attrs.id === id && /^(result|error)$/.test(element.attrs.type),
      `the answer to ${payload}`,
      options,
    )
  }

  /**
   * Waits for an element that has at least the pattern's attributes, text and children, and takes it out of the queue.
   * A pattern without `xmlns` is in the stream's namespace. What else arrives stays queued.
   */
  receives(pattern: string, waiting: Waiting = {}): Promise<Element> {
    const wanted = parseXml(pattern, this.#options.namespace ?? ns.client)
    return this.#receivesWhere(element => contains(element, wanted), pattern, waiting)
  }

  /** Takes the oldest element that nobody took, whatever it is. */
  receivesNext(waiting: Waiting = {}): Promise<Element> {
    return this.#receivesWhere(() => true, 'any element', waiting)
  }

  /**
   * Fails if an element like the pattern (any element, without one) has arrived by now. Asks the server something first, so
   * that all it has sent before is here. What another client causes must be settled there: `await other.settled()`.
   */
  async receivesNothing(pattern?: string): Promise<void> {
    await this.settled()
    const wanted = pattern === undefined ? undefined : parseXml(pattern, this.#options.namespace ?? ns.client)
    const found = this.#queue.find(element => !wanted || contains(element, wanted))
    if (found) throw new Error(`nothing like ${pattern ?? 'an element'} should have come, but this did:\n${found}`)
  }

  /** Resolves once the server has handled everything that this client sent: an IQ went to the server and came back. */
  async settled(): Promise<void> {
    if (this.jid === undefined) throw new Error('a client without a bound resource has nothing to ask')
    await this.ask('get', '<ping xmlns="urn:xmpp:ping"/>', { to: this.domain })
  }

  /** Waits for a stream error with this condition, and for the end of the connection that has to follow. RFC 6120 §4.9 */
  async streamError(condition: string, waiting: Waiting = {}): Promise<Element> {
    const error = await this.receives('<stream:error/>', waiting)
    const found = error.getChildElements()[0]
    if (found?.getName() !== condition || found.getNS() !== ns.streamErrors)
      throw new Error(`the stream error should be ${condition}, but is:\n${error}`)
    await this.closed(waiting)
    return error
  }

  /** Waits until the connection is closed. Says whether the server ended its stream first. */
  async closed(waiting: Waiting = {}): Promise<{ streamEnded: boolean }> {
    await this.#until(() => this.#isClosed || undefined, 'the end of the connection', waiting)
    return { streamEnded: this.#serverEndedStream }
  }

  /** Ends the stream as RFC 6120 §4.4 says and waits for the end of the connection. */
  async close(): Promise<void> {
    if (!this.#clientEndedStream) {
      this.#clientEndedStream = true
      await this.send('</stream:stream>')
    }
    await this.closed()
  }

  /** Drops the connection without a word. */
  drop(): void {
    this.#socket.destroy()
  }

  /** Stops reading, as a client does that hangs; `resume` goes on. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  #listen(socket: net.Socket): void {
    socket.on('data', bytes => this.#read(bytes))
    // A reset is one way to be closed, and 'close' follows.
    socket.on('error', error => this.#note(`[${error.message}]`))
    socket.on('close', () => {
      // The socket under TLS may close first.
      if (socket !== this.#socket) return
      living.delete(this)
      if (this.#inflater === undefined) this.#gone()
      else this.#inflater.once('close', () => this.#gone()).end()
    })
  }

  #gone(): void {
    this.#isClosed = true
    this.#wake()
  }

  #read(bytes: Buffer): void {
    this.#bytesReceived += bytes.length
    this.#note(bytes.subarray(-reportedLength).toString())
    try {
      if (!this.#unreadable) this.#reader.read(bytes)
    } catch (error) {
      this.#unreadable = error instanceof Error ? error : new Error(String(error))
    }
    this.#wake()
  }

  #note(text: string): void {
    this.#transcript = (this.#transcript + text).slice(-reportedLength)
  }

  /** True when a new stream begins right behind the element. */
  #arrived(element: Element): boolean {
    this.#queue.push(element)
    return (
      (element.getNS() === ns.sasl && element.getName() === 'success') ||
      (element.getNS() === ns.tls && element.getName() === 'proceed') ||
      (element.getNS() === ns.compress && element.getName() === 'compressed')
    )
  }

  #answerClose(): void {
    if (this.#clientEndedStream) {
      this.#socket.end()
      return
    }
    this.#clientEndedStream = true
    void this.send('</stream:stream>').then(() => this.#socket.end())
  }

  #receivesWhere(matches: (element: Element) => boolean, what: string, waiting: Waiting): Promise<Element> {
    return this.#until(
      () => {
        const at = this.#queue.findIndex(matches)
        return at < 0 ? undefined : this.#queue.splice(at, 1)[0]
      },
      what,
      waiting,
    )
  }

  /** Resolves with what `find` gives as soon as it gives something; rejects when it cannot any more. */
  #until<T>(find: () => T | undefined, what: string, waiting: Waiting): Promise<T> {
    const within = this.#within(waiting)
    // Made here, so that its stack leads to the line of the test.
    const failure = new Error()
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
        finish()
        return true
      }
      const fail = (why: string) => {
        failure.message = `${what}\n${why}\n${this.#report()}`
        return settle(() => reject(failure))
      }
      const waiter: Waiter = {
        check: () => {
          const found = find()
          if (found !== undefined) return settle(() => resolve(found))
          if (this.#unreadable)
            return fail(`did not come; the server sent XML that is not: ${this.#unreadable.message}`)
          return this.#isClosed && fail('did not come before the connection was closed')
        },
      }
      const timer = setTimeout(() => fail(`did not come within ${within} ms`), within)
      if (!waiter.check()) this.#waiters.add(waiter)
    })
  }

  #within(waiting: Waiting): number {
    return waiting.within ?? this.#options.within ?? defaultWithin
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter.check()
  }

  #report(): string {
    const queued = this.#queue.map(element => `  ${element}`).join('\n')
    return `arrived and not taken:\n${queued || '  (nothing)'}\nthe end of all that arrived:\n  ${this.#transcript || '(nothing)'}`
  }
}
