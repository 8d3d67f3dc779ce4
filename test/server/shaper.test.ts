import { describe, expect, it } from 'vitest'
import type { TestServer } from '../../src/testing.js'
import type { Client } from '../support/client.js'
import { ManualClock } from '../support/clock.js'
import { connectionOf, drained, eventually, session, startedServer } from '../support/server.js'

const rules = {
  shaper: { slow: { max_rate: 1_000 }, fast: { max_rate: 20_000 } },
  acl: { admin: [{ user: 'friar' }], quick: [{ user: 'juliet' }] },
  access: {
    by_user: [
      { acl: 'admin', value: 'none' },
      { acl: 'quick', value: 'fast' },
      { acl: 'all', value: 'slow' },
    ],
    everybody_fast: [{ acl: 'all', value: 'fast' }],
    nobody: [{ acl: 'admin', value: 'slow' }],
  },
}

/** Milliseconds of a step: the wheel's. */
const STEP = 100

async function timed(shaper: string) {
  const clock = new ManualClock()
  const server = await startedServer({
    users: ['romeo', 'juliet', 'friar'],
    listener: { shaper },
    config: rules,
    clock,
  })
  /** Moves the clock, whenever the client's shaper pauses, step by step until it is so; the milliseconds that took. */
  const until = async (client: Client, isSo: () => boolean) => {
    const from = clock.now()
    for (;;) {
      await eventually(() => isSo() || detail(server, client, 'isShaped') === true)
      if (isSo()) return clock.now() - from
      if (clock.now() - from > 600_000) throw new Error('it did not come about in ten minutes of the clock')
      clock.advance(STEP)
      await drained(server)
    }
  }
  return { clock, server, until }
}

/** A stanza of so many bytes that the server has nothing to do with: the clock moves without waiting for the store. */
const stanza = (bytes: number) => {
  const around = `<iq type='result' id='1'><a></a></iq>`.length
  return `<iq type='result' id='1'><a>${'x'.repeat(bytes - around)}</a></iq>`
}
const stanzasIn = (server: TestServer, client: Client) => Number(connectionOf(server, client).details.stanzasIn)
const detail = (server: TestServer, client: Client, name: string) => connectionOf(server, client).details[name]

describe('shaper (§1.4, §2.4)', () => {
  it('names a rule whose value is the shaper: by full JID when the session opens, none for the admin', async () => {
    const { server } = await timed('by_user')
    const romeo = await session(server, 'romeo')
    const juliet = await session(server, 'juliet')
    const friar = await session(server, 'friar')
    expect(detail(server, romeo, 'rate')).toBe(1_000)
    expect(detail(server, juliet, 'rate')).toBe(20_000)
    expect(detail(server, friar, 'rate')).toBeUndefined()
  })

  it('limits nothing where the rule has no clause for the user', async () => {
    const { server } = await timed('nobody')
    const romeo = await session(server, 'romeo')
    expect(detail(server, romeo, 'rate')).toBeUndefined()
  })

  it('handles what overdraws the bucket first and reads nothing for as long as that takes', async () => {
    const { server, until } = await timed('by_user')
    const romeo = await session(server, 'romeo')
    const before = stanzasIn(server, romeo)
    // One piece of 4 kB on a full bucket of 1 kB: 3 s; the last kB comes after them.
    await romeo.send(stanza(4_000) + stanza(1_000))
    await eventually(() => stanzasIn(server, romeo) === before + 1)
    expect(detail(server, romeo, 'isShaped')).toBe(true)
    const ms = await until(romeo, () => stanzasIn(server, romeo) === before + 2)
    expect(ms).toBeGreaterThanOrEqual(3_000)
    expect(ms).toBeLessThanOrEqual(3_000 + 2 * STEP)
    expect(detail(server, romeo, 'shaperPauses')).toBe(2)
  })

  it('delivers a flood at the configured rate, five in a hundred more or less', async () => {
    const { server, until } = await timed('everybody_fast')
    const romeo = await session(server, 'romeo')
    const count = 500
    const size = 2_000
    const before = stanzasIn(server, romeo)
    void romeo.send(stanza(size).repeat(count))
    const ms = await until(romeo, () => stanzasIn(server, romeo) >= before + count)
    // The first second's worth comes at once.
    const rate = (count * size - 20_000) / (ms / 1000)
    expect(rate).toBeGreaterThan(20_000 * 0.95)
    expect(rate).toBeLessThan(20_000 * 1.05)
  })

  it('lets the first second of bytes through after a second of rest', async () => {
    const { server, until, clock } = await timed('by_user')
    const romeo = await session(server, 'romeo')
    await romeo.send(stanza(2_000))
    await eventually(() => detail(server, romeo, 'isShaped') === true)
    await until(romeo, () => detail(server, romeo, 'isShaped') === false)
    clock.advance(1_000)
    const pauses = detail(server, romeo, 'shaperPauses')
    const before = stanzasIn(server, romeo)
    await romeo.send(stanza(900))
    await eventually(() => stanzasIn(server, romeo) === before + 1)
    expect(detail(server, romeo, 'shaperPauses')).toBe(pauses)
  })

  it('slows one client and no other', async () => {
    const { server } = await timed('by_user')
    const romeo = await session(server, 'romeo')
    const friar = await session(server, 'friar')
    await romeo.send(stanza(9_000))
    await eventually(() => detail(server, romeo, 'isShaped') === true)
    await friar.send(stanza(90_000))
    await friar.settled()
  })

  it('counts from the first header on, and afresh with every stream: a login is not slowed by itself', async () => {
    const { server } = await timed('by_user')
    const romeo = await session(server, 'romeo')
    await romeo.settled()
    expect(detail(server, romeo, 'shaperPauses')).toBe(0)
  })
})
