import type { Stanza } from '../protocols/stanza/stanza.js'
import { Supervisor } from './root.js'
import { Actor, type ActorInit, type AnyActor, type StopReason } from './runtime/index.js'
import { oneByOne } from './stream-connection.js'

/** Supervises the components that live in this process. One that is too slow loses what is too much, not its domain. */
export class Components extends Supervisor {
  protected override childOverflowed(_child: AnyActor): void {}
}

export interface LocalComponentServices {
  /** Lets the component have a stanza; never throws and never rejects. The next one waits for a promise. */
  handle(stanza: Stanza): void | Promise<void>
  /** The domain is free again. */
  unregister(): void
  /** Tells the sender of a stanza that the component did not get it. */
  bounce(stanza: Stanza): void | Promise<void>
}

/** A component in this process: one stanza at a time, in order. */
export class LocalComponent extends Actor<Stanza> {
  constructor(
    init: ActorInit,
    private readonly services: LocalComponentServices,
  ) {
    super(init)
  }

  /** False when it is gone, and when too much waits. */
  deliver(stanza: Stanza): boolean {
    // A handler may take its time: what waits must not keep the chunk alive that it came in.
    return this.tellStanza(stanza.compact())
  }

  protected override receive(stanza: Stanza): void | Promise<void> {
    return this.services.handle(stanza)
  }

  protected override stopped(_reason: StopReason): void | Promise<void> {
    // What waits is for the successor.
    if (this.isRestarting) return
    this.services.unregister()
    const { stanzas } = this.unhandled()
    if (stanzas.length > 0) return oneByOne(stanzas, stanza => this.services.bounce(stanza))
  }
}
