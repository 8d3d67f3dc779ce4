import type { Runtime } from './runtime/index.js'
import { Actor, spawnActor } from './runtime/index.js'

/** Holds a branch of the tree together: what reaches it from a child goes on to root. */
export class Supervisor extends Actor<never> {
  protected override receive(): void {}
}

/** Adds a branch below root. Branches start in the order of the calls and stop in the reverse one. */
export function startBranch(runtime: Runtime, name: string): Supervisor {
  return spawnActor(runtime.root, init => new Supervisor(init), { name, policy: 'escalate' })
}
