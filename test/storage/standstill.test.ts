import { expect, it } from 'vitest'
import { bringToStand, rest, standstill, unlessStopped } from '../../src/storage/sqlite/standstill.js'

it('lets a worker work until it is brought to a stand, and not afterwards', () => {
  const state = standstill()
  const done: string[] = []
  rest(state)
  unlessStopped(state, () => done.push('first'))
  unlessStopped(state, () => done.push('second'))
  bringToStand(state, 1_000)
  unlessStopped(state, () => done.push('third'))
  expect(done).toEqual(['first', 'second'])
})

it('waits for a worker that opens the database, as long as it was told, and not for one whose work threw', () => {
  const state = standstill()
  const begun = performance.now()
  bringToStand(state, 20)
  expect(performance.now() - begun).toBeGreaterThanOrEqual(20)
  const another = standstill()
  const broken = () => {
    throw new Error('broken')
  }
  expect(() => unlessStopped(another, broken)).toThrow('broken')
  bringToStand(another, 60_000) // Would wait for a minute if it still counted as working.
})
