import { AnyActor } from './actor.js'
import type { Runtime } from './runtime.js'
import { walk } from './search.js'

/** Finds the actors that handled the most messages since the look before. One for each onlooker. */
export class Busiest {
  #before = new WeakMap<AnyActor, number>()
  readonly #runtime: Runtime

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** At most so many, the busiest first, with how many messages they handled since; those that handled none are left out. */
  look(most: number): { actor: AnyActor; messages: number }[] {
    const found: { actor: AnyActor; messages: number }[] = []
    for (const actor of walk(this.#runtime.root)) {
      if (!(actor instanceof AnyActor)) continue
      const total = actor.handledMessages
      const messages = total - (this.#before.get(actor) ?? 0)
      if (messages === 0) continue
      this.#before.set(actor, total)
      // Few are kept: where it goes is soon found.
      if (found.length === most && messages <= found[most - 1]!.messages) continue
      const at = found.findIndex(other => other.messages < messages)
      found.splice(at === -1 ? found.length : at, 0, { actor, messages })
      found.length = Math.min(found.length, most)
    }
    return found
  }
}
