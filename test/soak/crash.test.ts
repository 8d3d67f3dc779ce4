import { setTimeout as later } from 'node:timers/promises'
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { domain, Meerkat, register } from '../support/meerkat.js'
import { ManagedClient } from './managed-client.js'

const SCALE = inject('soakScale')
const MESSAGES = Math.ceil(20_000 * SCALE)
const KILLS = Math.max(5, Math.ceil(20 * SCALE))
/** Messages that the sender has under way. */
const WINDOW = 100
/** What is random is the same in every run. */
const SEED = 198
/** How long anything may take, in milliseconds: a machine may be busy. */
const PATIENCE = 60_000

const romeo = { user: 'romeo', password: 'r0m30' }
const juliet = { user: 'juliet', password: 'ju1i3t' }

const archived = `
[modules.mod_mam_meta]
`
const withoutArchive = `
[access]
  max_user_offline_messages = [{ acl = "all", value = "infinity" }]

[modules.mod_register]
[modules.mod_roster]
[modules.mod_ping]
[modules.mod_offline]
[modules.mod_stream_management]
  buffer_max = "infinity"
`

afterEach(() => dropClients())

describe('a server that is killed with SIGKILL again and again (DESIGN §7)', () => {
  it(`loses none of ${MESSAGES} messages that it acknowledged, and doubles none`, {
    timeout: 900_000 * Math.max(SCALE, 0.3),
  }, async () => {
    const server = await start(withoutArchive + archived)
    const random = numbers(SEED)
    const sender = new Sender(MESSAGES)
    const receiver = new Receiver()
    const since = performance.now()
    let slowest = 0
    for (let round = 0; round <= KILLS; round++) {
      const isLast = round === KILLS
      const end = isLast ? MESSAGES : Math.floor((MESSAGES * (round + random())) / (KILLS + 1))
      receiver.begin(isLast ? 'here' : random() < 0.34 ? 'here' : random() < 0.5 ? 'away' : 'cut', sender)
      await Promise.all([receiver.comeIn(server, random), sender.comeIn(server)])
      await until(() => sender.acknowledged >= end, `${end} acknowledgements in round ${round}`)
      if (isLast) break
      await later(random() * 30)
      await server.kill()
      await Promise.all([sender.gone(), receiver.gone()])
      const restarting = performance.now()
      await server.startAgain()
      slowest = Math.max(slowest, performance.now() - restarting)
    }
    expect(sender.errors).toEqual([])
    await until(
      () => receiver.missing().length === 0,
      () => `messages ${receiver.missing()} at the receiver`,
    )
    const copies = await copiesInArchive(server, romeo)
    const standing = Array.from({ length: MESSAGES }, (_, number) => copies.get(number) ?? 0)
    const missing = standing.flatMap((count, number) => (count === 0 ? [number] : []))
    // A copy for each time that it was sent, at most; and it is sent again only while it is not acknowledged.
    const doubled = standing.flatMap((count, number) => (count > sender.timesSent[number]! ? [number] : []))
    const twice = standing.filter(count => count > 1).length
    const seconds = (performance.now() - since) / 1000
    console.log(
      `${MESSAGES} messages through ${KILLS} kills (seed ${SEED}) in ${seconds.toFixed(1)} s: ${missing.length} of those acknowledged missing, ` +
        `${sender.resent} sent again, ${twice} of them stand twice; slowest start ${slowest.toFixed(0)} ms`,
    )
    expect({ missing, doubled }).toEqual({ missing: [], doubled: [] })
  })

  it('keeps what waits for a client that may come back, sent before it went or after, without an archive', async () => {
    const server = await start(withoutArchive)
    const receiver = await ManagedClient.of(await loggedIn(server, romeo), { resume: true })
    // Nothing of what it gets is acknowledged.
    receiver.isSilent = true
    receiver.send('<presence/>')
    const sender = new Sender(60)
    sender.pauseAt(30)
    await sender.comeIn(server)
    await until(() => sender.acknowledged === 30 && receiver.bodies.length === 30, '30 messages')
    receiver.drop()
    await server.logged(/"event":"session.detached"/)
    sender.pauseAt(60)
    await until(() => sender.acknowledged === 60, '60 acknowledgements')
    await server.kill()
    await sender.gone()
    await server.startAgain()
    const next = await ManagedClient.of(await loggedIn(server, romeo), { resume: true })
    next.send('<presence/>')
    await until(
      () => next.bodies.length >= 60,
      () => `60 messages, but ${next.bodies}`,
    )
    expect(next.bodies).toEqual(Array.from({ length: 60 }, (_, number) => number))
  })

  it('hands over again what waited for a client that was offline and has not acknowledged it', async () => {
    const server = await start(withoutArchive)
    const sender = new Sender(40)
    await sender.comeIn(server)
    await until(() => sender.acknowledged === 40, '40 acknowledgements')
    const first = await ManagedClient.of(await loggedIn(server, romeo), { resume: true })
    first.isSilent = true
    first.send('<presence/>')
    await until(() => first.bodies.length === 40, '40 messages')
    await server.kill()
    await Promise.all([sender.gone(), first.closed])
    await server.startAgain()
    const next = await ManagedClient.of(await loggedIn(server, romeo), { resume: true })
    next.send('<presence/>')
    await until(
      () => next.bodies.length >= 40,
      () => `40 messages, but ${next.bodies}`,
    )
    expect(next.bodies).toEqual(first.bodies)
  })
})

