import type { Deadline } from './deadlines.js'
import type { NactReference } from './nact.js'

/** Something on the control lane that is not a message. */
export abstract class Signal {}

/** A deadline has passed. */
export class Expired extends Signal {
  readonly deadline: Deadline

  constructor(deadline: Deadline) {
    super()
    this.deadline = deadline
  }
}

/** A message of nact's `dispatch` or `query` with its sender. */
export class Sent extends Signal {
  readonly message: unknown
  readonly sender: NactReference

  constructor(message: unknown, sender: NactReference) {
    super()
    this.message = message
    this.sender = sender
  }
}
