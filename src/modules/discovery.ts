import type { DiscoInfo, DiscoItem, Identity, InfoForm } from '../protocols/disco.js'

/** A part of an entity that is asked about by its own name. XEP-0030 §3.2, §4.2 */
export interface DiscoNode {
  readonly info: DiscoInfo
  readonly items: readonly DiscoItem[]
}

/** What a host, or the accounts on it, say of themselves; modules add to it. XEP-0030 */
export class Discovery {
  readonly #identities: Identity[] = []
  readonly #forms: InfoForm[] = []
  /** How many modules bring a feature. */
  readonly #features = new Map<string, number>()

  readonly #nodes = new Map<string, DiscoNode>()
  readonly #items: DiscoItem[] = []

  #info: DiscoInfo | undefined

  /** The same value until something is added or taken away. */
  get info(): DiscoInfo {
    this.#info ??= { identities: [...this.#identities], features: [...this.#features.keys()], forms: [...this.#forms] }
    return this.#info
  }

  addFeature(feature: string): () => void {
    this.#info = undefined
    this.#features.set(feature, (this.#features.get(feature) ?? 0) + 1)
    return () => {
      this.#info = undefined
      const left = (this.#features.get(feature) ?? 0) - 1
      if (left > 0) this.#features.set(feature, left)
      else this.#features.delete(feature)
    }
  }

  addIdentity(identity: Identity): () => void {
    this.#info = undefined
    this.#identities.push(identity)
    return () => {
      this.#info = undefined
      this.#identities.splice(this.#identities.indexOf(identity), 1)
    }
  }

  addForm(form: InfoForm): () => void {
    this.#info = undefined
    this.#forms.push(form)
    return () => {
      this.#info = undefined
      this.#forms.splice(this.#forms.indexOf(form), 1)
    }
  }

  /** What modules list beside what the entity has anyway. */
  get items(): readonly DiscoItem[] {
    return this.#items
  }

  node(name: string): DiscoNode | undefined {
    return this.#nodes.get(name)
  }

  addNode(name: string, node: DiscoNode): () => void {
    this.#nodes.set(name, node)
    return () => void this.#nodes.delete(name)
  }

  addItem(item: DiscoItem): () => void {
    this.#items.push(item)
    return () => void this.#items.splice(this.#items.indexOf(item), 1)
  }
}
