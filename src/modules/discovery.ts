import type { DiscoInfo, DiscoItem, Identity, InfoForm } from '../protocols/disco.js'
import { type OfPart, registrant, withEntry } from '../routing/parts.js'

/** A part of an entity that is asked about by its own name. XEP-0030 §3.2, §4.2 */
export interface DiscoNode {
  readonly info: DiscoInfo
  readonly items: readonly DiscoItem[]
}

/** In the order of the modules, whenever each was started. */
class Listed<Value> {
  #entries: readonly (OfPart & { readonly value: Value })[] = []
  #values: readonly Value[] | undefined

  /** The same until something is added or taken away. */
  get values(): readonly Value[] {
    this.#values ??= this.#entries.map(({ value }) => value)
    return this.#values
  }

  /** Returns the undo. */
  add(value: Value, changed: () => void = () => {}): () => void {
    const entry = { value, part: registrant() }
    this.#set(withEntry(this.#entries, entry), changed)
    return () => {
      const left = this.#entries.filter(other => other !== entry)
      this.#set(left, changed)
    }
  }

  #set(entries: readonly (OfPart & { readonly value: Value })[], changed: () => void): void {
    this.#entries = entries
    this.#values = undefined
    changed()
  }
}

/** What a host, or the accounts on it, say of themselves; modules add to it. XEP-0030 */
export class Discovery {
  readonly #identities = new Listed<Identity>()
  readonly #forms = new Listed<InfoForm>()
  /** Several modules may bring the same. */
  readonly #features = new Listed<string>()
  readonly #nodes = new Map<string, DiscoNode>()
  readonly #items = new Listed<DiscoItem>()

  #info: DiscoInfo | undefined
  readonly #changed = () => {
    this.#info = undefined
  }

  /** The same value until something is added or taken away. */
  get info(): DiscoInfo {
    this.#info ??= {
      identities: this.#identities.values,
      features: [...new Set(this.#features.values)],
      forms: this.#forms.values,
    }
    return this.#info
  }

  addFeature(feature: string): () => void {
    return this.#features.add(feature, this.#changed)
  }

  addIdentity(identity: Identity): () => void {
    return this.#identities.add(identity, this.#changed)
  }

  addForm(form: InfoForm): () => void {
    return this.#forms.add(form, this.#changed)
  }

  /** What modules list beside what the entity has anyway. */
  get items(): readonly DiscoItem[] {
    return this.#items.values
  }

  node(name: string): DiscoNode | undefined {
    return this.#nodes.get(name)
  }

  addNode(name: string, node: DiscoNode): () => void {
    this.#nodes.set(name, node)
    return () => void this.#nodes.delete(name)
  }

  addItem(item: DiscoItem): () => void {
    return this.#items.add(item)
  }
}
