/** Bytes from `node:crypto` or, in tests, from elsewhere. */
export type Random = (size: number) => Buffer

/**
 * Names for SASL ANONYMOUS: 16 random hex digits, then a counter, so that no name comes twice while the server runs.
 * spec/listeners.md §3.1.5
 */
export function anonymousNames(random: Random): () => string {
  let count = 0
  return () => {
    count += 1
    return `${random(8).toString('hex')}${count}`
  }
}

export interface AnonymousOptions {
  /** `auth.anonymous.allow_multiple_connections` */
  mayShareName: boolean
  /** Whether the name is logged in now. */
  isOnline(user: string): boolean
  /** Whether another method of the host knows the name. */
  isTaken(user: string): Promise<boolean>
}

/** Whether any password will do for this name (`auth.anonymous.protocol` is `login_anon` or `both`). spec/listeners.md §2.6 */
export async function mayLogInAnonymously(user: string, options: AnonymousOptions): Promise<boolean> {
  if (await options.isTaken(user)) return false
  return options.mayShareName || !options.isOnline(user)
}
