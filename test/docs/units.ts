import type { Page, Piece } from './page.js'

/*
 * Units of systemd on a page. systemd only warns of a key that it does not know, so that a slip would go unseen.
 */

/** What units of ours may use, from systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.kill(5). */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  Unit: ['Description', 'Documentation', 'Wants', 'Requires', 'After', 'StartLimitIntervalSec', 'StartLimitBurst'],
  Service: [
    ...['Type', 'User', 'Group', 'DynamicUser', 'ExecStartPre', 'ExecStart', 'ExecReload', 'Restart', 'RestartSec'],
    ...['TimeoutStartSec', 'TimeoutStopSec', 'LimitNOFILE', 'Environment', 'EnvironmentFile', 'WorkingDirectory'],
    ...['StateDirectory', 'StateDirectoryMode', 'UMask', 'NoNewPrivileges', 'CapabilityBoundingSet'],
    ...['AmbientCapabilities', 'ProtectSystem', 'ProtectHome', 'PrivateTmp', 'PrivateDevices', 'MemoryMax'],
    ...['ProtectKernelTunables', 'ProtectKernelModules', 'ProtectControlGroups', 'RestrictAddressFamilies'],
    ...['RestrictNamespaces', 'RestrictSUIDSGID', 'LockPersonality'],
  ],
  Install: ['WantedBy'],
}

/** Problems of units: keys that are unknown, and a server that is killed before it has drained. */
export function unitProblems(page: Page, shutdownTimeout: number): Piece[] {
  return page.blocks
    .filter(({ language, text }) => language === 'ini' && text.includes('[Service]'))
    .flatMap(block => {
      let section = ''
      return block.text.split('\n').flatMap((line, at) => {
        section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section
        const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
        const here = (text: string) => [{ line: block.line + at, text }]
        if (key !== '' && !KEYS[section]?.includes(key)) return here(`[${section}] has no ${key}`)
        if (key === 'TimeoutStopSec' && Number(value) * 1000 <= shutdownTimeout)
          return here('ends before the server has')
        return /^($|#|\[|\w+=)/.test(line) ? [] : here(`${line}: no line of a unit`)
      })
    })
}
