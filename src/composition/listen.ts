import { Listener, type ListenerOptions, listenerName } from '../actors/listener.js'
import type { startBranch } from '../actors/root.js'
import { spawnActor } from '../actors/runtime/index.js'
import type { Binding } from '../actors/socket.js'
import { longLived } from '../actors/supervision.js'
import type { C2sListenerConfig } from '../config/listen-xmpp.js'
import { StartupError } from '../observability/startup-error.js'
import type { Address, Base } from './base.js'

export type Bindable = Pick<C2sListenerConfig, 'ip_address' | 'ip_version' | 'port'>

export const addressOf = ({ ip_address, ip_version }: Bindable) => ip_address ?? (ip_version === 6 ? '::' : '0.0.0.0')

export const nameOf = (type: string, listener: Bindable, index: number) =>
  listenerName(type, addressOf(listener), listener.port, index)

export interface ListenerParts extends Pick<ListenerOptions, 'acceptors' | 'makeAcceptor'> {
  readonly socket: Pick<Binding, 'backlog' | 'retries' | 'open'>
}

/** Starts a listener in the tree and resolves when its port is bound. */
export function listen(
  { clock, emit }: Base,
  branch: ReturnType<typeof startBranch>,
  name: string,
  protocol: Address['protocol'],
  listener: Bindable,
  { acceptors, makeAcceptor, socket }: ListenerParts,
): Promise<Address> {
  return new Promise((resolve, reject) => {
    const where = () => ({ listener: name, address: binding.address, port: binding.port })
    const binding: Binding = {
      address: addressOf(listener),
      port: listener.port,
      wasBound: false,
      ...socket,
      onBound({ address, port }) {
        emit('listener.bound', { listener: name, address, port })
        resolve({ name, protocol, address, port })
      },
      onRetry: (attempt, error) => emit('listener.retrying', { ...where(), attempt, error: error.message }),
      onFailed(error) {
        emit('listener.failed', { ...where(), error: error.message })
        reject(bindFailure(binding, error))
      },
    }
    const options: ListenerOptions = { binding, acceptors, makeAcceptor, clock }
    spawnActor(branch, init => new Listener(init, options), { name, policy: longLived })
  })
}

function bindFailure({ address, port }: Binding, error: NodeJS.ErrnoException): StartupError {
  const place = `${address.includes(':') ? `[${address}]` : address}:${port}`
  if (error.code === 'EADDRINUSE') {
    return new StartupError('address-in-use', `${place} is in use by another program`, { cause: error })
  }
  return new StartupError('address-not-available', `${place} cannot be bound: ${error.code ?? error.message}`, {
    cause: error,
  })
}
