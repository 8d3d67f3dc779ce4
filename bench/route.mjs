// What a routed message costs without sockets: bytes -> framer -> stanza -> hooks and router -> the recipient's output.
//   npm run build && node bench/route.mjs
import { Jid } from '../dist/protocols/jid.js'
import { Stanza } from '../dist/protocols/stanza/stanza.js'
import { Framer } from '../dist/protocols/xml/framer.js'
import { handleClientStanza } from '../dist/routing/client-stanzas.js'
import { createRouting } from '../dist/routing/router.js'
import { SessionRegistry } from '../dist/sessions/registry.js'
import { Rosters } from '../dist/sessions/rosters.js'
import { Output, returnSlab } from '../dist/transports/output.js'

const users = 200
const batch = 4
const rounds = 20_000

const sessions = new SessionRegistry()
const unused = () => {
  throw new Error('not asked for here')
}
const routing = createRouting({
  hosts: ['bench.example'],
  sessions,
  rosters: new Rosters({ load: unused, update: unused }),
  accounts: { exists: () => true },
  onBug: error => {
    throw error
  },
})

class Client {
  priority = 0
  presence = undefined
  isInterested = false
  directed = undefined
  node = 'local'
  output = new Output()
  framer = new Framer({ element: 8_000_000 })
  constructor(i) {
    this.jid = Jid.of(`u${i}`, 'bench.example', 'r')
    this.framer.feed(
      Buffer.from(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='bench.example' version='1.0'>",
      ),
    )
    this.framer.next()
    this.framer.next()
    const message =
      `<message to='u${i ^ 1}@bench.example/r' type='chat' id='m${i}'><body>${'x'.repeat(170)}</body>` +
      "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    this.chunk = Buffer.from(message.repeat(batch))
    this.bytes = message.length
  }
  deliver(stanza) {
    const slab = this.output.reserve(stanza.encodedLength())
    this.output.wrote(slab, stanza.encode(slab.bytes, slab.used))
    return true
  }
  end() {}
}

const clients = Array.from({ length: users }, (_, i) => new Client(i))
for (const client of clients) sessions.add(client)

function round() {
  for (const client of clients) {
    client.framer.feed(client.chunk)
    for (let frame = client.framer.next(); frame !== undefined; frame = client.framer.next()) {
      void handleClientStanza(routing, client, Stanza.fromFrame(frame, client.jid))
    }
  }
  for (const { output } of clients) for (const slab of output.take()) returnSlab(slab)
}

const measured = []
for (let repetition = 0; repetition < 7; repetition++) {
  const count = Math.ceil(rounds / users)
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) round()
  const { user, system } = process.cpuUsage(before)
  measured.push((user + system) / (count * users * batch))
}
measured.splice(0, 2)
measured.sort((a, b) => a - b)
console.log(
  `route: ${measured[2].toFixed(2)} µs CPU per message of ${clients[0].bytes} bytes, ${batch} in a chunk ` +
    `(median of ${measured.length}, ${measured[0].toFixed(2)} to ${measured.at(-1).toFixed(2)})`,
)
