/*
 * A chat for `nc localhost 4000`, a line a message, on the actors of Meerkat alone: no XMPP here.
 *
 *   /root/chat               restarts its children, at most five times in ten seconds each
 *   /root/chat/room          knows who is there, and tells everybody what one says
 *   /root/chat/acceptor      owns the connections; one that crashes ends alone
 *   /root/chat/acceptor/1    one socket
 *   /root/chat/port          the port
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Actor, spawnActor } from 'meerkat-xmpp/actors'

const longLived = { restarts: 5, withinMs: 10_000 }
const LONGEST_LINE = 1024
/** Bytes that may wait for a peer who reads slowly. */
const MOST_UNREAD = 65_536

export class Chat extends Actor {
  place = { room: undefined, acceptor: undefined, address: undefined }
  #port

  constructor(init, port) {
    super(init)
    this.#port = port
  }

  started() {
    const { place } = this
    spawnActor(this, init => new Room(init, place), { name: 'room', policy: longLived })
    spawnActor(this, init => new Acceptor(init, place), { name: 'acceptor', policy: longLived })
    spawnActor(this, init => new Port(init, place, this.#port), { name: 'port', policy: longLived })
  }

  receive() {}
}

class Room extends Actor {
  members = new Set()
  #place

  constructor(init, place) {
    super(init)
    this.#place = place
  }

  /** A restarted one is another actor: it says where it is, and asks who is there. */
  started() {
    this.#place.room = this
    this.#place.acceptor?.tell({ type: 'roomOpened' })
  }

  receive(message) {
    const { type, member } = message
    if (type === 'joined') this.members.add(member)
    if (type === 'left') this.members.delete(member)
    if (type !== 'said') return
    for (const other of this.members) if (other !== member) other.tell({ type: 'line', line: message.line })
  }
}

class Acceptor extends Actor {
  #place
  #count = 0

  constructor(init, place) {
    super(init)
    this.#place = place
  }

  started() {
    this.#place.acceptor = this
  }

  receive(message) {
    if (message.type === 'accepted') {
      this.#count += 1
      spawnActor(this, init => new Connection(init, message.socket, this.#place), { name: String(this.#count) })
    } else {
      for (const child of this.children.values()) if (child instanceof Connection) child.tell({ type: 'join' })
    }
  }
}

class Connection extends Actor {
  #socket
  #place
  /** The beginning of a line. */
  #rest = ''

  constructor(init, socket, place) {
    super(init)
    this.#socket = socket
    this.#place = place
  }

  started() {
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', text => {
      // One chunk at a time: who writes fast waits for the actor.
      this.#socket.pause()
      this.tell({ type: 'text', text })
    })
    this.#socket.on('error', () => undefined) // `close` follows
    this.#socket.on('close', () => this.stop('closed'))
    this.#place.room?.tell({ type: 'joined', member: this })
  }

  receive(message) {
    if (message.type === 'join') this.#place.room?.tell({ type: 'joined', member: this })
    if (message.type === 'line') this.#write(message.line)
    if (message.type === 'text') this.#read(message.text)
  }

  #write(line) {
    if (this.#socket.writableLength > MOST_UNREAD) this.stop('too slow')
    else this.#socket.write(`${line}\n`)
  }

  #read(text) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    // A fault of this connection alone: the acceptor lets it end.
    if (this.#rest.length > LONGEST_LINE) throw new Error('a line is too long')
    for (const said of lines) {
      this.#place.room?.tell({ type: 'said', member: this, line: `${this.name}: ${said}` })
    }
    this.#socket.resume()
  }

  /** However it ends: a stop, a fault, the peer's going. */
  stopped() {
    this.#place.room?.tell({ type: 'left', member: this })
    this.#socket.destroy()
  }
}

class Port extends Actor {
  #place
  #port
  #server

  constructor(init, place, port) {
    super(init)
    this.#place = place
    this.#port = port
  }

  /** Binding is waited for; should it fail, the actor fails, and its supervisor tries again. */
  async started() {
    const server = createServer(socket => {
      if (!this.#place.acceptor?.tell({ type: 'accepted', socket })) socket.destroy()
    })
    this.#server = server
    server.on('error', error => server.listening && console.error(error)) // of one socket
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#place.address = server.address() // a port, not a path
  }

  receive() {}

  stopped() {
    this.#server?.close()
  }
}

/** Spawns the chat below root of a runtime. `place.address` is set as soon as it listens. */
export const startChat = (runtime, port) =>
  spawnActor(runtime.root, init => new Chat(init, port), { name: 'chat', policy: 'escalate' })
