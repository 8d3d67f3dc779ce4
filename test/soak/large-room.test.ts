import { expect, inject, it, onTestFinished } from 'vitest'
import { componentOf, SECRET } from '../support/component.js'
import { domain, Meerkat } from '../support/meerkat.js'
import { freePort } from '../support/programs.js'
import { newClient } from './talker.js'

/*
 * A room that has three times as many occupants as stanzas may wait for a client can be entered. The occupants are a component's users.
 */

const OCCUPANTS = Math.ceil(3_000 * inject('soakScale'))
const LIMIT = Math.ceil(1_000 * inject('soakScale'))
const crowd = `crowd.${domain}`
const room = `tea@conference.${domain}`
const muc = 'http://jabber.org/protocol/muc'

it(`lets a client for which ${LIMIT} stanzas may wait into a room of ${OCCUPANTS}`, { timeout: 600_000 }, async () => {
  const port = await freePort()
  const server = await start(port)
  const component = await componentOf(port, crowd)
  const joins = numberOf(component.socket, '<subject')
  for (let number = 0; number < OCCUPANTS; number++) {
    await component.send(
      `<presence from='u${number}@${crowd}/r' to='${room}/n${number}'><x xmlns='${muc}'><history maxstanzas='0'/></x></presence>`,
    )
    await joins(1)
    if (number > 0) continue
    const form = `<query xmlns='${muc}#owner'><x xmlns='jabber:x:data' type='submit'/></query>`
    await component.send(`<iq type='set' id='o' from='u0@${crowd}/r' to='${room}'>${form}</iq>`)
  }
  const client = await newClient(server)
  const subjects = numberOf(client.socket, '<subject')
  let heard = ''
  client.socket.on('data', bytes => {
    heard += bytes
  })
  const before = server.cpuTime
  await client.send(`<presence to='${room}/hag'><x xmlns='${muc}'/></presence>`)
  await subjects(1)
  const found = [...heard.matchAll(/<presence [^>]*from="[^"]*\/([^"]*)"/g)].map(([, nick]) => nick)
  expect(found).toEqual([...Array.from({ length: OCCUPANTS }, (_, number) => `n${number}`), 'hag'])
  console.log(
    `${OCCUPANTS} occupants, ${LIMIT} stanzas may wait: ${found.length} presences came in order, ` +
      `${server.cpuTime - before} ms of CPU; ${server.memory.peak.toFixed(0)} MiB at most`,
  )
})

/** Waits for a text to come so many times more; nothing else of what comes is read. */
function numberOf(socket: NodeJS.EventEmitter, text: string): (count: number) => Promise<void> {
  let [came, taken, rest] = [0, 0, '']
  let wake = () => {}
  socket.removeAllListeners('data')
  socket.on('data', (bytes: Buffer) => {
    const all = rest + bytes.toString('latin1')
    came += all.split(text).length - 1
    rest = all.slice(1 - text.length)
    wake()
  })
  return async count => {
    taken += count
    while (came < taken) {
      await new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${text} did not come`)), 60_000)
        wake = () => {
          clearTimeout(late)
          resolve()
        }
      })
    }
  }
}

async function start(port: number): Promise<Meerkat<'clear'>> {
  const service = `[[listen.service]]\n  port = ${port}\n  ip_address = "127.0.0.1"\n  password = "${SECRET}"\n`
  const modules = `[modules.mod_register]\n[modules.mod_ping]\n[modules.mod_muc]\n  max_users = ${OCCUPANTS + 10}\n  default_room = { max_users = ${OCCUPANTS + 10} }\n`
  const server = await Meerkat.start({ clear: `max_fsm_queue = ${LIMIT}` }, { more: service + modules })
  onTestFinished(() => void server.stop())
  return server
}
