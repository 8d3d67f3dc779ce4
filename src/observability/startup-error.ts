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
  /** The nact system that a host program gave has stopped, or has an actor of our root's name. */
  | 'system'

/** The server cannot start for a reason that the user can mend. The message is one line and says what to do; exit code 1. */
export class StartupError extends Error {
  /** Always `StartupError`. */
  override name = 'StartupError'
  constructor(
    /** What to look at. */
    readonly problem: StartupProblem,
    message: string,
    options?: { cause: unknown },
  ) {
    super(message, options)
  }
}
