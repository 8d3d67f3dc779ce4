import { describe, expect, it, test } from 'vitest'
import { drop } from '../../src/routing/hooks.js'
import { type Client, montague, stanza, type World, world } from '../support/world.js'

/*
 * RFC 6121 §8.5.4, its table: what becomes of a message, by type, by address and by who is there.
 * D delivered to that resource, M to the most available ones, A to all of non-negative priority,
 * O offered to the offline store, E answered with service-unavailable, S silently ignored.
 */

type Type = 'normal' | 'chat' | 'groupchat' | 'headline'
const types: readonly Type[] = ['normal', 'chat', 'groupchat', 'headline']
type Outcome = 'D' | 'M' | 'A' | 'O' | 'E' | 'S'

/** The server with Romeo's resources as given, and what the offline store was offered. */
async function situation(priorities: Record<string, number | undefined>, hasAccount = true) {
  const server = world()
  const offered: string[] = []
  server.routing.hooksOf(montague).undeliverable.transform({}, message => {
    offered.push(message.type)
    return drop
  })
  if (hasAccount) await server.register('romeo@montague.example')
  const romeo: Record<string, Client> = {}
  for (const [resource, priority] of Object.entries(priorities)) {
    const client = await server.connect(`romeo@montague.example/${resource}`)
    if (priority !== undefined) await client.arrives(priority)
    romeo[resource] = client
  }
  for (const client of Object.values(romeo)) client.take()
  const juliet = await server.connect('juliet@capulet.example/balcony')
  return { server, offered, romeo, juliet }
}

async function outcome(
  priorities: Record<string, number | undefined>,
  type: Type,
  to: string,
  hasAccount = true,
): Promise<{ by: string[]; isOffered: boolean; error: boolean }> {
  const { offered, romeo, juliet, server } = await situation(priorities, hasAccount)
  await juliet.sends(`<message id="1" type="${type}" to="${to}"><body>Romeo?</body></message>`)
  expect(server.bugs).toEqual([])
  const answers = juliet.take()
  if (answers.length > 0) expect(answers.join()).toContain('<service-unavailable')
  return {
    by: Object.keys(romeo).filter(resource => romeo[resource]!.take().length > 0),
    isOffered: offered.length > 0,
    error: answers.length > 0,
  }
}

