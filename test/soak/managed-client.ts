import type { Socket } from 'node:net'
import type { Client } from '../support/client.js'

/*
 * A client with stream management (XEP-0198) that is quick: the test client logs in and enables it, and from there on this counts.
 */

const ns = 'urn:xmpp:sm:3'
const whole = /<(message|presence|iq)\b[^>]*?(?:\/>|>[\s\S]*?<\/\1>)|<(r|a|resumed)\b[^>]*?\/>/y
const numbered = /^<message [\s\S]*<body>(\d+)<\/body>/

export class ManagedClient {
  /** Full JID. */
  readonly jid: string
  /** The numbers that came as bodies. */
  readonly bodies: number[] = []
  /** Stanzas that came since stream management was enabled. */
  handled = 0
  /** It does not answer when the server asks what it has handled. */
  isSilent = false
  /** The server has handled so many more. */
  onAcknowledged: (count: number) => void = () => {}
  private onResumed: () => void = () => {}
  onBody: (number: number) => void = () => {}
  onStanza: (xml: string) => void = () => {}
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  private readonly socket: Socket
  private rest = ''
  private acknowledged = 0

  /** Of a client that is logged in. */
  static async of(client: Client, { resume }: { resume: boolean }): Promise<ManagedClient> {
    await client.send(`<enable xmlns="${ns}"${resume ? ' resume="true"' : ''}/>`)
    const { id } = (await client.receives(`<enabled xmlns="${ns}"/>`)).attrs
    return new ManagedClient(client, String(id))
  }

  /** Goes on with the session of another, over a client that has authenticated. */
  static async resuming(client: Client, { id, jid, handled }: ManagedClient): Promise<ManagedClient> {
    client.jid = jid
    const resumed = new ManagedClient(client, id)
    resumed.handled = handled
    // What comes behind the answer is for the new one already.
    return new Promise((resolve, reject) => {
      resumed.onResumed = () => resolve(resumed)
      void resumed.closed.then(() => reject(new Error(`${jid} was not resumed`)))
      resumed.send(`<resume xmlns="${ns}" previd="${id}" h="${handled}"/>`)
    })
  }

  private constructor(
    client: Client,
    /** By which the session can be resumed. */
    readonly id: string,
  ) {
    this.jid = client.jid ?? ''
    this.socket = client.socket
    // Not `once`, for which a reset is a failure.
    this.closed = new Promise(resolve => {
      if (this.socket.closed) resolve()
      else this.socket.on('close', () => resolve())
    })
    this.socket.removeAllListeners('data')
    this.socket.on('data', bytes => this.read(bytes))
  }

  send(xml: string): void {
    this.socket.write(xml)
  }

  acknowledge(): void {
    this.send(`<a xmlns="${ns}" h="${this.handled}"/>`)
  }

  /** Cuts the connection. */
  drop(): void {
    this.socket.removeAllListeners('data')
    this.socket.destroy()
  }

  private read(bytes: Buffer): void {
    this.rest += bytes.toString('latin1')
    let end = 0
    let isAsked = false
    for (;;) {
      whole.lastIndex = end
      const found = whole.exec(this.rest)
      if (found === null) break
      end = whole.lastIndex
      const [xml, stanza, management] = found
      if (stanza !== undefined) this.stanza(xml)
      else if (management === 'r') isAsked = true
      else if (management === 'resumed') this.onResumed()
      else this.server(Number(/\bh=['"](\d+)/.exec(xml)?.[1]))
      if (this.socket.destroyed) return
    }
    this.rest = this.rest.slice(end)
    if (isAsked && !this.isSilent) this.acknowledge()
  }

  private stanza(xml: string): void {
    this.handled += 1
    const body = numbered.exec(xml)?.[1]
    if (body !== undefined && !/^<message\b[^>]*type=['"]error/.test(xml)) {
      this.bodies.push(Number(body))
      this.onBody(Number(body))
    }
    this.onStanza(xml)
  }

  private server(h: number): void {
    const count = h - this.acknowledged
    this.acknowledged = h
    this.onAcknowledged(count)
  }
}
