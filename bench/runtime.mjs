/*
 * What the actor runtime costs: CPU time per message and heap per idle actor, beside stock nact. Run after `npm run build`:
 *   node --expose-gc bench/runtime.mjs [--json]
 * CPU time is user + system of the whole process, median of 5 runs after one warm-up; expect ±15 % between runs.
 */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import nact from 'nact'
import { Actor, createRuntime, spawn, spawnActor, stopTree } from '../dist/actors/runtime/index.js'

const RUNS = 5

class Counter extends Actor {
  seen = 0
  receive() {
    this.seen++
  }
  pack() {
    return 'a record of about a hundred and thirty bytes, as a connection makes one: jid, counters, versions, flags; and so on .....'
  }
}

class Relay extends Actor {
  next = undefined
  receive(message) {
    if (message > 0) this.next.tell(message - 1)
  }
}

class Supervisor extends Actor {
  receive() {}
}

const runtime = createRuntime({
  onFault: event => {
    throw event.error
  },
})

async function idle() {
  while (!runtime.isIdle) await turnOfLoop()
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** µs of CPU per operation: `prepare` is not measured, `run` does `count` operations. */
async function cost(count, prepare, run) {
  const costs = []
  for (let i = 0; i <= RUNS; i++) {
    const subject = await prepare()
    globalThis.gc?.()
    const before = process.cpuUsage()
    await run(subject)
    const { user, system } = process.cpuUsage(before)
    if (i > 0) costs.push((user + system) / count)
    await subject?.end?.()
  }
  return median(costs)
}

const counter = (parent = runtime.root, options = {}) => spawnActor(parent, init => new Counter(init), options)

async function backlog(count, options) {
  return cost(
    count,
    () => ({ actor: counter(runtime.root, options) }),
    async ({ actor }) => {
      for (let i = 0; i < count; i++) actor.tell(i)
      await idle()
      actor.stop()
    },
  )
}

async function stanzaBacklog(count) {
  return cost(
    count,
    () => ({ actor: counter(runtime.root, { mailboxLimit: count }) }),
    async ({ actor }) => {
      for (let i = 0; i < count; i++) actor.tellStanza(i)
      await idle()
      actor.stop()
    },
  )
}

async function behaviourBacklog(count) {
  return cost(
    count,
    () => ({ ref: spawn(runtime.root, { initial: () => 0, receive: state => state + 1 }) }),
    async ({ ref }) => {
      for (let i = 0; i < count; i++) ref.tell(i)
      await idle()
    },
  )
}

async function spread(actors, rounds, hibernateAfter) {
  const options = hibernateAfter === undefined ? {} : { hibernateAfter }
  return cost(
    actors * rounds,
    () => {
      const parent = spawnActor(runtime.root, init => new Supervisor(init))
      return {
        all: Array.from({ length: actors }, () => counter(parent, options)),
        end: () => stopTree(parent),
      }
    },
    async ({ all }) => {
      for (let round = 0; round < rounds; round++) {
        for (const actor of all) actor.tell(round)
        await idle()
      }
    },
  )
}

async function pingPong(tokens, hops) {
  return cost(
    tokens * hops,
    () => {
      const a = spawnActor(runtime.root, init => new Relay(init))
      const b = spawnActor(runtime.root, init => new Relay(init))
      a.next = b
      b.next = a
      return { a, b }
    },
    async ({ a, b }) => {
      for (let i = 0; i < tokens; i++) a.tell(hops - 1)
      await idle()
      a.stop()
      b.stop()
    },
  )
}

async function spawnAndStop(count) {
  return cost(
    count,
    () => ({ parent: spawnActor(runtime.root, init => new Supervisor(init)) }),
    async ({ parent }) => {
      for (let i = 0; i < count; i++) counter(parent, { name: `c${i}` }).stop()
      parent.stop()
    },
  )
}

async function rearm(count) {
  return cost(
    count,
    () => ({ actor: counter() }),
    async ({ actor }) => {
      const now = performance.now()
      for (let i = 0; i < count; i++) actor.arm(0, now + 60_000 + i)
      actor.stop()
    },
  )
}

async function fault(count, waiting) {
  class Faulty extends Actor {
    receive(message) {
      if (message) throw failure
    }
  }
  const failure = new Error('on purpose')
  const quiet = createRuntime({ onFault: () => undefined })
  return cost(
    count,
    () => {
      const actor = spawnActor(quiet.root, init => new Faulty(init), { policy: 'resume' })
      actor.pauseStanzas()
      for (let i = 0; i < waiting; i++) actor.tellStanza(false)
      return { actor }
    },
    async ({ actor }) => {
      for (let i = 0; i < count; i++) actor.tell(true)
      while (!quiet.isIdle) await turnOfLoop()
      actor.stop()
    },
  )
}

async function stockBacklog(count) {
  const system = nact.start()
  const result = await cost(
    count,
    () => {
      let done
      const finished = new Promise(resolve => {
        done = resolve
      })
      const ref = nact.spawn(system, (seen = 0) => {
        if (seen + 1 === count) done()
        return seen + 1
      })
      return { ref, finished }
    },
    async ({ ref, finished }) => {
      for (let i = 0; i < count; i++) nact.dispatch(ref, i)
      await finished
    },
  )
  nact.stop(system)
  return result
}

/** Heap bytes per actor after `make(count)`, everything else collected. */
async function heap(count, make) {
  await collect()
  const before = process.memoryUsage().heapUsed
  const kept = await make(count)
  await collect()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  kept.end()
  return bytes
}

async function collect() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await turnOfLoop()
  }
}

