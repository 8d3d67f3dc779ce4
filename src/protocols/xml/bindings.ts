interface Binding {
  readonly prefix: string
  readonly uri: string
  readonly depth: number
  /** What the same prefix meant outside. */
  readonly shadowed: Binding | undefined
}

/** The namespace prefixes declared inside one first-level element, while it is being read. Constant time each. */
export class Bindings {
  readonly #current = new Map<string, Binding>()
  readonly #declared: Binding[] = []

  get isEmpty(): boolean {
    return this.#declared.length === 0
  }

  declare(prefix: string, uri: string, depth: number): void {
    const binding = { prefix, uri, depth, shadowed: this.#current.get(prefix) }
    this.#current.set(prefix, binding)
    this.#declared.push(binding)
  }

  /** The namespace a prefix means here, or undefined. */
  lookup(prefix: string): string | undefined {
    return this.#current.get(prefix)?.uri
  }

  /** Forgets what was declared at this depth and below. */
  leave(depth: number): void {
    for (;;) {
      const last = this.#declared.at(-1)
      if (last === undefined || last.depth < depth) return
      this.#declared.pop()
      if (last.shadowed) this.#current.set(last.prefix, last.shadowed)
      else this.#current.delete(last.prefix)
    }
  }
}
