import fc from 'fast-check'
import type { Element } from 'ltx'
import { describe, expect, it } from 'vitest'
import { archiveId, boundBefore, isArchiveId, timeOf } from '../../src/protocols/archive-id.js'
import { StanzaError } from '../../src/protocols/errors.js'
import { Jid } from '../../src/protocols/jid.js'
import {
  archiveForm,
  type Direction,
  finElement,
  isArchivable,
  type Preferences,
  preferencesElement,
  readArchiveQuery,
  readPreferences,
  resultXml,
  verdictOn,
} from '../../src/protocols/mam.js'
import { pageElement, readPageRequest } from '../../src/protocols/rsm.js'
import { Stanza } from '../../src/protocols/stanza/stanza.js'
import { parseXml } from '../support/xml.js'

const ids = [1, 2, 3].map(second => archiveId(Date.UTC(2024, 0, 1, 0, 0, second) * 1000, '0123abcd'))
const [one = '', two = '', three = ''] = ids
const query = (content: string, attributes = '') =>
  parseXml(`<query xmlns="urn:xmpp:mam:2" ${attributes}>${content}</query>`, 'jabber:client')
const set = (content: string) => `<set xmlns="http://jabber.org/protocol/rsm">${content}</set>`
const field = (name: string, ...values: string[]) =>
  `<field var="${name}">${values.map(value => `<value>${value}</value>`).join('')}</field>`
const form = (...fields: string[]) =>
  `<x xmlns="jabber:x:data" type="submit">${field('FORM_TYPE', 'urn:xmpp:mam:2')}${fields.join('')}</x>`

/** The condition that reading this ends with. */
function conditionOf(read: () => unknown): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    if (error instanceof StanzaError) return error.condition
    throw error
  }
}

describe('ids of archived messages (XEP-0313 §3)', () => {
  const times = fc.integer({ min: 0, max: 8_000_000_000_000_000 })

  it('in byte order are in the order of their times, and tell the millisecond', () => {
    fc.assert(
      fc.property(times, times, (a, b) => {
        const [earlier, later] = [archiveId(Math.min(a, b), 'ffffffff'), archiveId(Math.max(a, b), '00000000')]
        expect(a === b || earlier < later).toBe(true)
        expect(isArchiveId(earlier)).toBe(true)
        expect(timeOf(archiveId(a, '00000000'))).toBe(Math.floor(a / 1000))
      }),
    )
  })

  it('lie behind the bound of their own millisecond and in front of the next', () => {
    fc.assert(
      fc.property(times, time => {
        const id = archiveId(time, '00000000')
        expect(boundBefore(timeOf(id)) < id && id < boundBefore(timeOf(id) + 1)).toBe(true)
      }),
    )
  })

  it.each(['', 'x', one.slice(1), `${one}0`, one.toUpperCase(), "' OR 1=1"])('%j is none', text => {
    expect(isArchiveId(text)).toBe(false)
  })
})

describe('pages of results (XEP-0059)', () => {
  it('are asked for by max, after and before (§2.1 to §2.5)', () => {
    const read = (content: string) => readPageRequest(query(content))
    const none = { max: undefined, after: undefined, before: undefined }
    expect(read('')).toEqual(none)
    expect(read(set(''))).toEqual(none)
    expect(read(set('<max>10</max><after>a</after>'))).toEqual({ max: 10, after: 'a', before: undefined })
    expect(read(set('<max>0</max><before/>'))).toEqual({ max: 0, after: undefined, before: '' })
    expect(read(set('<before>b</before>'))).toEqual({ max: undefined, after: undefined, before: 'b' })
  })

  it.each([
    ['<max>-1</max>', 'bad-request'],
    ['<max>ten</max>', 'bad-request'],
    ['<max/>', 'bad-request'],
    ['<max>99999999999999999999</max>', 'bad-request'],
    ['<after/>', 'bad-request'],
    ['<index>5</index>', 'feature-not-implemented'], // §2.6
  ])('%s is %s', (content, condition) => {
    expect(conditionOf(() => readPageRequest(query(set(content))))).toBe(condition)
  })

  it('tell what is known of them, and nothing else (§2.2)', () => {
    expect(pageElement({ first: 'a', last: 'b', count: 2 }).toString()).toBe(
      set('<first>a</first><last>b</last><count>2</count>'),
    )
    expect(pageElement({}).getChildElements()).toEqual([])
  })
})

