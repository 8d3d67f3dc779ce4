/*
 * What storing offline messages costs: CPU time of the server's thread and of all others per message, for several numbers of
 * messages a tick, and how late the event loop runs meanwhile. Linux: CPU time per thread comes from /proc.
 * node bench/storage.mjs [normal|full]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as later, setImmediate as nextTick } from 'node:timers/promises'
import { openSqliteStore } from '../dist/storage/sqlite/index.js'

const synchronous = process.argv[2] === 'full' ? 'full' : 'normal'
const folder = mkdtempSync(join(tmpdir(), 'meerkat-bench-'))
const store = await openSqliteStore({
  file: join(folder, 'bench.db'),
  synchronous,
  limits: { requests: 1_000_000, bytes: 1e9 },
})
const xml = `<message from="romeo@montague.example/orchard" to="juliet@capulet.example" type="chat"><body>${'x'.repeat(200)}</body></message>`

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
  return [main, others].map(ns => (ns / 1000 / operations).toFixed(1).padStart(7))
}

const add = count => store.offline.add(`user${count % 1000}`, 'capulet.example', xml, Date.now(), Infinity)

async function measure(perTick, ticks) {
  const before = threadTimes()
  for (let tick = 0; tick < ticks; tick += 1) {
    const writes = Array.from({ length: perTick }, (_, index) => add(tick * perTick + index))
    await nextTick()
    await Promise.all(writes)
  }
  return since(before, perTick * ticks)
}

await measure(100, 100)
console.log(`synchronous = ${synchronous}; µs of CPU per message of ${xml.length} bytes`)
console.log('per tick   main   worker and others')
for (const [perTick, ticks] of [
  [1, 3000],
  [10, 1000],
  [100, 200],
  [1000, 30],
]) {
  console.log(`${String(perTick).padStart(8)}${(await measure(perTick, ticks)).join(' ')}`)
}

const rate = 5_000
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
    add(asked).then(() => {
      stored += 1
    }, console.error)
  }
}
while (stored < asked) await later(2)
delay.disable()
const [main, others] = since(before, stored)
const ms = percentile => (delay.percentile(percentile) / 1e6).toFixed(1)
console.log(
  `\n${rate} messages a second for ${seconds} s: main ${main.trim()}, others ${others.trim()} µs per message;`,
)
console.log(
  `event loop delay p50 ${ms(50)}, p99 ${ms(99)}, p99.9 ${ms(99.9)}, max ${(delay.max / 1e6).toFixed(1)} ms (a timer of 1 ms included)`,
)

await store.close()
rmSync(folder, { recursive: true })