const bare = 'romeo@montague.example'
const rows: {
  when: string
  priorities: Record<string, number | undefined>
  hasAccount?: boolean
  to: string
  cells: Record<Type, [Outcome, ...string[]]>
}[] = [
  {
    when: 'the account does not exist: bare JID (§8.5.1)',
    priorities: {},
    hasAccount: false,
    to: bare,
    cells: { normal: ['E'], chat: ['E'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'the account does not exist: full JID (§8.5.1)',
    priorities: {},
    hasAccount: false,
    to: `${bare}/orchard`,
    cells: { normal: ['E'], chat: ['E'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'no active resource: bare JID (§8.5.2.2.1)',
    priorities: {},
    to: bare,
    cells: { normal: ['O'], chat: ['O'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'no active resource: full JID (§8.5.3.2.1)',
    priorities: {},
    to: `${bare}/orchard`,
    cells: { normal: ['E'], chat: ['O'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'connected, but without presence: bare JID (§8.5.2.2.1)',
    priorities: { orchard: undefined },
    to: bare,
    cells: { normal: ['O'], chat: ['O'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'connected, but without presence: full JID that matches (§8.5.3.1)',
    priorities: { orchard: undefined },
    to: `${bare}/orchard`,
    cells: {
      normal: ['D', 'orchard'],
      chat: ['D', 'orchard'],
      groupchat: ['D', 'orchard'],
      headline: ['D', 'orchard'],
    },
  },
  {
    when: 'only negative resources: bare JID',
    priorities: { orchard: -1, garden: -128 },
    to: bare,
    cells: { normal: ['O'], chat: ['O'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'only negative resources: full JID that matches',
    priorities: { orchard: -1 },
    to: `${bare}/orchard`,
    cells: {
      normal: ['D', 'orchard'],
      chat: ['D', 'orchard'],
      groupchat: ['D', 'orchard'],
      headline: ['D', 'orchard'],
    },
  },
  {
    when: 'only negative resources: full JID that matches none',
    priorities: { orchard: -1 },
    to: `${bare}/garden`,
    cells: { normal: ['E'], chat: ['O'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'one non-negative resource: bare JID (§8.5.2.1.1)',
    priorities: { orchard: 0, garden: -1 },
    to: bare,
    cells: { normal: ['D', 'orchard'], chat: ['D', 'orchard'], groupchat: ['E'], headline: ['D', 'orchard'] },
  },
  {
    when: 'one non-negative resource: full JID that matches',
    priorities: { orchard: 0 },
    to: `${bare}/orchard`,
    cells: {
      normal: ['D', 'orchard'],
      chat: ['D', 'orchard'],
      groupchat: ['D', 'orchard'],
      headline: ['D', 'orchard'],
    },
  },
  {
    when: 'one non-negative resource: full JID that matches none (§8.5.3.2.1)',
    priorities: { orchard: 0 },
    to: `${bare}/garden`,
    cells: { normal: ['E'], chat: ['D', 'orchard'], groupchat: ['E'], headline: ['S'] },
  },
  {
    when: 'several non-negative resources: bare JID (§8.5.2.1.1)',
    priorities: { orchard: 5, garden: 5, tomb: 1, cell: -1, mute: undefined },
    to: bare,
    cells: {
      normal: ['M', 'orchard', 'garden'],
      chat: ['M', 'orchard', 'garden'],
      groupchat: ['E'],
      headline: ['A', 'orchard', 'garden', 'tomb'],
    },
  },
  {
    when: 'several non-negative resources: full JID that matches',
    priorities: { orchard: 5, garden: 5, tomb: 1 },
    to: `${bare}/tomb`,
    cells: { normal: ['D', 'tomb'], chat: ['D', 'tomb'], groupchat: ['D', 'tomb'], headline: ['D', 'tomb'] },
  },
  {
    when: 'several non-negative resources: full JID that matches none',
    priorities: { orchard: 5, garden: 5, tomb: 1 },
    to: `${bare}/square`,
    cells: { normal: ['E'], chat: ['M', 'orchard', 'garden'], groupchat: ['E'], headline: ['S'] },
  },
]

describe('RFC 6121 §8.5.4', () => {
  for (const { when, priorities, hasAccount, to, cells } of rows) {
    for (const type of types) {
      const [expected, ...by] = cells[type]
      test(`${when}: ${type} is ${expected}${by.length > 0 ? ` (${by.join(', ')})` : ''}`, async () => {
        expect(await outcome(priorities, type, to, hasAccount)).toEqual({
          by,
          isOffered: expected === 'O',
          error: expected === 'E',
        })
      })
    }
  }
})

describe('messages', () => {
  async function pair(): Promise<{ server: World; romeo: Client; juliet: Client }> {
    const server = world()
    const romeo = await server.connect('romeo@montague.example/orchard')
    const juliet = await server.connect('juliet@capulet.example/balcony')
    return { server, romeo, juliet }
  }

  it('of type error are never answered, wherever they go (RFC 6121 §8.5.2.1.1, §8.5.3.2.1)', async () => {
    const { juliet, romeo, server } = await pair()
    await romeo.arrives()
    for (const to of [bare, `${bare}/tomb`, 'nobody@montague.example', 'montague.example', 'elsewhere.example']) {
      await juliet.sends(`<message type="error" to="${to}"><error type="cancel"/></message>`)
    }
    juliet.receives()
    romeo.receives()
    expect(server.bugs).toEqual([])
  })

  it('of a type that nobody knows are normal (RFC 6121 §5.2.2)', async () => {
    const { juliet, romeo } = await pair()
    await romeo.arrives()
    await juliet.sends(`<message type="sonnet" to="${bare}"><body>a</body></message>`)
    romeo.receives('<message type="sonnet" from="juliet@capulet.example/balcony"><body>a</body></message>')
  })

  it('without an addressee go to the sender’s own account (RFC 6120 §10.3.1)', async () => {
    const { romeo } = await pair()
    await romeo.arrives()
    await romeo.sends('<message><body>note to self</body></message>')
    romeo.receives('<message to="romeo@montague.example"><body>note to self</body></message>')
  })

  it('keep the full JID they were sent to when another resource gets them (RFC 6121 §8.5.3.2.1)', async () => {
    const { juliet, romeo } = await pair()
    await romeo.arrives()
    await juliet.sends(`<message type="chat" to="${bare}/gone"><body>a</body></message>`)
    romeo.receives(`<message to="${bare}/gone"><body>a</body></message>`)
  })

  it('fall to the next priority when the most available resource takes nothing any more', async () => {
    const { server, juliet, romeo } = await pair()
    await romeo.arrives(5)
    const other = await (await server.connect(`${bare}/garden`)).arrives(1)
    romeo.take()
    romeo.takes = false
    await juliet.sends(`<message type="chat" to="${bare}"><body>a</body></message>`)
    other.receives('<message><body>a</body></message>')
  })

  it('bounce with service-unavailable when no module keeps them', async () => {
    const { juliet } = await pair()
    await juliet.sends(`<message id="7" type="chat" to="${bare}"><body>a</body></message>`)
    juliet.receives(
      `<message id="7" type="error" from="${bare}"><error type="cancel" code="503"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`,
    )
  })

  it('go on their way without a promise when nothing has to be awaited', async () => {
    const { server } = await pair()
    const message = stanza(`<message from="juliet@capulet.example/balcony" to="${bare}/orchard"/>`)
    expect(server.routing.route(message)).toBeUndefined()
  })
})
