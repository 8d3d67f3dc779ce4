import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StanzaError } from '../../src/protocols/errors.js'
import {
  type Affiliation,
  affiliate,
  affiliationOf,
  byUser,
  checkAffiliations,
  checkDestruction,
  configureRoom,
  createRoom,
  type OccupantChange,
  type Room,
  type RoomRules,
  stampAfter,
} from '../../src/protocols/muc-light.js'
import { readBlocking, readFields, readOccupants, roomQuery } from '../../src/protocols/muc-light-xml.js'
import { parseXml } from '../support/xml.js'

const rules: RoomRules = {
  equalOccupants: false,
  allCanConfigure: false,
  allCanInvite: false,
  maxOccupants: Number.POSITIVE_INFINITY,
  fields: [
    { field: 'roomname', value: 'Untitled', key: 'roomname', type: 'binary' },
    { field: 'subject', value: '', key: 'subject', type: 'binary' },
    { field: 'size', value: 30, key: 'size', type: 'integer' },
  ],
}

const [alice, hare, hatter, queen] = ['alice', 'hare', 'hatter', 'queen'].map(name => `${name}@x`) as [
  string,
  string,
  string,
  string,
]

/** A room whose owner is written with a star: `room('hare*', 'alice')`. */
const room = (...names: string[]): Room => ({
  version: 'v1',
  configuration: new Map<string, string | number>([
    ['roomname', 'Tea'],
    ['subject', 's'],
  ]),
  occupants: names
    .map(name => ({
      jid: `${name.replace('*', '')}@x`,
      affiliation: (name.endsWith('*') ? 'owner' : 'member') as Affiliation,
    }))
    .sort(byUser),
})

/** Changes as `alice=owner hare=none`. */
const changes = (text: string): OccupantChange[] =>
  text
    .split(' ')
    .filter(item => item !== '')
    .map(item => {
      const [name, affiliation] = item.split('=') as [string, OccupantChange['affiliation']]
      return { jid: `${name}@x`, affiliation }
    })

const told = (found: readonly OccupantChange[] | undefined) =>
  found?.map(({ jid, affiliation }) => `${jid.slice(0, -2)}=${affiliation}`).join(' ')

/** What becomes of the room, as `room` is written, and the changes; or the condition of the refusal. */
function outcome(before: Room, requester: string, wanted: string, own: Partial<RoomRules> = {}) {
  const all = { ...rules, ...own }
  try {
    checkAffiliations(before, requester, changes(wanted), all)
    const result = affiliate(before, changes(wanted), all, 'v2')
    if (result === undefined) return 'nothing'
    const after = result.after?.occupants.map(
      ({ jid, affiliation }) => jid.slice(0, -2) + (affiliation === 'owner' ? '*' : ''),
    )
    return `${after?.join(' ') ?? 'gone'} | ${told(result.changes)}`
  } catch (error) {
    if (error instanceof StanzaError) return error.condition
    throw error
  }
}

