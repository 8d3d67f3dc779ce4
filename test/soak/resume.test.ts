import { setTimeout as later } from 'node:timers/promises'
import { afterEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { domain, Meerkat } from '../support/meerkat.js'
import { ManagedClient } from './managed-client.js'
import { newClient } from './talker.js'

const SESSIONS = Math.ceil(1000 * inject('soakScale'))
/** To each session: just before its socket is cut, and while it waits. */
const BEFORE = 3
const MEANWHILE = 5
/** How long anything may take, in milliseconds: a machine may be busy. */
const PATIENCE = 120_000

afterEach(() => dropClients())

describe(`${SESSIONS} sessions whose sockets are cut at the same time (XEP-0198 §5)`, () => {
  it('are all resumed: nothing is lost, doubled or out of order, and nobody saw them go', {
    timeout: 600_000,
  }, async () => {
    const server = await start()
    const watcher = await ManagedClient.of(await newClient(server), { resume: false })
    const gone: string[] = []
    watcher.onStanza = xml => {
      if (/^<presence\b[^>]*type=['"]unavailable/.test(xml)) gone.push(xml)
    }
    const before = server.memory.now
    const sessions = await inGroups(SESSIONS, async () => {
      const session = await ManagedClient.of(await newClient(server), { resume: true })
      session.send(`<presence/><presence to="${watcher.jid}"/>`)
      return session
    })
    await until(
      () => watcher.handled >= SESSIONS,
      () => `${watcher.handled} presences`,
    )

    const sender = await ManagedClient.of(await newClient(server), { resume: false })
    await tell(sender, sessions, 0, BEFORE)
    for (const session of sessions) session.drop()
    await allDetached(server)
    const attached = performance.now()
    await tell(sender, sessions, BEFORE, BEFORE + MEANWHILE)
    const storing = (performance.now() - attached) / 1000
    const detached = server.memory.now

    const since = performance.now()
    const resumed = await inGroups(SESSIONS, place => resume(server, sessions[place]!)) // there are as many
    const heard = (place: number) => [...sessions[place]!.bodies, ...resumed[place]!.bodies]
    const expected = Array.from({ length: BEFORE + MEANWHILE }, (_, number) => number)
    const waiting = () => resumed.filter((_, place) => heard(place).length < expected.length)
    await until(
      () => waiting().length === 0,
      () => `all messages of ${waiting().length} sessions`,
    )
    const seconds = (performance.now() - since) / 1000
    await Promise.all(resumed.map(settled))
    for (const place of resumed.keys()) expect(heard(place)).toEqual(expected)
    expect(gone).toEqual([])
    await expectNothingWaits(server, resumed[0]!)
    console.log(
      `${SESSIONS} sessions cut, ${MEANWHILE} messages to each stored in ${storing.toFixed(1)} s, all resumed in ${seconds.toFixed(1)} s; ` +
        `${before.toFixed(0)} MiB without them, ${detached.toFixed(0)} while they waited, ${server.memory.now.toFixed(0)} after, ` +
        `peak ${server.memory.peak.toFixed(0)} MiB`,
    )
  })
})

async function start(): Promise<Meerkat<'clear'>> {
  // What is tested comes after the login, which may be cheap.
  const auth = 'password.hash = ["sha"]\nscram_iterations = 4096'
  const server = await Meerkat.start({ clear: '' }, { auth })
  onTestFinished(async () => {
    dropClients()
    expect(await server.stop(), 'how meerkat exited after SIGTERM').toBe(0)
  })
  return server
}

/** Sends the numbers from `first` up to `end` to each, and waits until all of them are acknowledged. */
async function tell(sender: ManagedClient, sessions: readonly ManagedClient[], first: number, end: number) {
  let left = sessions.length * (end - first)
  sender.onAcknowledged = count => {
    left -= count
  }
  for (let number = first; number < end; number++) {
    const messages = sessions.map(({ jid }) => `<message to="${jid}" type="chat"><body>${number}</body></message>`)
    sender.send(messages.join(''))
  }
  // It is answered when what stands before it is done.
  sender.send('<r xmlns="urn:xmpp:sm:3"/>')
  await until(
    () => left === 0,
    () => `${left} acknowledgements`,
  )
}

/** Waits until the server knows that nobody is there any more. */
async function allDetached(server: Meerkat<'clear'>): Promise<void> {
  const end = performance.now() + PATIENCE
  for (;;) {
    const { counters } = JSON.parse(await server.command(['status', '--json']))
    if (counters.sessionsDetachedNow === SESSIONS) return
    if (performance.now() > end) throw new Error(`only ${counters.sessionsDetachedNow} sessions are detached`)
    await later(100)
  }
}

async function resume(server: Meerkat<'clear'>, session: ManagedClient): Promise<ManagedClient> {
  return ManagedClient.resuming(await authenticated(server, session), session)
}

async function authenticated(server: Meerkat<'clear'>, { jid }: ManagedClient): Promise<Client> {
  const client = await connect({ port: server.ports.clear, within: PATIENCE })
  await client.open()
  await client.authenticate('PLAIN', jid.slice(0, jid.indexOf('@')), 'secret')
  await client.open()
  return client
}

/** Resolves when the server has sent all that it had to, and heard that it came. */
async function settled(client: ManagedClient): Promise<void> {
  let isAnswered = false
  client.onStanza = xml => {
    isAnswered ||= /^<iq\b[^>]*id=['"]settled/.test(xml)
  }
  client.send(`<iq type="get" id="settled" to="${domain}"><ping xmlns="urn:xmpp:ping"/></iq>`)
  await until(() => isAnswered, `the answer to ${client.jid}`)
  client.acknowledge()
}

/** What was acknowledged does not wait in the store as well. */
async function expectNothingWaits(server: Meerkat<'clear'>, session: ManagedClient): Promise<void> {
  await settled(session)
  const client = await authenticated(server, session)
  await client.bind('other')
  const other = await ManagedClient.of(client, { resume: false })
  other.send('<presence/>')
  session.drop()
  await settled(other)
  expect(other.bodies).toEqual([])
}

/** Some at a time: a listener's backlog is not what is tested here. */
async function inGroups<T>(count: number, make: (place: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) {
    const group = Array.from({ length: Math.min(50, count - made.length) }, (_, place) => make(made.length + place))
    made.push(...(await Promise.all(group)))
  }
  return made
}

async function until(isSo: () => boolean, what: string | (() => string)): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!isSo()) {
    if (performance.now() > end)
      throw new Error(`${typeof what === 'string' ? what : what()}: not within ${PATIENCE} ms`)
    await later(2)
  }
}
