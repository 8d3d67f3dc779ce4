import { expect, it } from 'vitest'
import { recordedEvents, startedServer } from '../support/server.js'

it('warns of a [s2s] that has no effect, because there is no [[listen.s2s]]', async () => {
  const warnings = async (config: Record<string, object>) => {
    const events = recordedEvents()
    await startedServer({ config, events })
    return events.records.filter(({ name }) => name === 'config.warning').map(({ fields }) => fields.path)
  }
  expect(await warnings({})).toEqual([])
  expect(await warnings({ s2s: { default_policy: 'deny' } })).toEqual(['s2s'])
})
