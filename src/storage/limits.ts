/** What may be outstanding at once with a store; a request above either limit is rejected without being begun. */
export interface StoreLimits {
  requests: number
  /** Of the arguments, about. */
  bytes: number
}

export const defaultLimits: StoreLimits = { requests: 10_000, bytes: 64 * 1024 * 1024 }

/** About how many bytes a value takes while it waits. */
export function weigh(value: unknown): number {
  if (typeof value === 'string') return 16 + value.length
  if (value instanceof Uint8Array) return 64 + value.byteLength
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce((sum: number, part) => sum + weigh(part), 32)
}
