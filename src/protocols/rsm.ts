import { Element } from 'ltx'
import { StanzaError } from './errors.js'
import { NS } from './namespaces.js'

/*
 * Pages of a long result. XEP-0059
 */

/** Which page is asked for. */
export interface PageRequest {
  /** Items wanted at most; undefined leaves it to us. 0 asks how many there are. XEP-0059 §2.7 */
  readonly max: number | undefined
  /** The page that follows this item. */
  readonly after: string | undefined
  /** The page in front of this item; '' is the last page. XEP-0059 §2.5 */
  readonly before: string | undefined
  /** The page that begins with the item of this number, the first being 0; only where pages are numbered. XEP-0059 §2.6 */
  readonly index?: number
}

/** The page that a query asks for in its `<set/>`. Throws `bad-request`, or `feature-not-implemented` for a page by its number. */
export function readPageRequest(query: Element, { isNumbered = false } = {}): PageRequest {
  const set = query.getChild('set', NS.resultSets)
  if (set === undefined) return { max: undefined, after: undefined, before: undefined }
  const index = numberIn(set, 'index')
  if (index !== undefined) {
    if (isNumbered) return { max: numberIn(set, 'max'), after: undefined, before: undefined, index }
    throw new StanzaError('feature-not-implemented', 'pages are asked for by the items before or after them')
  }
  const after = set.getChild('after')?.getText()
  if (after === '') throw new StanzaError('bad-request', 'after which item?')
  return { max: numberIn(set, 'max'), after, before: set.getChild('before')?.getText() }
}

function numberIn(set: Element, name: 'max' | 'index'): number | undefined {
  const text = set.getChild(name)?.getText().trim()
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new StanzaError('bad-request', `${name} is a number`)
  return Number(text)
}

/** The page that is returned: its first item and its last, where there is any, and how many items all pages hold, where that is known. */
export function pageElement(page: { first?: string; index?: number; last?: string; count?: number }): Element {
  const set = new Element('set', { xmlns: NS.resultSets })
  if (page.first !== undefined) {
    set.c('first', page.index === undefined ? {} : { index: String(page.index) }).t(page.first)
  }
  if (page.last !== undefined) set.c('last').t(page.last)
  if (page.count !== undefined) set.c('count').t(String(page.count))
  return set
}
