import { Element } from 'ltx'

/**
 * An answer as XML: the root is named after its only key, or `list`; scalars become attributes, and what is in a list becomes elements.
 * What is no name in XML is written with escapes, `_x0035_0` for `50`. spec/metrics-api.md Q-5
 */
export function xmlOf(value: unknown): string {
  const entries = entriesOf(value)
  const [only] = entries
  const root = only !== undefined && entries.length === 1 ? elementOf(...only) : elementOf('list', value)
  return root.toString()
}

function elementOf(name: string, value: unknown): Element {
  const element = new Element(nameOf(name))
  if (Array.isArray(value)) {
    for (const item of value) element.cnode(itemOf(item))
    return element
  }
  for (const [key, inner] of entriesOf(value)) {
    if (typeof inner === 'object' && inner !== null) element.cnode(elementOf(key, inner))
    else element.attr(nameOf(key), String(inner))
  }
  return element
}

/** A text is the name of an empty element, and an object with one key is named after that. */
function itemOf(item: unknown): Element {
  if (typeof item !== 'object') return new Element(nameOf(String(item)))
  const [only] = entriesOf(item)
  return only === undefined ? new Element('item') : elementOf(...only)
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

const nameOf = (text: string) => text.replace(/^[^A-Za-z_]|[^\w.-]/gu, escapeOf)

const escapeOf = (character: string) => `_x${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}_`
