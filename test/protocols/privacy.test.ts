import { describe, expect, it } from 'vitest'
import { Jid } from '../../src/protocols/jid.js'
import { type Kind, listElement, type PrivacyItem, PrivacyRules, readPrivacySet } from '../../src/protocols/privacy.js'
import { parseXml } from '../support/xml.js'

const item = (change: Partial<PrivacyItem>): PrivacyItem => ({
  type: 'jid',
  value: '',
  action: 'deny',
  stanzas: [],
  order: 1,
  ...change,
})
const rules = (...items: Partial<PrivacyItem>[]) =>
  new PrivacyRules({ name: 'list', items: items.map((change, order) => item({ ...change, order })) })
const jid = (text: string) => Jid.parse(text)!
const query = (content: string) => parseXml(`<query xmlns="jabber:iq:privacy">${content}</query>`, 'jabber:client')

describe('a privacy list (XEP-0016 §2.1, §2.2)', () => {
  it.each([
    ['user@domain/resource', 'a@x/1', true],
    ['user@domain/resource', 'a@x/2', false],
    ['user@domain/resource', 'a@x', false],
    ['user@domain', 'a@x/1', true],
    ['user@domain', 'a@x', true],
    ['user@domain', 'b@x', false],
    ['domain/resource', 'x/1', true],
    ['domain/resource', 'a@x/1', true],
    ['domain/resource', 'x', false],
    ['domain', 'x', true],
    ['domain', 'a@x', true],
    ['domain', 'x/1', true],
    ['domain', 'a@y', false],
    ['domain', 'a@sub.x', false],
  ])('matches an item for %s against %s: %s', (form, text, isDenied) => {
    const value = form.replace('user', 'a').replace('domain', 'x').replace('resource', '1')
    expect(rules({ value }).denies('message', jid(text), undefined)).toBe(isDenied)
  })

  it('is decided by the first item that matches, in the order of the list, not by the form of the JID', () => {
    expect(rules({ value: 'x' }, { value: 'a@x', action: 'allow' }).denies('iq', jid('a@x'), undefined)).toBe(true)
    expect(rules({ value: 'a@x', action: 'allow' }, { value: 'x' }).denies('iq', jid('a@x'), undefined)).toBe(false)
    const allowed = rules({ type: 'fall-through', action: 'allow' }, { value: 'a@x' })
    expect(allowed.denies('iq', jid('a@x'), undefined)).toBe(false)
    const denied = rules({ value: 'b@x', action: 'allow' }, { type: 'fall-through' })
    expect([denied.denies('iq', jid('a@x'), undefined), denied.denies('iq', jid('b@x'), undefined)]).toEqual([
      true,
      false,
    ])
  })

  it('allows what no item is about', () => {
    expect(rules().denies('message', jid('a@x'), undefined)).toBe(false)
    expect(rules({ value: 'b@x' }).denies('message', jid('a@x'), undefined)).toBe(false)
  })

  it.each<[PrivacyItem['stanzas'], Kind[]]>([
    [[], ['message', 'iq', 'presence-in', 'presence-out', 'other']],
    [['message'], ['message']],
    [
      ['iq', 'presence-in'],
      ['iq', 'presence-in'],
    ],
    [['presence-out'], ['presence-out']],
  ])('with an item for %j denies %j alone', (stanzas, denied) => {
    const list = rules({ value: 'a@x', stanzas })
    const kinds: Kind[] = ['message', 'iq', 'presence-in', 'presence-out', 'other']
    expect(kinds.filter(kind => list.denies(kind, jid('a@x'), undefined))).toEqual(denied)
  })

  it('goes on behind an item that is for other stanzas', () => {
    const list = rules({ value: 'a@x', action: 'allow', stanzas: ['iq'] }, { value: 'a@x' })
    expect([list.denies('iq', jid('a@x'), undefined), list.denies('message', jid('a@x'), undefined)]).toEqual([
      false,
      true,
    ])
  })

  it('knows groups and exact subscriptions, and strangers as none', () => {
    const relation = { subscription: 'both', groups: ['Enemies'] } as const
    const group = rules({ type: 'group', value: 'Enemies' })
    expect([group.denies('iq', jid('a@x'), relation), group.denies('iq', jid('a@x'), undefined)]).toEqual([true, false])
    const to = rules({ type: 'subscription', value: 'to' })
    expect([to.denies('iq', jid('a@x'), relation), to.needsRoster]).toEqual([false, true])
    const none = rules({ type: 'subscription', value: 'none' })
    expect([none.denies('iq', jid('a@x'), relation), none.denies('iq', jid('a@x'), undefined)]).toEqual([false, true])
  })

  it('is written as it is read', () => {
    const xml =
      '<list name="l"><item type="jid" value="a@x" action="deny" order="3"/>' +
      '<item type="group" value="g" action="allow" order="5"><message/><presence-out/></item><item action="deny" order="7"/></list>'
    const set = readPrivacySet(query(xml))
    if (set.action !== 'put') throw new Error('a list with items is put')
    expect(listElement(set.list).toString()).toContain('order="7"')
    expect(readPrivacySet(listElement(set.list))).toEqual(set)
  })

  it('is put into the order of its items', () => {
    const set = readPrivacySet(
      query(
        '<list name="l"><item action="deny" order="9"/><item type="jid" value="A@X" action="allow" order="0"/></list>',
      ),
    )
    expect(set).toMatchObject({
      list: {
        items: [
          { order: 0, value: 'a@x' },
          { order: 9, type: 'fall-through' },
        ],
      },
    })
  })

  it.each([
    ['nothing', '', 'bad-request'],
    ['two changes', '<active/><default/>', 'bad-request'],
    ['something else', '<other/>', 'bad-request'],
    ['a list without a name', '<list><item action="deny" order="1"/></list>', 'bad-request'],
    ['an item without an action', '<list name="l"><item order="1"/></list>', 'bad-request'],
    ['an item without an order', '<list name="l"><item action="deny"/></list>', 'bad-request'],
    ['a negative order', '<list name="l"><item action="deny" order="-1"/></list>', 'bad-request'],
    ['an order beyond 32 bits', '<list name="l"><item action="deny" order="4294967296"/></list>', 'bad-request'],
    [
      'an order twice',
      '<list name="l"><item action="deny" order="1"/><item action="allow" order="1"/></list>',
      'bad-request',
    ],
    ['a type that is none', '<list name="l"><item type="x" value="y" action="deny" order="1"/></list>', 'bad-request'],
    [
      'a subscription that is none',
      '<list name="l"><item type="subscription" value="y" action="deny" order="1"/></list>',
      'bad-request',
    ],
    [
      'a JID that is none',
      '<list name="l"><item type="jid" value="@@" action="deny" order="1"/></list>',
      'jid-malformed',
    ],
    ['a stanza that is none', '<list name="l"><item action="deny" order="1"><x/></item></list>', 'bad-request'],
  ])('refuses %s', (_, content, condition) => {
    expect(() => readPrivacySet(query(content))).toThrow(expect.objectContaining({ condition }))
  })
})
