import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Route, Routes } from '../../src/routing/routes.js'

/*
 * Who gets a domain, and who has to go for it. spec/listeners.md §3.3.4, §3.3.5
 */

/** A component that goes some turns after it is asked to, or never. */
class Owner implements Route {
  readonly kind = 'component'
  readonly node = 'local'
  evicted = 0

  constructor(
    private readonly routes: Routes,
    readonly domains: readonly string[],
    private readonly turns: number | 'never' = 0,
  ) {}

  deliver(): void {}

  async evict(): Promise<void> {
    this.evicted++
    if (this.turns === 'never') return
    for (let i = 0; i < this.turns; i++) await undefined
    this.go()
  }

  go(): void {
    this.routes.remove(this.domains, this)
  }
}

const service: Route = { kind: 'service', node: 'local', deliver() {} }
const always = () => true

describe('routes (§3.3.5)', () => {
  it('add several domains for all or for none', () => {
    const routes = new Routes(['localhost'])
    const one = new Owner(routes, ['a.localhost'])
    expect(routes.addAll(one.domains, one)).toBe(true)
    const other = new Owner(routes, ['b.localhost', 'a.localhost'])
    expect(routes.addAll(other.domains, other)).toBe(false)
    expect(routes.get('b.localhost')).toBeUndefined()
    expect(routes.addAll(['localhost'], other)).toBe(false)
  })

  it('remove what a route has and nothing of others', () => {
    const routes = new Routes(['localhost'])
    const one = new Owner(routes, ['a.localhost'])
    const other = new Owner(routes, ['b.localhost'])
    routes.addAll(one.domains, one)
    routes.addAll(other.domains, other)
    routes.remove(['a.localhost', 'b.localhost', 'c.localhost'], one)
    expect(routes.get('a.localhost')).toBeUndefined()
    expect(routes.get('b.localhost')).toBe(other)
  })

  it('are taken over from every owner, each asked once', async () => {
    const routes = new Routes(['localhost'])
    const wide = new Owner(routes, ['a.localhost', 'b.localhost'], 3)
    const narrow = new Owner(routes, ['c.localhost'])
    for (const owner of [wide, narrow]) routes.addAll(owner.domains, owner)
    const newcomer = new Owner(routes, ['a.localhost', 'b.localhost', 'c.localhost'])
    expect(await routes.takeOver(newcomer.domains, newcomer, always)).toBe(true)
    for (const domain of newcomer.domains) expect(routes.get(domain)).toBe(newcomer)
    expect([wide.evicted, narrow.evicted]).toEqual([1, 1])
  })

  it('are asked for three times of an owner that does not go', async () => {
    const routes = new Routes(['localhost'])
    const owner = new Owner(routes, ['a.localhost'], 'never')
    routes.addAll(owner.domains, owner)
    const newcomer = new Owner(routes, ['a.localhost'])
    expect(await routes.takeOver(newcomer.domains, newcomer, always)).toBe(false)
    expect(owner.evicted).toBe(3)
    expect(routes.get('a.localhost')).toBe(owner)
  })

  it('leave everybody alone when one of the names can never be had', async () => {
    const routes = new Routes(['localhost'])
    routes.add('vjud.localhost', service)
    const owner = new Owner(routes, ['a.localhost'])
    routes.addAll(owner.domains, owner)
    for (const never of ['vjud.localhost', 'localhost']) {
      const newcomer = new Owner(routes, ['a.localhost', never])
      expect(await routes.takeOver(newcomer.domains, newcomer, always)).toBe(false)
    }
    expect(owner.evicted).toBe(0)
    expect(routes.get('a.localhost')).toBe(owner)
  })

  it('are not given to one that went while it waited', async () => {
    const routes = new Routes(['localhost'])
    const owner = new Owner(routes, ['a.localhost'], 5)
    routes.addAll(owner.domains, owner)
    const newcomer = new Owner(routes, ['a.localhost'])
    let isThere = true
    const taking = routes.takeOver(newcomer.domains, newcomer, () => isThere)
    isThere = false
    expect(await taking).toBe(false)
    expect(routes.get('a.localhost')).toBeUndefined()
  })

  const names = ['a.localhost', 'b.localhost', 'c.localhost']

  it('have one owner each or none, whoever comes, goes and pushes, and nobody is left in them who went', async () => {
    const arrival = fc.record({
      domains: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      pushes: fc.boolean(),
      turns: fc.nat(6),
      // Whoever goes has come before.
      goesAfter: fc.option(fc.integer({ min: 1, max: 20 })),
      comesAfter: fc.nat(20),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { maxLength: 8 }), async arrivals => {
        const routes = new Routes(['localhost'])
        const live = new Set<Owner>()
        await Promise.all(
          arrivals.map(async ({ domains, pushes, turns, goesAfter, comesAfter }) => {
            for (let i = 0; i < comesAfter; i++) await undefined
            const owner = new Owner(routes, domains, turns)
            let isThere = true
            const lifetime = (async () => {
              if (goesAfter === null) return
              for (let i = 0; i < goesAfter; i++) await undefined
              isThere = false
              live.delete(owner)
              owner.go()
            })()
            const isIn = pushes ? await routes.takeOver(domains, owner, () => isThere) : routes.addAll(domains, owner)
            if (isIn && isThere) live.add(owner)
            await lifetime
          }),
        )
        for (const owner of live) {
          const has = owner.domains.filter(domain => routes.get(domain) === owner)
          // All of its names, unless somebody made it go.
          expect(has).toEqual(owner.evicted > 0 ? [] : owner.domains)
        }
        for (const name of names) {
          const route = routes.get(name)
          if (route !== undefined) expect(live).toContain(route)
        }
      }),
    )
  })
})
