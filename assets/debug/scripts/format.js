/*
 * Numbers and times as people read them.
 */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0, useGrouping: true })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

/** 12 345 with thin spaces, as digits that line up. */
export const count = value => whole.format(value).replaceAll(',', '\u202f')

/** 12.3K: for where there is little room. */
export const compact = value => (value < 100_000 ? count(value) : short.format(value))

/** A rate or a time: two digits when it is small. */
export const measured = value => (value >= 10 ? count(value) : value === 0 ? '0' : fine.format(value))

/** 12:34:56, from milliseconds since 1970. */
export const timeOfDay = at => clock.format(at)

/** "1 session", "2 sessions". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`

const units = ['B', 'KB', 'MB', 'GB', 'TB']

/** 4 096 → "4.1 KB". */
export function bytes(value) {
  let scaled = value
  let unit = 0
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return `${unit === 0 ? scaled : scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[unit]}`
}

const steps = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** Milliseconds as the two largest units: "3 h 12 min". */
export function duration(ms) {
  let left = Math.max(0, Math.floor(ms / 1000))
  const parts = []
  for (const [seconds, unit] of steps) {
    if (left >= seconds) parts.push(`${Math.floor(left / seconds)} ${unit}`)
    else if (parts.length > 0) break
    left %= seconds
    if (parts.length === 2) break
  }
  return parts.join(' ') || '0 s'
}

/** `lastFault` becomes "last fault", `tlsVersion` "TLS version". */
export const words = name =>
  name
    .replaceAll('_', ' ')
    .replaceAll(/([a-z\d])([A-Z])/g, (_, before, after) => `${before} ${after.toLowerCase()}`)
    .replaceAll(/\b(?:tls|jid|iq|ip|id|sasl|xml)\b/g, short => short.toUpperCase())
