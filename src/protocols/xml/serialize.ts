import type { Element } from 'ltx'
import { escapeValue } from './text.js'

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' }

/**
 * The element as XML from which the same element is read again: other than with ltx's own, white space in attributes and carriage
 * returns survive the reader's normalisation. XML 1.0 §2.11, §3.3.3
 */
export function serialize({ name, attrs, children }: Element): string {
  let xml = `<${name}`
  for (const [key, value] of Object.entries(attrs)) {
    if (value !== undefined && value !== null) xml += ` ${key}="${escapeValue(String(value))}"`
  }
  if (children.length === 0) return `${xml}/>`
  xml += '>'
  for (const child of children) {
    xml += typeof child === 'string' ? child.replace(/[&<>\r]/g, char => escapes[char]!) : serialize(child)
  }
  return `${xml}</${name}>`
}
