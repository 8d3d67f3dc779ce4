import { describe, expect, it } from 'vitest'
import { Rooms } from '../../src/modules/muc-light-rooms.js'
import {
  affiliate,
  type OccupantChange,
  type Room,
  type RoomChange,
  type RoomRules,
} from '../../src/protocols/muc-light.js'
import { MemoryStore } from '../support/memory-store.js'

/*
 * Two nodes that serve one room: nothing between them but the store.
 */

const service = 'muclight.x'
const fields = [{ field: 'roomname', value: 'Untitled', key: 'stored_name', type: 'binary' as const }]
const rules: RoomRules = {
  equalOccupants: false,
  allCanConfigure: false,
  allCanInvite: false,
  maxOccupants: Number.POSITIVE_INFINITY,
  fields,
}

const room = (...jids: string[]): Room => ({
  version: 'v0',
  configuration: new Map([['roomname', 'Tea']]),
  occupants: jids.map((jid, index) => ({ jid, affiliation: index === 0 ? 'owner' : 'member' })),
})

async function twoNodes(roomsPerUser = Number.POSITIVE_INFINITY) {
  const store = new MemoryStore()
  const nodes = [1, 2].map(() => new Rooms(store.mucLight, service, fields, roomsPerUser))
  const [here, there] = nodes as [Rooms, Rooms]
  expect(await here.create('tea', room('alice@x', 'hare@x'))).toBe('done')
  return { store, here, there }
}

let versions = 0
const nextVersion = () => {
  versions += 1
  return `v${versions}`
}

const add = (jid: string) => (found: Room | undefined) =>
  found && affiliate(found, [{ jid, affiliation: 'member' }], rules, nextVersion())
const ignore = () => {}

describe('the rooms of a service that two nodes serve', () => {
  it('are what the other node made of them, right after the change', async () => {
    const { here, there } = await twoNodes()
    await there.find('tea')
    await here.change('tea', add('hatter@x'), ignore)
    const found = await there.find('tea')
    expect(found?.occupants.map(({ jid }) => jid)).toEqual(['alice@x', 'hare@x', 'hatter@x'])
    expect(await here.find('tea')).toEqual(found)
    await there.change<never>('tea', before => before && { before, after: undefined, changes: [] }, ignore)
    expect(await here.find('tea')).toBeUndefined()
    expect(await here.create('tea', room('queen@x'))).toBe('done')
    expect((await there.find('tea'))?.occupants).toEqual(room('queen@x').occupants)
  })

  it('lose no change that both make at one time, and their versions chain', async () => {
    const { here, there } = await twoNodes()
    const made: RoomChange<OccupantChange>[] = []
    const changes = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? here : there).change('tea', add(`guest${index}@x`), change => made.push(change)),
    )
    await Promise.all(changes)
    expect((await here.find('tea'))?.occupants).toHaveLength(22)
    const after = new Map(made.map(change => [change.before.version, change.after?.version]))
    expect(after.size).toBe(20)
    let version: string | undefined = 'v0'
    for (let at = 0; at < 20; at += 1) version = version === undefined ? undefined : after.get(version)
    expect(version).toBe((await here.find('tea'))?.version)
  })

  it('do not read the occupants again for as long as the version stands', async () => {
    const { here } = await twoNodes()
    const first = await here.findSettled('tea')
    const second = await here.findSettled('tea')
    expect(second?.addressees).toBe(first?.addressees)
    expect(first?.addressees.map(String)).toEqual(['alice@x', 'hare@x'])
  })

  it('are asked for only when changes under way are done', async () => {
    const { store, here } = await twoNodes()
    const order: string[] = []
    let open = ignore
    store.gate = new Promise(resolve => {
      open = resolve
    })
    const changed = here.change('tea', add('hatter@x'), () => order.push('changed'))
    const found = here.findSettled('tea').then(after => order.push(`found ${after?.addressees.length}`))
    open()
    await Promise.all([changed, found])
    expect(order).toEqual(['changed', 'found 3'])
  })

  it('go on after a change that failed', async () => {
    const { store, here } = await twoNodes()
    store.isFailing = true
    await expect(here.change('tea', add('hatter@x'), ignore)).rejects.toHaveProperty('name', 'StoreUnavailable')
    store.isFailing = false
    await here.change('tea', add('queen@x'), ignore)
    expect((await here.find('tea'))?.occupants.map(({ jid }) => jid)).toEqual(['alice@x', 'hare@x', 'queen@x'])
  })

  it('are asked anew whom to add when somebody gets into too many rooms meanwhile', async () => {
    const { here, there } = await twoNodes(1)
    let asked = 0
    await here.change(
      'tea',
      async found => {
        asked += 1
        if (asked > 1) return undefined
        await there.create('coffee', room('hatter@x'))
        return add('hatter@x')(found)
      },
      () => expect.unreachable(),
    )
    expect(asked).toBe(2)
  })

  it('have their values under the names of the store, and defaults where the store has none', async () => {
    const { store, here } = await twoNodes()
    expect(await store.mucLight.load(service, 'tea')).toMatchObject({ configuration: { stored_name: 'Tea' } })
    const more = [...fields, { field: 'size', value: 3, key: 'size', type: 'integer' as const }]
    const later = new Rooms(store.mucLight, service, more, Number.POSITIVE_INFINITY)
    expect([...(await later.find('tea'))!.configuration]).toEqual([
      ['roomname', 'Tea'],
      ['size', 3],
    ])
    expect((await here.roomsOf('alice@x', { limit: 9 }))?.rooms).toEqual([
      { jid: `tea@${service}`, name: 'Tea', version: 'v0', configuration: new Map([['roomname', 'Tea']]) },
    ])
  })
})
