import type { Clock } from '../observability/clock.js'
import { type Emit, thrown } from '../observability/events.js'
import { Actor, type ActorInit } from './runtime/index.js'

/** What this actor asks of a store that can be lost. */
export interface LosableStore {
  readonly isOpen: boolean
  /** Opens a lost store again; rejects when that fails. */
  restart(): Promise<void>
}

/** Milliseconds before a lost store is opened again; doubled after each failure up to the second figure. */
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 10_000
const RETRY = 'retry'

export type StorageMessage = { readonly type: 'lost'; readonly error: Error }

/** Keeps the store open: opens it again when it was lost. */
export class StorageActor extends Actor<StorageMessage> {
  private delay = FIRST_RETRY_MS

  constructor(
    init: ActorInit,
    private readonly store: LosableStore,
    private readonly clock: Clock,
    private readonly emit: Emit,
  ) {
    super(init)
  }

  protected override started(): void | Promise<void> {
    if (!this.store.isOpen) return this.reopen()
  }

  protected override receive({ error }: StorageMessage): void | Promise<void> {
    this.emit('storage.failed', { error: error.message })
    return this.reopen()
  }

  protected override timedOut(): Promise<void> {
    return this.reopen()
  }

  override inspected(): Record<string, boolean> {
    return { isOpen: this.store.isOpen }
  }

  private async reopen(): Promise<void> {
    try {
      await this.store.restart()
      this.delay = FIRST_RETRY_MS
      this.emit('storage.recovered', {})
    } catch (error) {
      this.emit('storage.failed', { error: thrown(error).error })
      this.arm(RETRY, this.clock.now() + this.delay)
      this.delay = Math.min(this.delay * 2, LAST_RETRY_MS)
    }
  }
}
