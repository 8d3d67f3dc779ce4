/** Which accounts there are, whatever they are kept in; the server hands in what `[auth]` says. */
export interface AccountLookup {
  /** At once where that is known without asking the store. */
  exists(user: string, host: string): boolean | Promise<boolean>
}
