import { Element } from 'ltx'
import { NS } from './namespaces.js'
import { Stanza } from './stanza/stanza.js'

/*
 * A part of a stanza that is to mean the same away from it: what a client stores, or what a copy of a message holds.
 */

/** A copy of the element that declares itself every namespace which its ancestors declare for it. The children stay the other's. */
export function standalone(element: Element): Element {
  const copy = new Element(element.name)
  copy.attrs = { ...element.attrs }
  copy.children = element.children
  for (let above = element.parent; above !== null && above !== undefined; above = above.parent) {
    for (const [name, value] of Object.entries(above.attrs)) {
      if (isDeclaration(name) && !Object.hasOwn(copy.attrs, name)) copy.attrs[name] = value
    }
  }
  // A stanza's tree does not say its own namespace where the stream's is meant.
  copy.attrs.xmlns ??= NS.client
  return copy
}

/** The element in a text that `standalone` made. */
export function parseFragment(xml: string): Element {
  const element = Stanza.parse(`<iq>${xml}</iq>`).element.getChildElements()[0]!
  element.parent = null
  return element
}

const isDeclaration = (name: string) => name === 'xmlns' || name.startsWith('xmlns:')
