/*
 * What an archived message costs: CPU time of the server's thread and of all others per archived copy, for several numbers of copies
 * a tick, how late the event loop runs meanwhile, and what a page of 50 costs by the length of the archive. Linux: CPU time per
 * thread comes from /proc.
 * node bench/archive.mjs [normal|full] [messages of the long archive]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as later, setImmediate as nextTick } from 'node:timers/promises'
import { startModuleActor } from '../dist/actors/module-actor.js'
import { startBranch } from '../dist/actors/root.js'
import { createRuntime } from '../dist/actors/runtime/index.js'
import { startModules } from '../dist/modules/index.js'
import { Jid } from '../dist/protocols/jid.js'
import { Stanza } from '../dist/protocols/stanza/stanza.js'
import { handleClientStanza } from '../dist/routing/client-stanzas.js'
import { createRouting } from '../dist/routing/router.js'
import { SessionRegistry } from '../dist/sessions/registry.js'
import { Rosters } from '../dist/sessions/rosters.js'
import { openSqliteStore } from '../dist/storage/sqlite/index.js'

const synchronous = process.argv[2] === 'full' ? 'full' : 'normal'
const long = Number(process.argv[3] ?? 1_000_000)
const folder = mkdtempSync(join(tmpdir(), 'meerkat-bench-'))
const store = await openSqliteStore({
  file: join(folder, 'bench.db'),
  synchronous,
  limits: { requests: 1_000_000, bytes: 1e9 },
})
const host = 'capulet.example'
const body = 'x'.repeat(100)

/** Nanoseconds of CPU that each thread has had so far. */
const threadTimes = () =>
  new Map(
    readdirSync('/proc/self/task').map(thread => {
      const [running] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ')
      return [Number(thread), Number(running)]
    }),
  )

/** µs of the main thread and of the others since `before`, per operation. */
function since(before, operations) {
  let main = 0
  let others = 0
  for (const [thread, time] of threadTimes()) {
    const spent = time - (before.get(thread) ?? 0)
    if (thread === process.pid) main += spent
    else others += spent
  }
  return [main, others].map(ns => ns / 1000 / operations)
}

// ---- messages through the router, with and without the archive

const users = 1000

/** A server without sockets, and what a client says in it: message `count` from one user to the next, by full JID. */
function served(options) {
  const sessions = new SessionRegistry()
  const onBug = error => console.error(error)
  const accounts = { exists: () => true }
  const routing = createRouting({ hosts: [host], sessions, rosters: new Rosters(store.rosters), accounts, onBug })
  const clock = { now: () => performance.now(), wall: () => Date.now(), after: () => () => {} }
  const runtime = createRuntime({ clock, onFault: ({ error }) => onBug(error) })
  const branch = startBranch(runtime, 'modules')
  const supervise = module => startModuleActor(branch, module)
  startModules({ routing, store, clock, supervise }, new Map([[host, options]]))
  const clients = Array.from({ length: users }, (_, index) => {
    const jid = Jid.of(`user${index}`, host, 'orchard')
    const session = { jid, node: 'here', priority: 0, presence: '<presence/>', directed: undefined, taken: 0 }
    session.deliver = () => {
      session.taken += 1
      return true
    }
    sessions.add(session)
    return session
  })
  const xml = clients.map(({ jid }) => `<message to="${jid.text}" type="chat" id="a1"><body>${body}</body></message>`)
  return count => {
    const sender = clients[count % users]
    const stanza = Stanza.parse(xml[(count * 7 + 1) % users]).addressed({ from: sender.jid })
    return handleClientStanza(routing, sender, stanza)
  }
}

async function measure(send, perTick, ticks) {
  const before = threadTimes()
  for (let tick = 0; tick < ticks; tick += 1) {
    const sent = Array.from({ length: perTick }, (_, index) => send(tick * perTick + index))
    await nextTick()
    await Promise.all(sent)
  }
  return since(before, perTick * ticks)
}

const plain = served({})
const options = {
  no_stanzaid_element: false,
  archive_chat_markers: false,
  default_result_limit: 50,
  max_result_limit: 50,
}
const archiving = served({ mod_mam_meta: options })
await measure(plain, 100, 100)
await measure(archiving, 100, 100)
console.log(
  `synchronous = ${synchronous}; µs of CPU per archived copy (two per message), over a message that is not archived`,
)
console.log('messages per tick   main   worker and others')
for (const [perTick, ticks] of [
  [1, 3000],
  [10, 1000],
  [100, 200],
  [500, 60],
]) {
  const [bare] = await measure(plain, perTick, ticks)
  const [main, others] = await measure(archiving, perTick, ticks)
  const figures = [(main - bare) / 2, others / 2].map(figure => figure.toFixed(1).padStart(7))
  console.log(`${String(perTick).padStart(17)}${figures.join(' ')}`)
}

const rate = 2_500
const seconds = 10
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
const before = threadTimes()
const begun = performance.now()
let asked = 0
let stored = 0
while (asked < rate * seconds) {
  await later(2)
  const due = Math.min(rate * seconds, Math.floor(((performance.now() - begun) * rate) / 1000))
  for (; asked < due; asked += 1) {
    archiving(asked).then(() => {
      stored += 1
    }, console.error)
  }
}
while (stored < asked) await later(2)
delay.disable()
const [main, others] = since(before, stored * 2).map(figure => figure.toFixed(1))
const ms = percentile => (delay.percentile(percentile) / 1e6).toFixed(1)
console.log(`\n${rate * 2} copies a second for ${seconds} s: main ${main} (routing too), others ${others} µs per copy;`)
console.log(
  `event loop delay p50 ${ms(50)}, p99 ${ms(99)}, p99.9 ${ms(99.9)}, max ${(delay.max / 1e6).toFixed(1)} ms (a timer of 1 ms included)`,
)

// ---- pages

const idOf = number => `${number.toString(36).padStart(11, '0')}00000000`
async function fill(user, count) {
  const xml = Buffer.from(`<message from="b@${host}/x" to="a@${host}" type="chat"><body>${body}</body></message>`)
  for (let number = 0; number < count; ) {
    const writes = []
    for (const end = Math.min(count, number + 5000); number < end; number += 1) {
      const contact = `contact${number % 10}@${host}`
      writes.push(store.archive.append({ user, host, id: idOf(number), contact, resource: 'x', xml }))
    }
    await Promise.all(writes)
  }
}

console.log(
  '\nms for a page of 50, of the median of 200, in the middle of the archive: all, one contact of ten, one of its resources',
)
for (const length of [1_000, long]) {
  const user = `reader${length}`
  await fill(user, length)
  const figures = []
  for (const filter of [{}, { contact: `contact3@${host}` }, { contact: `contact3@${host}`, resource: 'x' }]) {
    const times = []
    for (let round = 0; round < 200; round += 1) {
      const start = performance.now()
      await store.archive.page(user, host, { ...filter, after: idOf(Math.floor(length / 2) + round), limit: 51 })
      times.push(performance.now() - start)
    }
    figures.push(
      times
        .sort((a, b) => a - b)[100]
        .toFixed(2)
        .padStart(8),
    )
  }
  console.log(`${String(length).padStart(9)} messages${figures.join('')}`)
}

await store.close()
rmSync(folder, { recursive: true })
