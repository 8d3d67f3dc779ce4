import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/*
 * The blocks of code in a page. A comment of HTML right before a block says what is special about it:
 * `<!-- file: greeter.js -->` it is a file of that name, which other blocks of the page import;
 * `<!-- not run: why -->` it is to be read, not run.
 */

export interface Block {
  /** From the root of the repository. */
  readonly page: string
  /** Of the line with the language. */
  readonly line: number
  readonly language: string
  readonly text: string
  readonly file: string | undefined
  readonly isRun: boolean
}

const repository = join(import.meta.dirname, '../..')
const fence = /^( *)(`{3,})(\S*)\n(.*?)\n\1\2[ \t]*$/gms
const remark = /<!-- (file|not run): (.+) -->\s*$/

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(repository, page), 'utf8')
  return [...text.matchAll(fence)].map(({ index, 1: indent = '', 3: language = '', 4: inside = '' }) => {
    const before = text.slice(0, index)
    const [, what, value] = remark.exec(before) ?? []
    return {
      page,
      line: before.split('\n').length,
      language,
      text: `${inside.replaceAll(new RegExp(`^${indent}`, 'gm'), '')}\n`,
      file: what === 'file' ? value : undefined,
      isRun: what !== 'not run',
    }
  })
}
