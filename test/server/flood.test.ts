import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import {
  actorsOfKind,
  clientOf,
  eventually,
  RawConnection,
  session,
  sharedServer,
  startedServer,
  streamHeader,
} from '../support/server.js'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Bytes that this process holds, garbage excepted; what the clients remember is among them. */
async function held(): Promise<number> {
  // The memory of buffers comes back behind the collection.
  for (let i = 0; i < 2; i++) {
    collect()
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  // `external` has the buffers in it.
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The most that is held, above what was held before, when the work says so and at its end. */
async function growth(work: (look: () => Promise<void>) => Promise<unknown>): Promise<number> {
  const before = await held()
  let most = 0
  const look = async () => {
    most = Math.max(most, (await held()) - before)
  }
  await work(look)
  await look()
  return most
}

const MB = 1_000_000

async function servesTheNext(server: { port: number }): Promise<void> {
  const client = await session(server, 'romeo', { mechanism: 'PLAIN', within: 5_000 })
  await client.settled()
  client.drop()
}

describe('a flood of bytes (§6 item 6)', () => {
  const server = sharedServer({ users: ['romeo'] })
  const beforeLogin = async () => {
    const client = await clientOf(server())
    await client.open()
    return client
  }
  const inSession = () => session(server(), 'romeo', { mechanism: 'PLAIN' })
  const phases = [
    ['before the login', beforeLogin],
    ['in a session', inSession],
  ] as const

  type Send = (bytes: Buffer) => Promise<boolean>

  /** Sends so many bytes of the filler, or until the connection is gone, and looks now and then. */
  async function pour(send: Send, filler: Buffer, look: () => Promise<void>, total = 50 * MB) {
    for (let sent = 0; sent < total; sent += filler.length) {
      if (!(await send(filler))) return
      if (sent % (16 * MB) < filler.length) await look()
    }
  }

  it.each(phases)(
    '50 MB of a tag that never ends %s: policy-violation, memory flat, the next is served',
    async (_, connect) => {
      const most = await growth(async look => {
        const client = await connect()
        await client.send("<message to='")
        await pour(bytes => client.sendBytes(bytes), Buffer.alloc(262_144, 'x'), look)
        const error = await client.receives('<stream:error/>')
        expect(error.getChild('policy-violation')).toBeDefined()
        expect(error.getChildText('text')).toBe('child element too big')
        client.drop()
      })
      expect(most).toBeLessThan(30 * MB)
      await servesTheNext(server())
    },
  )

  it.each(phases)(
    '100 000 levels of nesting %s: policy-violation, memory flat, the next is served',
    async (_, connect) => {
      const most = await growth(async look => {
        const client = await connect()
        void client.send('<a>'.repeat(100_000))
        await client.receives('<stream:error/>')
        await look()
        client.drop()
      })
      expect(most).toBeLessThan(30 * MB)
      await servesTheNext(server())
    },
  )

  it.each(phases)('5 000 nested tags, all closed, %s: policy-violation', async (_, connect) => {
    const client = await connect()
    void client.send(`${'<a>'.repeat(5_000)}${'</a>'.repeat(5_000)}`)
    await client.streamError('policy-violation')
    await servesTheNext(server())
  })

  it('20 MB of white space between stanzas costs nothing and ends nothing', async () => {
    const client = await inSession()
    const most = await growth(look =>
      pour(bytes => client.sendBytes(bytes), Buffer.alloc(262_144, ' \n'), look, 20 * MB),
    )
    expect(most).toBeLessThan(30 * MB)
    await client.receivesNothing()
  })

  it('20 MB after the end of the stream are thrown away', async () => {
    const raw = await RawConnection.open(server().port, { allowHalfOpen: true })
    await raw.send(`${streamHeader()}<a></b>`)
    await raw.until('</stream:stream>')
    const most = await growth(look => pour(bytes => raw.send(bytes), Buffer.alloc(262_144, 'x'), look, 20 * MB))
    expect(most).toBeLessThan(30 * MB)
    await servesTheNext(server())
  })

  it('random bytes end the connection, whatever they are, and the next is served', async () => {
    // Made of a counter, so that a failure comes again.
    const bytes = (seed: number) => createHash('sha512').update(`seed ${seed}`).digest()
    for (let seed = 0; seed < 60; seed++) {
      const raw = await RawConnection.open(server().port)
      const start = ['', streamHeader(), `${streamHeader()}<message>`][seed % 3]!
      await raw.send(Buffer.concat([Buffer.from(start), bytes(seed), Buffer.from('<>')]))
      expect(await raw.closed()).toMatch(/<stream:error>.*<\/stream:error><\/stream:stream>$/)
    }
    await servesTheNext(server())
  })

  it('random bytes inside a session end it alone', async () => {
    const other = await session(server(), 'romeo', { resource: 'other' })
    for (let seed = 0; seed < 10; seed++) {
      const client = await session(server(), 'romeo', { resource: 'x', mechanism: 'PLAIN' })
      const noise = createHash('sha512').update(`session ${seed}`).digest()
      await client.sendBytes(Buffer.concat([Buffer.from('<message><body>'), noise, Buffer.from('</a>')]))
      await client.receives('<stream:error/>')
      await client.closed()
    }
    await other.settled()
  })
})

describe('1 000 half-open connections (§6 item 6)', () => {
  it('are held at little cost, keep nobody out, and are all gone with their peers', async () => {
    const server = await startedServer({ users: ['romeo'] })
    const connections: RawConnection[] = []
    const most = await growth(async () => {
      const open = async (i: number) => {
        const raw = await RawConnection.open(server.port)
        const part = ['', '<stream:stream', streamHeader(), `${streamHeader()}<message><body>`][i % 4]!
        if (part !== '') await raw.send(part)
        connections.push(raw)
      }
      for (let i = 0; i < 1_000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => open(i + j)))
      await eventually(() => server.status().connections === 1_000)
      await servesTheNext(server)
    })
    // Both ends are in this process.
    expect(most).toBeLessThan(40 * MB)
    for (const { socket } of connections) socket.destroy()
    await eventually(() => server.status().connections === 0)
    expect(actorsOfKind(server, 'Connection')).toEqual([])
    await servesTheNext(server)
  })
})
