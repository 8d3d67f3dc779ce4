import { execFileSync, spawnSync } from 'node:child_process'

/** What `ss` of iproute2 prints of the kernel's sockets, without a heading and with numbers. */
export const ss = (...args: string[]) => execFileSync('ss', ['-H', '-n', ...args], { encoding: 'utf8' })
/** Why `ss` cannot be asked; false when it can. */
export const isWithoutSs = spawnSync('ss', ['-V']).status === 0 ? false : 'ss of iproute2 is missing'
