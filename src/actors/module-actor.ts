/*
 * Modules, and what they keep alive: an actor for each module of a host, below it a supervisor for each service that has such things, and
 * below that one actor for each of them.
 */

import type { Stanza } from '../protocols/stanza/stanza.js'
import type {
  ModuleActor,
  Residence,
  ResidenceOptions,
  Resident,
  ResidentActor,
  Startable,
  Work,
} from '../routing/residence.js'
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
import { longLived, module as modulePolicy, oneOfMany } from './supervision.js'

const WAKE = 'wake'

/** Supervises what is of one kind. One that is too slow loses what is too much, and nothing else. */
class Residents extends Supervisor {
  protected override childOverflowed(_child: AnyActor): void {}
}

/** What one resident lives in. */
class Home extends Actor<Stanza | Work> implements ResidentActor {
  private readonly resident: Resident

  constructor(init: ActorInit, make: (actor: ResidentActor) => Resident) {
    super(init)
    this.resident = make(this)
  }

  override get kind(): string {
    return 'resident'
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

/** How the first start of a module went: with it the start of the server ends, and no supervisor is asked. */
interface FirstStart {
  isOver: boolean
  failure: { readonly error: unknown } | undefined
}

/** A module on one host: it runs for as long as the actor does. */
export class StartedModule extends Supervisor implements ModuleActor {
  /** Of undoing the module. */
  private undone: void | Promise<void> = undefined

  constructor(
    init: ActorInit,
    private readonly module: Startable,
    private readonly first: FirstStart,
  ) {
    super(init)
  }

  override get kind(): string {
    return 'module'
  }

  override inspected(): Record<string, string | number | boolean> {
    return this.module.inspected()
  }

  openResidence(name: string, { mailboxLimit, hibernateAfter, isVital = false }: ResidenceOptions): Residence {
    const residents = spawnActor(this, init => new Residents(init), { name: actorName(name), policy: 'escalate' })
    const options = {
      policy: isVital ? longLived : oneOfMany,
      ...(mailboxLimit !== undefined && { mailboxLimit }),
      ...(hibernateAfter !== undefined && { hibernateAfter }),
    }
    return {
      move: (name, make) => spawnActor(residents, init => new Home(init, make), { ...options, name: actorName(name) }),
      close: () => stopTree(residents, 'shutdown'),
    }
  }

  protected override started(): void {
    try {
      this.module.start(this)
    } catch (error) {
      if (this.first.isOver) throw error
      this.first.failure = { error }
      this.stop()
    }
  }

  /** Before what it keeps alive ends, so that nothing comes for that any more. */
  protected override stopping(): void {
    this.undone = this.module.stop()
  }

  protected override stopped(reason: StopReason): void | Promise<void> {
    if (!this.isRestarting) this.module.ended(reason)
    return this.undone
  }
}

/** Starts a module below the branch of the modules. Throws what its start throws. */
export function startModuleActor(branch: Supervisor, module: Startable): ModuleActor {
  const first: FirstStart = { isOver: false, failure: undefined }
  const name = moduleActorName(module)
  const actor = spawnActor(branch, init => new StartedModule(init, module, first), { name, policy: modulePolicy })
  first.isOver = true
  if (first.failure !== undefined) throw first.failure.error
  return actor
}

/** As `mod_muc-a.example`. No two are the same: what is before the first dash is the module's name. */
const moduleActorName = ({ name, host }: Startable): string =>
  `${actorName(name).replaceAll('-', '$2d')}-${actorName(host)}`
