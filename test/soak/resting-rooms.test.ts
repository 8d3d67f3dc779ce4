import { afterEach, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, dropClients } from '../support/client.js'
import { domain, Meerkat } from '../support/meerkat.js'
import { newClient } from './talker.js'

/*
 * Rooms that nobody is in are in the store and nowhere else, and entering one costs the same however many there are.
 */

const ROOMS = Math.ceil(100_000 * inject('soakScale'))
/** Entered at one time: less than what a client may have waiting for it. */
const AT_ONCE = 100
/** Rooms entered to see what one costs. */
const SAMPLE = 2_000
const service = `conference.${domain}`
const muc = 'http://jabber.org/protocol/muc'

const modules = `
[modules.mod_register]
[modules.mod_ping]
[modules.mod_muc]
  hibernate_timeout = 1000
  max_user_conferences = 0
  default_room = { persistent = true }
`

afterEach(() => dropClients())

it(`keeps ${ROOMS} rooms at rest without an actor, and enters one for the same price`, {
  timeout: 1_200_000,
}, async () => {
  const server = await start()
  const client = await newClient(server)
  const visitor = new Visitor(client)
  const few = Math.min(1_000, ROOMS)
  await visitor.make(0, few)
  const cheap = await costOf(server, () => visitor.visit(0, few, SAMPLE))
  await noneAwake(server)
  const before = server.memory.now
  await visitor.make(few, ROOMS)
  await noneAwake(server)
  const after = server.memory.now
  const later = await costOf(server, () => visitor.visit(0, ROOMS, SAMPLE))
  await noneAwake(server)
  // All of them are there.
  const list = await client.ask('get', '<query xmlns="http://jabber.org/protocol/disco#items"/>', { to: service })
  const count = list.getChild('query')?.getChild('set', 'http://jabber.org/protocol/rsm')?.getChildText('count')
  expect(Number(count)).toBe(ROOMS)
  console.log(
    `${ROOMS} rooms at rest: no actor, ${(((after - before) * 1024) / (ROOMS - few)).toFixed(2)} KiB each (${before.toFixed(0)} MiB, then ` +
      `${after.toFixed(0)}); entering and leaving one ${cheap.toFixed(2)} ms of CPU among ${few} rooms, ${later.toFixed(2)} among ${ROOMS}`,
  )
})

/** Goes in and out of rooms by their numbers. */
class Visitor {
  private buffer = ''
  private wanted: { text: string; count: number; done: () => void } | undefined

  constructor(private readonly client: Client) {
    client.socket.on('data', (bytes: Buffer) => this.read(bytes.toString('latin1')))
  }

  /** Makes each room from `first` to `end`, as it comes. XEP-0045 §10.1.2 */
  async make(first: number, end: number): Promise<void> {
    for (let at = first; at < end; at += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, end - at) }, (_, number) => at + number)
      await this.until("type='result'", some.length, [...some.map(entrance), ...some.map(unlocking)])
      await this.until("type='unavailable'", some.length, some.map(exit))
    }
  }

  /** Each room from `first` to `end`, or `sample` of them spread over that range. */
  async visit(first: number, end: number, sample = end - first): Promise<void> {
    const numbers = Array.from({ length: sample }, (_, at) => first + Math.floor((at * (end - first)) / sample))
    for (let at = 0; at < numbers.length; at += AT_ONCE) {
      const some = [...new Set(numbers.slice(at, at + AT_ONCE))]
      // The subject is what comes last to somebody who enters. XEP-0045 §7.2
      await this.until('<subject', some.length, some.map(entrance))
      await this.until("type='unavailable'", some.length, some.map(exit))
    }
  }

  private until(text: string, count: number, stanzas: string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${text} did not come ${this.wanted?.count} times`)), 60_000)
      const done = () => {
        clearTimeout(late)
        resolve()
      }
      this.wanted = { text, count, done }
      void this.client.send(stanzas.join(''))
    })
  }

  private read(text: string): void {
    if (this.wanted === undefined) return
    this.buffer = (this.buffer + text).replaceAll('"', "'")
    for (let at = this.buffer.indexOf(this.wanted.text); at >= 0; at = this.buffer.indexOf(this.wanted.text)) {
      this.buffer = this.buffer.slice(at + this.wanted.text.length)
      this.wanted.count -= 1
      if (this.wanted.count > 0) continue
      const { done } = this.wanted
      this.wanted = undefined
      this.buffer = ''
      done()
      return
    }
    this.buffer = this.buffer.slice(-100)
  }
}

const entrance = (number: number) => `<presence to="room-${number}@${service}/hag"><x xmlns="${muc}"/></presence>`
const unlocking = (number: number) =>
  `<iq type="set" id="u" to="room-${number}@${service}"><query xmlns="${muc}#owner"><x xmlns="jabber:x:data" type="submit"/></query></iq>`
const exit = (number: number) => `<presence to="room-${number}@${service}/hag" type="unavailable"/>`

/** Milliseconds of the server's CPU for each room of the sample. */
async function costOf(server: Meerkat<'clear'>, work: () => Promise<void>): Promise<number> {
  const before = server.cpuTime
  await work()
  return (server.cpuTime - before) / SAMPLE
}

/** Waits until no room has an actor. */
async function noneAwake(server: Meerkat<'clear'>): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const rooms = `/root/modules/mod_muc-${domain}/rooms`
    const { tree } = JSON.parse(await server.command(['tree', rooms, '--depth', '0', '--json']))
    if (tree.childCount === 0) return
    await new Promise(resolve => setTimeout(resolve, 500))
  }
  throw new Error('some rooms did not go to rest')
}

async function start(): Promise<Meerkat<'clear'>> {
  const server = await Meerkat.start({ clear: '' }, { more: modules })
  onTestFinished(() => void server.stop())
  return server
}
