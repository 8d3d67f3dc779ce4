import { describe, expect, it } from 'vitest'
import { clientState } from '../../src/modules/csi.js'
import { streamManagement } from '../../src/modules/stream-management.js'

const faults = ({ config }: typeof clientState | typeof streamManagement, options: object) =>
  (config.safeParse(options).error?.issues ?? []).map(({ path }) => path.join('.'))

describe('the options of mod_stream_management (§2.8)', () => {
  it('have the defaults of the reference', () => {
    expect(streamManagement.config.parse({})).toEqual({
      buffer: true,
      buffer_max: 100,
      ack: true,
      ack_freq: 1,
      resume_timeout: 600,
      stale_h: { enabled: false, repeat_after: 1800, geriatric: 3600 },
    })
    expect(streamManagement.shipped).toEqual({})
  })

  it.each([
    { buffer_max: 'no_buffer', ack_freq: 'never', resume_timeout: 1 },
    { buffer_max: 'infinity', stale_h: { enabled: true, geriatric: 1 } },
  ])('accept %j', options => {
    expect(faults(streamManagement, options)).toEqual([])
  })

  it.each([
    ['buffer_max', 'none'],
    ['buffer_max', 0],
    ['ack_freq', 0],
    ['ack_freq', 'infinity'],
    ['resume_timeout', 0],
    ['stale_h', true],
  ])('refuse %s = %j', (name, value) => {
    expect(faults(streamManagement, { [name]: value })).toEqual([name])
  })
})

describe('the option of mod_csi (§2.8)', () => {
  it('is 20 by default, may be zero and not less', () => {
    expect(clientState.config.parse({})).toEqual({ buffer_max: 20 })
    expect(faults(clientState, { buffer_max: 0 })).toEqual([])
    expect(faults(clientState, { buffer_max: -1 })).toEqual(['buffer_max'])
    expect(clientState.shipped).toBe(false)
  })
})