describe('affiliations (ML-23)', () => {
  it.each([
    // 23.1
    ['hare* alice', hare, 'alice=member', 'bad-request'],
    ['hare* alice', hare, 'hare=owner', 'bad-request'],
    ['hare* alice', hare, 'queen=none', 'bad-request'],
    ['hare* alice', hare, 'queen=member queen=owner', 'bad-request'],
    // 23.2
    ['hare* alice', hare, 'alice=none', 'hare* | alice=none'],
    ['hare* alice', hare, 'queen=member alice=none', 'hare* queen | alice=none queen=member'],
    // 23.3
    ['hare* alice hatter', alice, 'alice=none', 'hare* hatter | alice=none'],
    ['hare* alice hatter', alice, 'alice=none hatter=none', 'not-allowed'],
    ['hare* alice hatter', alice, 'alice=owner', 'not-allowed'],
    ['hare* alice hatter', alice, 'hare=none', 'not-allowed'],
    ['hare* alice hatter', alice, 'hare=member', 'not-allowed'],
    ['hare* alice hatter', alice, 'queen=member', 'not-allowed'],
    // 23.4
    ['hare* alice', hare, 'alice=owner', 'alice* hare | alice=owner hare=member'],
    ['hare* alice', hare, 'alice=owner hare=member', 'alice* hare | alice=owner hare=member'],
    ['hare* alice', hare, 'alice=owner hare=none', 'alice* | alice=owner hare=none'],
    ['hare* alice', hare, 'queen=owner', 'alice hare queen* | hare=member queen=owner'],
    ['hare* alice hatter', hare, 'alice=owner hatter=owner', 'bad-request'],
    ['hare alice', hare, 'queen=owner', 'bad-request'],
    ['hare alice', hare, 'hare=owner', 'bad-request'],
    // 23.5
    ['hare* alice hatter', hare, 'hare=none', 'alice* hatter | alice=owner hare=none'],
    ['hare* alice hatter', hare, 'hare=member', 'alice* hare hatter | alice=owner hare=member'],
    ['hare* alice hatter', hare, 'hare=none alice=none', 'hatter* | alice=none hare=none hatter=owner'],
    ['hare* hatter', hare, 'hare=none alice=member', 'alice hatter* | alice=member hare=none hatter=owner'],
    ['hare*', hare, 'hare=none queen=member alice=member', 'alice* queen | alice=owner hare=none queen=member'],
    ['hare*', hare, 'hare=member queen=member', 'hare queen* | hare=member queen=owner'],
    ['hare* alice', hare, 'hare=member alice=none', 'hare* | alice=none'],
    ['hare*', hare, 'hare=member', 'nothing'],
    // ML-26
    ['hare*', hare, 'hare=none', 'gone | hare=none'],
    ['hare* alice', hare, 'hare=none alice=none', 'gone | alice=none hare=none'],
    // of nobody's
    ['alice hare', alice, 'alice=none', 'hare | alice=none'],
    ['alice hare', alice, 'hare=none', 'not-allowed'],
  ])('%s: %s asks %s → %s', (before, requester, wanted, after) => {
    expect(outcome(room(...before.split(' ')), requester, wanted)).toBe(after)
  })

  it('23.3: all_can_invite lets members add members, and nothing else', () => {
    const before = room('hare*', 'alice')
    const open = { allCanInvite: true }
    expect(outcome(before, alice, 'queen=member', open)).toBe('alice hare* queen | queen=member')
    expect(outcome(before, alice, 'queen=owner', open)).toBe('not-allowed')
    expect(outcome(before, alice, 'queen=member hare=none', open)).toBe('not-allowed')
  })

  it('23.6: a room is not filled above max_occupants, and one that is may be left', () => {
    expect(outcome(room('hare*', 'alice'), hare, 'queen=member', { maxOccupants: 2 })).toBe('bad-request')
    expect(outcome(room('hare*', 'alice'), hare, 'queen=member alice=none', { maxOccupants: 2 })).toBe(
      'hare* queen | alice=none queen=member',
    )
    expect(outcome(room('hare*', 'alice', 'queen'), hare, 'queen=none', { maxOccupants: 1 })).toBe(
      'alice hare* | queen=none',
    )
  })
})

describe('creation (ML-16, ML-17)', () => {
  const creation = { creator: hare, fields: new Map(), occupants: changes('alice=owner queen=member') }

  it('makes the listed owner the owner, unless he is left out', () => {
    const owned = createRoom(creation, new Set(), rules, 'v1')
    expect(owned.occupants.map(({ jid, affiliation }) => `${jid} ${affiliation}`)).toEqual([
      `${alice} owner`,
      `${hare} member`,
      `${queen} member`,
    ])
    expect(affiliationOf(createRoom(creation, new Set([alice]), rules, 'v1'), hare)).toBe('owner')
  })

  it('counts occupants after some are left out', () => {
    const small = { ...rules, maxOccupants: 2 }
    expect(() => createRoom(creation, new Set(), small, 'v1')).toThrow('too many occupants')
    expect(createRoom(creation, new Set([queen]), small, 'v1').occupants).toHaveLength(2)
  })

  it('gives every field its default, and takes what is written', () => {
    const fields = new Map([['size', '+7']])
    const made = createRoom({ creator: hare, fields, occupants: [] }, new Set(), rules, 'v1')
    expect([...made.configuration]).toEqual([
      ['roomname', 'Untitled'],
      ['subject', ''],
      ['size', 7],
    ])
  })
})

