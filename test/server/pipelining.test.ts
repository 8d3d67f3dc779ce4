import { describe, expect, it } from 'vitest'
import { connectionOf, session, startedServer } from '../support/server.js'

const ping = (id: number) => `<iq type="get" id="${id}" to="localhost"><ping xmlns="urn:xmpp:ping"/></iq>`
const numbers = Array.from({ length: 3_000 }, (_, i) => i)

describe('a client that sends much at once', () => {
  it('gets every answer, in order, however few stanzas may wait for it (§1.10)', async () => {
    const server = await startedServer({ users: ['romeo'], listener: { max_fsm_queue: 10 } })
    const romeo = await session(server, 'romeo')
    await romeo.send(numbers.map(ping).join(''))
    for (const id of numbers) expect((await romeo.receivesNext()).attrs).toMatchObject({ id: `${id}` })
  })

  it('gets the errors too, when each stanza has to wait for the store', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'], listener: { max_fsm_queue: 10 } })
    const romeo = await session(server, 'romeo')
    await romeo.send(
      numbers.map(id => `<message to="juliet@localhost" type="chat" id="${id}"><body/></message>`).join(''),
    )
    // 100 messages wait for juliet; the others are refused.
    for (const id of numbers.slice(100))
      expect((await romeo.receivesNext()).attrs).toMatchObject({ type: 'error', id: `${id}` })
  })

  it('is not read faster than its stanzas are handled', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const romeo = await session(server, 'romeo')
    const message = `<message to="juliet@localhost" type="chat"><body>${'x'.repeat(16_000)}</body></message>`
    await romeo.send(message.repeat(1_000))
    await romeo.settled()
    expect(connectionOf(server, romeo).mailboxPeak).toBeLessThan(20)
  })

  it('has said what it said before it left', async () => {
    const server = await startedServer({ users: ['romeo', 'juliet'] })
    const [romeo, juliet] = [await session(server, 'romeo'), await session(server, 'juliet')]
    await romeo.send(numbers.map(id => `${ping(id)}<message to="${juliet.jid}" id="${id}"/>`).join(''))
    romeo.socket.end()
    for (const id of numbers) expect((await juliet.receivesNext()).attrs.id).toBe(`${id}`)
  })
})
