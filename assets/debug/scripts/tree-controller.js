/*
 * Between what is known of the tree and what is seen of it.
 */
import { byId, choice } from './dom.js'
import { tell } from './told.js'
import { listenToTree } from './tree-keys.js'
import { TreeView } from './tree-view.js'

/** Width of the canvas, in pixels, from which there is room for what is in a listener. */
const ROOMY = 900
/** Listeners that are open from the beginning; none when there are more. */
const MOST_OPEN = 8

const filters = {
  '': undefined,
  faults: { title: 'Actors that failed', query: { faults: 1 } },
  mailbox: { title: 'Actors with messages waiting', query: { mailbox: 1 } },
  busy: { title: 'Actors at work', query: { state: 'busy,runnable' } },
  hibernated: { title: 'Actors at rest', query: { state: 'hibernated' } },
}

export class TreeController {
  #forest
  #view
  #tell

  /** `chosen(path)`: an actor was chosen; `changed()`: something was opened that has to be asked for. */
  constructor(forest, tellers) {
    this.#forest = forest
    this.#tell = tellers
    this.#view = new TreeView({ canvas: byId('canvas'), tree: byId('tree'), links: byId('links') })
    listenToTree(this.#view, {
      open: id => this.#open(id),
      close: id => this.#close(id),
      choose: id => this.#choose(id),
    })
    byId('collapse-all').addEventListener('click', () => {
      this.#forest.closeAll()
      this.draw()
      this.#view.reveal(this.#forest.root.path)
    })
    this.#startFilter()
  }

  #startFilter() {
    const values = [
      ['', 'The whole tree'],
      ...Object.entries(filters)
        .slice(1)
        .map(([id, { title }]) => [id, title]),
    ]
    const select = choice('filter', values, '')
    select.setAttribute('aria-label', 'What the tree shows')
    byId('filter').append(select)
    byId('filter').addEventListener('submit', event => event.preventDefault())
    select.addEventListener('change', () => this.#filter(filters[select.value]))
    this.select = select
  }

  #filter(filter, offset) {
    this.#forest.filter(filter, offset)
    this.draw()
    this.#view.canvas.scrollTo(0, 0)
    this.#tell.changed()
  }

  /** The first look: root and what listens are open, and each listener where there is room. */
  async start() {
    const { actor, families } = await this.refresh()
    this.#forest.open(actor.path)
    for (const { items } of families) {
      const listeners = items.find(({ name }) => name === 'listeners')
      if (listeners !== undefined) this.#forest.open(listeners.path)
    }
    if (this.#view.canvas.clientWidth < ROOMY) return
    await this.refresh()
    const listening = [...this.#forest.actors()].filter(({ kind }) => kind === 'Listener')
    if (listening.length > MOST_OPEN) return
    for (const { path } of listening) this.#forest.open(path)
    await this.refresh()
  }

  /** What the summary says of the listeners; shown when the tree is drawn. */
  note(listeners) {
    this.#forest.listeners = new Map(listeners.map(listener => [listener.path, listener]))
  }

  async refresh() {
    const seen = await this.#forest.refresh()
    this.draw()
    return seen
  }

  draw(options) {
    if (this.#forest.root === undefined) return
    const keep = options?.anchor ?? this.#view.selected
    this.#view.draw(this.#forest.rows(keep), options)
  }

  async #open(id) {
    this.#forest.open(id)
    await this.#forest.refresh()
    this.draw({ anchor: id })
    this.#view.revealChildren(id)
    const row = this.#view.row(id)
    if (row !== undefined) tell(`${row.name} open, ${row.children.length} below`)
  }

  #close(id) {
    this.#forest.close(id)
    this.draw({ anchor: id })
  }

  async #choose(id) {
    const row = this.#view.row(id)
    if (row.kind === 'more') return this.#turn(row)
    this.#view.select(id)
    if (row.kind === 'actor') await this.#tell.chosen(id)
    else if (row.parentPath !== undefined) await this.#tell.chosen(row.parentPath)
  }

  async #turn({ bucket, to }) {
    if (this.#forest.filtered !== undefined) return this.#filter(this.#forest.filtered, to)
    this.#forest.open(bucket, to)
    await this.#forest.refresh()
    this.draw({ anchor: bucket })
    this.#view.focus(this.#view.row(bucket)?.children.find(({ kind }) => kind === 'actor')?.id)
  }

  /** Opens whatever is above the actor, shows it, and chooses it. */
  async show(path) {
    if (path === '') return
    if (this.#forest.filtered !== undefined) {
      this.select.value = ''
      this.#filter(undefined)
    }
    await this.#forest.openTo(path)
    this.draw({ anchor: path })
    this.#view.select(path)
    this.#view.reveal(path)
    await this.#tell.chosen(path)
  }

  /** Lights up what stands for the actor. */
  light(path, light) {
    const id = this.#forest.rowOf(path, this.#view)
    if (id !== undefined) this.#view.flash(id, light)
  }
}
