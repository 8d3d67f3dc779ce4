import { createHash, timingSafeEqual } from 'node:crypto'

export interface BasicCredentials {
  readonly username: string
  readonly password: string
}

/**
 * Reads an `Authorization` header. HR-2: other well-known schemes count as none; an unknown scheme, bad base64 or a missing colon
 * is `malformed`, which is answered with 400.
 */
export function readBasic(header: string): BasicCredentials | 'absent' | 'malformed' {
  if (header === '') return 'absent'
  const [, scheme = '', value = ''] = /^([^ ]+)(?: +(.+))?$/.exec(header) ?? []
  switch (scheme.toLowerCase()) {
    case 'basic':
      return decode(value)
    case 'bearer':
    case 'digest':
      return value === '' ? 'malformed' : 'absent'
    default:
      return 'malformed'
  }
}

function decode(value: string): BasicCredentials | 'malformed' {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)) return 'malformed'
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon < 0) return 'malformed'
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Compares in a time that says nothing about where the texts differ or how long they are. */
export function isSameCredentials(given: BasicCredentials, expected: BasicCredentials): boolean {
  const isUser = isSameText(given.username, expected.username)
  const isPassword = isSameText(given.password, expected.password)
  return isUser && isPassword
}

const digest = (text: string) => createHash('sha256').update(text).digest()
const isSameText = (one: string, other: string) => timingSafeEqual(digest(one), digest(other))
