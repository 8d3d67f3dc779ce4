import type { Stanza } from '../protocols/stanza/stanza.js'

/** Who is at the other end: a component, in this process or not, or another server. */
export type FarEnd = 'component' | 'server'

/** As the other end sees it: what it sent, or what is handed to it. */
export type Direction = 'sent' | 'received'

export type Onlooker = (direction: Direction, end: FarEnd, stanza: Stanza) => void

/** Who watches the stanzas of components and of other servers. Those of clients pass hooks, which can be observed. */
export class Onlookers {
  /** Tells them all; undefined while there is none, so that a stanza that nobody watches costs one look. */
  tell: Onlooker | undefined = undefined
  #all: readonly Onlooker[] = []

  /** Returns its undo. It must not throw. */
  add(onlooker: Onlooker): () => void {
    this.#set([...this.#all, onlooker])
    return () => this.#set(this.#all.filter(other => other !== onlooker))
  }

  #set(all: readonly Onlooker[]): void {
    this.#all = all
    const everybody: Onlooker = (direction, end, stanza) => {
      for (const one of all) one(direction, end, stanza)
    }
    this.tell = all.length > 1 ? everybody : all[0]
  }
}
