import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { setTimeout as later } from 'node:timers/promises'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { connect, dropClients } from '../support/client.js'
import { domain, Meerkat, register } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'

/*
 * Many streams of events and a flow of messages over REST at the same time. spec/sse.md
 */

const scale = inject('soakScale')
const STREAMS = Math.ceil(2_000 * scale)
/** Messages a second, as far as the machine allows. */
const RATE = Math.ceil(500 * scale)
/** At full size longer than any time limit that an HTTP server has for silence. S-14 */
const SECONDS = Math.max(10, Math.ceil(75 * scale))
/** Every tenth stream is told nothing. */
const isSilent = (place: number) => place % 10 === 9
/** Requests under way at a time. */
const AT_ONCE = 32
/** What the server's memory may grow by, in MiB: 50 KiB for each stream, and what the flow of messages needs, whatever its length. */
const GROWTH = 128 + (STREAMS * 50) / 1024

const user = (place: number) => `listener-${place}`
const basic = (name: string) => `Basic ${Buffer.from(`${name}@${domain}:secret`).toString('base64')}`

describe(`${STREAMS} streams of events`, () => {
  it(`hear ${RATE} messages a second for ${SECONDS} s that are sent by REST, each once; none is cut off, and memory stays flat`, async () => {
    const port = await freePort()
    // What is tested comes after the login, which may be cheap.
    const auth = 'password.hash = ["sha"]\nscram_iterations = 4096'
    const server = await Meerkat.start({ clear: '' }, { auth, more: listener(port) })
    onTestFinished(async () => {
      dropClients()
      expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
    })
    await registerAll(server)
    const streams: Listener[] = []
    for (let place = 0; place < STREAMS; place += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, STREAMS - place) }, (_, index) => place + index)
      streams.push(...(await Promise.all(some.map(each => Listener.open(port, each)))))
    }
    onTestFinished(() => {
      for (const stream of streams) stream.drop()
    })
    const listening = streams.filter((_, place) => !isSilent(place))
    await send(port, listening, 1)
    const before = server.memory.now
    const cpu = server.cpuTime
    const count = await send(port, listening, SECONDS)
    const heard = () => listening.reduce((sum, { events }) => sum + events, 0)
    const sent = () => listening.reduce((sum, { told }) => sum + told.size, 0)
    await until(() => heard() === sent() && streams.every(({ comments }) => comments >= Math.floor(SECONDS / 30)))
    for (const stream of streams) {
      expect(stream.fault).toBeUndefined()
      expect(stream.missing).toEqual([])
    }
    const growth = server.memory.peak - before
    console.log(
      `${STREAMS} streams, ${(count / SECONDS).toFixed(0)} messages a second for ${SECONDS} s: all heard once; ` +
        `${((server.cpuTime - cpu) / count).toFixed(2)} ms of CPU each; ` +
        `memory ${before.toFixed(0)} MiB with the streams open, at most ${growth.toFixed(0)} MiB more`,
    )
    expect(growth).toBeLessThan(GROWTH)
  })
})

const listener = (port: number) => `
[[listen.http]]
  port = ${port}
  ip_address = "127.0.0.1"
  transport.max_connections = "infinity"

  [[listen.http.handlers.lasse_handler]]
    host = "_"
    path = "/api/sse"
    module = "mongoose_client_api_sse"

  [[listen.http.handlers.mongoose_client_api_messages]]
    host = "_"
    path = "/api/messages/[:with]"
`

/** Accounts that are made over one connection; more would be too much for one that does not log in. */
const BATCH = 50

/** An account for each stream. */
async function registerAll(server: Meerkat<'clear'>): Promise<void> {
  let next = 0
  const some = async () => {
    while (next < STREAMS) {
      const first = next
      next += BATCH
      const client = await connect({ port: server.ports.clear })
      await client.open()
      for (let place = first; place < Math.min(first + BATCH, STREAMS); place++) {
        await register(client, { user: user(place), password: 'secret' })
      }
      client.drop()
    }
  }
  await Promise.all(Array.from({ length: 8 }, some))
}

/** Sends messages at the rate, each to the next stream, for so many seconds, and gives their number. */
async function send(port: number, streams: readonly Listener[], seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const begun = performance.now()
  let sent = 0
  const one = async () => {
    for (;;) {
      const number = sent
      const due = (number * 1_000) / RATE
      if (Math.max(due, performance.now() - begun) >= seconds * 1_000) return
      sent++
      await later(Math.max(0, begun + due - performance.now()))
      await post(port, agent, streams[number % streams.length]!) // below length
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  agent.destroy()
  return sent
}

let made = 0

async function post(port: number, agent: Agent, to: Listener): Promise<void> {
  const text = `message-${made++}`
  to.told.add(text)
  const headers = { host: domain, authorization: basic(user(0)), 'content-type': 'application/json' }
  const sent = request({ host: '127.0.0.1', port, agent, method: 'POST', path: '/api/messages', headers })
  sent.end(JSON.stringify({ to: `${to.name}@${domain}`, body: text }))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`a message was answered with ${response.statusCode}`)
}

/** A stream that notes what it was told and heard. */
class Listener {
  /** What was sent to it. */
  readonly told = new Set<string>()
  events = 0
  comments = 0
  /** The first thing that was not as it should be. */
  fault: string | undefined
  private readonly heard = new Set<string>()
  private rest = ''

  static async open(port: number, place: number): Promise<Listener> {
    const name = user(place)
    const headers = { host: domain, authorization: basic(name) }
    const sent = request({ host: '127.0.0.1', port, agent: false, path: '/api/sse', headers })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    if (response.statusCode !== 200) throw new Error(`a stream was answered with ${response.statusCode}`)
    return new Listener(name, response)
  }

  private constructor(
    readonly name: string,
    private readonly response: IncomingMessage,
  ) {
    response.setEncoding('utf8')
    response.on('data', (text: string) => this.read(text))
    response.on('error', error => this.fail(error.message))
    response.on('close', () => this.fail('it was closed'))
  }

  get missing(): string[] {
    return [...this.told].filter(text => !this.heard.has(text))
  }

  drop(): void {
    this.response.destroy()
  }

  private read(text: string): void {
    const parts = (this.rest + text).split('\n\n')
    this.rest = parts.pop() ?? ''
    for (const part of parts) {
      if (part === ':') this.comments++
      else this.hear(part)
    }
  }

  private hear(event: string): void {
    this.events++
    const [, id, data = '{}'] = /^id: (\d+)\nevent: message\ndata: (.*)$/.exec(event) ?? []
    const { body, to } = JSON.parse(data)
    if (Number(id) !== this.events) this.fail(`event ${this.events} is ${event}`)
    if (to !== `${this.name}@${domain}` || !this.told.has(body)) this.fail(`nobody told it ${event}`)
    if (this.heard.has(body)) this.fail(`it heard twice ${event}`)
    this.heard.add(body)
  }

  private fail(what: string): void {
    this.fault ??= what
  }
}

/** Looks again and again until it is so, for a minute. */
async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo() && tries < 600; tries++) await later(100)
}
