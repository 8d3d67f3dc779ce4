import { once } from 'node:events'
import net from 'node:net'
import { onTestFinished } from 'vitest'
import { RawConnection } from './server.js'

/*
 * Another XMPP server that says what a test tells it to, right or wrong.
 */

const namespaces = `xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'`

/** A stream header between servers. */
export const serverHeader = (attributes: string, declarations = namespaces) =>
  `<?xml version='1.0'?><stream:stream ${declarations} ${attributes}>`

/** Takes what a server of ours opens. */
export class RemoteServer {
  /** All that came, in order. */
  readonly connections: RawConnection[] = []
  #taken = 0
  readonly #wake = new Set<() => void>()

  private constructor(
    private readonly server: net.Server,
    readonly port: number,
  ) {}

  /** Listens until the running test ends. With `greet`, each connection is handed to it at once. */
  static async open(greet: (connection: RawConnection) => void = () => {}, port = 0): Promise<RemoteServer> {
    const server = net.createServer({ allowHalfOpen: true })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const remote = new RemoteServer(server, (server.address() as net.AddressInfo).port) // never a path
    server.on('connection', socket => {
      const connection = RawConnection.of(socket)
      socket.on('end', () => socket.end())
      remote.connections.push(connection)
      greet(connection)
      for (const wake of remote.#wake) wake()
      remote.#wake.clear()
    })
    onTestFinished(() => {
      remote.close()
    })
    return remote
  }

  /** The next connection that no test has taken yet. */
  async next(): Promise<RawConnection> {
    const deadline = AbortSignal.timeout(10_000)
    while (this.connections.length <= this.#taken) {
      await new Promise<void>((resolve, reject) => {
        deadline.addEventListener('abort', () => reject(new Error('nobody connected')))
        this.#wake.add(resolve)
      })
    }
    return this.connections[this.#taken++]! // the length was looked at
  }

  close(): void {
    this.server.close()
    for (const { socket } of this.connections) socket.destroy()
  }
}

/** Answers the header of a stream from `domain`, without features. */
export async function answerHeader(connection: RawConnection, domain: string, id = 'remote-id'): Promise<void> {
  await connection.until('<stream:stream')
  await connection.send(serverHeader(`from='${domain}' id='${id}'`))
}
