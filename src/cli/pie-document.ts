import { createReadStream } from 'node:fs'
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname, relative, resolve, sep } from 'node:path'
import type { Element } from 'ltx'
import { StreamError } from '../protocols/errors.js'
import { Jid } from '../protocols/jid.js'
import { isPieContainer, type PieContainer, PieError, type PiePlace, pieNs } from '../protocols/pie.js'
import { type DocumentPart, DocumentReader, elementOf } from '../protocols/xml/document-reader.js'
import { UserError } from './args.js'

/*
 * Reads a document of XEP-0227 from its file, and the files that it includes, as a sequence of accounts and what they hold. Nothing is
 * held in memory but the element that is being read.
 */

/** Bytes of one element. */
const elementLimit = 4 * 1024 * 1024

export type PieItem =
  | { readonly kind: 'user'; readonly account: Jid; readonly password: string | undefined }
  | { readonly kind: 'element'; readonly place: PiePlace; readonly element: Element }
  /** The elements of a container are over. */
  | { readonly kind: 'containerEnd'; readonly container: PieContainer }
  | { readonly kind: 'userEnd' }

type Level = 'server-data' | 'host' | 'user'

const inner: Readonly<Record<string, Level>> = { 'server-data': 'host', host: 'user' }

export class PieDocument {
  /** Bytes read so far, and of all files that were met so far. */
  read = 0
  total = 0
  /** Where it is being read, as `file:line`. */
  place = ''
  /** Elements that are none of the format's, by `{namespace}name`. */
  readonly ignored = new Map<string, number>()
  #host: string | undefined
  #folder = ''

  constructor(private readonly file: string) {}

  /** Everything in the document, in order. Throws UserError, with the place, for what cannot be read. */
  async *items(): AsyncGenerator<PieItem> {
    this.#folder = dirname(await realpath(this.file).catch(unreadable(this.file)))
    try {
      yield* this.#document(this.file, 'server-data')
    } catch (error) {
      throw this.located(error)
    }
  }

  /** An error with where in the document it is; what is nobody's expected mistake stays as it is. */
  located(error: unknown): unknown {
    if (error instanceof StreamError) return new UserError('bad-document', `${this.place}: ${error.message}`)
    return error instanceof PieError ? new UserError('bad-document', `${this.place}: ${error.message}`) : error
  }

  ignore(ns: string, name: string): void {
    const key = `{${ns}}${name}`
    this.ignored.set(key, (this.ignored.get(key) ?? 0) + 1)
  }

  async *#document(file: string, root: Level): AsyncGenerator<PieItem> {
    const reader = new DocumentReader({ element: elementLimit }, (path, ns, name) => isContainer(root, path, ns, name))
    /** The names of what is open. */
    const open: string[] = []
    let container: PieContainer | undefined
    for await (const part of this.#parts(file, reader)) {
      if (part.kind === 'end') {
        const name = open.pop()
        if (container !== undefined) {
          yield { kind: 'containerEnd', container }
          container = undefined
        } else if (name === 'user') yield { kind: 'userEnd' }
        continue
      }
      if (part.kind === 'start') {
        if (open.at(-1) === 'user') container = isPieContainer(part.ns, part.name)
        else if (part.name === 'host') this.#host = this.#hostOf(part.element)
        else if (part.name === 'user') yield this.#user(part.element)
        open.push(part.name)
        continue
      }
      if (container !== undefined) yield { kind: 'element', place: container, element: part.element }
      else if (part.ns === pieNs.include && part.name === 'include')
        yield* this.#include(file, part.element, open.at(-1)!)
      else if (open.at(-1) === 'user') yield { kind: 'element', place: 'user', element: part.element }
      else this.ignore(part.ns, part.name)
    }
  }

  async *#parts(file: string, reader: DocumentReader): AsyncGenerator<DocumentPart> {
    this.total += (await stat(file).catch(unreadable(file))).size
    const next = () => {
      const part = reader.next()
      this.place = `${file}:${reader.line}`
      return part
    }
    try {
      for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
        reader.feed(chunk)
        for (let part = next(); part !== undefined; part = next()) yield part
        this.read += chunk.length
      }
    } catch (error) {
      this.place = `${file}:${reader.line}`
      if (error instanceof Error && 'syscall' in error) throw unreadableError(file, error)
      throw error
    }
    reader.finish()
  }

  #hostOf(element: Element): string {
    const jid = Jid.parse(element.attrs.jid ?? '')
    if (jid === undefined || jid.local !== '' || !jid.isBare) throw new PieError('a host has the domain as its jid')
    return jid.domain
  }

  #user(element: Element): PieItem {
    const { name, password } = element.attrs
    if (this.#host === undefined) throw new PieError('a user stands in a host')
    const account = Jid.of(name ?? '', this.#host)
    if (account === undefined || account.local === '') {
      throw new PieError(`${JSON.stringify(name ?? '')} is no name of a user`)
    }
    return { kind: 'user', account, password }
  }

  /** Files beside the document only, whatever it says. XEP-0227 §5 */
  async *#include(from: string, element: Element, level: string): AsyncGenerator<PieItem> {
    const { href, parse, xpointer } = element.attrs
    const isPlain = typeof href === 'string' && parse === undefined && xpointer === undefined
    if (!isPlain || !/^[^/:?#\\][^:?#\\]*$/.test(href)) {
      throw new PieError('an include names a file beside the document, and nothing else')
    }
    const path = resolve(dirname(from), decodedPath(href))
    const real = await realpath(path).catch(unreadable(path))
    const way = relative(this.#folder, real)
    if (way === '..' || way.startsWith(`..${sep}`) || way.startsWith(sep)) {
      throw new PieError('an include leads out of the folder of the document')
    }
    const before = this.place
    const next = inner[level]
    if (next !== undefined) yield* this.#document(path, next)
    else yield* this.#includedPart(path)
    this.place = before
  }

  /** What a user includes is one element of the account. */
  async *#includedPart(path: string): AsyncGenerator<PieItem> {
    const { size } = await stat(path)
    this.place = `${path}:1`
    this.total += size
    if (size > elementLimit) throw new PieError('the included file is too long')
    const element = elementOf((await readFile(path, 'utf8')).replace(/^\ufeff?<\?xml [^?]*\?>/, ''))
    this.read += size
    const container = isPieContainer(element.getNS() ?? '', element.getName())
    if (container === undefined) return yield { kind: 'element', place: 'user', element }
    for (const child of element.getChildElements()) {
      child.attrs.xmlns ??= child.getNS()
      child.parent = null
      yield { kind: 'element', place: container, element: child }
    }
    yield { kind: 'containerEnd', container }
  }
}

function isContainer(root: Level, path: readonly string[], ns: string, name: string): boolean {
  const around = path.at(-1)
  if (around === 'user') return isPieContainer(ns, name) !== undefined
  return ns === pieNs.pie && name === (around === undefined ? root : inner[around])
}

function decodedPath(href: string): string {
  try {
    return decodeURIComponent(href)
  } catch {
    throw new PieError(`${JSON.stringify(href)} is no reference to a file`)
  }
}

function unreadableError(file: string, error: unknown): UserError {
  return new UserError('file', `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
}

const unreadable = (file: string) => (error: unknown) => {
  throw unreadableError(file, error)
}
