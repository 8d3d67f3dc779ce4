import type { SaslCondition } from '../errors.js'

/** What an exchange wants next from the one who runs it. */
export type SaslStep =
  /** Send the challenge, then call `respond` with the answer. */
  | { type: 'challenge'; data: Buffer }
  /** Look the account's keys up, then call `credentials`. */
  | { type: 'lookup'; username: string }
  /** Check the password, then call `verified`. */
  | { type: 'verify'; username: string; password: string }
  /** Done: `username` is a localpart as the client wrote it, not prepared yet; `data` rides in `<success/>`. */
  | { type: 'success'; username: string; data?: Buffer }
  | { type: 'failure'; condition: SaslCondition; text?: string }
