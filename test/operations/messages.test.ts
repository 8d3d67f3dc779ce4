import { describe, expect, it } from 'vitest'
import { recentMessages } from '../../src/operations/messages.js'
import type { OperationServices } from '../../src/operations/services.js'
import { archiveId } from '../../src/protocols/archive-id.js'
import { jid, world } from '../support/world.js'

const romeo = jid('romeo@montague.example')

/** An archive with so many messages, one in each millisecond from the first on. */
async function archive(messages: readonly string[]) {
  const { store } = world()
  for (const [index, xml] of messages.entries()) {
    const id = archiveId((index + 1) * 1000 + 999, '00000000')
    await store.archive.append({
      user: romeo.local,
      host: romeo.domain,
      id,
      contact: 'a@b',
      resource: '',
      xml: Buffer.from(xml),
    })
  }
  // The cast: reading asks for nothing else.
  return { store } as unknown as OperationServices
}

describe('the newest messages of an archive', () => {
  const numbered = (count: number, content = '') =>
    Array.from(
      { length: count },
      (_, index) => `<message id="${index + 1}" from="a@b/c" to="${romeo}">${content}</message>`,
    )
  const ids = async (services: OperationServices, wanted: { before?: number; limit: number }) =>
    (await recentMessages(services, romeo, wanted)).map(({ id }) => Number(id))
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

  it.each([
    [0, undefined, []],
    [1, undefined, [170]],
    [50, undefined, range(121, 170)],
    [51, undefined, range(120, 170)],
    [100, 120, range(21, 120)],
    [500, undefined, range(1, 170)],
    [500, 3, [1, 2, 3]],
    [500, 0, []],
    [2, 1e18, [169, 170]],
  ])('are found over pages: %d of them up to %s (RM-3)', async (limit, before, expected) => {
    const services = await archive(numbered(170))
    expect(await ids(services, { limit, ...(before !== undefined && { before }) })).toEqual(expected)
  })

  it('say when they came, and between whom, also where the stanza does not', async () => {
    const [found] = await recentMessages(await archive(['<message><body>x</body></message>']), romeo, { limit: 1 })
    expect(found).toMatchObject({ id: '', at: 1 })
    expect([found?.from.text, found?.to.text]).toEqual(['a@b', romeo.text])
  })

  it('are fewer where they are long', async () => {
    const services = await archive(numbered(120, `<body>${'x'.repeat(700_000)}</body>`))
    expect(await ids(services, { limit: 120 })).toEqual(range(71, 120))
  })
})
