import { describe, expect, it } from 'vitest'
import { modules } from '../../src/modules/index.js'
import { montague, settled, world } from '../support/world.js'

/*
 * That a restart of a module leaves nothing of the incarnation before. What a restart is like stands in test/server/module-restart.test.ts.
 */

const RESTARTS = 100

/** Everything that modules can have registered, by what shows it. */
function registered(server: ReturnType<typeof world>) {
  const hooks = server.routing.hooksOf(montague)
  const joined = Object.entries(hooks).flatMap(([name, hook]: [string, object]) =>
    'isEmpty' in hook && hook.isEmpty === false ? [name] : [],
  )
  return {
    joined,
    features: server.running.streamFeatures(montague, { isAuthenticated: true }),
    before: server.running.streamFeatures(montague, { isAuthenticated: false }),
    routes: server.routing.routes.under(montague).map(([domain]) => domain),
    versioned: server.routing.rosterVersioning.size,
    managed: server.routing.sessions.streamManagement.size,
    held: server.routing.sessions.heldStanzas.size,
    waiting: server.routing.sessions.waitingMessages.size,
  }
}

describe('modules that were started again a hundred times', () => {
  it('have registered what they had, and nothing is left when they stop', async () => {
    const all = Object.fromEntries(modules.map(({ name }) => [name, {}]))
    const server = world({
      hosts: [montague],
      modules: { ...all, mod_roster: { versioning: true }, mod_mam_meta: { pm: {}, muc: {} } },
    })
    const before = registered(server)
    for (let i = 0; i < RESTARTS; i++) {
      await Promise.all(modules.map(({ name }) => server.running.restart(name)))
    }
    expect(registered(server)).toEqual(before)
    expect(before.joined.length).toBeGreaterThan(8)
    // One message, one copy: a handler that was left would make another.
    const romeo = await server.connect(`romeo@${montague}/orchard`)
    await romeo.arrives()
    await romeo.sends(`<message to="romeo@${montague}" type="chat" id="m1"><body>x</body></message>`)
    await settled()
    expect(romeo.take().filter(xml => xml.includes('m1'))).toHaveLength(1)
    server.running.stop()
    await settled()
    expect(registered(server)).toEqual({
      ...before,
      ...{ joined: [], features: '', before: '', routes: [], versioned: 0, managed: 0, held: 0, waiting: 0 },
    })
    expect(server.bugs).toEqual([])
  }, 30_000)

  it('grow no list: each handler is called once for each stanza', async () => {
    const server = world({ hosts: [montague], modules: { mod_caps: {}, mod_vcard: {}, mod_carboncopy: {} } })
    const romeo = await server.connect(`romeo@${montague}/orchard`)
    const phone = await server.connect(`romeo@${montague}/phone`)
    await romeo.arrives()
    await phone.arrives(-1)
    await phone.sends('<iq type="set" id="c"><enable xmlns="urn:xmpp:carbons:2"/></iq>')
    phone.take()
    for (let i = 0; i < RESTARTS; i++) await server.running.restart('mod_carboncopy')
    const juliet = await server.connect(`juliet@${montague}/balcony`)
    await juliet.sends(`<message to="${romeo.jid.text}" type="chat"><body>once</body></message>`)
    expect(phone.take()).toHaveLength(1)
  })
})
