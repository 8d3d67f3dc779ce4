/** A first-in first-out queue that exists only while something waits: whoever empties it drops it. */
export class Lane {
  #items: unknown[]
  #head = 0

  /** Takes over the array, which is exactly as long as what waits first. */
  constructor(items: unknown[]) {
    this.#items = items
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: unknown): void {
    this.#items.push(item)
  }

  /** At most so many of what waits, the oldest first; they stay. */
  first(most: number): unknown[] {
    return this.#items.slice(this.#head, this.#head + most)
  }

  /** Undefined when empty; check `size` where undefined may be an item. */
  shift(): unknown {
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    // A lane that is never quite empty must not keep its handled front.
    if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
