import type { Socket } from 'node:net'
import { type Client, connect } from '../support/client.js'
import { domain, type Meerkat, register } from '../support/meerkat.js'

/*
 * Sessions that are quick: the test client logs in, and from there on they only count.
 */

/** Messages that one session sends ahead of what it has received. */
const WINDOW = 10
const whole = /<(message|presence|iq)\b[^>]*?(?:\/>|>[\s\S]*?<\/\1>)/y
const numbered = /^<message [^>]*\bfrom=['"]([^'"]+)['"][^>]*>[\s\S]*<body>(\d+) /

export class Talker {
  readonly jid: string
  /** Messages sent and received in all exchanges so far. */
  sent = 0
  received = 0
  private readonly socket: Socket
  private rest = ''
  private stanza: (xml: string) => void = () => {}
  private failed: (error: Error) => void = () => {}

  constructor(client: Client) {
    this.jid = client.jid ?? ''
    this.socket = client.socket
    this.socket.removeAllListeners('data')
    this.socket.on('data', bytes => this.read(bytes))
    this.socket.on('close', () => this.failed(new Error(`the connection of ${this.jid} was closed`)))
  }

  /** Sends `count` numbered messages to the partner and takes as many from it; rejects at the first that is not the next one. */
  exchange(partner: Talker, count: number): Promise<void> {
    const last = this.sent + count
    let numbers = ''
    const sendUpTo = (bound: number) => {
      for (; this.sent < Math.min(bound, last); this.sent++) numbers += message(partner.jid, `${this.sent} of ${last}`)
    }
    return new Promise((resolve, reject) => {
      this.failed = reject
      this.stanza = xml => {
        const [, from, number] = numbered.exec(xml) ?? []
        if (from !== partner.jid || Number(number) !== this.received) {
          reject(new Error(`${this.jid} waits for message ${this.received} of ${partner.jid}, but got ${xml}`))
        }
        this.received += 1
        sendUpTo(this.received + WINDOW)
        if (this.received === last) resolve()
      }
      this.flush = () => {
        if (numbers !== '') this.socket.write(numbers)
        numbers = ''
      }
      sendUpTo(this.received + WINDOW)
      this.flush()
    })
  }

  /** Resolves when the server has answered all that came before; rejects if anything else comes until then. */
  settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.failed = reject
      this.flush = () => {}
      this.stanza = xml => {
        if (xml.startsWith('<iq ')) resolve()
        else reject(new Error(`${this.jid} was to get nothing more, but got ${xml}`))
      }
      this.socket.write(`<iq type="get" id="settled" to="${domain}"><ping xmlns="urn:xmpp:ping"/></iq>`)
    })
  }

  /** What is sent for the stanzas of one chunk leaves in one write. */
  private flush: () => void = () => {}

  private read(bytes: Buffer): void {
    this.rest += bytes.toString('latin1')
    let end = 0
    for (;;) {
      whole.lastIndex = end
      const found = whole.exec(this.rest)
      if (found === null) break
      end = whole.lastIndex
      this.stanza(found[0])
    }
    this.rest = this.rest.slice(end)
    this.flush()
  }
}

const message = (to: string, body: string) => `<message type="chat" to="${to}"><body>${body}</body></message>`

/** Everybody exchanges `each` messages with a partner, and nothing but those: the one of places 0 and 1, 2 and 3 … */
export async function converse(talkers: readonly Talker[], each: number): Promise<void> {
  const partnerOf = (place: number) => talkers[place ^ 1]! // talkers are an even number
  await Promise.all(talkers.map((talker, place) => talker.exchange(partnerOf(place), each)))
  await Promise.all(talkers.map(talker => talker.settled()))
}

let made = 0

/** A fresh account, logged in. */
export async function newClient(server: Meerkat<'clear'>): Promise<Client> {
  made += 1
  const account = { user: `talker-${made}`, password: 'secret' }
  const client = await connect({ port: server.ports.clear, within: 60_000 })
  await client.open()
  await register(client, account)
  return client.login(account.user, account.password, { mechanism: 'PLAIN' })
}

export async function newTalkers(server: Meerkat<'clear'>, count: number): Promise<Talker[]> {
  const talkers: Talker[] = []
  // Some at a time: a listener's backlog is not what is tested here.
  for (let left = count; left > 0; left -= 50) {
    const some = Array.from({ length: Math.min(left, 50) }, async () => new Talker(await newClient(server)))
    talkers.push(...(await Promise.all(some)))
  }
  return talkers
}
