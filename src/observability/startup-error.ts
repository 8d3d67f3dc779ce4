/** What the user can mend when a start fails. */
export type StartupProblem =
  /** The port is taken. */
  | 'address-in-use'
  /** No interface of this machine has the address, or the port may not be bound. */
  | 'address-not-available'
  | 'certificate'
  /** Another server, or another process, works in data_dir. */
  | 'data-dir-in-use'
  /** data_dir cannot be made, read or written. */
  | 'data-dir'
  | 'store'
  | 'configuration'
  /** A module that is not ours threw. */
  | 'module'

/** The server cannot start for a reason that the user can mend. The message is one line and says what to do; exit code 1. */
export class StartupError extends Error {
  override name = 'StartupError'
  constructor(
    readonly problem: StartupProblem,
    message: string,
    options?: { cause: unknown },
  ) {
    super(message, options)
  }
}