describe('configuration (ML-19)', () => {
  const fields = (...pairs: [string, string][]) => new Map(pairs)

  it('lets members change the subject alone', () => {
    const before = room('hare*', 'alice')
    expect(
      configureRoom(before, alice, fields(['subject', 'new']), rules, 'v2')?.after?.configuration.get('subject'),
    ).toBe('new')
    for (const wanted of [fields(['roomname', 'x']), fields(['subject', 'x'], ['roomname', 'x']), fields()]) {
      expect(() => configureRoom(before, alice, wanted, rules, 'v2')).toThrow('not-allowed')
      expect(() => configureRoom(before, alice, wanted, { ...rules, allCanConfigure: true }, 'v2')).not.toThrow()
    }
  })

  it('leaves the rest as it was, and the room alone where nothing is named', () => {
    const before = room('hare*')
    const change = configureRoom(before, hare, fields(['size', '5']), rules, 'v2')
    expect(change?.changes).toEqual([['size', 5]])
    expect(change?.after).toEqual({
      ...before,
      version: 'v2',
      configuration: new Map([...before.configuration, ['size', 5]]),
    })
    expect(configureRoom(before, hare, fields(), rules, 'v2')).toBeUndefined()
  })

  it.each(['x', '', ' 5', '1.5', '1e3', '0x10', '9007199254740993', 'NaN'])('takes %j for no integer', text => {
    expect(() => configureRoom(room('hare*'), hare, fields(['size', text]), rules, 'v2')).toThrow('bad-request')
  })
})

describe('the rest of the rules', () => {
  it('ML-28: nobody but the owner ends a room', () => {
    expect(() => checkDestruction(room('hare*', 'alice'), hare)).not.toThrow()
    expect(() => checkDestruction(room('hare*', 'alice'), alice)).toThrow('not-allowed')
    expect(() => checkDestruction(room('hare', 'alice'), hare)).toThrow('not-allowed')
  })

  it('ML-3, ML-4: stamps have the form of the clock and never repeat, though it stands or goes back', () => {
    expect(stampAfter(1_700_000_000_123, 0)).toEqual({ micros: 1_700_000_000_123_000, text: '1700-0-123000' })
    let last = 0
    const texts = new Set<string>()
    for (const wall of [5_000, 5_000, 5_000, 4_000, 5_001]) {
      const stamp = stampAfter(wall, last)
      expect(stamp.micros).toBeGreaterThan(last)
      last = stamp.micros
      texts.add(stamp.text)
    }
    expect(texts.size).toBe(5)
  })

  it('§3: occupants stand by user, then by server', () => {
    const jids = ['b@a', 'a@z', 'a@b', 'ab@a'].map(jid => ({ jid }))
    expect(jids.sort(byUser).map(({ jid }) => jid)).toEqual(['a@b', 'a@z', 'ab@a', 'b@a'])
  })
})

