import { defineConfig } from 'vitest/config'

// SOAK_SCALE=0.1 runs a tenth: that is what CI does, beside the interop tests, which need a server process too.
export default defineConfig({
  test: {
    include: ['test/soak/*.test.ts'],
    provide: { soakScale: Number(process.env.SOAK_SCALE ?? 1) },
    testTimeout: 600_000,
    fileParallelism: false,
    pool: 'forks',
  },
})
