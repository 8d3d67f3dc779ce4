import { Element } from 'ltx'
import { SaxesParser, type SaxesTagNS } from 'saxes'

/*
 * XML as the test client sees it: parsed by saxes, which shares no line with the server, into ltx trees.
 */

export interface StreamReader {
  /** Reads what arrived, piece by piece; throws when the server's XML is not well-formed. */
  read(bytes: Uint8Array): void
}

export interface StreamEvents {
  header(element: Element): void
  /** A whole child of the stream. `true` says that a new stream begins right behind it. */
  element(element: Element): boolean
  ended(): void
}

/** Reads one XML stream after the other, as they follow each other on one connection. */
export function streamReader(events: StreamEvents): StreamReader {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let parser = streamParser(events, restart)
  let restarts = false
  function restart() {
    restarts = true
  }
  return {
    read(bytes) {
      // saxes cannot stop in the middle of a chunk, and the element that ends one stream may share it with the next.
      for (const piece of decoder.decode(bytes, { stream: true }).split(/(?<=>)/)) {
        if (piece !== '') parser.write(piece)
        if (!restarts) continue
        restarts = false
        parser = streamParser(events, restart)
      }
    },
  }
}

function streamParser(events: StreamEvents, restart: () => void): SaxesParser<{ xmlns: true }> {
  let stream: Element | undefined
  return treeParser({
    opened(element, depth) {
      if (depth > 1) return
      stream = element
      events.header(element)
    },
    closed(element, depth) {
      if (depth === 1) events.ended()
      if (depth !== 2) return
      // The tree of one stanza: it knows its stream, for the namespaces, but the stream does not collect it.
      if (stream) stream.children = []
      if (events.element(element)) restart()
    },
  })
}

interface TreeEvents {
  opened?(element: Element, depth: number): void
  closed(element: Element, depth: number): void
}

function treeParser(events: TreeEvents): SaxesParser<{ xmlns: true }> {
  const parser = new SaxesParser({ xmlns: true, position: false })
  const path: Element[] = []
  const text = (characters: string) => {
    path.at(-1)?.t(characters)
  }
  parser.on('opentag', tag => {
    const element = new Element(tag.name, attributes(tag))
    path.at(-1)?.cnode(element)
    path.push(element)
    events.opened?.(element, path.length)
  })
  parser.on('text', text)
  parser.on('cdata', text)
  parser.on('closetag', () => {
    const element = path.pop()
    if (element) events.closed(element, path.length + 1)
  })
  parser.on('error', error => {
    throw error
  })
  return parser
}

function attributes(tag: SaxesTagNS): Record<string, string> {
  return Object.fromEntries(Object.values(tag.attributes).map(attribute => [attribute.name, attribute.value]))
}

/** The tree that a text names; an element without `xmlns` is in `namespace`, and `stream:` is bound. */
export function parseXml(xml: string, namespace: string): Element {
  const found: Element[] = []
  const parser = treeParser({
    closed(element, depth) {
      if (depth === 2) found.push(element)
    },
  })
  parser.write(`<x xmlns="${namespace}" xmlns:stream="http://etherx.jabber.org/streams">${xml}</x>`).close()
  const [element] = found
  if (!element || found.length !== 1) throw new Error(`not one XML element: ${xml}`)
  return element
}

/**
 * True when `element` has at least what `pattern` says: the same name and namespace, its attributes, its text if it has any,
 * and for each of its children another child that matches. Order does not matter.
 */
export function contains(element: Element, pattern: Element): boolean {
  if (element.getName() !== pattern.getName() || element.getNS() !== pattern.getNS()) return false
  for (const [name, value] of Object.entries(pattern.attrs)) {
    if (isNamespaceDeclaration(name)) continue
    if (element.attrs[name] !== value) return false
  }
  const text = pattern.getText()
  if (text.trim() !== '' && element.getText() !== text) return false
  return pairs(pattern.getChildElements(), element.getChildElements())
}

/** Finds for each pattern an element of its own. */
function pairs(patterns: Element[], elements: Element[]): boolean {
  const [first, ...others] = patterns
  if (!first) return true
  return elements.some(
    element =>
      contains(element, first) &&
      pairs(
        others,
        elements.filter(other => other !== element),
      ),
  )
}

function isNamespaceDeclaration(name: string): boolean {
  return name === 'xmlns' || name.startsWith('xmlns:')
}
