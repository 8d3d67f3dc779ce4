import { describe, expect, it } from 'vitest'
import { AccessRules } from '../../src/auth/access-rules.js'
import { Jid } from '../../src/protocols/jid.js'

const jid = (text: string) => Jid.parse(text)!
type Tables = ConstructorParameters<typeof AccessRules>[1]
const isIn = (pattern: Tables['acl'][string][number], text: string, host?: string) =>
  new AccessRules(['localhost', 'b.example'], {
    acl: { c: [pattern] },
    access: { r: [{ acl: 'c', value: 'allow' }] },
  }).allows('r', jid(text), host)

describe('classes of JIDs (§2.2)', () => {
  it.each([
    [{ match: 'all' as const }, 'x@y', true],
    [{ match: 'none' as const }, 'x@y', false],
    [{ user: 'Admin' }, 'admin@localhost', true],
    [{ user: 'admin' }, 'admin@b.example', true],
    [{ user: 'admin' }, 'admin@elsewhere.example', false],
    [{ user: 'admin', server: 'elsewhere.example' }, 'admin@elsewhere.example', true],
    [{ server: 'Elsewhere.Example' }, 'x@elsewhere.example', true],
    [{ resource: 'Mobile' }, 'x@y/Mobile', true],
    [{ resource: 'Mobile' }, 'x@y/mobile', false],
    [{ user_regexp: '' }, 'anybody@localhost', true],
    [{ user_regexp: '' }, 'anybody@elsewhere.example', false],
    [{ user_regexp: '^A\\d+$' }, 'a17@localhost', true],
    [{ user_regexp: '^test', server_regexp: 'example$' }, 'test1@any.example', true],
    [{ server_regexp: '^LOCAL' }, 'x@localhost', true],
    [{ resource_regexp: '^Web' }, 'x@y/web', false],
    [{ user_glob: 'test?[0-9]*' }, 'testx1yz@localhost', true],
    [{ user_glob: 'test*' }, 'atest@localhost', false],
    [{ user_glob: 'a.c' }, 'abc@localhost', false],
    [{ server_glob: '*.example' }, 'x@b.example', true],
    [{ resource_glob: 'w[!a]b' }, 'x@y/wab', false],
  ])('%j holds %s: %s', (pattern, text, expected) => {
    expect(isIn(pattern, text)).toBe(expected)
  })

  it('holds a user without server only on the host that the rule is asked for', () => {
    expect(isIn({ user: 'admin' }, 'admin@localhost', 'localhost')).toBe(true)
    expect(isIn({ user: 'admin' }, 'admin@b.example', 'localhost')).toBe(false)
  })
})

describe('access rules (§2.3)', () => {
  const rules = new AccessRules(
    ['a.example', 'b.example'],
    {
      acl: { admin: [{ user: 'admin' }], blocked: [{ user: 'tybalt' }] },
      access: {
        c2s: [
          { acl: 'blocked', value: 'deny' },
          { acl: 'all', value: 'allow' },
        ],
        closed: [{ acl: 'all', value: 'deny' }],
        limit: [
          { acl: 'admin', value: 5000 },
          { acl: 'nobody', value: 1 },
        ],
        all: [{ acl: 'all', value: 'deny' }],
      },
    },
    new Map([
      [
        'b.example',
        {
          acl: { blocked: [{ user: 'romeo' }] },
          access: { c2s: [{ acl: 'admin', value: 'deny' }], closed: [{ acl: 'all', value: 'allow' }] },
        },
      ],
    ]),
  )

  it('gives the value of the first clause that matches', () => {
    expect(rules.value('c2s', jid('tybalt@a.example'))).toBe('deny')
    expect(rules.value('c2s', jid('juliet@a.example'))).toBe('allow')
    expect(rules.value('limit', jid('admin@a.example'))).toBe(5000)
  })

  it('gives nothing, and so allows nothing, where no clause matches or there is no rule', () => {
    expect(rules.value('limit', jid('juliet@a.example'))).toBeUndefined()
    expect(rules.allows('nowhere', jid('juliet@a.example'))).toBe(false)
  })

  it('knows all and none whatever the table says of them (§4 trap 22)', () => {
    expect(rules.allows('all', jid('x@y'))).toBe(true)
    expect(rules.allows('none', jid('x@y'))).toBe(false)
  })

  it("moves a last global 'all allow' behind the host's own clauses, and no other one", () => {
    expect(rules.value('c2s', jid('admin@b.example'), 'b.example')).toBe('deny')
    expect(rules.value('c2s', jid('romeo@b.example'), 'b.example')).toBe('deny')
    expect(rules.value('c2s', jid('romeo@b.example'))).toBe('allow')
    expect(rules.value('closed', jid('romeo@b.example'), 'b.example')).toBe('deny')
  })
})
