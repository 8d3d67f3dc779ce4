import type { Method } from './method.js'

/** Method `pki`: whoever a certificate proves exists. spec/listeners.md §2.6 */
export const pkiMethod: Method = {
  capabilities: ['external'],
  identify: async () => true,
  knowsEverybody: true,
  exists: () => true,
}
