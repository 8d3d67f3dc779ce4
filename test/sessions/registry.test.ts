import { expect, it } from 'vitest'
import { SessionRegistry } from '../../src/sessions/registry.js'
import { RecordingSession } from '../support/world.js'

const session = (text: string) => new RecordingSession(text)

it('finds a session by its full JID and an account by its bare one', () => {
  const registry = new SessionRegistry()
  const orchard = session('romeo@montague.example/orchard')
  const garden = session('romeo@montague.example/garden')
  expect(registry.add(orchard)).toBeUndefined()
  expect(registry.resources('romeo@montague.example')).toEqual([orchard])
  registry.add(garden)
  expect(registry.byFull('romeo@montague.example/garden')).toBe(garden)
  expect(registry.byFull('romeo@montague.example')).toBeUndefined()
  expect(registry.resources('romeo@montague.example')).toEqual([orchard, garden])
  expect(registry.resources('juliet@capulet.example')).toEqual([])
  expect(registry.isConnected('juliet@capulet.example')).toBe(false)
})

it('lets the newest session of a full JID win, and the replaced one no longer remove it', () => {
  const registry = new SessionRegistry()
  const old = session('romeo@montague.example/orchard')
  const young = session('romeo@montague.example/orchard')
  registry.add(old)
  expect(registry.add(young)).toBe(old)
  expect(registry.remove(old)).toBe(false)
  expect(registry.byFull('romeo@montague.example/orchard')).toBe(young)
  expect(registry.resources('romeo@montague.example')).toEqual([young])
  expect(registry.count).toBe(1)
})

it('counts in all and per host, down to nothing', () => {
  const registry = new SessionRegistry()
  const all = ['a@x.example/1', 'a@x.example/2', 'b@x.example/1', 'a@y.example/1'].map(session)
  for (const each of all) registry.add(each)
  expect([registry.count, registry.countOn('x.example'), registry.countOn('y.example')]).toEqual([4, 3, 1])
  for (const each of all) expect(registry.remove(each)).toBe(true)
  expect([registry.count, registry.countOn('x.example'), registry.countOn('y.example')]).toEqual([0, 0, 0])
  expect(registry.isConnected('a@x.example')).toBe(false)
})

it('does not change a list of resources under whoever reads it', () => {
  const registry = new SessionRegistry()
  const all = ['a@x.example/1', 'a@x.example/2', 'a@x.example/3'].map(session)
  for (const each of all) registry.add(each)
  const before = registry.resources('a@x.example')
  registry.remove(all[0]!)
  registry.add(session('a@x.example/4'))
  expect(before).toEqual(all)
})

it('is read a page at a time while sessions come and go', () => {
  const registry = new SessionRegistry()
  for (let i = 0; i < 100; i += 1) registry.add(session(`u${i}@x.example/r`))
  registry.add(session('u@y.example/r'))
  const pages = registry.on('x.example')
  const first = Array.from({ length: 40 }, () => pages.next().value?.jid.text)
  registry.remove(registry.byFull('u50@x.example/r')!)
  const rest = [...pages].map(each => each.jid.text)
  expect(new Set([...first, ...rest]).size).toBe(99)
})
