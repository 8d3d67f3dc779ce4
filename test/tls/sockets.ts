import { createServer, type Server } from 'node:net'
import { type ConnectionOptions, connect, TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { ServerSecureContext } from '../../src/tls/context.js'

/** The path of a certificate in test/support/certificates. */
export const fixture = (name: string) => fileURLToPath(new URL(`../support/certificates/${name}.pem`, import.meta.url))

export interface Pair {
  server: TLSSocket
  client: TLSSocket
}

/** Both ends of one TLS connection while `use` runs. */
export async function withTls<T>(
  { context }: Pick<ServerSecureContext, 'context'>,
  client: ConnectionOptions,
  use: (pair: Pair) => T | Promise<T>,
): Promise<T> {
  const listener: Server = createServer()
  const sockets: TLSSocket[] = []
  try {
    const port = await new Promise<number>(resolve => {
      listener.listen(0, '127.0.0.1', () => {
        const address = listener.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    const accepted = new Promise<TLSSocket>((resolve, reject) => {
      listener.once('connection', raw => {
        const socket = new TLSSocket(raw, { isServer: true, secureContext: context })
        sockets.push(socket)
        socket.once('secure', () => resolve(socket)).once('error', reject)
      })
    })
    const connected = new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...client })
      sockets.push(socket)
      socket.once('secureConnect', () => resolve(socket)).once('error', reject)
    })
    const [serverEnd, clientEnd] = await Promise.all([accepted, connected])
    return await use({ server: serverEnd, client: clientEnd })
  } finally {
    for (const socket of sockets) {
      socket.on('error', () => socket.destroy()) // what happens after the test is nobody's business
      socket.destroy()
    }
    await new Promise(resolve => listener.close(resolve))
  }
}
