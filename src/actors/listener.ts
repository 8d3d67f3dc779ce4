import type { Clock } from '../observability/clock.js'
import { Admission } from './acceptor.js'
import { Actor, type ActorInit, type AnyActor, spawnActor } from './runtime/index.js'
import { type Binding, SocketActor } from './socket.js'
import { longLived } from './supervision.js'

export interface ListenerOptions {
  readonly binding: Binding
  /** Acceptor actors, which share the connections. `num_acceptors` */
  readonly acceptors: number
  makeAcceptor(init: ActorInit, admission: Admission, place: number): AnyActor
  readonly clock: Clock
}

/** Supervises a port and the acceptors behind it. */
export class Listener extends Actor<never> {
  private readonly admission = new Admission()

  constructor(
    init: ActorInit,
    private readonly options: ListenerOptions,
  ) {
    super(init)
  }

  protected override started(): void {
    const { acceptors, binding, clock, makeAcceptor } = this.options
    const { admission } = this
    for (let place = 0; place < acceptors; place++) {
      spawnActor(this, init => makeAcceptor(init, admission, place), { name: `acceptor-${place}`, policy: longLived })
    }
    spawnActor(this, init => new SocketActor(init, binding, admission, clock), { name: 'socket', policy: longLived })
  }

  protected override receive(): void {}

  protected override stopped(): void {
    this.admission.close()
  }

  override inspected(): Record<string, number> {
    const { waiting, refused } = this.admission
    return { waiting, refused }
  }
}

/** The name of a listener in the tree, of the characters that nact allows. DESIGN §2 */
export function listenerName(type: string, address: string, port: number, index: number): string {
  if (address.includes(':')) return `${type}-v6-${port}-${index}`
  // Several listeners on port 0 are told apart by their place in the file. spec/listeners.md §1.2
  return port === 0 ? `${type}-${address}-0-${index}` : `${type}-${address}-${port}`
}
