/*
 * Writes until it is killed, and says what was promised: a line for each account and each message, after its promise resolved.
 * kill-child.mjs FILE ROUND
 */
import { openSqliteStore } from '../../dist/storage/sqlite/index.js'

const [file, round] = process.argv.slice(2)
const store = await openSqliteStore({ file })
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
  }
}
await Promise.all(Array.from({ length: 8 }, (_, number) => writer(number)))