function many(count, options, after = () => undefined) {
  const parent = spawnActor(runtime.root, init => new Supervisor(init), { name: 'acceptor-0' })
  for (let i = 0; i < count; i++) after(counter(parent, { name: `c${i}`, ...options }))
  return { end: () => parent.stop() }
}

const results = {
  'backlog of 50 000, control lane (µs)': await backlog(50_000),
  'backlog of 50 000, stanza lane with a limit (µs)': await stanzaBacklog(50_000),
  'backlog of 50 000, behaviour (µs)': await behaviourBacklog(50_000),
  '10 000 actors, a message each in turn (µs)': await spread(10_000, 20),
  '10 000 actors, a message each in turn, hibernateAfter 0 (µs)': await spread(10_000, 20, 0),
  'ping-pong, 1 token (µs)': await pingPong(1, 200_000),
  'ping-pong, 200 tokens (µs)': await pingPong(200, 1000),
  'spawn and stop (µs)': await spawnAndStop(20_000),
  're-arm a deadline (µs)': await rearm(500_000),
  'fault and resume, nothing waiting (µs)': await fault(5000, 0),
  'fault and resume, 50 000 waiting (µs)': await fault(5000, 50_000),
  'stock nact, backlog of 50 000 (µs)': await stockBacklog(50_000),
}
if (globalThis.gc) {
  results['heap per idle actor (B)'] = await heap(20_000, count => many(count, {}))
  results['heap per idle actor after one message (B)'] = await heap(20_000, async count => {
    const kept = many(count, {}, actor => actor.tell(1))
    await idle()
    return kept
  })
  results['heap per idle stock nact actor (B)'] = await heap(20_000, count => {
    const system = nact.start()
    const parent = nact.spawn(system, () => undefined, 'acceptor-0')
    for (let i = 0; i < count; i++) nact.spawn(parent, () => undefined, `c${i}`)
    return { end: () => nact.stop(system) }
  })
}

if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(results)}\n`)
else
  for (const [what, value] of Object.entries(results))
    process.stdout.write(`${value.toFixed(value < 10 ? 3 : 0).padStart(8)}  ${what}\n`)
if (!globalThis.gc) process.stdout.write('          run with --expose-gc for the heap per actor\n')
await stopTree(runtime.root)
