import { readFileSync } from 'node:fs'

/*
 * A page of the documentation, cut into what can be checked. As much of Markdown as the pages use, and no more.
 */

/** Something on a page, and the line on which its text begins; lines count from 1. */
export interface Piece {
  readonly text: string
  readonly line: number
}

/** A fenced block, or one that is indented by four spaces (then its language is ''). */
export interface Block extends Piece {
  readonly language: string
}

export interface Page {
  /** As the reader of the repository sees it, such as `docs/operating.md`. */
  readonly file: string
  readonly blocks: readonly Block[]
  /** Texts between backticks. */
  readonly spans: readonly Piece[]
  /** Where links and images lead. */
  readonly links: readonly Piece[]
  /** What `#...` may name, as GitHub makes it of headings. */
  readonly anchors: ReadonlySet<string>
}

/** The page in a file below `root`. */
export const readPage = (root: string, file: string): Page => parsePage(file, readFileSync(`${root}/${file}`, 'utf8'))

export function parsePage(file: string, text: string): Page {
  const { blocks, prose } = parted(text)
  return {
    file,
    blocks,
    spans: found(prose, /(`+)(?!`)(.+?)(?<!`)\1(?!`)/gs, 2),
    links: found(withoutSpans(prose), /\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)/g, 1),
    anchors: anchorsOf(prose),
  }
}

/** Blocks, and the text with empty lines in their places. */
function parted(text: string): { blocks: Block[]; prose: string } {
  const lines = text.split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at++) {
    const end = fencedEnd(lines, at) ?? indentedEnd(lines, at)
    if (end === undefined) continue
    const fence = /^(\s*)```\s*([^\s`]*)/.exec(lines[at]!)
    const body = fence === null ? lines.slice(at, end) : lines.slice(at + 1, end - 1)
    const indent = fence === null ? 4 : fence[1]!.length
    blocks.push({
      language: fence?.[2] ?? '',
      text: body.map(line => line.slice(indent)).join('\n'),
      line: at + (fence === null ? 1 : 2),
    })
    lines.fill('', at, end)
    at = end - 1
  }
  return { blocks, prose: lines.join('\n') }
}

/** The line after a fenced block that begins here. */
function fencedEnd(lines: readonly string[], start: number): number | undefined {
  if (!/^\s*```/.test(lines[start]!)) return undefined
  const close = lines.findIndex((line, at) => at > start && /^\s*```\s*$/.test(line))
  return close < 0 ? lines.length : close + 1
}

/** The line after an indented block that begins here: below an empty line, and not the continuation of an item of a list. */
function indentedEnd(lines: readonly string[], start: number): number | undefined {
  if (!/^ {4}\S/.test(lines[start]!) || lines[start - 1]?.trim() !== '' || isInItem(lines, start)) return undefined
  let end = start + 1
  for (let at = end; at < lines.length && /^( {4}|\s*$)/.test(lines[at]!); at++)
    if (lines[at]!.trim() !== '') end = at + 1
  return end
}

function isInItem(lines: readonly string[], start: number): boolean {
  const above = lines.slice(0, start).findLast(line => /^\S/.test(line))
  return above !== undefined && /^([-*]|\d+\.) /.test(above)
}

function found(text: string, pattern: RegExp, group: number): Piece[] {
  return [...text.matchAll(pattern)].map(match => ({
    text: match[group]!.replace(/\s+/g, ' '),
    line: text.slice(0, match.index).split('\n').length,
  }))
}

/** Code is no place for links. Line ends stay. */
const withoutSpans = (prose: string) => prose.replace(/`[^`]*`/g, span => span.replace(/[^\n]/g, ' '))

function anchorsOf(prose: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let name = slug
    for (let again = 1; anchors.has(name); again++) name = `${slug}-${again}`
    anchors.add(name)
  }
  return anchors
}
