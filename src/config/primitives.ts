import { isIP } from 'node:net'
import { z } from 'zod'
import { prepareDomain } from '../protocols/jid.js'

/*
 * The value kinds of spec/listeners.md §1.1. Each returns a fresh schema, so that `.meta()` never leaks between options.
 * What a kind means beyond its type stands in its meta data (`OptionMeta` in schema.ts) and is read there: a rule() must
 * exist, a path() is resolved, a secret() is never printed.
 */

/** How to parse what is read once: zod would first compile the schema, which costs more than it saves. */
export const once = { jitless: true } as const

/** A TCP or UDP port, 0 to 65535; 0 binds a free one. */
export const port = () => z.int().min(0).max(65_535)
/** An integer above zero. */
export const posint = () => z.int().min(1)
/** An integer of zero or more. */
export const nonneg = () => z.int().min(0)
/** A string of one character or more. */
export const nestring = () => z.string().min(1)
/** A path in the file system; the loader resolves it against the folder of the configuration file. */
export const path = () => nestring().meta({ syntax: 'a path (non-empty string)', prepare: 'path' })
/** The name of a rule in `[access]`; `all` and `none` always exist. */
export const rule = () => nestring().meta({ syntax: 'the name of an access rule (non-empty string)', refers: 'access' })
/** The name of a rule in `[access]` whose values are names of shapers. */
export const shaperRule = () =>
  nestring().meta({ syntax: 'the name of an access rule (non-empty string)', refers: 'shaper-rule' })
/** The name of a shaper in `[shaper]`; `none` always exists. */
export const shaperName = () => nestring().meta({ syntax: 'the name of a shaper (non-empty string)', refers: 'shaper' })
/** The name of a class in `[acl]`; `all` and `none` always exist. */
export const aclClass = () => nestring().meta({ syntax: 'the name of an acl class (non-empty string)', refers: 'acl' })
/** A password or key: a string of one character or more that is never printed. */
export const secret = () => nestring().meta({ secret: true })
/** An IPv4 or IPv6 literal. */
export const ipAddress = () =>
  z
    .string()
    .refine(text => isIP(text) !== 0, { error: 'an IPv4 or IPv6 address' })
    .meta({ syntax: 'an IPv4 or IPv6 address' })
export const posintOrInfinity = () => z.union([posint(), z.literal('infinity')])

/** A network as `address/prefix length`, IPv4 or IPv6. */
export const cidr = () =>
  z.string().refine(isCidr, { error: 'a network' }).meta({ syntax: 'a network such as "10.0.0.0/8"' })

/** A domain name; the loader gives it out in prepared form (RFC 7622 §3.2). */
export const domain = () =>
  z
    .string()
    .refine(text => prepareDomain(text) !== undefined, { error: 'a domain name' })
    .meta({ syntax: 'a domain name', prepare: 'domain' })

/** The domain of a service of ours, in which `@HOST@` stands for each served host. */
export const serviceDomain = () =>
  z
    .string()
    .refine(text => preparedDomain(text) !== undefined, { error: 'a domain name' })
    .meta({ syntax: 'a domain name, in which @HOST@ stands for each served host', prepare: 'domain' })

/** The prepared form of a domain name in which `@HOST@` may stand for a label or more; undefined when RFC 7622 forbids it. */
export function preparedDomain(text: string): string | undefined {
  if (!text.includes('@HOST@')) return prepareDomain(text)
  return prepareDomain(text.replaceAll('@HOST@', STAND_IN))?.replaceAll(STAND_IN, '@HOST@')
}
/** A label that nobody uses and preparation leaves as it is. */
const STAND_IN = 'x0host0x'

/** An array whose members differ from one another, as `key` sees them. */
export const uniqueArray = <T extends z.ZodType>(member: T, key: (value: unknown) => unknown = value => value) =>
  z.array(member).refine(members => new Set(members.map(key)).size === members.length, {
    error: 'an array without repeated members',
  })

/** A domain as `uniqueArray` compares it. */
export const sameDomain = (value: unknown) => (typeof value === 'string' ? prepareDomain(value) : value)

function isCidr(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/')
  const family = isIP(address)
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128)
}