describe('requests as XML', () => {
  const parsed = (content: string) => parseXml(`<query xmlns="urn:x">${content}</query>`, 'urn:x')

  it('ML-19, ML-21: the last element of a field counts, an empty one clears, one with elements is none', () => {
    const found = readFields(parsed('<a>1</a> <b/><a>2</a><c><d/></c>'))
    expect([...found]).toEqual([
      ['a', '2'],
      ['b', ''],
    ])
  })

  it('ML-23: users are bare JIDs in canonical form', () => {
    expect(readOccupants(parsed('\n<user affiliation="none"> Hare@X.Test/y </user>'))).toEqual([
      { jid: 'hare@x.test', affiliation: 'none' },
    ])
    for (const wrong of [
      '<user affiliation="none">x.test</user>',
      '<user affiliation="none"/>',
      '<user>a@b</user>',
      'text',
    ]) {
      expect(() => readOccupants(parsed(wrong)), wrong).toThrow('bad-request')
    }
  })

  it('ML-29: the last word on an item counts', () => {
    const found = readBlocking(
      parsed('<user action="deny">a@b</user><user action="allow">A@b</user><room action="deny">a@b</room>'),
    )
    expect(found).toEqual({ deny: [{ kind: 'room', jid: 'a@b' }], allow: [{ kind: 'user', jid: 'a@b' }] })
  })

  it('ML-18: nothing is said to who knows the version', () => {
    expect(roomQuery('info', room('hare*'), 'v1')).toBeUndefined()
    expect(roomQuery('info', room('hare*'), '')).toBeDefined()
  })
})

describe('whatever is asked of a room', () => {
  const users = [alice, hare, hatter, queen, 'dormouse@x', 'duchess@x']
  const request = fc.record({
    requester: fc.constantFrom(...users),
    wanted: fc.array(
      fc.record({
        jid: fc.constantFrom(...users),
        affiliation: fc.constantFrom<OccupantChange['affiliation']>('owner', 'member', 'none'),
      }),
      { maxLength: 6 },
    ),
    fields: fc.dictionary(fc.constantFrom('subject', 'roomname', 'colour'), fc.string({ maxLength: 3 })),
    isConfiguration: fc.boolean(),
  })

  it.each([
    [{ equalOccupants: false, allCanInvite: true, maxOccupants: 4 }],
    [{ equalOccupants: false, allCanInvite: false, maxOccupants: Number.POSITIVE_INFINITY }],
    [{ equalOccupants: true, allCanInvite: true, maxOccupants: 4 }],
  ])('there is one owner, or none under %j; versions differ, and the room is never too full', own => {
    const all = { ...rules, ...own }
    fc.assert(
      fc.property(fc.array(request, { maxLength: 30 }), requests => {
        let current: Room | undefined = createRoom(
          { creator: hare, fields: new Map(), occupants: [] },
          new Set(),
          all,
          'v0',
        )
        requests.forEach(({ requester, wanted, fields, isConfiguration }, index) => {
          if (current === undefined || affiliationOf(current, requester) === undefined) return
          const before = current
          const snapshot = structuredClone(before)
          const version = `v${index + 1}`
          try {
            const change = isConfiguration
              ? configureRoom(before, requester, new Map(Object.entries(fields)), all, version)
              : affiliateIfAllowed(before, requester, wanted, all, version)
            if (change !== undefined) {
              expect(change.changes.length).toBeGreaterThan(0)
              expect(change.after?.version ?? version).toBe(version)
              current = change.after
            }
          } catch (error) {
            if (!(error instanceof StanzaError)) throw error
          }
          expect(before).toEqual(snapshot)
          if (current === undefined) return
          const owners = current.occupants.filter(({ affiliation }) => affiliation === 'owner')
          expect(owners).toHaveLength(own.equalOccupants ? 0 : 1)
          expect(current.occupants.length).toBeGreaterThan(0)
          expect(current.occupants.length).toBeLessThanOrEqual(own.maxOccupants)
          expect([...current.occupants].sort(byUser)).toEqual(current.occupants)
          expect(new Set(current.occupants.map(({ jid }) => jid)).size).toBe(current.occupants.length)
        })
      }),
      { numRuns: 300 },
    )
  })
})

function affiliateIfAllowed(
  before: Room,
  requester: string,
  wanted: OccupantChange[],
  all: RoomRules,
  version: string,
) {
  checkAffiliations(before, requester, wanted, all)
  return affiliate(before, wanted, all, version)
}
