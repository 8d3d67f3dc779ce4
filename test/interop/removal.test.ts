import { setTimeout as later } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type Client, connect, dropClients } from '../support/client.js'
import { Meerkat } from '../support/meerkat.js'

/*
 * An account takes itself back while the server is killed: afterwards it is there as it was, or nowhere.
 */

const ROUNDS = 6
const service = 'muclight.localhost'
const ns = 'urn:xmpp:muclight:0'

afterEach(() => dropClients())

describe('an account that is being removed when the server is killed with SIGKILL (DESIGN §7)', () => {
  it('is there with everything, or in no room and no roster any more', async () => {
    const server = await Meerkat.start(
      { clear: '' },
      {
        auth: 'scram_iterations = 4096',
        more: '[modules.mod_roster]\n[modules.mod_register]\n[modules.mod_muc_light]\n',
      },
    )
    const add = (user: string) => server.command(['user', 'add', `${user}@localhost`, '--password-stdin'], 'pw\n')
    const logIn = async (user: string) => (await connect({ port: server.ports.clear })).login(user, 'pw')
    await add('romeo')
    for (let round = 0; round < ROUNDS; round++) {
      const user = `juliet-${round}`
      await add(user)
      const [romeo, juliet] = [await logIn('romeo'), await logIn(user)]
      await befriend(romeo, juliet)
      const occupants = `<occupants><user affiliation="member">${juliet.bareJid}</user></occupants>`
      const created = await romeo.ask('set', `<query xmlns="${ns}#create"><configuration/>${occupants}</query>`, {
        to: `room-${round}@${service}`,
      })
      expect(created.attrs.type).toBe('result')
      await juliet.send('<iq id="gone" type="set"><query xmlns="jabber:iq:register"><remove/></query></iq>')
      // Before, in the middle of it, or after it.
      await later(round * 4)
      await server.kill()
      await server.startAgain()
      const isThere = (await server.command(['user', 'list'])).split('\n').includes(`${user}@localhost`)
      const again = await logIn('romeo')
      const members = await again.ask('get', `<query xmlns="${ns}#affiliations"><version/></query>`, {
        to: `room-${round}@${service}`,
      })
      expect(String(members).includes(juliet.bareJid), `in the room after ${round * 4} ms`).toBe(isThere)
      const roster = String(await again.ask('get', '<query xmlns="jabber:iq:roster"/>'))
      const subscription = new RegExp(`<item[^>]*jid="${juliet.bareJid}"[^>]*>`).exec(roster)?.[0] ?? ''
      expect(subscription.includes('subscription="both"'), `in the roster after ${round * 4} ms`).toBe(isThere)
    }
    expect(await server.stop()).toBe(0)
  }, 180_000)
})

/** Each sees the other's presence. RFC 6121 §3.1 */
async function befriend(one: Client, other: Client): Promise<void> {
  await Promise.all([one.send('<presence/>'), other.send('<presence/>')])
  for (const [asker, asked] of [
    [one, other],
    [other, one],
  ] as const) {
    await asker.send(`<presence type="subscribe" to="${asked.bareJid}"/>`)
    await asked.receives(`<presence type="subscribe" from="${asker.bareJid}"/>`)
    await asked.send(`<presence type="subscribed" to="${asker.bareJid}"/>`)
    await asker.receives(`<presence from="${asked.jid}"/>`)
  }
}
