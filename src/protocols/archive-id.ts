/*
 * Ids of archived messages: the microsecond of the arrival, then text that nobody can guess. So ids in byte order are in the
 * order of arrival, two nodes never give the same one, and an instant is a bound between ids. XEP-0313 §3
 */

/** Digits of the time, in base 36: enough for some thousand years. */
const timeLength = 11
/** Digits behind it. */
export const secretLength = 8

const anyId = new RegExp(`^[0-9a-z]{${timeLength}}[0-9a-f]{${secretLength}}$`)

/** `secret` is `secretLength` hexadecimal digits. */
export const archiveId = (microseconds: number, secret: string) => boundAt(microseconds) + secret

/** What lies between the ids before this microsecond and those from it on. */
const boundAt = (microseconds: number) => microseconds.toString(36).padStart(timeLength, '0')

/** Every id of this millisecond or a later one is behind it, every other in front of it. */
export const boundBefore = (ms: number) => boundAt(Math.max(0, ms) * 1000)

/** False for what can be in no archive. */
export const isArchiveId = (text: string) => anyId.test(text)

/** When the message came, in milliseconds since 1970. */
export const timeOf = (id: string) => Math.floor(microsecondOf(id) / 1000)

/** The microsecond that an id or a bound begins with. */
export const microsecondOf = (id: string) => Number.parseInt(id.slice(0, timeLength), 36)

/** What an id has behind its time, and a bound has not. */
export const secretOf = (id: string) => id.slice(timeLength)
