import { describe, expect, it } from 'vitest'
import { StanzaError } from '../../../src/protocols/errors.js'
import { defaultConfig } from '../../../src/protocols/muc/config.js'
import {
  type Affiliation,
  checkAffiliation,
  checkRole,
  initialRole,
  type Role,
  roleAfter,
  type Standing,
} from '../../../src/protocols/muc/privileges.js'

/** `member/moderator` as affiliation and role. */
function standing(text: string): Standing {
  const [affiliation, role] = text.split('/') as [Affiliation, Role]
  return { affiliation, role }
}

function verdict(check: () => void): string {
  try {
    check()
    return 'yes'
  } catch (error) {
    if (error instanceof StanzaError) return error.condition
    throw error
  }
}

describe('roles (XEP-0045 §5.1)', () => {
  it.each([
    // affiliation, moderated, unmoderated
    ['none', 'visitor', 'participant'],
    ['member', 'participant', 'participant'],
    ['admin', 'moderator', 'moderator'],
    ['owner', 'moderator', 'moderator'],
  ] as const)('§5.1.2: %s enters a moderated room as %s, any other as %s', (affiliation, moderated, unmoderated) => {
    const config = { ...defaultConfig, hasVoiceByDefault: false }
    expect(initialRole(affiliation, { ...config, isModerated: true })).toBe(moderated)
    expect(initialRole(affiliation, { ...config, isModerated: false })).toBe(unmoderated)
  })

  it.each([
    // role, affiliation before and after, role then
    ['moderator', 'admin', 'none', 'visitor'],
    ['moderator', 'owner', 'member', 'participant'],
    ['moderator', 'owner', 'admin', 'moderator'],
    ['moderator', 'none', 'member', 'moderator'],
    ['moderator', 'member', 'none', 'moderator'],
    ['visitor', 'none', 'member', 'participant'],
    ['participant', 'member', 'none', 'visitor'],
    ['participant', 'none', 'admin', 'moderator'],
    ['participant', 'none', 'none', 'participant'],
    ['visitor', 'member', 'member', 'visitor'],
  ] as const)('§5.1.3: a %s who was %s and is %s now is a %s', (role, was, is, then) => {
    expect(roleAfter(role, was, is, { ...defaultConfig, hasVoiceByDefault: false })).toBe(then)
  })

  it.each([
    // actor, target, wanted role, verdict
    ['none/participant', 'none/visitor', 'participant', 'forbidden'],
    ['member/participant', 'none/participant', 'none', 'forbidden'],
    ['none/moderator', 'none/visitor', 'participant', 'yes'],
    ['none/moderator', 'none/participant', 'visitor', 'yes'],
    ['none/moderator', 'none/participant', 'none', 'yes'],
    ['none/moderator', 'member/participant', 'none', 'not-allowed'],
    ['none/moderator', 'member/participant', 'visitor', 'not-allowed'],
    ['member/moderator', 'member/participant', 'none', 'yes'],
    ['member/moderator', 'member/participant', 'visitor', 'not-allowed'],
    ['member/moderator', 'none/moderator', 'none', 'not-allowed'],
    ['member/moderator', 'none/moderator', 'participant', 'not-allowed'],
    ['member/moderator', 'none/participant', 'moderator', 'forbidden'],
    ['member/moderator', 'admin/moderator', 'none', 'not-allowed'],
    ['admin/moderator', 'none/moderator', 'none', 'yes'],
    ['admin/moderator', 'none/moderator', 'participant', 'yes'],
    ['admin/moderator', 'none/participant', 'moderator', 'yes'],
    ['admin/none', 'none/participant', 'moderator', 'yes'],
    ['admin/moderator', 'admin/moderator', 'none', 'not-allowed'],
    ['admin/moderator', 'admin/moderator', 'participant', 'not-allowed'],
    ['admin/moderator', 'owner/moderator', 'none', 'not-allowed'],
    ['owner/moderator', 'admin/moderator', 'none', 'yes'],
    ['owner/moderator', 'owner/moderator', 'none', 'yes'],
    ['owner/moderator', 'admin/moderator', 'visitor', 'not-allowed'],
    ['owner/moderator', 'owner/moderator', 'participant', 'not-allowed'],
  ] as const)('§8, §9: %s makes %s a %s: %s', (actor, target, wanted, expected) => {
    expect(verdict(() => checkRole(standing(actor), standing(target), wanted))).toBe(expected)
  })
})

describe('affiliations (XEP-0045 §5.2)', () => {
  const all = ['outcast', 'none', 'member', 'admin', 'owner'] as const
  const expected: Record<string, (current: Affiliation, wanted: Affiliation) => string> = {
    owner: () => 'yes',
    admin: (current, wanted) => {
      const isHigh = (affiliation: Affiliation) => affiliation === 'admin' || affiliation === 'owner'
      if (!isHigh(current) && !isHigh(wanted)) return 'yes'
      return wanted === 'outcast' ? 'not-allowed' : 'forbidden'
    },
    member: () => 'forbidden',
    none: () => 'forbidden',
    outcast: () => 'forbidden',
  }
  const table = all.flatMap(actor => all.flatMap(current => all.map(wanted => [actor, current, wanted] as const)))

  it.each(table)('§5.2.2: %s makes who is %s %s', (actor, current, wanted) => {
    expect(verdict(() => checkAffiliation(actor, current, wanted))).toBe(expected[actor]!(current, wanted))
  })
})
