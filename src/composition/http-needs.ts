import type { ComponentServices } from '../actors/component-connection.js'
import type { C2sServices } from '../actors/connection.js'
import type { Introspection } from '../operations/introspection.js'
import type { OperationServices } from '../operations/services.js'
import type { ClientEntrance } from './c2s.js'
import type { ComponentOptions } from './component.js'
import type { ServerMetrics } from './metrics.js'

/** What the handlers of an HTTP listener ask of the rest of the server. */
export interface HttpNeeds {
  health(): 'ok' | 'starting' | 'draining' | 'storage'
  /** Warns of what clients of a listener that is bound to the address can, or cannot, do. */
  warnOfLogins(address: string, entrance: ClientEntrance): void
  /** Makes what the connections of clients need. */
  clients(entrance: ClientEntrance): Promise<C2sServices>
  readonly operations: OperationServices
  /** Loads what the server shows of itself. */
  introspection(): Promise<Introspection>
  /** Loads what metrics take. */
  metrics(): Promise<ServerMetrics>
  /** Makes what the connections of components need. */
  components(listener: string, options: ComponentOptions): Promise<ComponentServices>
}
