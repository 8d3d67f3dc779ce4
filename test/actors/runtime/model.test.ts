import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Actor, type ActorInit, type Policy, spawnActor, stopTree } from '../../../src/actors/runtime/index.js'
import { bench, gate, Supervisor } from './support.js'

type Kind = 'plain' | 'throws' | 'waits' | 'rejects' | 'stops'
interface Message {
  readonly id: number
  readonly lane: 'control' | 'stanza'
  readonly kind: Kind
}

/** All incarnations of one spawned name, and what the model knows of them. */
class Line {
  current: Subject | undefined
  /** Told, and answered with true. */
  readonly accepted: Message[] = []
  readonly handled: Message[] = []
  readonly unhandled: Message[] = []
  incarnations = 0
  stops = 0
  running = 0
  mostRunning = 0
  /** What an expectation inside a handler would only turn into a fault. */
  readonly violations: string[] = []
}

let opens: (() => void)[] = []

class Subject extends Actor<Message> {
  readonly #line: Line
  #hasStopped = false

  constructor(init: ActorInit, line: Line) {
    super(init)
    this.#line = line
    line.current = this
    line.incarnations++
  }

  protected override receive(message: Message): void | Promise<void> {
    const line = this.#line
    line.mostRunning = Math.max(line.mostRunning, ++line.running)
    line.handled.push(message)
    if (this.#hasStopped) line.violations.push(`${message.id} was handled after the stop`)
    if (message.kind === 'waits' || message.kind === 'rejects') return this.#wait(message.kind)
    line.running--
    if (message.kind === 'throws') throw new Error('on purpose')
    if (message.kind === 'stops') this.stop('own')
  }

  protected override stopped(): void {
    if (this.#hasStopped) this.#line.violations.push('stopped ran twice')
    this.#hasStopped = true
    this.#line.stops++
    const { control, stanzas } = this.unhandled()
    this.#line.unhandled.push(...control, ...stanzas)
  }

  async #wait(kind: Kind): Promise<void> {
    const { opened, open } = gate()
    opens.push(open)
    await opened
    this.#line.running--
    if (kind === 'rejects') throw new Error('on purpose, later')
  }
}

const kinds = fc.constantFrom<Kind>('plain', 'plain', 'plain', 'throws', 'waits', 'rejects', 'stops')
const lanes = fc.constantFrom<Message['lane']>('control', 'stanza')
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('tell' as const), lane: lanes, kind: kinds }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('settle', 'open', 'pause', 'resume', 'fault') }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('stop', 'stopParent', 'minute') }) },
)
const policies = fc.constantFrom<Policy>('stop', 'resume', 'escalate', { restarts: 2, withinMs: 10_000 })

describe('any sequence of telling, pausing, faulting, restarting and stopping', () => {
  it('never runs two handlers at once, loses nothing without a stop, keeps the order, and runs stopped once per incarnation', async () => {
    await fc.assert(
      fc.asyncProperty(policies, fc.array(step, { maxLength: 60 }), async (policy, steps) => {
        const { runtime, clock, settle } = bench()
        opens = []
        const lines: Line[] = []
        let id = 0
        let parent = spawnActor(runtime.root, init => new Supervisor(init))
        const spawnLine = (): Line => {
          if (parent.isStopping) parent = spawnActor(runtime.root, init => new Supervisor(init))
          const line = new Line()
          lines.push(line)
          spawnActor(parent, init => new Subject(init, line), { name: 'subject', policy })
          return line
        }
        const isFree = () => runtime.find(`${parent.path}/subject`) === undefined
        let line = spawnLine()
        for (const each of steps) {
          // A line that has ended makes room for the next under the same name.
          if (parent.isStopping || isFree()) line = spawnLine()
          const subject = line.current!
          if (each.op === 'tell') {
            const { lane, kind } = each as { lane: Message['lane']; kind: Kind }
            const message = { id: id++, lane, kind }
            const isTaken = lane === 'control' ? subject.tell(message) : subject.tellStanza(message)
            expect(isTaken).toBe(!subject.isStopping)
            if (isTaken) line.accepted.push(message)
          } else if (each.op === 'settle') await settle()
          else if (each.op === 'open') for (const open of opens.splice(0)) open()
          else if (each.op === 'pause') subject.pauseStanzas()
          else if (each.op === 'resume') subject.resumeStanzas()
          else if (each.op === 'fault') runtime.fault(String(subject.path), new Error('from outside'))
          else if (each.op === 'stop') subject.stop()
          else if (each.op === 'stopParent') parent.stop()
          else clock.advance(60_000)
        }
        for (let round = 0; round < 70; round++) {
          line.current?.resumeStanzas()
          for (const open of opens.splice(0)) open()
          await settle()
        }
        const hasEnded = line.current?.isStopping
        if (!hasEnded) expect(line.handled.length).toBe(line.accepted.length)
        await stopTree(runtime.root)
        for (const each of lines) check(each, typeof policy === 'object')
      }),
      { numRuns: 150 },
    )
  })
})

function check(line: Line, mayRestart: boolean): void {
  expect(line.violations).toEqual([])
  expect(line.mostRunning).toBeLessThanOrEqual(1)
  expect(line.stops).toBe(line.incarnations)
  // Everything accepted was handled or shown to `stopped`, once. Only what waits for a successor that somebody then stops is
  // shown to nobody.
  const seen = [...line.handled, ...line.unhandled].map(message => message.id).toSorted((a, b) => a - b)
  const accepted = line.accepted.map(message => message.id)
  if (!mayRestart) expect(seen).toEqual(accepted)
  expect(new Set(seen).size).toBe(seen.length)
  expect(accepted).toEqual(expect.arrayContaining(seen))
  for (const lane of ['control', 'stanza']) {
    const ids = line.handled.filter(message => message.lane === lane).map(message => message.id)
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
  }
}
