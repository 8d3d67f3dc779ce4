/*
 * Writes until it is killed, and says what was promised: a line for each account and each message, after its promise resolved.
 * kill-child.mjs OPTIONS ROUND: the options of one store or the other, as JSON.
 */

import { archiveId } from '../../dist/protocols/archive-id.js'
import { openPostgresStore } from '../../dist/storage/postgres/index.js'
import { openSqliteStore } from '../../dist/storage/sqlite/index.js'

const [json, round] = process.argv.slice(2)
const options = JSON.parse(json)
const store = await ('pool' in options ? openPostgresStore(options) : openSqliteStore(options))
const keys = {
  salt: Buffer.alloc(16, 1),
  iterations: 4096,
  storedKey: Buffer.alloc(32, 2),
  serverKey: Buffer.alloc(32, 3),
}

async function writer(number) {
  for (let count = 0; ; count += 1) {
    const name = `${round}-${number}-${count}`
    await store.accounts.create(name, 'h.example', { scram: { sha256: keys } })
    console.log(`account ${name}`)
    await store.offline.add(`box${number}`, 'h.example', `<message id="${name}"/>`, 1, Infinity)
    console.log(`message ${name}`)
    await store.rosters.update(`box${number}`, 'h.example', { putRequests: [{ jid: `${name}@x`, xml: '<presence/>' }] })
    console.log(`request ${name}`)
    const id = archiveId(Date.now() * 1000 + count, '0123abcd')
    const xml = Buffer.from(`<message id="${name}"/>`)
    await store.archive.append({ user: `box${number}`, host: 'h.example', id, contact: 'x@y', resource: '', xml })
    console.log(`archived ${name}`)
  }
}
await Promise.all(Array.from({ length: 8 }, (_, number) => writer(number)))
