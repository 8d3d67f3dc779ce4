import type { Path } from './schema.js'

/*
 * Where in a TOML text each key, table header and array element stands. The parser has accepted the text before, so this scanner checks
 * nothing: it only knows enough of TOML to find its way, and whatever it is given, it ends.
 */

/** A place in a text: line from 1, column from 1 in UTF-16 units. */
export interface Place {
  line: number
  column: number
}

interface Node {
  offset: number
  children: Map<string | number, Node>
}

/** Deeper arrays and inline tables are skipped, not indexed. */
const MAX_DEPTH = 64

/** The places of everything in a TOML text. */
export class KeyIndex {
  readonly #root: Node
  readonly #lineStarts: number[] = [0]

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#lineStarts.push(at + 1)
    this.#root = scan(text)
  }

  /** Where `path` stands; for what is not there, where the nearest thing around it starts. */
  placeOf(path: Path): Place {
    let node = this.#root
    for (const key of path) {
      const child = node.children.get(key)
      if (child === undefined) break
      node = child
    }
    return this.#place(node.offset)
  }

  /** True when `path` itself stands in the text. */
  has(path: Path): boolean {
    let node: Node | undefined = this.#root
    for (const key of path) node = node?.children.get(key)
    return node !== undefined
  }

  #place(offset: number): Place {
    let low = 0
    let high = this.#lineStarts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#lineStarts[middle]! <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: offset - this.#lineStarts[low]! + 1 }
  }
}

function scan(text: string): Node {
  const root = node(0)
  let table = root
  let at = 0

  const skip = (pattern: RegExp) => {
    pattern.lastIndex = at
    if (pattern.test(text)) at = pattern.lastIndex
  }
  const skipBlank = () => skip(/[ \t]+/y)
  const skipAnyBlank = () => skip(/(?:[ \t\r\n]|#[^\n]*)+/y)

  while (at < text.length) {
    skipAnyBlank()
    const before = at
    if (text.startsWith('[[', at)) table = arrayElement()
    else if (text[at] === '[') table = header()
    else if (at < text.length) keyValue(table, 0)
    skip(/[^\n]*\n?/y)
    if (at === before) at++
  }
  return root

  function header(): Node {
    const start = at++
    const found = descend(root, keys(), start)
    found.offset = start // What a deeper header implied before is defined here.
    return found
  }

  function arrayElement(): Node {
    const start = at
    at += 2
    const array = descend(root, keys(), start, false)
    const element = node(start)
    array.children.set(array.children.size, element)
    return element
  }

  /** The node that `path` leads to from a header; arrays of tables on the way mean their last element. */
  function descend(from: Node, path: { key: string }[], offset: number, intoLast = true): Node {
    let here = from
    path.forEach(({ key }, index) => {
      here = child(here, key, offset)
      if (intoLast || index < path.length - 1) here = here.children.get(here.children.size - 1) ?? here
    })
    return here
  }

  function keyValue(parent: Node, depth: number) {
    let here = parent
    for (const { key, offset } of keys()) here = child(here, key, offset)
    skipBlank()
    if (text[at] !== '=') return
    at++
    value(here, depth)
  }

  /** A dotted key; ends behind it. */
  function keys(): { key: string; offset: number }[] {
    const found: { key: string; offset: number }[] = []
    do {
      skipBlank()
      const offset = at
      const key = text[at] === '"' || text[at] === "'" ? quotedKey() : bareKey()
      found.push({ key, offset })
      skipBlank()
    } while (text[at] === '.' && ++at)
    return found
  }

  function bareKey(): string {
    const start = at
    skip(/[\w-]+/y)
    return text.slice(start, at)
  }

  function quotedKey(): string {
    const start = at
    string()
    const body = text.slice(start + 1, at - 1)
    return text[start] === "'" ? body : unescaped(body)
  }

  function value(owner: Node, depth: number) {
    skipAnyBlank()
    const first = text[at]
    if (first === '"' || first === "'") string()
    else if (first === '[' || first === '{') {
      if (depth >= MAX_DEPTH) skipNested()
      else if (first === '[') array(owner, depth)
      else inlineTable(owner, depth)
    } else skip(/[^,\]}#\n]+/y)
  }

  function array(owner: Node, depth: number) {
    at++
    for (let index = 0; at < text.length; index++) {
      skipAnyBlank()
      if (text[at] === ']') break
      const before = at
      value(child(owner, index, at), depth + 1)
      skipAnyBlank()
      if (text[at] === ',') at++
      if (at === before) break
    }
    if (text[at] === ']') at++
  }

  function inlineTable(owner: Node, depth: number) {
    at++
    while (at < text.length) {
      skipAnyBlank()
      if (text[at] === '}') break
      const before = at
      keyValue(owner, depth + 1)
      skipAnyBlank()
      if (text[at] === ',') at++
      if (at === before) break
    }
    if (text[at] === '}') at++
  }

  function skipNested() {
    let open = 0
    do {
      const first = text[at]
      if (first === '"' || first === "'") string()
      else {
        if (first === '[' || first === '{') open++
        if (first === ']' || first === '}') open--
        if (first === '#') skip(/[^\n]*/y)
        else at++
      }
    } while (open > 0 && at < text.length)
  }

  function string() {
    const quote = text[at] === '"' ? '"' : "'"
    const isLong = text.startsWith(quote.repeat(3), at)
    const end = quote.repeat(isLong ? 3 : 1)
    at += end.length
    while (at < text.length && !text.startsWith(end, at)) {
      if (text[at] === '\n' && !isLong) return
      at += text[at] === '\\' && quote === '"' ? 2 : 1
    }
    at += end.length
    // One or two quotes may stand directly before the three that close.
    for (let extra = 0; isLong && extra < 2 && text[at] === quote; extra++) at++
  }
}

function child(parent: Node, key: string | number, offset: number): Node {
  const known = parent.children.get(key)
  if (known !== undefined) return known
  const made = node(offset)
  parent.children.set(key, made)
  return made
}

function node(offset: number): Node {
  return { offset, children: new Map() }
}

function unescaped(body: string): string {
  const named: Record<string, string> = { b: '\b', t: '\t', n: '\n', f: '\f', r: '\r' }
  return body.replace(/\\(?:u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|(.))/g, (whole, short, long, letter) => {
    const code = Number.parseInt(short ?? long ?? '', 16)
    if (Number.isNaN(code)) return named[letter] ?? letter
    return code <= 0x10_ffff ? String.fromCodePoint(code) : whole
  })
}
