import { describe, expect, it } from 'vitest'
import { Gathering } from '../../src/transports/gathering.js'
import { ManualClock } from '../support/clock.js'

describe('the gathering at the start of streams', () => {
  const setUp = () => {
    const clock = new ManualClock()
    const gathered: string[] = []
    const target = (name: string) => ({ gathered: () => void gathered.push(`${name} ${clock.now()}`) })
    return { clock, gathered, target, gathering: new Gathering(clock, 10) }
  }

  it('B-5: has one timer for all, and gives each its whole time', () => {
    const { clock, gathered, target, gathering } = setUp()
    gathering.add(target('one'))
    clock.advance(4)
    for (const name of ['two', 'three']) gathering.add(target(name))
    expect(clock.pending).toBe(1)
    clock.advance(6)
    expect(gathered).toEqual(['one 10'])
    clock.advance(3)
    expect(gathered).toEqual(['one 10'])
    clock.advance(1)
    expect(gathered).toEqual(['one 10', 'two 14', 'three 14'])
    expect(clock.pending).toBe(0)
  })

  it('takes one that comes back at once', () => {
    const { clock, gathered, target, gathering } = setUp()
    const again = { gathered: () => gathering.add(target('again')) }
    gathering.add(again)
    clock.advance(10)
    expect(clock.pending).toBe(1)
    clock.advance(10)
    expect(gathered).toEqual(['again 20'])
  })

  it('forgets everybody when it stops', () => {
    const { clock, gathered, target, gathering } = setUp()
    gathering.add(target('one'))
    gathering.stop()
    clock.advance(100)
    expect(gathered).toEqual([])
  })
})
