/*
 * The tree by keyboard and by pointer, as WAI-ARIA's pattern for trees has it: one row is in the Tab order, arrows go on from there.
 */

/** Pages of a tree are so many rows. */
const PAGE = 10
/** How long letters belong to one word, in ms. */
const TYPED_MS = 700

/**
 * @param {import('./tree-view.js').TreeView} view
 * @param {{ open(id: string): void, close(id: string): void, choose(id: string): void }} does what is done with rows
 */
export function listenToTree(view, does) {
  const goTo = id => id !== undefined && view.focus(id)
  const typed = { text: '', at: 0 }

  const moves = {
    ArrowDown: at => goTo(view.order[at + 1]),
    ArrowUp: at => goTo(view.order[at - 1]),
    PageDown: at => goTo(view.order[Math.min(at + PAGE, view.order.length - 1)]),
    PageUp: at => goTo(view.order[Math.max(at - PAGE, 0)]),
    Home: () => goTo(view.order[0]),
    End: () => goTo(view.order.at(-1)),
    ArrowRight(_at, row) {
      if (row.mayExpand && !row.isExpanded) does.open(row.id)
      else goTo(row.children[0]?.id)
    },
    ArrowLeft(_at, row) {
      if (row.mayExpand && row.isExpanded) does.close(row.id)
      else goTo(row.parent?.id)
    },
    Enter: (_at, row) => does.choose(row.id),
    ' ': (_at, row) => does.choose(row.id),
  }

  view.tree.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const row = view.row(view.focused)
    if (row === undefined) return
    const move = moves[event.key]
    if (move !== undefined) move(view.order.indexOf(row.id), row)
    else if (event.key.length === 1 && event.key !== '/') goTo(find(event.key.toLowerCase(), row))
    else return
    event.preventDefault()
  })

  /** The next row whose name begins with what was typed. */
  function find(letter, row) {
    const now = performance.now()
    typed.text = now - typed.at < TYPED_MS ? typed.text + letter : letter
    typed.at = now
    const from = view.order.indexOf(row.id) + (typed.text.length === 1 ? 1 : 0)
    const rows = [...view.order.slice(from), ...view.order.slice(0, from)]
    return rows.find(id => view.row(id).name.toLowerCase().startsWith(typed.text))
  }

  view.tree.addEventListener('click', event => {
    const id = event.target.closest('.row')?.dataset.id
    const row = view.row(id)
    if (row === undefined) return
    view.focus(id)
    const isTwist = event.target.classList.contains('twist')
    if (row.mayExpand && !row.isExpanded) does.open(id)
    else if (row.mayExpand && (isTwist || row.id === view.selected)) does.close(id)
    if (!isTwist) does.choose(id)
  })
}
