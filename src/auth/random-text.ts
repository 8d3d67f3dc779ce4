import { randomFillSync } from 'node:crypto'

/** Random bytes in store: asking the kernel for eight costs as much as asking for thousands. */
const pool = Buffer.alloc(8 * 1024)
let used = pool.length

/** Text of `bytes` fresh random bytes from the CSPRNG, for ids and nonces; each byte is used once. At most 64. */
export function randomText(bytes: number, encoding: 'hex' | 'base64'): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const text = pool.toString(encoding, used, used + bytes)
  pool.fill(0, used, used + bytes)
  used += bytes
  return text
}
