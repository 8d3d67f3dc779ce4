/*
 * What is known of the tree, and which of it is open: actors come from the server, rows go to the view.
 */
import { actorRow, bucketId, filterRow, PAGE, SMALL, stemOf } from './forest-rows.js'

/** Rows that are shown at once; what was opened first is closed again for what is opened beyond it. */
const MOST_ROWS = 300

/**
 * One actor, as the server tells of it.
 * @typedef {{ name: string, path: string, kind: string, state: string, messages: number, mailbox: number, waitingStanzas: number,
 *   faults: number, childCount: number, details: Record<string, string | number | boolean> }} Actor
 * @typedef {{ kind: string, total: number, stem: string, waiting: number, faults: number,
 *   below: number, mosaic: number[], items: Actor[], places: number[] }} Family
 */

export class Forest {
  #source
  /** Ids of what is open, the oldest first, with where its page begins. */
  #open = new Map()
  /** What the last round found: families by the path of their parent, pages by the id of their bucket. */
  #families = new Map()
  #pages = new Map()
  #rates = new Map()
  /** By the id of the row, how many messages waited in this round, and in the one before as well. */
  #waits = new Map()
  /** Rounds that were begun, and the one that is shown. */
  #asked = 0
  #shown = 0
  root
  /** By the path of a listener, how many connections it has. */
  listeners = new Map()

  /** A filter, while the page shows what passes it instead of the tree, and what did. */
  #filter
  #found

  /** @param source as source.js */
  constructor(source) {
    this.#source = source
  }

  /** Shows only what passes the filter: `{ title, query }`; undefined for the tree. */
  filter(filter, offset = 0) {
    this.#filter = filter && { ...filter, offset }
    this.#found = undefined
  }

  get filtered() {
    return this.#filter
  }

  isOpen(id) {
    return this.#open.has(id)
  }

  open(id, offset = 0) {
    this.#open.delete(id)
    this.#open.set(id, offset)
  }

