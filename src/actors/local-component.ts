import { Stanza } from '../protocols/stanza/stanza.js'
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
  /** Sends a stanza of the component. Throws when it is none. */
  send(xml: string): void
  /** The domain is free again. */
  unregister(): void
  /** Tells the sender of a stanza that the component did not get it. */
  bounce(stanza: Stanza): void | Promise<void>
}

/** A component in this process: one stanza at a time, in order. What nact's actors dispatch to it is XML that it sends. */
export class LocalComponent extends Actor<Stanza | string> {
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

  protected override receive(message: Stanza | string): void | Promise<void> {
    if (message instanceof Stanza) return this.services.handle(message)
    try {
      this.services.send(message)
    } catch (error) {
      // Whoever dispatched it is not told, and the component has no part in it.
      this.countFault(error)
    }
  }

  protected override stopped(_reason: StopReason): void | Promise<void> {
    // What waits is for the successor.
    if (this.isRestarting) return
    this.services.unregister()
    const { stanzas } = this.unhandled()
    const waiting = stanzas.filter(message => typeof message !== 'string')
    if (waiting.length > 0) return oneByOne(waiting, stanza => this.services.bounce(stanza))
  }
}
