import type { NactPath } from './nact.js'

const validName = /^[a-z0-9$_.+!*'(),-]+$/i

/** Where an actor stands, printed as `/root/listeners/c2s-0.0.0.0-5222`. Has the shape of nact's paths, so nact can walk it. */
export class ActorPath implements NactPath {
  readonly system: string
  readonly parts: readonly string[]

  constructor(system: string, parts: readonly string[]) {
    this.system = system
    this.parts = parts
  }

  /** Throws when nact cannot find an actor of this name: letters, digits and `$-_.+!*'(),` only. */
  createChildPath(name: string): ActorPath {
    if (!validName.test(name)) {
      throw new Error(`actor name '${name}' may hold only letters, digits and $-_.+!*'(), (see actorName)`)
    }
    return new ActorPath(this.system, [...this.parts, name])
  }

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
