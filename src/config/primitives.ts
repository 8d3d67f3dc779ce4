import { isIP } from 'node:net'
import { z } from 'zod'

/*
 * The value kinds of spec/listeners.md §1.1. Each returns a fresh schema, so that `.meta()` never leaks between options.
 */

/** A TCP or UDP port, 0 to 65535; 0 binds a free one. */
export const port = () => z.int().min(0).max(65_535)
/** An integer above zero. */
export const posint = () => z.int().min(1)
/** An integer of zero or more. */
export const nonneg = () => z.int().min(0)
/** A string of one character or more. */
export const nestring = () => z.string().min(1)
/** A path in the file system; the loader resolves it against the folder of the configuration file. */
export const path = () => nestring()
/** The name of a rule in `[access]`; `all` and `none` always exist. */
export const rule = () => nestring()
/** The name of a shaper in `[shaper]`; `none` always exists. */
export const shaperName = () => nestring()
/** An IPv4 or IPv6 literal. */
export const ipAddress = () => z.string().refine(text => isIP(text) !== 0, { error: 'an IPv4 or IPv6 address' })
export const posintOrInfinity = () => z.union([posint(), z.literal('infinity')])
