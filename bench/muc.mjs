// What a delivered message of group chat costs without sockets: bytes -> framer -> router -> the room's actor and its rules -> the outputs
// of all occupants.
//   npm run build && node bench/muc.mjs
import { setImmediate as nextTurn } from 'node:timers/promises'
import { startModuleActor } from '../dist/actors/module-actor.js'
import { startBranch } from '../dist/actors/root.js'
import { createRuntime } from '../dist/actors/runtime/index.js'
import { startModules } from '../dist/modules/index.js'
import { muc } from '../dist/modules/muc.js'
import { systemClock } from '../dist/observability/clock.js'
import { Jid } from '../dist/protocols/jid.js'
import { Stanza } from '../dist/protocols/stanza/stanza.js'
import { Framer } from '../dist/protocols/xml/framer.js'
import { handleClientStanza } from '../dist/routing/client-stanzas.js'
import { createRouting } from '../dist/routing/router.js'
import { SessionRegistry } from '../dist/sessions/registry.js'
import { Rosters } from '../dist/sessions/rosters.js'
import { Output, returnSlab } from '../dist/transports/output.js'

const host = 'bench.example'
const room = `room@conference.${host}`

const sessions = new SessionRegistry()
const unused = () => {
  throw new Error('not asked for here')
}
const onBug = error => {
  throw error
}
const roster = async () => ({ version: 0, items: [], requests: [] })
const routing = createRouting({
  hosts: [host],
  sessions,
  rosters: new Rosters({ load: roster, update: unused }),
  accounts: { exists: () => true },
  onBug,
})
const runtime = createRuntime({ clock: systemClock, onFault: ({ error }) => onBug(error) })
const branch = startBranch(runtime, 'modules')
const store = {
  load: async () => undefined,
  create: async () => true,
  update: async () => true,
  remove: async () => true,
  removeTemporary: async () => undefined,
}
const options = muc.config.parse({ max_users: 10_000, default_room: { max_users: 10_000 } })
startModules(
  {
    routing,
    store: { muc: store },
    clock: systemClock,
    software: { name: 'bench', version: '', url: '' },
    queueLimit: undefined,
    shaperRate: () => undefined,
    supervise: module => startModuleActor(branch, module),
  },
  new Map([[host, { mod_muc: options }]]),
)

class Client {
  priority = 0
  presence = undefined
  isInterested = false
  directed = undefined
  node = 'local'
  received = 0
  output = new Output()
  framer = new Framer({ element: 8_000_000 })
  constructor(i) {
    this.jid = Jid.of(`u${i}`, host, 'r')
    this.framer.feed(
      Buffer.from(
        `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${host}' version='1.0'>`,
      ),
    )
    this.framer.next()
    this.framer.next()
    this.message = Buffer.from(
      `<message to='${room}' type='groupchat' id='m${i}'><body>${'x'.repeat(100)}</body></message>`,
    )
    sessions.add(this)
  }
  deliver(stanza) {
    this.received++
    const slab = this.output.reserve(stanza.encodedLength())
    this.output.wrote(slab, stanza.encode(slab.bytes, slab.used))
    return true
  }
  end() {}
  say(bytes) {
    this.framer.feed(bytes)
    for (let frame = this.framer.next(); frame !== undefined; frame = this.framer.next()) {
      void handleClientStanza(routing, this, Stanza.fromFrame(frame, this.jid))
    }
  }
}

const clients = []
const discard = () => {
  for (const { output } of clients) for (const slab of output.take()) returnSlab(slab)
}
const received = () => clients.reduce((sum, client) => sum + client.received, 0)
async function until(isSo) {
  while (!isSo()) await nextTurn()
}

async function fill(count) {
  while (clients.length < count) {
    const client = new Client(clients.length)
    clients.push(client)
    const before = client.received
    client.say(
      Buffer.from(`<presence to='${room}/n${clients.length}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`),
    )
    await until(() => client.received > before)
    if (clients.length === 1) {
      client.say(
        Buffer.from(
          `<iq type='set' id='c' to='${room}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>`,
        ),
      )
      for (let i = 0; i < 100; i++) await nextTurn()
    }
    discard()
  }
}

for (const occupants of [100, 1000]) {
  const before = process.cpuUsage()
  const from = clients.length
  await fill(occupants)
  const joined = process.cpuUsage(before)
  for (let i = 0; i < 100; i++) await nextTurn()
  const measured = []
  const messages = Math.ceil(200_000 / occupants)
  for (let repetition = 0; repetition < 7; repetition++) {
    const start = process.cpuUsage()
    const already = received()
    for (let i = 0; i < messages; i++) {
      clients[i % occupants].say(clients[i % occupants].message)
      await nextTurn()
      if (i % 4 === 3) discard()
    }
    await until(() => received() - already >= messages * occupants)
    const { user, system } = process.cpuUsage(start)
    discard()
    measured.push((user + system) / (messages * occupants))
  }
  measured.splice(0, 2)
  measured.sort((a, b) => a - b)
  console.log(
    `muc, ${occupants} occupants: ${measured[2].toFixed(2)} µs CPU per delivery ` +
      `(median of ${measured.length}, ${measured[0].toFixed(2)} to ${measured.at(-1).toFixed(2)}); ` +
      `${((joined.user + joined.system) / (occupants - from) / 1000).toFixed(2)} ms per occupant that enters`,
  )
}
process.exit(0)
