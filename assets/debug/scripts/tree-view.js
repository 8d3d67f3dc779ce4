/*
 * Draws rows: keeps one element for each, moves them where the layout says, and lights them up.
 */
import { setAttribute, svgElement } from './dom.js'
import { GAP, narrow, wide } from './layout.js'
import { makeRow, rowWidth, shownHeight, writeRow } from './tree-row.js'

const MOVE_MS = 260
const LIT_MS = 2600
/** Below this width of the canvas, in pixels, rows stand below one another. */
const NARROW = 620

const stillness = matchMedia('(prefers-reduced-motion: reduce)')

export class TreeView {
  /** Elements by row, and where they are now. */
  #views = new Map()
  #links = new Map()
  #now = new Map()
  #to = new Map()
  #rows = new Map()
  #order = []
  #moving = 0
  #selected
  #focused
  #last

  constructor({ canvas, tree, links }) {
    this.canvas = canvas
    this.tree = tree
    this.links = links
    let width = canvas.clientWidth
    new ResizeObserver(() => {
      const was = width < NARROW
      width = canvas.clientWidth
      if (was !== width < NARROW && this.#last) this.draw(this.#last)
    }).observe(canvas)
  }

  get isNarrow() {
    return this.canvas.clientWidth < NARROW
  }

  /** Rows that can be seen, from the top; what the keyboard walks through. */
  get order() {
    return this.#order
  }

  row(id) {
    return this.#rows.get(id)
  }

  get selected() {
    return this.#selected
  }

  get focused() {
    return this.#focused
  }

  /** Shows the tree below the row. `anchor`: the row that stays where it is on the screen. */
  draw(root, { anchor } = {}) {
    this.#last = root
    const before = anchor === undefined ? undefined : this.#to.get(anchor)
    this.#collect(root)
    const { places, links, width, height } = (this.isNarrow ? narrow : wide)(root)
    this.canvas.classList.toggle('narrow', this.isNarrow)
    // A tree that leaves room above and below stands a little above the middle; a list begins at the top.
    const spare =
      this.isNarrow || root.kind === 'bucket' ? 0 : Math.max(0, Math.round((this.canvas.clientHeight - height) * 0.42))
    for (const place of places.values()) place.y += spare
    for (const made of [this.tree, this.links]) {
      made.style.width = `${width}px`
      made.style.height = `${height + spare}px`
    }
    this.#to = places
    this.#drawRows()
    this.#drawLinks(links)
    const after = anchor === undefined ? undefined : places.get(anchor)
    if (before && after) {
      // The whole picture moves with the anchor, so that only the others seem to.
      const shift = after.y - before.y
      for (const place of this.#now.values()) place.y += shift
      this.canvas.scrollTop += shift
    }
    this.#move()
  }

  #collect(root) {
    this.#rows = new Map()
    this.#order = []
    const visit = (row, parent) => {
      row.width = rowWidth(row)
      row.parent = parent
      this.#rows.set(row.id, row)
      this.#order.push(row.id)
      for (const child of row.children) visit(child, row)
    }
    visit(root, undefined)
  }

  #drawRows() {
    const hadFocus = this.tree.contains(document.activeElement)
    for (const [id, { element }] of this.#views) {
      if (this.#rows.has(id)) continue
      element.remove()
      this.#views.delete(id)
      this.#now.delete(id)
    }
    if (this.#focused === undefined || !this.#rows.has(this.#focused)) this.#focused = this.#survivor()
    let next = this.tree.firstChild
    for (const id of this.#order) {
      const row = this.#rows.get(id)
      const view = this.#views.get(id) ?? this.#enter(row)
      const siblings = row.parent?.children ?? [row]
      const position = siblings.indexOf(row) + 1
      // First into its place: only there it has colours.
      if (view.element === next) next = next.nextSibling
      else this.tree.insertBefore(view.element, next)
      writeRow(view, row, { position, siblings: siblings.length, isSelected: id === this.#selected })
      setAttribute(view.element, 'tabindex', id === this.#focused ? '0' : '-1')
    }
    if (hadFocus && !this.tree.contains(document.activeElement)) this.focus(this.#focused)
  }

  /** Where the focus goes when its row is no more: to what stood above it. */
  #survivor() {
    let id = this.#focused ?? ''
    while (id !== '') {
      id = id.slice(0, Math.max(id.lastIndexOf('/'), id.lastIndexOf('#'), 0))
      if (this.#rows.has(id)) return id
    }
    return this.#order[0]
  }

  /** A new row comes out of its parent. */
  #enter(row) {
    const view = makeRow()
    this.#views.set(row.id, view)
    const from = (row.parent && this.#now.get(row.parent.id)) ?? this.#to.get(row.id)
    this.#now.set(row.id, { ...from })
    view.element.addEventListener('animationend', () => view.element.classList.remove('new'), { once: true })
    return view
  }

  #drawLinks(links) {
    const wanted = new Map(links.map(([from, to]) => [to, from]))
    for (const [to, { path }] of this.#links) {
      if (wanted.has(to)) continue
      path.remove()
      this.#links.delete(to)
    }
    for (const [to, from] of wanted) {
      let link = this.#links.get(to)
      if (link === undefined) {
        link = { path: svgElement('path') }
        this.links.append(link.path)
        this.#links.set(to, link)
      }
      link.from = from
      setAttribute(link.path, 'data-branch', this.#rows.get(to).branch)
    }
  }

  #move() {
    cancelAnimationFrame(this.#moving)
    const from = new Map([...this.#now].map(([id, place]) => [id, { ...place }]))
    const isMoved = ([id, { x, y }]) => x !== from.get(id)?.x || y !== from.get(id)?.y
    if (![...this.#to].some(isMoved)) return this.#place(1, from)
    if (stillness.matches || document.hidden) return this.#place(1, from)
    const start = performance.now()
    const step = now => {
      const part = Math.min(1, Math.max(0, (now - start) / MOVE_MS))
      this.#place(1 - (1 - part) ** 3, from)
      if (part < 1) this.#moving = requestAnimationFrame(step)
    }
    this.#place(0, from)
    this.#moving = requestAnimationFrame(step)
  }

  #place(part, from) {
    for (const [id, { element }] of this.#views) {
      const to = this.#to.get(id)
      const was = from.get(id) ?? to
      const place = { x: was.x + (to.x - was.x) * part, y: was.y + (to.y - was.y) * part }
      this.#now.set(id, place)
      // On whole pixels, where text is sharp.
      const top = Math.round(place.y - shownHeight(this.#rows.get(id)) / 2)
      element.style.transform = `translate(${Math.round(place.x)}px, ${top}px)`
    }
    for (const [to, { from: parent, path }] of this.#links) setAttribute(path, 'd', this.#curve(parent, to))
  }

  #curve(parentId, id) {
    const [parent, child] = [this.#now.get(parentId), this.#now.get(id)]
    if (this.isNarrow) {
      const x = round(parent.x + 13)
      return `M${x} ${round(parent.y + 14)}V${round(child.y)}H${round(child.x)}`
    }
    const x = parent.x + this.#rows.get(parentId).width
    // Beside its own row it stays level: the rows above and below may be wider.
    const bend = Math.max(x, child.x - GAP)
    const middle = round((bend + child.x) / 2)
    return `M${round(x)} ${round(parent.y)}H${round(bend)}C${middle} ${round(parent.y)} ${middle} ${round(child.y)} ${round(child.x)} ${round(child.y)}`
  }

  /** Lights a row up for a moment. */
  flash(id, light) {
    const view = this.#views.get(id)
    // What ends after a fault, ends because of it.
    if (view === undefined || weight(light) < weight(view.halo?.dataset.light)) return
    clearTimeout(view.dark)
    view.halo?.remove()
    view.halo = document.createElement('span')
    view.halo.className = 'halo'
    view.halo.dataset.light = light
    view.element.append(view.halo)
    const path = this.#links.get(id)?.path
    path?.setAttribute('data-light', light)
    view.dark = setTimeout(() => {
      view.halo?.remove()
      view.halo = undefined
      path?.removeAttribute('data-light')
    }, LIT_MS)
  }

  select(id) {
    this.#mark(this.#selected, 'aria-selected', 'false')
    this.#selected = id
    this.#mark(id, 'aria-selected', 'true')
  }

  /** Moves the one row that the Tab key finds. */
  focus(id) {
    const view = this.#views.get(id)
    if (view === undefined) return
    this.#mark(this.#focused, 'tabindex', '-1')
    this.#focused = id
    this.#mark(id, 'tabindex', '0')
    view.element.focus({ preventScroll: true })
    this.reveal(id)
  }

  /** Scrolls so that the row is seen, where it will be. */
  reveal(id) {
    const [to, row] = [this.#to.get(id), this.#rows.get(id)]
    if (to === undefined) return
    const { canvas } = this
    const clamp = (now, size, from, until) =>
      from < now + 16 ? from - 16 : until > now + size - 16 ? until - size + 16 : now
    canvas.scrollTo({
      top: clamp(canvas.scrollTop, canvas.clientHeight, to.y - 24, to.y + 24),
      left: clamp(
        canvas.scrollLeft,
        canvas.clientWidth,
        to.x,
        Math.min(to.x + row.width, to.x + canvas.clientWidth - 40),
      ),
      behavior: stillness.matches ? 'auto' : 'smooth',
    })
  }

  /** Scrolls to the right as far as the row's children need and the row itself allows. */
  revealChildren(id) {
    const { canvas } = this
    const [row, own] = [this.#rows.get(id), this.#to.get(id)]
    if (row === undefined) return
    const right = Math.max(...row.children.map(child => this.#to.get(child.id).x + child.width))
    const wanted = Math.min(right + 24 - canvas.clientWidth, own.x - 16)
    if (wanted > canvas.scrollLeft) canvas.scrollTo({ left: wanted, behavior: stillness.matches ? 'auto' : 'smooth' })
  }

  #mark(id, name, value) {
    const view = this.#views.get(id)
    if (view) setAttribute(view.element, name, value)
  }
}

/** Which light outshines which. */
const weights = { faulted: 3, overflowed: 3, restarted: 2 }
const weight = light => (light === undefined ? 0 : (weights[light] ?? 1))

const round = value => Math.round(value * 10) / 10