  close(id) {
    for (const open of [...this.#open.keys()]) {
      if (open === id || open.startsWith(`${id}/`) || open.startsWith(`${id}#`)) this.#open.delete(open)
    }
  }

  closeAll() {
    const root = this.root?.path
    this.#open = new Map(root === undefined ? [] : [[root, 0]])
  }

  /** Asks the server for everything that is open. What is gone closes. */
  async refresh() {
    const number = ++this.#asked
    const { actor, families } = await this.#source.look('')
    const filter = this.#filter
    if (filter !== undefined) {
      const list = await this.#source.list(filter.query, filter.offset, PAGE)
      if (filter === this.#filter) this.#found = list
    }
    const found = new Map([[actor.path, families]])
    const pages = new Map()
    await this.#visit(actor.path, families, found, pages)
    // What was asked for later, and came sooner, knows better.
    if (number < this.#shown) return { actor, families }
    this.#shown = number
    this.root = actor
    this.#families = found
    this.#pages = pages
    this.#measure()
    return { actor, families }
  }

  /** Opens whatever is above the actor with the path, at the page that it is on, and asks for it. */
  async openTo(path) {
    const names = path.split('/').slice(1)
    for (let depth = 1; depth < names.length; depth++) {
      const parent = `/${names.slice(0, depth).join('/')}`
      this.open(parent)
      const answer = await this.#source.look(parent === this.root.path ? '' : parent)
      if (answer === undefined) break
      const family = familyOf(answer.families, names[depth])
      if (family === undefined || family.total <= SMALL) continue
      const index = await this.#source.indexOf(parent, family, names[depth])
      this.open(bucketId(parent, family.kind), Math.floor(Math.max(0, index) / PAGE) * PAGE)
    }
    await this.refresh()
  }

  async #visit(path, families, found, pages) {
    const work = []
    for (const family of families) {
      const id = bucketId(path, family.kind)
      if (family.total <= SMALL) {
        for (const child of family.items) work.push(this.#enter(child, found, pages))
      } else if (this.#open.has(id)) work.push(this.#turn(path, family, id, found, pages))
    }
    await Promise.all(work)
  }

  async #enter({ path, childCount }, found, pages) {
    if (!this.#open.has(path)) return
    const answer = childCount > 0 ? await this.#source.look(path) : undefined
    if (answer === undefined) return
    found.set(path, answer.families)
    await this.#visit(path, answer.families, found, pages)
  }

  async #turn(path, family, id, found, pages) {
    const last = Math.max(0, Math.ceil(family.total / PAGE) - 1) * PAGE
    const offset = Math.min(this.#open.get(id) ?? 0, last)
    const page = await this.#source.page(path, family, offset, PAGE)
    if (page === undefined) return
    pages.set(id, { ...page, offset })
    await Promise.all(page.items.map(child => this.#enter(child, found, pages)))
  }

  /** Messages per second, from what was counted since the last round. */
  #measure() {
    const at = performance.now()
    const rates = new Map()
    for (const { path, messages } of this.actors()) {
      const before = this.#rates.get(path)
      const seconds = before === undefined ? 0 : (at - before.at) / 1000
      // A restarted actor counts from nothing.
      const rate = seconds > 0.2 ? Math.max(0, messages - before.messages) / seconds : (before?.rate ?? 0)
      const hasWorked = before?.hasWorked === true || rate > 0
      rates.set(path, seconds > 0.2 || before === undefined ? { at, messages, rate, hasWorked } : before)
    }
    this.#rates = rates
    this.#waits = this.#waitsAt(at)
  }

  /** Whatever comes waits for a moment: what counts is what waits in two rounds. */
  #waitsAt(at) {
    const waits = new Map()
    const note = (id, now) => {
      const before = this.#waits.get(id)
      if (before !== undefined && at - before.at < 200) waits.set(id, before)
      else if (now > 0) waits.set(id, { at, now, shown: Math.min(now, before?.now ?? 0) })
    }
    for (const { path, mailbox, waitingStanzas = 0 } of this.actors()) note(path, Math.max(mailbox, waitingStanzas))
    for (const [path, families] of this.#families) {
      for (const { kind, waiting } of families) note(bucketId(path, kind), waiting)
    }
    return waits
  }

  /** Every actor that is known now. */
  *actors() {
    if (this.root !== undefined) yield this.root
    for (const families of this.#families.values()) {
      for (const { items = [] } of families) yield* items
    }
    for (const { items } of this.#pages.values()) yield* items
    if (this.#found !== undefined) yield* this.#found.items
  }

  /** The rows to show, from the root; closes what was opened first while there are too many. `keep`: what must stay open. */
  rows(keep = '') {
    const known = {
      open: this.#open,
      families: this.#families,
      pages: this.#pages,
      rates: this.#rates,
      waits: this.#waits,
      listeners: this.listeners,
    }
    if (this.#filter !== undefined) return filterRow(known, this.#filter, this.#found)
    for (;;) {
      const root = actorRow(known, this.root, 1, 0)
      if (countRows(root) <= MOST_ROWS) return root
      const oldest = [...this.#open.keys()].find(id => id !== this.root.path && !isWithin(keep, id))
      if (oldest === undefined) return root
      this.close(oldest)
    }
  }

  /** The row that stands for the actor, or for the nearest above it that can be seen. */
  rowOf(path, view) {
    let below = ''
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      if (view.row(at) !== undefined) return below === '' ? at : (this.#bucketOf(at, below, view) ?? at)
      below = at.slice(at.lastIndexOf('/') + 1)
    }
    return undefined
  }

  #bucketOf(path, name, view) {
    const family = familyOf(this.#families.get(path) ?? [], name)
    const id = family && bucketId(path, family.kind)
    return id !== undefined && view.row(id) !== undefined ? id : undefined
  }
}

/** The family of a child: one of those that are known, or numbered as they are. */
const familyOf = (families, name) =>
  families.find(({ items }) => items.some(item => item.name === name)) ??
  families.find(({ stem }) => stem === stemOf(name))

const countRows = row => row.children.reduce((sum, child) => sum + countRows(child), 1)

/** Whether the id is the other, or something below its actor. */
const isWithin = (id, other) =>
  `${id}/`.startsWith(`${other.split('#', 1)[0]}/`) || id.startsWith(`${other.split('#', 1)[0]}#`)
