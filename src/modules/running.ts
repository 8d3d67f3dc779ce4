import { type Part, registering } from '../routing/parts.js'
import type { ModuleActor, Startable } from '../routing/residence.js'
import type { Module, ModuleServer, ModuleServices } from './module.js'
import type { RunningHost } from './running-host.js'

type Undo = () => unknown

/** Whoever waits for a module to be started again. */
interface Waiting {
  resolve(): void
  reject(error: Error): void
}

/** One module of one host, with all that it has registered. Its actor starts it, and starts it again. */
export class RunningModule implements Startable, Part {
  readonly name: string
  readonly host: string
  #state: 'starting' | 'running' | 'restarting' | 'stopped' = 'starting'
  #actor: ModuleActor | undefined
  #undos: Undo[] = []
  /** Counts its starts: what was registered by an earlier one has no place any more. */
  #starts = 0
  #lastError: unknown
  readonly #waiting: Waiting[] = []
  readonly #kept = new Map<string, unknown>()

  constructor(
    private readonly services: ModuleServices,
    private readonly on: RunningHost,
    private readonly module: Module,
    private readonly options: unknown,
    /** Among all that were started. */
    readonly place: number,
  ) {
    this.name = module.name
    this.host = on.name
  }

  get isRunning(): boolean {
    return this.#state === 'running' || this.#state === 'restarting'
  }

  /** Undoes it and starts it anew; rejects when it does not run, and when it cannot be started any more. */
  restart(): Promise<void> {
    if (!this.isRunning) return Promise.reject(this.#notRunning())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (this.#state === 'running') this.#actor?.startAgain()
    })
  }

  /** Undoes it for good; what it keeps alive is left to `stopActor`. */
  close(): void {
    this.#end()
    void this.#undo()
  }

  stopActor(): void {
    this.#actor?.stop('shutdown')
  }

  // ---- for its actor

  start(actor: ModuleActor): void {
    this.#actor = actor
    // The server stops meanwhile.
    if (this.#state === 'stopped') return
    this.#state = 'starting'
    this.#starts += 1
    const server = this.#server(actor, this.#starts)
    try {
      registering(this, () => {
        for (const feature of this.module.features) this.#undos.push(server.discovery.host.addFeature(feature))
        this.module.start(server, this.options)
      })
    } catch (error) {
      this.#lastError = error
      this.#state = 'restarting'
      void this.#undo()
      throw error
    }
    this.#state = 'running'
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  stop(): void | Promise<void> {
    if (this.#state === 'running') this.#state = 'restarting'
    return this.#undo()
  }

  ended(_reason: string): void {
    this.#end()
  }

  inspected(): Record<string, string | number> {
    return { module: this.name, host: this.host, registered: this.#undos.length }
  }

  // ---- for those with whom it registers

  failed(error: unknown): void {
    this.#actor?.countFault(error)
  }

  // ----

  #end(): void {
    this.#state = 'stopped'
    for (const { reject } of this.#waiting.splice(0)) reject(this.#notRunning())
  }

  #notRunning(): Error {
    const cause = this.#lastError === undefined ? undefined : { cause: this.#lastError }
    return new Error(`${this.name} does not run for ${this.host}`, cause)
  }

  /** In the reverse order, each once. One that fails keeps none of the others from being done. */
  #undo(): void | Promise<void> {
    const waiting: Promise<unknown>[] = []
    const failed = (error: unknown) => {
      this.failed(error)
      this.services.routing.onBug(error)
    }
    for (const undo of this.#undos.splice(0).reverse()) {
      try {
        const result = undo()
        if (result instanceof Promise) waiting.push(result.catch(failed))
      } catch (error) {
        failed(error)
      }
    }
    if (waiting.length > 0) return Promise.all(waiting).then(() => undefined)
  }

  #server(actor: ModuleActor, incarnation: number): ModuleServer {
    const { services, on } = this
    const { routing } = services
    const keep = (undo: Undo) => {
      const isUp = this.#state === 'starting' || this.#state === 'running'
      if (isUp && incarnation === this.#starts) this.#undos.push(undo)
      // It is too late to begin something.
      else undo()
    }
    return {
      ...services,
      host: on.name,
      hostJid: on.jid,
      hooks: routing.hooksOf(on.name),
      discovery: on.discovery,
      onIq: (target, type, ns, name, handler) =>
        keep(registering(this, () => routing.iq.register({ domain: on.name, target, type, ns, name, handler }))),
      onUnauthenticatedIq: (ns, name, handler) => keep(on.addUnauthenticated(ns, name, handler, this)),
      offerStreamFeature: feature => keep(on.addStreamFeature(feature, this)),
      offer: (key, offered) => keep(on.addOffer(key, offered)),
      send: stanza => routing.send(stanza),
      openResidence: (name, options) => actor.openResidence(name, options),
      kept: (name, make) => this.#keptOr(name, make),
      onStop: keep,
    }
  }

  #keptOr<Kept>(name: string, make: () => Kept): Kept {
    if (!this.#kept.has(name)) this.#kept.set(name, make())
    // It has the type of what `make` of this name returns.
    return this.#kept.get(name) as Kept
  }
}
