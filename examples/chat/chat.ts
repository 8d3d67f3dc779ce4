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
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Actor, type ActorInit, type Runtime, spawnActor } from 'meerkat-xmpp/actors'

const longLived = { restarts: 5, withinMs: 10_000 }
const LONGEST_LINE = 1024
/** Bytes that may wait for a peer who reads slowly. */
const MOST_UNREAD = 65_536

/** Where the newest incarnations are. */
interface Place {
  room: Room | undefined
  acceptor: Acceptor | undefined
  /** Known as soon as the port listens. */
  address: AddressInfo | undefined
}

export class Chat extends Actor<never> {
  readonly place: Place = { room: undefined, acceptor: undefined, address: undefined }
  readonly #port: number

  constructor(init: ActorInit, port: number) {
    super(init)
    this.#port = port
  }

  protected override started() {
    const { place } = this
    spawnActor(this, init => new Room(init, place), { name: 'room', policy: longLived })
    spawnActor(this, init => new Acceptor(init, place), { name: 'acceptor', policy: longLived })
    spawnActor(this, init => new Port(init, place, this.#port), { name: 'port', policy: longLived })
  }

  protected override receive() {}
}

type RoomMessage =
  | { type: 'joined'; member: Connection }
  | { type: 'left'; member: Connection }
  | { type: 'said'; member: Connection; line: string }

class Room extends Actor<RoomMessage> {
  readonly members = new Set<Connection>()
  readonly #place: Place

  constructor(init: ActorInit, place: Place) {
    super(init)
    this.#place = place
  }

  /** A restarted one is another actor: it says where it is, and asks who is there. */
  protected override started() {
    this.#place.room = this
    this.#place.acceptor?.tell({ type: 'roomOpened' })
  }

  protected override receive(message: RoomMessage) {
    const { type, member } = message
    if (type === 'joined') this.members.add(member)
    if (type === 'left') this.members.delete(member)
    if (type !== 'said') return
    for (const other of this.members) if (other !== member) other.tell({ type: 'line', line: message.line })
  }
}

type AcceptorMessage = { type: 'accepted'; socket: Socket } | { type: 'roomOpened' }

class Acceptor extends Actor<AcceptorMessage> {
  readonly #place: Place
  #count = 0

  constructor(init: ActorInit, place: Place) {
    super(init)
    this.#place = place
  }

  protected override started() {
    this.#place.acceptor = this
  }

  protected override receive(message: AcceptorMessage) {
    if (message.type === 'accepted') {
      this.#count += 1
      spawnActor(this, init => new Connection(init, message.socket, this.#place), { name: String(this.#count) })
    } else {
      for (const child of this.children.values()) if (child instanceof Connection) child.tell({ type: 'join' })
    }
  }
}

type ConnectionMessage = { type: 'join' } | { type: 'line'; line: string } | { type: 'text'; text: string }

class Connection extends Actor<ConnectionMessage> {
  readonly #socket: Socket
  readonly #place: Place
  /** The beginning of a line. */
  #rest = ''

  constructor(init: ActorInit, socket: Socket, place: Place) {
    super(init)
    this.#socket = socket
    this.#place = place
  }

  protected override started() {
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (text: string) => {
      // One chunk at a time: who writes fast waits for the actor.
      this.#socket.pause()
      this.tell({ type: 'text', text })
    })
    this.#socket.on('error', () => undefined) // `close` follows
    this.#socket.on('close', () => this.stop('closed'))
    this.#place.room?.tell({ type: 'joined', member: this })
  }

  protected override receive(message: ConnectionMessage) {
    if (message.type === 'join') this.#place.room?.tell({ type: 'joined', member: this })
    if (message.type === 'line') this.#write(message.line)
    if (message.type === 'text') this.#read(message.text)
  }

  #write(line: string) {
    if (this.#socket.writableLength > MOST_UNREAD) this.stop('too slow')
    else this.#socket.write(`${line}\n`)
  }

  #read(text: string) {
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
  protected override stopped() {
    this.#place.room?.tell({ type: 'left', member: this })
    this.#socket.destroy()
  }
}

class Port extends Actor<never> {
  readonly #place: Place
  readonly #port: number
  #server: Server | undefined

  constructor(init: ActorInit, place: Place, port: number) {
    super(init)
    this.#place = place
    this.#port = port
  }

  /** Binding is waited for; should it fail, the actor fails, and its supervisor tries again. */
  protected override async started() {
    const server = createServer(socket => {
      if (!this.#place.acceptor?.tell({ type: 'accepted', socket })) socket.destroy()
    })
    this.#server = server
    server.on('error', error => server.listening && console.error(error)) // of one socket
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#place.address = server.address() as AddressInfo // a port, not a path
  }

  protected override receive() {}

  protected override stopped() {
    this.#server?.close()
  }
}

/** Spawns the chat below root of a runtime. `place.address` is set as soon as it listens. */
export const startChat = (runtime: Runtime, port: number): Chat =>
  spawnActor(runtime.root, init => new Chat(init, port), { name: 'chat', policy: 'escalate' })
