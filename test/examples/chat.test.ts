import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { createRuntime, type FaultEvent, inspect, type Runtime, stopTree } from 'meerkat-xmpp/actors'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startChat } from '../../examples/chat/chat.js'

/*
 * The chat and this test take the actors from the built package: two copies of the runtime do not meet.
 */

let runtime: Runtime
let port: number
const faults: FaultEvent[] = []
const sockets: Socket[] = []

beforeEach(async () => {
  runtime = createRuntime({ onFault: fault => void faults.push(fault) })
  const { place } = startChat(runtime, 0)
  await soon(() => expect(place.address).toBeDefined())
  port = place.address!.port
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await stopTree(runtime.root, 'shutdown')
  faults.splice(0)
})

const soon = (check: () => void) => vi.waitFor(check, { timeout: 10_000 })
const names = (path: string) => inspect(runtime, path)?.children?.items.map(({ name }) => name) ?? []

/** Somebody who is in the room. */
async function somebody() {
  const before = names('/root/chat/acceptor').length
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  await soon(() => expect(names('/root/chat/acceptor')).toHaveLength(before + 1))
  const lines = createInterface(socket)[Symbol.asyncIterator]()
  return { socket, say: (text: string) => socket.write(text), hears: async () => (await lines.next()).value }
}

describe('examples/chat', () => {
  it('tells everybody else what one says, line by line', async () => {
    const [one, two, three] = [await somebody(), await somebody(), await somebody()]
    one.say('hel')
    one.say('lo\nyou\n')
    for (const other of [two, three]) expect([await other.hears(), await other.hears()]).toEqual(['1: hello', '1: you'])
    two.say('yes\n')
    expect(await one.hears()).toBe('2: yes')
  })

  it('ends who writes too long a line, and nobody else', async () => {
    const [one, two, three] = [await somebody(), await somebody(), await somebody()]
    const gone = once(one.socket, 'close')
    one.say('x'.repeat(2_000))
    await gone
    expect(faults).toMatchObject([{ path: '/root/chat/acceptor/1', action: 'stop' }])
    two.say('still here\n')
    expect(await three.hears()).toBe('2: still here')
    expect(names('/root/chat/acceptor')).toEqual(['2', '3'])
  })

  it('makes a new room when the room fails, in which everybody is', async () => {
    const [one, two] = [await somebody(), await somebody()]
    const { place } = runtime.root.children.get('chat') as unknown as ReturnType<typeof startChat>
    const before = place.room
    runtime.fault('/root/chat/room', new Error('a bug in the room'))
    await soon(() => expect(place.room).not.toBe(before))
    await soon(() => expect(place.room?.members.size).toBe(2))
    one.say('hello\n')
    expect(await two.hears()).toBe('1: hello')
  })

  it('ends every connection and frees the port when the tree stops', async () => {
    const { socket } = await somebody()
    const gone = once(socket, 'close')
    await stopTree(runtime.root, 'shutdown')
    await gone
    const late = connect(port, '127.0.0.1')
    sockets.push(late)
    expect(await once(late, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }])
  })
})
