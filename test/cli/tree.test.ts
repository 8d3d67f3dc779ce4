import { describe, expect, it } from 'vitest'
import type { ActorInfo } from '../../src/actors/runtime/inspect.js'
import { draw } from '../../src/cli/tree.js'

const actor = (name: string, more: Partial<ActorInfo> = {}): ActorInfo => ({
  name,
  path: `/${name}`,
  kind: 'test',
  state: 'idle',
  messages: 0,
  turns: 0,
  mailbox: 0,
  mailboxPeak: 0,
  waitingStanzas: 0,
  faults: 0,
  restarts: 0,
  hibernations: 0,
  startedAt: 0,
  details: {},
  childCount: 0,
  ...more,
})

describe('drawing the tree', () => {
  it('indents children below their parent, leaves zeros out, and counts what a page left out', () => {
    const shown = [
      actor('a', { children: { total: 1, offset: 0, items: [actor('a1')] } }),
      actor('b', { childCount: 3 }),
    ]
    const top = actor('root', {
      messages: 7,
      faults: 1,
      lastFault: 'Error: "bad"\nline',
      children: { total: 12, offset: 0, items: shown },
    })
    expect([...draw(top)]).toEqual([
      String.raw`root  idle, messages 7, faults 1, last fault "Error: \"bad\"\nline"`,
      '├─ a  idle',
      '│  └─ a1  idle',
      '├─ b  idle, children 3',
      '└─ … 10 more',
    ])
  })

  it('closes the last branch when the page is whole', () => {
    const items = [actor('a'), actor('b', { state: 'hibernated', details: { jid: 'romeo@example.org' } })]
    expect([...draw(actor('root', { children: { total: 2, offset: 0, items } }))]).toEqual([
      'root  idle',
      '├─ a  idle',
      '└─ b  hibernated, jid romeo@example.org',
    ])
  })
})