describe('queries of an archive (XEP-0313 §4)', () => {
  it('without anything are for the first page of all', () => {
    expect(readArchiveQuery(query('', 'queryid="q"'))).toEqual({
      queryId: 'q',
      with: undefined,
      after: undefined,
      before: undefined,
      known: [],
      ids: undefined,
      max: undefined,
      isOutermost: true,
      isLast: false,
      isFlipped: false,
    })
  })

  it('have a contact, in canonical form (§4.1.1)', () => {
    expect(readArchiveQuery(query(form(field('with', 'Juliet@Capulet.example/Balcony')))).with?.text).toBe(
      'juliet@capulet.example/Balcony',
    )
  })

  it('have a start and an end, both within (§4.1.2)', () => {
    const read = (...fields: string[]) => readArchiveQuery(query(form(...fields)))
    const within = read(field('start', '2024-01-01T00:00:02Z'), field('end', '2024-01-01T01:00:02+01:00'))
    expect(ids.map(id => id > within.after! && id < within.before!)).toEqual([false, true, false])
    expect(read(field('start', '2024-01-01T00:00:02.001Z')).after! > two).toBe(true)
  })

  it('have ids that must be there, and the narrowest bounds of all (§4.1.3, §4.3.2)', () => {
    const read = readArchiveQuery(
      query(form(field('after-id', one), field('before-id', three)) + set(`<after>${two}</after><max>5</max>`)),
    )
    expect(read).toMatchObject({ after: two, before: three, max: 5, isLast: false, isOutermost: false })
    expect([...read.known].sort()).toEqual(ids)
  })

  it('for the last page have an empty before (§4.3.3), and can be flipped (§4.3.4)', () => {
    const read = readArchiveQuery(query(`${set('<before/>')}<flip-page/>`))
    expect(read).toMatchObject({ before: undefined, isLast: true, isOutermost: true, isFlipped: true, known: [] })
  })

  it.each([
    ['of a field that nobody knows (§4.1.5)', form(field('{http://x}search', 'y')), 'feature-not-implemented'],
    ['of a form of another type', form().replace('mam:2', 'mam:1'), 'bad-request'],
    ['of a form that is cancelled', form().replace('submit', 'cancel'), 'bad-request'],
    ['of a form without its type', form().replace(/<field.*<\/field>/, ''), 'bad-request'],
    ['with nobody', form(field('with', '')), 'bad-request'],
    ['with what is no JID', form(field('with', '@')), 'bad-request'],
    ['with two values', form(field('with', 'a@x', 'b@x')), 'bad-request'],
    ['with a field twice', form(field('with', 'a@x'), field('with', 'a@x')), 'bad-request'],
    ['from no time', form(field('start', 'yesterday')), 'bad-request'],
    ['from a day', form(field('start', '2024-01-01')), 'bad-request'],
    ['to an impossible time', form(field('end', '2024-13-41T00:00:00Z')), 'bad-request'],
    ['for an id that cannot be (§4.1.3)', form(field('ids', one, 'x')), 'item-not-found'],
    ['after an id that cannot be (§4.3.2)', set('<after>x</after>'), 'item-not-found'],
    ['for too many ids', form(field('ids', ...Array.from({ length: 101 }, () => one))), 'policy-violation'],
  ])('%s are refused', (_, content, condition) => {
    expect(conditionOf(() => readArchiveQuery(query(content)))).toBe(condition)
  })

  it('of a node are refused: there is one archive', () => {
    expect(conditionOf(() => readArchiveQuery(query('', 'node="x"')))).toBe('item-not-found')
  })

  it('end in a StanzaError or in bounds that are ids, whatever the fields say', () => {
    const names = fc.constantFrom('with', 'start', 'end', 'before-id', 'after-id', 'ids', 'FORM_TYPE', 'x')
    const values = fc.oneof(fc.constantFrom(one, 'a@x', '2024-01-01T00:00:00Z', 'urn:xmpp:mam:2'), fc.string())
    const fields = fc.array(fc.tuple(names, fc.array(values, { maxLength: 3 })), { maxLength: 4 })
    fc.assert(
      fc.property(fields, fc.boolean(), (list, hasType) => {
        const element = query(hasType ? form() : form().replace(/<field.*<\/field>/, ''))
        const x = element.getChild('x') as Element
        for (const [name, texts] of list) {
          const child = x.c('field', { var: name })
          for (const text of texts) child.c('value').t(text)
        }
        try {
          const read = readArchiveQuery(element)
          for (const bound of [read.after, read.before]) expect(bound ?? one).toMatch(/^[0-9a-z]{11,}$/)
        } catch (error) {
          expect(error).toBeInstanceOf(StanzaError)
        }
      }),
    )
  })

  it('are told which fields there are, the ids open to any (§4.1.5)', () => {
    const fields = archiveForm().getChild('x', 'jabber:x:data')!.getChildren('field')
    expect(fields.map(({ attrs }) => `${attrs.var} ${attrs.type}`)).toEqual([
      'FORM_TYPE hidden',
      'with jid-single',
      'start text-single',
      'end text-single',
      'before-id text-single',
      'after-id text-single',
      'ids list-multi',
    ])
    expect(fields.at(-1)?.getChild('validate')?.getChild('open')).toBeDefined()
  })

  it('end with the first and the last id, and whether that is all (§4.3.2)', () => {
    expect(finElement({ ids, isComplete: false }).toString()).toBe(
      `<fin xmlns="urn:xmpp:mam:2">${set(`<first>${one}</first><last>${three}</last>`)}</fin>`,
    )
    expect(finElement({ ids: [], isComplete: true, count: 0 }).toString()).toBe(
      `<fin xmlns="urn:xmpp:mam:2" complete="true">${set('<count>0</count>')}</fin>`,
    )
  })

  it('give the message as it was stored, in the namespace of clients (§4.2)', () => {
    const message = '<message from="a@x/r" to="b@x"><body>&lt;/forwarded&gt;</body><x xmlns="urn:y"><b/></x></message>'
    const xml = resultXml({ from: 'b@x', to: 'b@x/<&"', queryId: 'q"' }, { id: two, message })
    const forwarded = Stanza.parse(xml).element.getChild('result', 'urn:xmpp:mam:2')?.getChild('forwarded')
    expect(forwarded?.getChild('delay', 'urn:xmpp:delay')?.attrs.stamp).toBe('2024-01-01T00:00:02.000Z')
    expect(forwarded?.getChild('message', 'jabber:client')?.toString()).toBe(
      message.replace('<message', '<message xmlns="jabber:client"'),
    )
  })
})

