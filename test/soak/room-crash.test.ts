import { afterEach, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { domain, Meerkat, register } from '../support/meerkat.js'
import { ManagedClient } from './managed-client.js'

/*
 * What is said in an archived room is there after kill -9: all that a sender got acknowledged, and all that an occupant got to see.
 */

const SCALE = inject('soakScale')
/** Of each sender. */
const MESSAGES = Math.ceil(5_000 * SCALE)
const KILLS = Math.max(3, Math.ceil(10 * SCALE))
/** Messages that a sender has under way. */
const WINDOW = 50
/** How long anything may take, in milliseconds: a machine may be busy. */
const PATIENCE = 60_000

const accounts = [
  { user: 'hare', password: 'h4r3' },
  { user: 'alice', password: '4l1c3' },
] as const
const room = `tea@muclight.${domain}`
const mam = 'urn:xmpp:mam:2'

const modules = `
[modules.mod_register]
[modules.mod_roster]
[modules.mod_stream_management]
  buffer_max = "infinity"
[modules.mod_muc_light]
[modules.mod_mam_meta.muc]
  host = "muclight.@HOST@"
`

afterEach(() => dropClients())

it(`loses none of ${MESSAGES * 2} messages to a room that it acknowledged or let somebody see (ML-35, DESIGN §7)`, {
  timeout: 900_000 * Math.max(SCALE, 0.3),
}, async () => {
  const server = await start()
  const senders = accounts.map((_, index) => new Sender(index * MESSAGES, MESSAGES))
  for (let round = 0; round <= KILLS; round += 1) {
    const goal = Math.floor((MESSAGES * (round + 1)) / (KILLS + 1))
    await Promise.all(
      senders.map(async (sender, index) => sender.comeIn(await loggedIn(server, accounts[index]!), goal)),
    )
    if (round === KILLS) break
    // With whatever is under way.
    await server.kill()
    await Promise.all(senders.map(sender => sender.gone()))
    await server.startAgain()
  }
  const kept = await archive(server)
  const seen = senders.flatMap(({ seen }) => seen)
  expect(seen.length).toBeGreaterThan(MESSAGES)
  expect(seen.filter(([id, number]) => kept.get(id) !== number)).toEqual([])
  const copies = new Map<number, number>()
  for (const number of kept.values()) copies.set(number, (copies.get(number) ?? 0) + 1)
  const numbers = Array.from({ length: MESSAGES * 2 }, (_, number) => number)
  expect(numbers.filter(number => !copies.has(number))).toEqual([])
  const timesSent = senders.flatMap(sender => sender.timesSent)
  expect(numbers.filter(number => copies.get(number)! > timesSent[number]!)).toEqual([])
  // Of each sender they stand in the order in which they were first sent, but for what was sent again.
  const once = [...kept.values()].filter(number => copies.get(number) === 1)
  for (const { first } of senders) {
    const own = once.filter(number => number >= first && number < first + MESSAGES)
    expect(own).toEqual([...own].sort((a, b) => a - b))
  }
})

/** Says numbers in the room, and again what was not acknowledged when its stream ended. */
class Sender {
  readonly timesSent: number[]
  /** What came from the room: the id in its archive, and the number. */
  readonly seen: [id: string, number: number][] = []
  private acknowledged = 0
  private next: number
  /** On the present stream, in order. */
  private unacknowledged: number[] = []
  private stream: ManagedClient | undefined

  constructor(
    readonly first: number,
    private readonly count: number,
  ) {
    this.next = first
    this.timesSent = Array.from({ length: count }, () => 0)
  }

  /** Resolves when `goal` messages have been acknowledged in all. */
  async comeIn(client: Client, goal: number): Promise<void> {
    const stream = await ManagedClient.of(client, { resume: false })
    this.stream = stream
    stream.onStanza = xml => this.see(xml)
    stream.send('<presence/>')
    // Presence is acknowledged too.
    let others = 1
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ${goal} acknowledgements within ${PATIENCE} ms`)), PATIENCE)
      stream.onAcknowledged = count => {
        const own = count - others
        others = 0
        this.acknowledged += this.unacknowledged.splice(0, own).length
        if (this.acknowledged < goal) return this.sendOn()
        clearTimeout(late)
        stream.onAcknowledged = () => {}
        resolve()
      }
      this.write(this.unacknowledged)
      this.sendOn()
    })
    // Under way when the server is killed.
    this.sendOn()
  }

  /** Waits until it knows that its stream has ended. */
  async gone(): Promise<void> {
    await this.stream?.closed
  }

  private see(xml: string): void {
    const id = new RegExp(`<stanza-id\\b[^>]*by=['"]${room}['"][^>]*id=['"](\\w+)['"]`).exec(xml)?.[1]
    const body = /<body>(\d+)<\/body>/.exec(xml)?.[1]
    if (id !== undefined && body !== undefined) this.seen.push([id, Number(body)])
  }

  private sendOn(): void {
    const numbers: number[] = []
    const end = this.first + this.count
    while (this.next < end && this.unacknowledged.length + numbers.length < WINDOW) numbers.push(this.next++)
    this.unacknowledged.push(...numbers)
    this.write(numbers)
  }

  private write(numbers: readonly number[]): void {
    for (const number of numbers) this.timesSent[number - this.first]! += 1
    const messages = numbers.map(
      number => `<message to="${room}" type="groupchat" id="m${number}"><body>${number}</body></message>`,
    )
    this.stream?.send(`${messages.join('')}<r xmlns="urn:xmpp:sm:3"/>`)
  }
}

async function start(): Promise<Meerkat<'clear'>> {
  // What is tested comes after the login, which may be cheap.
  const auth = 'password.hash = ["sha"]\nscram_iterations = 4096'
  const server = await Meerkat.start({ clear: '' }, { auth, more: modules })
  onTestFinished(async () => {
    dropClients()
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  })
  for (const account of accounts) {
    const client = await connect({ port: server.ports.clear, within: PATIENCE })
    await client.open()
    await register(client, account)
    client.drop()
  }
  const [hare, alice] = accounts
  const owner = await loggedIn(server, hare)
  const occupants = `<occupants><user affiliation="member">${alice.user}@${domain}</user></occupants>`
  const creation = `<query xmlns="urn:xmpp:muclight:0#create">${occupants}</query>`
  expect((await owner.ask('set', creation, { to: room })).attrs.type).toBe('result')
  owner.drop()
  return server
}

async function loggedIn(server: Meerkat<'clear'>, { user, password }: (typeof accounts)[number]): Promise<Client> {
  const client = await connect({ port: server.ports.clear, within: PATIENCE })
  return client.login(user, password, { mechanism: 'PLAIN' })
}

/** The numbers in the room's archive by their ids, in order. */
async function archive(server: Meerkat<'clear'>): Promise<Map<string, number>> {
  const client = await loggedIn(server, accounts[0])
  const kept = new Map<string, number>()
  for (let after = ''; ; ) {
    const from = after === '' ? '' : `<after>${after}</after>`
    const page = `<set xmlns="http://jabber.org/protocol/rsm"><max>50</max>${from}</set>`
    const answer = await client.ask('set', `<query xmlns="${mam}">${page}</query>`, { to: room })
    const fin = answer.getChild('fin', mam)
    const last = fin?.getChild('set')?.getChildText('last')
    if (fin === undefined) throw new Error(`no page of the archive: ${answer}`)
    let id = ''
    while (last && id !== last) {
      const message = await client.receives(`<message from="${room}"><result xmlns="${mam}"/></message>`)
      const result = message.getChild('result')!
      id = result.attrs.id
      const body = result.getChild('forwarded')?.getChild('message', 'jabber:client')?.getChildText('body')
      // The making of the room has none.
      if (body) kept.set(id, Number(body))
    }
    if (fin.attrs.complete === 'true') return kept
    after = last!
  }
}
