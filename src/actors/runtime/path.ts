import type { NactPath } from './nact.js'

const validName = /^[a-z0-9$_.+!*'(),-]+$/i

/** The name, if nact can find an actor by it: letters, digits and `$-_.+!*'(),` only. Throws otherwise. */
export function checkName(name: string): string {
  if (validName.test(name)) return name
  throw new Error(`actor name '${name}' may hold only letters, digits and $-_.+!*'(), (see actorName)`)
}

/** Where an actor stands, printed as `/root/listeners/c2s-0.0.0.0-5222`. Has the shape of nact's paths, so nact can walk it. */
export class ActorPath implements NactPath {
  /** @internal */
  readonly system: string
  /** The names from root down. */
  readonly parts: readonly string[]

  /** @internal */
  constructor(system: string, parts: readonly string[]) {
    this.system = system
    this.parts = parts
  }

  /** @internal */
  createChildPath(name: string): ActorPath {
    return new ActorPath(this.system, [...this.parts, checkName(name)])
  }

  /** As `/root/listeners`. */
  toString(): string {
    return `/${this.parts.join('/')}`
  }
}

const encoder = new TextEncoder()

/** A valid actor name for any text (a JID, say); different texts give different names. Empty text throws. */
export function actorName(text: string): string {
  if (text === '') throw new Error('an actor name cannot be empty')
  return text.replace(/[^a-zA-Z0-9._-]/gu, character => {
    let escaped = ''
    for (const byte of encoder.encode(character)) escaped += `$${byte.toString(16).padStart(2, '0')}`
    return escaped
  })
}
