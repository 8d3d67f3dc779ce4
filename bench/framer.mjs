// What reading, forwarding and building trees costs, in µs of CPU time per stanza. Run `npm run build` first.

import { Jid } from '../dist/protocols/jid.js'
import { Stanza } from '../dist/protocols/stanza/stanza.js'
import { Framer } from '../dist/protocols/xml/framer.js'
import { splice } from '../dist/protocols/xml/splice.js'
import { buildElement } from '../dist/protocols/xml/tree.js'

const rounds = 7

/** A text of exactly `length` bytes: the template with its `%` replaced by filler. */
function sized(length, template) {
  const words = 'But soft, what light through yonder window breaks? It is the east, and Juliet is the sun. '
  return template.replace('%', words.repeat(20).slice(0, length - Buffer.byteLength(template) + 1))
}

const message =
  "<message to='juliet@capulet.example/balcony' type='chat' id='c81a63f2' xml:lang='en'><body>%</body>" +
  "<active xmlns='http://jabber.org/protocol/chatstates'/><origin-id xmlns='urn:xmpp:sid:0' id='c81a63f2'/></message>"
const presence =
  "<presence id='p1'><show>away</show><status>%</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' " +
  "node='https://client.example/caps' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
const item = i =>
  `<item jid='contact${i}@montague.example' name='Contact number ${i}' subscription='both'><group>Friends</group></item>`
const roster = `<iq type='result' id='r1'><query xmlns='jabber:iq:roster' ver='ver7'>${Array.from({ length: 100 }, (_, i) => item(100 + i)).join('')}</query></iq>`

const samples = {
  'message 306 B': sized(306, message),
  'message 921 B': sized(921, message),
  'presence with caps 252 B': sized(252, presence),
  'message 306 B, Cyrillic': sized(306, message).replace(/But soft, what light/, 'Но что за блеск я вижу'),
  'message, xml:lang and entities': sized(306, message.replace('%', '&lt;3 &amp; %')),
  [`roster ${roster.length} B`]: roster,
}

const header =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='x' version='1.0'>"

function opened() {
  const framer = new Framer({ element: 8_000_000 })
  framer.feed(Buffer.from(header))
  framer.next()
  return framer
}

const slab = Buffer.alloc(65_536)
const romeo = Jid.parse('romeo@montague.example/orchard')
const envelope = { from: 'romeo@montague.example/orchard' }
let sink = 0

// The yardstick: the machine's own pace, as one look at each byte of 306.
const letters = Buffer.alloc(306, 'a')
function yardstick() {
  let or = 0
  for (let i = 0; i < letters.length; i++) or |= letters[i]
  sink += or
}

const work = {
  frame(framer, chunk) {
    framer.feed(chunk)
    sink += framer.next().end
    framer.next()
  },
  'frame, to, splice'(framer, chunk) {
    framer.feed(chunk)
    const frame = framer.next()
    sink += frame.to?.length ?? 0
    sink += splice(frame, envelope, slab, 0)
    framer.next()
  },
  'frame, stanza, encode'(framer, chunk) {
    framer.feed(chunk)
    const stanza = Stanza.fromFrame(framer.next(), romeo)
    sink += stanza.toText?.length ?? 0
    sink += stanza.encodedLength()
    sink += stanza.encode(slab, 0)
    framer.next()
  },
  'frame, in two halves'(framer, chunk) {
    framer.feed(chunk.subarray(0, chunk.length >> 1))
    framer.next()
    framer.feed(chunk.subarray(chunk.length >> 1))
    sink += framer.next().end
    framer.next()
  },
  'frame, tree'(framer, chunk) {
    framer.feed(chunk)
    sink += buildElement(framer.next()).children.length
    framer.next()
  },
}

const median = values => values.sort((a, b) => a - b)[values.length >> 1]

function measure(run, chunk) {
  const framer = opened()
  const count = Math.ceil(20_000_000 / (chunk.length + 50))
  for (let i = 0; i < count / 4; i++) run(framer, chunk)
  const costs = []
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < count; i++) run(framer, chunk)
    const { user, system } = process.cpuUsage(before)
    costs.push((user + system) / count)
  }
  return median(costs)
}

console.log(`yardstick ${measure(yardstick, letters).toFixed(2)}`)
for (const [name, text] of Object.entries(samples)) {
  const chunk = Buffer.from(text)
  const cells = Object.entries(work).map(([task, run]) => {
    const cost = measure(run, chunk)
    return `${task} ${cost.toFixed(2)} (${(chunk.length / cost).toFixed(0)} MB/s)`
  })
  console.log(`${name.padEnd(32)} ${cells.join('   ')}`)
}
if (sink === 0) throw new Error('nothing was done')
