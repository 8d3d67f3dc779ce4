import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/soak/*.test.ts'],
    // SOAK_SCALE=0.1 is a tenth of the size.
    provide: { soakScale: Number(process.env.SOAK_SCALE ?? 1) },
    testTimeout: 600_000,
    fileParallelism: false,
    pool: 'forks',
  },
})
