/*
 * What modules keep alive: a supervisor for each service that has such things, and below it one actor for each of them.
 */

import type { Stanza } from '../protocols/stanza/stanza.js'
import type { Residence, ResidenceOptions, Resident, ResidentActor, Work } from '../routing/residence.js'
import { Supervisor } from './root.js'
import {
  Actor,
  type ActorInit,
  type AnyActor,
  actorName,
  type StopReason,
  spawnActor,
  stopTree,
} from './runtime/index.js'
import { oneOfMany } from './supervision.js'

const WAKE = 'wake'

/** Supervises what is of one kind. One that is too slow loses what is too much, and nothing else. */
class Residents extends Supervisor {
  protected override childOverflowed(_child: AnyActor): void {}
}

class ModuleActor extends Actor<Stanza | Work> implements ResidentActor {
  private readonly resident: Resident

  constructor(init: ActorInit, make: (actor: ResidentActor) => Resident) {
    super(init)
    this.resident = make(this)
  }

  deliver(stanza: Stanza): boolean {
    // What waits must not keep the chunk alive that it came in.
    return this.tellStanza(stanza.compact())
  }

  perform(work: Work): boolean {
    return this.tellStanza(work)
  }

  wakeAt(ms: number | undefined): void {
    if (ms === undefined) this.disarm(WAKE)
    else this.arm(WAKE, ms)
  }

  get isDone(): boolean {
    return this.waitingStanzas === 0
  }

  protected override started(): void | Promise<void> {
    return this.resident.started?.()
  }

  protected override receive(message: Stanza | Work): void | Promise<void> {
    return typeof message === 'function' ? message() : this.resident.take(message)
  }

  protected override timedOut(): void | Promise<void> {
    return this.resident.woken()
  }

  protected override pack(): string | undefined {
    return this.resident.pack()
  }

  protected override unpack(record: string): void {
    this.resident.unpack(record)
  }

  protected override stopped(reason: StopReason): void | Promise<void> {
    const waiting = this.unhandled().stanzas
    const stanzas = waiting.filter(message => typeof message !== 'function')
    const work = waiting.filter(message => typeof message === 'function')
    return this.resident.ended({ reason, isRestarting: this.isRestarting, stanzas, work })
  }

  override inspected(): Record<string, string | number | boolean> {
    return this.resident.inspected?.() ?? {}
  }
}

/** Opens a residence below the branch of the modules. */
export function openResidence(
  branch: Supervisor,
  name: string,
  { mailboxLimit, hibernateAfter }: ResidenceOptions,
): Residence {
  const residents = spawnActor(branch, init => new Residents(init), { name: actorName(name), policy: 'escalate' })
  const options = {
    policy: oneOfMany,
    ...(mailboxLimit !== undefined && { mailboxLimit }),
    ...(hibernateAfter !== undefined && { hibernateAfter }),
  }
  return {
    move: (name, make) =>
      spawnActor(residents, init => new ModuleActor(init, make), { ...options, name: actorName(name) }),
    close: () => stopTree(residents, 'shutdown'),
  }
}