/** Sends numbered messages to Romeo, and again what was not acknowledged when its stream ended. */
class Sender {
  readonly timesSent: Uint8Array
  readonly errors: string[] = []
  acknowledged = 0
  resent = 0
  private next = 0
  /** Where it waits for more to be asked. */
  private bound: number
  /** On the present stream, in order. */
  private unacknowledged: number[] = []
  private stream: ManagedClient | undefined
  /** Told of the numbers that the server acknowledged. */
  onAcknowledged: (numbers: readonly number[]) => void = () => {}

  constructor(private readonly count: number) {
    this.timesSent = new Uint8Array(count)
    this.bound = count
  }

  pauseAt(bound: number): void {
    this.bound = bound
    this.sendOn()
  }

  async comeIn(server: Meerkat<'clear'>): Promise<void> {
    const stream = await ManagedClient.of(await loggedIn(server, juliet), { resume: false })
    stream.onAcknowledged = count => {
      const numbers = this.unacknowledged.splice(0, count)
      this.acknowledged += numbers.length
      this.onAcknowledged(numbers)
      this.sendOn()
    }
    stream.onStanza = xml => {
      if (/^<message\b[^>]*type=['"]error/.test(xml)) this.errors.push(xml)
    }
    this.stream = stream
    this.resent += this.unacknowledged.length
    this.write(this.unacknowledged)
    this.sendOn()
  }

  /** Waits until it knows that its stream has ended. */
  async gone(): Promise<void> {
    await this.stream?.closed
    this.stream = undefined
  }

  private sendOn(): void {
    const numbers: number[] = []
    while (this.next < Math.min(this.count, this.bound) && this.unacknowledged.length + numbers.length < WINDOW) {
      numbers.push(this.next++)
    }
    this.unacknowledged.push(...numbers)
    this.write(numbers)
  }

  private write(numbers: readonly number[]): void {
    for (const number of numbers) this.timesSent[number]!++
    const messages = numbers.map(
      number => `<message to="${romeo.user}@${domain}" type="chat" id="m${number}"><body>${number}</body></message>`,
    )
    if (this.unacknowledged.length > 0) this.stream?.send(`${messages.join('')}<r xmlns="urn:xmpp:sm:3"/>`)
  }
}

type Mode = 'here' | 'away' | 'cut'

/** Romeo, who is there in some rounds, away in others, and in others goes without a word. */
class Receiver {
  private readonly got = new Set<number>()
  /** Acknowledged to their sender while nobody was connected: he must get them some day. */
  private readonly due = new Set<number>()
  private mode: Mode = 'away'
  private stream: ManagedClient | undefined

  begin(mode: Mode, sender: Sender): void {
    this.mode = mode
    sender.onAcknowledged = numbers => {
      if (this.stream === undefined) for (const number of numbers) this.due.add(number)
    }
  }

  async comeIn(server: Meerkat<'clear'>, random: () => number): Promise<void> {
    if (this.mode === 'away') return
    const stream = await ManagedClient.of(await loggedIn(server, romeo), { resume: true })
    this.stream = stream
    let left = this.mode === 'cut' ? 1 + Math.floor(random() * 200) : Number.POSITIVE_INFINITY
    stream.onBody = number => {
      this.got.add(number)
      left -= 1
      if (left > 0) return
      stream.drop()
      this.stream = undefined
    }
    stream.send('<presence/>')
  }

  async gone(): Promise<void> {
    await this.stream?.closed
    this.stream = undefined
  }

  missing(): number[] {
    return [...this.due].filter(number => !this.got.has(number))
  }
}

async function start(more: string): Promise<Meerkat<'clear'>> {
  // What is tested comes after the login, which may be cheap.
  const auth = 'password.hash = ["sha"]\nscram_iterations = 4096'
  const server = await Meerkat.start({ clear: '' }, { loglevel: 'info', auth, more })
  onTestFinished(async () => {
    dropClients()
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  })
  for (const account of [romeo, juliet]) {
    const client = await connect({ port: server.ports.clear, within: PATIENCE })
    await client.open()
    await register(client, account)
    client.drop()
  }
  return server
}

async function loggedIn(server: Meerkat<'clear'>, { user, password }: typeof romeo): Promise<Client> {
  const client = await connect({ port: server.ports.clear, within: PATIENCE })
  return client.login(user, password, { mechanism: 'PLAIN' })
}

/** Pages through the archive: how often each number stands in it. */
async function copiesInArchive(server: Meerkat<'clear'>, account: typeof romeo): Promise<Map<number, number>> {
  const client = await loggedIn(server, account)
  const copies = new Map<number, number>()
  for (let after = ''; ; ) {
    const from = after === '' ? '' : `<after>${after}</after>`
    const rsm = `<set xmlns="http://jabber.org/protocol/rsm"><max>50</max>${from}</set>`
    const answer = await client.ask('set', `<query xmlns="urn:xmpp:mam:2">${rsm}</query>`)
    const fin = answer.getChild('fin', 'urn:xmpp:mam:2')
    const last = fin?.getChild('set')?.getChildText('last')
    if (fin === undefined) throw new Error(`no page of the archive: ${answer}`)
    if (last == null) return copies
    let id = ''
    while (id !== last) {
      const result = (await client.receives('<message><result xmlns="urn:xmpp:mam:2"/></message>')).getChild('result')
      id = result?.attrs.id
      const body = result?.getChild('forwarded')?.getChild('message', 'jabber:client')?.getChildText('body')
      copies.set(Number(body), (copies.get(Number(body)) ?? 0) + 1)
    }
    if (fin.attrs.complete === 'true') return copies
    after = last
  }
}

async function until(isSo: () => boolean, what: string | (() => string)): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!isSo()) {
    if (performance.now() > end)
      throw new Error(`${typeof what === 'string' ? what : what()}: not within ${PATIENCE} ms`)
    await later(2)
  }
}

/** Numbers between 0 and 1 that look random. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}
