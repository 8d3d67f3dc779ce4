import type { NactActor } from './nact.js'

/** Children by name, in the order in which they were first spawned. */
export class Children extends Map<string, NactActor> {
  /** @internal A name that nact is to take for free: its stopped actor is being replaced, in its place in the order. */
  replaced: string | undefined = undefined

  /** @internal */
  override has(name: string): boolean {
    return name !== this.replaced && super.has(name)
  }
}

/** Serves every actor without children; the first child brings a map of its own. */
class NoChildren extends Children {
  override set(): never {
    throw new Error('the shared empty map of children cannot be changed')
  }
}
export const childless = new NoChildren()