describe('what is archived (XEP-0313 §6.1.1, XEP-0334 §5)', () => {
  const strict = { hasGroupchat: false, hasChatMarkers: false }
  const lax = { hasGroupchat: true, hasChatMarkers: true }
  const body = '<body>x</body>'
  const state = '<active xmlns="http://jabber.org/protocol/chatstates"/>'
  const hint = (name: string) => `<${name} xmlns="urn:xmpp:hints"/>`
  const marker = (name: string) => `<${name} xmlns="urn:xmpp:chat-markers:0" id="1"/>`
  const archived = (content: string, type = 'chat', direction: Direction = 'sent', rules = strict) =>
    isArchivable(Stanza.parse(`<message type="${type}">${content}</message>`), direction, rules)

  it.each([
    ['chat', body, true],
    ['normal', body, true],
    ['unheard-of', body, true], // RFC 6121 §5.2.2
    ['chat', state + body, true],
    ['chat', '<body/>', true],
    ['chat', '', false],
    ['chat', state, false],
    ['chat', '<x xmlns="urn:y"><body>x</body></x>', false],
    ['error', body, false],
    ['headline', body, false],
    ['groupchat', body, false],
    ['chat', body + hint('no-store'), false],
    ['chat', hint('no-permanent-store') + body, false],
    ['chat', body + hint('no-copy'), true],
    ['chat', hint('store'), true],
    ['headline', hint('store') + body, true],
    ['error', hint('store') + body, false],
    ['chat', hint('store') + hint('no-store'), false],
    ['chat', marker('displayed'), false],
  ])('type %s, %s: %s', (type, content, expected) => {
    expect(archived(content, type)).toBe(expected)
    const element = parseXml(`<message type="${type}">${content}</message>`, 'jabber:client')
    expect(isArchivable(Stanza.fromElement(element), 'sent', strict)).toBe(expected)
  })

  it('is group chat for those who receive it, and markers, where the options say so', () => {
    expect(archived(body, 'groupchat', 'received', lax)).toBe(true)
    expect(archived(body, 'groupchat', 'sent', lax)).toBe(false)
    expect(archived(marker('displayed'), 'chat', 'sent', lax)).toBe(true)
    expect(archived(marker('markable'), 'chat', 'sent', lax)).toBe(false)
  })
})

describe('preferences (XEP-0441)', () => {
  const prefs = (content: string, attributes = 'default="roster"') =>
    parseXml(`<prefs xmlns="urn:xmpp:mam:2" ${attributes}>${content}</prefs>`, 'jabber:client')

  it('are read and written, without doubles and in canonical form (§2.1)', () => {
    const read = readPreferences(prefs('<always><jid>A@x/R</jid><jid>a@x/R</jid></always><never/>'))
    expect(read).toEqual({ standard: 'roster', always: ['a@x/R'], never: [] })
    expect(preferencesElement(read).toString()).toBe(
      '<prefs xmlns="urn:xmpp:mam:2" default="roster"><always><jid>a@x/R</jid></always><never/></prefs>',
    )
    expect(readPreferences(prefs(''))).toEqual({ standard: 'roster', always: [], never: [] })
  })

  it.each([
    ['', '', 'bad-request'],
    ['', 'default="sometimes"', 'bad-request'],
    ['<always><jid/></always>', 'default="always"', 'jid-malformed'],
    [`<never>${'<jid>a@x</jid>'.repeat(3)}<jid>@</jid></never>`, 'default="always"', 'jid-malformed'],
    [
      `<never>${Array.from({ length: 1001 }, (_, i) => `<jid>a${i}@x</jid>`).join('')}</never>`,
      'default="always"',
      'policy-violation',
    ],
  ])('%s %s is %s', (content, attributes, condition) => {
    expect(conditionOf(() => readPreferences(prefs(content.slice(0), attributes)))).toBe(condition)
  })

  it('match a bare JID without and a full JID with its resource (§2.3.1)', () => {
    const rules: Preferences = { standard: 'roster', always: ['a@x', 'b@x/r'], never: ['a@x/secret', 'b@x'] }
    const verdict = (text: string) => verdictOn(Jid.parse(text)!, rules)
    expect(['a@x', 'a@x/any', 'a@x/secret', 'b@x', 'b@x/q', 'b@x/r', 'c@x'].map(verdict)).toEqual([
      'always',
      'always',
      'never',
      'never',
      'never',
      'always',
      'roster',
    ])
  })
})
