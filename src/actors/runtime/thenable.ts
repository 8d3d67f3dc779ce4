/** The value as what can be waited for. Throws when its `then` does. */
export function thenable(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  // The casts are the look that makes sure.
  return typeof (value as { then?: unknown }).then === 'function' ? (value as PromiseLike<unknown>) : undefined
}
